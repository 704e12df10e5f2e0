"""
The ladder of covariances: jacobian -> hessian -> mcmc, each rung only where those before it can't stand.

The first is always tried: the QR factor at the minimum is there anyway. It can't stand where the cost is not a sum of squares,
or where the derivatives don't describe how the cost rises: a kink at the minimum (an absolute value), jumps, noise. A bound, a
redundant pair or strong curvature is no such thing. Nothing is asked of exact derivatives at a minimum of full rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from .covariance import Covariance, from_root
from .hessian import NoCurvatureError, from_hessian, reach, rise, scales
from .posterior import STEPS_PER_TAU, Division, NoStartError, Run, Samples, Target, default_walkers, divide
from .problem import Problem
from .status import Status
from .verdict import KAPPA, Solution

EXACT = 1e-13  # error of derivatives below which their predictions need no check
DIFFERS = 20.0  # factor between the cost's rise and what the derivatives say of it beyond which they are not believed
LOOK = 0.3  # of a standard error: where that is compared
# shares of a rise at 0.1 and 0.3 of the length: 1e-2 and 9e-2 of a parabola, 1e-4 and 8e-3 of a fourth power; jumps have any
STEEP = (2e-3, 3e-2)
SANE = 1e4  # standard deviations of the data: terms this large cancel, and what rises there may be rounding
CHAIN, LONGEST = 2000, 32_000  # steps of a first chain, and in all


@dataclass(frozen=True, eq=False)
class Climb:
    """
    What the ladder ended with.

    Attributes
    ----------
    covariance : Covariance or None
        None: no rung stands.
    source : str
        "jacobian", "hessian", "mcmc" or "none".
    notes : tuple of str
        Why earlier rungs did not serve, and how the last one went.
    seed : int or None
        Of the chain, where there was one.
    """

    covariance: Covariance | None
    source: str
    notes: tuple[str, ...] = ()
    seed: int | None = None


class ChainError(ArithmeticError):
    """A chain that did not converge, or left for infinity; carries what there is of it."""

    def __init__(self, message: str, samples: Samples) -> None:
        super().__init__(message)
        self.samples = samples


def climb(problem: Problem, solution: Solution, first: Covariance, sigma: float, seed: int) -> Climb:
    """
    The covariance at a minimum by the first rung that stands.

    Parameters
    ----------
    problem : Problem
    solution : Solution
    first : Covariance
        From its factor.
    sigma : float
        Standard deviation of a row in the rows' unit.
    seed : int
        For the third rung.
    """
    doubt = doubts(problem, solution, first, sigma)
    if not doubt:
        return Climb(first, "jacobian")
    notes = [f"The Jacobian does not serve: {doubt}."]
    try:
        return Climb(hessian(problem, solution, first, sigma, trust=not problem.least_squares), "hessian", tuple(notes))
    except NoCurvatureError as err:
        notes.append(f"The Hessian does not serve: {err}.")
    try:
        covariance, samples = mcmc(problem, solution, first, sigma, seed, trust=False)
    except (NoCurvatureError, NoStartError, ChainError) as err:
        notes.append(f"The posterior does not serve: {err}.")
        return Climb(None, "none", tuple(notes))
    notes.append(f"The errors are those of {len(samples.chain)} steps of a posterior chain with the seed {seed}.")
    return Climb(covariance, "mcmc", tuple(notes), seed)


# ---- the first rung ------------------------------------------------------------------------------------------------------------


def doubts(problem: Problem, solution: Solution, first: Covariance, sigma: float) -> str:
    """Why the Jacobian's covariance can't stand; empty where it can."""
    here, status = solution.here, solution.status
    if not problem.least_squares:
        return "what was minimised is not a sum of squares"
    if status & (Status.MAX_NFEV | Status.ABORTED | Status.RUNAWAY | Status.NOT_A_MINIMUM):
        return ""  # there is no minimum whose curvature could be asked for
    exact, stationary = problem.jac_error < EXACT, solution.kappa <= KAPPA
    if exact and stationary and here.f.rank == here.free.size:
        return ""
    with np.errstate(all="ignore"):
        base = problem.cost(here.p)
        if here.f.rank < here.free.size and _hidden_rise(problem, solution, first, sigma, base):
            return "the derivatives with respect to some parameters vanish at the minimum, but the cost rises there"
        if not stationary and _rises(problem, here.p, first.root * sigma, base):
            return "the derivatives don't vanish at the minimum though the cost rises on all sides: there is a kink"
        if not exact:
            factor = _worst_prediction(problem, here.p, first.root * sigma, base, sigma)
            if factor is not None:
                return f"the cost rises {factor:.2g} times as fast as the numerical derivatives say"
    return ""


def _sides(problem: Problem, p: np.ndarray, direction: np.ndarray, base: float, length: float) -> float:
    """The lesser rise of the cost on the two sides of p."""
    return min(problem.cost(p + length * direction), problem.cost(p - length * direction)) - base


def _hidden_rise(problem: Problem, solution: Solution, first: Covariance, sigma: float, base: float) -> bool:
    """Whether the cost rises along a direction without derivatives otherwise than a smooth higher power would."""
    here = solution.here
    norms = here.norms()
    for row in first.null:
        direction = row / np.abs(row).max()
        mean = partial(rise, problem, here.p, direction, base)
        # an odd number, so that no multiple of ten carries a parameter just to zero
        length = reach(mean, sigma * sigma, 1.37e-10 * float(np.abs(here.p).max()) or 1e-10)
        # terms far larger than what they leave cancel each other: what rises there may be rounding
        if length is None or not math.isfinite(length) or length * float(np.abs(direction) @ norms) > SANE * sigma:
            continue
        if _sides(problem, here.p, direction, base, length) <= 0:
            continue  # no minimum in this direction
        if mean(3.0 * length) < 2.0 * mean(length):
            continue  # one place, such as 0 / 0 where the ratio of two parameters is all that counts
        near, middle = (mean(share * length) / mean(length) for share in (0.1, 0.3))
        smooth = 0.0 < near < STEEP[0] and 0.0 < middle < STEEP[1]
        if not smooth:
            return True
    return False


def _rises(problem: Problem, p: np.ndarray, root: np.ndarray, base: float) -> bool:
    """Whether the cost rises on both sides along every column of the root."""
    return root.shape[1] > 0 and all(_sides(problem, p, column, base, length) > 0 for column in root.T for length in (0.1, 1.0))


def _worst_prediction(problem: Problem, p: np.ndarray, root: np.ndarray, base: float, sigma: float) -> float | None:
    """The factor by which the cost rises otherwise than the derivatives say, where it is far from 1; else None."""
    worst = 1.0
    for column in root.T:
        factor = rise(problem, p, column, base, LOOK) / (LOOK * sigma) ** 2
        if math.isfinite(factor) and not 1.0 / DIFFERS <= factor <= DIFFERS:
            worst = factor
    return worst if worst != 1.0 else None


# ---- the other two -------------------------------------------------------------------------------------------------------------


def hessian(problem: Problem, solution: Solution, first: Covariance, sigma: float, trust: bool = True) -> Covariance:
    """
    The second rung.

    Parameters
    ----------
    trust : bool
        Whether the Jacobian may whiten and say which directions have no effect; else both come from the cost.

    Raises
    ------
    NoCurvatureError
    """
    here = solution.here
    if not trust:
        none, no = np.zeros((0, problem.n)), np.zeros(problem.n, dtype=bool)
        return from_hessian(problem, here.p, sigma, None, here.free, none, no)
    division = divide(problem, here, first.null, first.sd * sigma, marginalise=False)
    return from_hessian(problem, here.p, sigma, division.root, division.walked, first.null, first.undetermined)


def mcmc(
    problem: Problem, solution: Solution, first: Covariance, sigma: float, seed: int, trust: bool = True, steps: int = CHAIN
) -> tuple[Covariance, Samples]:
    """
    The third rung: the covariance of a posterior chain with the rows' standard deviation taken as known.

    Taken as known, because errors are scaled by the reduced chi-square in every rung alike, and Student's t stands for its
    uncertainty where intervals are made of them.

    Raises
    ------
    NoStartError, NoCurvatureError
        If no chain could be had.
    ChainError
        If it did not converge.
    """
    here = solution.here
    null, undetermined = first.null, first.undetermined
    if trust:
        division = divide(problem, here, null, first.sd * sigma)
    else:
        lengths = scales(problem, here.p, sigma, here.free)
        felt = np.isfinite(lengths)
        which = here.free[felt]
        undetermined = np.zeros(problem.n, dtype=bool)
        undetermined[here.free[~felt]] = True
        null = np.eye(problem.n)[undetermined]
        division = Division(which, np.zeros(0, dtype=int), np.setdiff1d(np.arange(problem.n), which), np.diag(lengths[felt] / sigma))
    moving = np.concatenate([division.walked, division.marginal])
    if not moving.size:
        msg = "the cost changes with no parameter"
        raise NoCurvatureError(msg)
    run = Run(Target(problem, here.p, division, sigma), default_walkers(division.walked.size), seed, sigma)
    run.extend(steps)
    samples = run.samples()
    while not samples.converged and not samples.escaped.size and len(samples.chain) < LONGEST and not _hopeless(samples, steps):
        run.extend(len(samples.chain))
        samples = run.samples()
    if samples.escaped.size:
        raise ChainError(
            "the posterior isn't proper: with flat priors far too much of it lies at infinity; give bounds or a prior", samples
        )
    if not samples.converged:
        longest = float(samples.tau.max()) if np.isfinite(samples.tau).all() else math.inf
        msg = f"its chain has not converged after {len(samples.chain)} steps (autocorrelation time {longest:.3g} steps)"
        raise ChainError(msg, samples)
    return of_samples(problem, samples, moving, sigma, null, undetermined), samples


def _hopeless(samples: Samples, first: int) -> bool:
    """Whether even the longest chain would be too short: autocorrelation times only grow as a chain shows more of itself."""
    return len(samples.chain) > first and not samples.tau.max(initial=0.0) * STEPS_PER_TAU <= LONGEST


def of_samples(
    problem: Problem, samples: Samples, moving: np.ndarray, sigma: float, null: np.ndarray, undetermined: np.ndarray
) -> Covariance:
    """Covariance with unit variance of the samples after their burn-in."""
    flat = samples.chain[samples.burn :].reshape(-1, moving.size)
    flat = (flat - flat.mean(axis=0)) / sigma / math.sqrt(max(len(flat) - 1, 1))
    size = np.abs(flat).max(axis=0)
    size[size == 0] = 1.0
    triangle = np.asarray(np.linalg.qr(flat / size, mode="r"))  # never the square of the samples
    return from_root(triangle.T * size[:, None], moving, problem.n, null, undetermined)
