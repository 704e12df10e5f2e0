"""What kind of point a fit has ended at: the evidence, and the flags it turns into."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .polish import Local
from .problem import Problem
from .saddle import falls
from .status import CONVERGED, Status

KAPPA = 1e-2  # of a standard deviation: what may be left of the step at a minimum
CONDITION = 1e9  # scaled condition beyond which a walk has left the region the data speak about
CANCEL = 1e5  # times the data's norm: linear terms of this size only cancel each other


@dataclass(slots=True, eq=False)
class Solution:
    """The minimum and the evidence for it; parameters non-linear first, then linear."""

    here: Local
    status: Status
    held: np.ndarray  # bool (n,): on a bound that pushes back
    no_effect: np.ndarray  # bool (n,): zero column
    kappa: float
    K: np.ndarray | None  # relative curvature; None if unknown
    B: np.ndarray | None  # scaled curvature of the free parameters
    sigma: float
    start: np.ndarray  # (n,) with the linear parameters as first solved
    restarts: int = 0
    escapes: list[np.ndarray] = field(default_factory=list)  # directions (n,) left behind at saddles
    saddle: np.ndarray | None = None  # direction (n,) in which the end point isn't a minimum
    engine: str = "dense"
    elsewhere: np.ndarray | None = None  # (n,): another minimum, to which the user's start led

    @property
    def p(self) -> np.ndarray:
        return self.here.p

    @property
    def rate(self) -> float | None:
        """Largest eigenvalue of K: below 1 at a minimum."""
        if self.K is None:
            return None
        return float(np.linalg.eigvalsh(self.K)[-1]) if self.K.size else 0.0


def condition(here: Local) -> float:
    """Condition number of the scaled columns that moved, from the pivots (right to a small factor); inf below full rank."""
    if here.f.rank < here.free.size:
        return np.inf
    if not here.f.rank:
        return 1.0
    pivots = here.f.pivots
    return float(pivots.max() / pivots.min())


def good(problem: Problem, solution: Solution) -> bool:
    """Whether this is a minimum as far as can be told: no step left, no way down, columns that still speak."""
    sound = solution.kappa <= KAPPA and solution.saddle is None and condition(solution.here) < CONDITION
    return bool(sound and not lost(problem, solution))


def better(problem: Problem, one: Solution, two: Solution) -> Solution:
    """The lower chi-square; of equals the one that converged."""
    if abs(one.here.chi2 - two.here.chi2) <= 1e-9 * min(one.here.chi2, two.here.chi2):
        return two if good(problem, two) and not good(problem, one) else one
    return one if one.here.chi2 < two.here.chi2 else two


def far_off(problem: Problem, solution: Solution) -> bool:
    """Whether a non-linear parameter has grown a thousandfold (from 0 there is no telling)."""
    start, end = np.abs(solution.start[: problem.m]), np.abs(solution.p[: problem.m])
    return bool(((start > 0) & (end > 1e3 * start)).any())


def lost(problem: Problem, solution: Solution) -> bool:
    """Whether a non-linear parameter has grown so large that its error is no longer well above the spacing of numbers."""
    here = solution.here
    size, start = np.abs(solution.p[: problem.m]), np.abs(solution.start[: problem.m])
    grown = size > 1e3 * np.where(start > 0, start, 1.0)
    if not grown.any():
        return False
    sd = np.full(problem.n, np.inf)
    sd[here.free] = solution.sigma * np.sqrt(np.einsum("ij,ij->i", here.left, here.left)) / here.scale
    return bool((grown & (np.spacing(size) > 1e-3 * sd[: problem.m])).any())


def cancels(problem: Problem, solution: Solution) -> bool:
    """Whether linear terms far larger than the data cancel each other."""
    m, here = problem.m, solution.here
    if not m or not problem.k or condition(here) < CONDITION:
        return False
    terms = np.abs(here.p[m:]) * here.norms()[m:]
    huge = terms > CANCEL * np.sqrt(problem.y @ problem.y)
    if not huge.any():
        return False
    first, last = problem.columns(solution.start[:m]), problem.columns(here.p[:m])
    if first is None or last is None:
        return True
    # columns that no search moves (powers of coordinates far from 0) are only badly scaled: their sums are solved exactly
    fixed = (first[1] == last[1]).all(axis=1)
    return bool((huge & ~fixed).any())


def final_flags(problem: Problem, solution: Solution) -> None:
    """Turn the evidence into flags."""
    status = solution.status
    here = solution.here
    stopped = bool(status & (Status.ABORTED | Status.MAX_NFEV))
    if solution.held.any():
        status |= Status.AT_BOUND
    if here.f.rank < here.free.size:
        status |= Status.RANK_DEFICIENT
    if problem.m and bool((solution.no_effect[: problem.m] & ~solution.held[: problem.m]).any()):
        status |= Status.NO_EFFECT_AT_START
    if stopped:
        solution.saddle = None  # where a walk was cut, a slope is no saddle
    elif not solution.kappa <= KAPPA:
        runaway = far_off(problem, solution) and not condition(here) < 1e6
        status = (status & ~CONVERGED) | (Status.RUNAWAY if runaway else Status.STALLED)
    else:
        status &= ~Status.STALLED
        if not status & CONVERGED:
            status |= Status.CONVERGED_GRADIENT
        if (condition(here) >= CONDITION and far_off(problem, solution)) or cancels(problem, solution) or lost(problem, solution):
            status = status & ~CONVERGED | Status.RUNAWAY
    if solution.saddle is not None:
        if status & Status.RUNAWAY or not falls(problem, solution.here, solution.saddle):
            solution.saddle = None
        else:
            status |= Status.NOT_A_MINIMUM
    solution.status = status
