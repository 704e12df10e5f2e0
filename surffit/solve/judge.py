"""The end of a walk: polish, then say what kind of point it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .block_walk import surveyor_of
from .gram import GramSurveyor, IllConditioned, LongMoments
from .polish import Local, Polished, Surveyor, curvature, polish, remaining
from .problem import EPS, Problem
from .saddle import saddle_direction
from .status import Status
from .verdict import KAPPA, Solution


@dataclass(frozen=True, slots=True)
class Options:
    """How to go about it; see `minimise`."""

    max_nfev: int
    sigma_known: bool = False
    polish: bool = True
    restart: bool = True
    refine: bool = True


def _sigma(problem: Problem, chi2: float, options: Options) -> float:
    sigma = float(np.sqrt(chi2 / max(problem.N - problem.n, 1))) if chi2 >= 0.0 else problem.unit
    if options.sigma_known:
        sigma = min(sigma, problem.unit)
    return max(sigma, problem.noise, np.finfo(float).tiny)


def _held(problem: Problem, here: Local) -> np.ndarray:
    """Parameters on a bound from which chi-square doesn't pull them back inside."""
    p = here.p
    on_lower, on_upper = p <= problem.lower, p >= problem.upper
    if not (on_lower.any() or on_upper.any()):
        return np.zeros(problem.n, dtype=bool)
    g = here.gradient()
    slack = 1e-6 * here.norms() * np.sqrt(here.chi2)
    return (on_lower & (g <= slack)) | (on_upper & (g >= -slack))


def judge(
    problem: Problem, p: np.ndarray, status: Status, start: np.ndarray, options: Options, name: str,
    moments: LongMoments | None = None,
) -> Solution | None:  # fmt: skip
    """Polish, then say what kind of point this is."""
    if moments is not None:
        try:
            return judge_by(GramSurveyor(problem, moments), problem, p, status, start, options, name)
        except IllConditioned:
            pass  # whole columns by QR keep the digits
    return judge_by(surveyor_of(problem), problem, p, status, start, options, name)


def judge_by(
    surveyor: Surveyor, problem: Problem, p: np.ndarray, status: Status, start: np.ndarray, options: Options, name: str
) -> Solution | None:  # fmt: skip
    none = np.zeros(problem.n, dtype=bool)
    problem.kernel.settle(p[: problem.m], p[problem.m :])
    for _ in range(problem.n + 1):
        here = surveyor.local(p, none)
        if here is None:
            return None
        held = _held(problem, here) if problem.bounded else none
        if held.any():
            here = surveyor.local(p, held)
            if here is None:
                return None
        sigma = _sigma(problem, here.chi2, options)
        while True:
            if not options.polish or status & Status.ABORTED:
                left = float(np.sqrt(here.qtr @ here.qtr))
                done = Polished(here, remaining(problem, left, sigma), curvature(surveyor, problem, here), None, none)
                break
            done = polish(problem, surveyor, here, held, sigma, max(options.max_nfev, problem.nfev + 1))
            before, sigma = sigma, _sigma(problem, done.here.chi2, options)
            if sigma > 0.5 * before:
                break
            here = done.here  # it came from far away: what was negligible there isn't here
        if not done.bound_hit.any():
            break
        # a step wants to leave the box: put those parameters on their bound and look again
        p = done.here.p.copy()
        z = np.zeros(problem.n)
        z[done.here.free] = done.here.step(done.here.qtr)
        goal = np.clip(p + z, problem.lower, problem.upper)
        p[done.bound_hit] = goal[done.bound_hit]
        trial = surveyor.local(p, none)
        if trial is None or trial.chi2 > done.here.chi2 * (1 + 1e-6) + sigma**2 * 1e-3:
            break
    here = done.here
    kappa = done.kappa
    if kappa > KAPPA and problem.k:
        # linear terms far larger than their sum (powers of a coordinate with an offset) leave their rounding in the residual
        left = math.sqrt(here.qtr @ here.qtr)
        kappa = max(left - 8.0 * EPS * here.largest_sum() * math.sqrt(problem.N), 0.0) / sigma
    K, B, saddle = None, None, None
    if (
        done.second is not None and (problem.m or not problem.least_squares) and here.chi2 > problem.noise**2
    ):  # a residual of rounding has a curvature of rounding
        K, B = done.second
        if not done.definite or here.f.rank < here.free.size:
            saddle = saddle_direction(problem, here, K, B)
    elif done.second is not None:
        K = np.zeros_like(done.second[0])
    no_effect = np.zeros(problem.n, dtype=bool)
    if here.f.rank < here.free.size:
        no_effect = here.dead()
    return Solution(
        here, status, held, no_effect, kappa, K, B, _sigma(problem, here.chi2, options), start,
        saddle=saddle, engine=name,
    )  # fmt: skip
