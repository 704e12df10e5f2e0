"""The evidence of a fit by nested sampling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import OptionalDependencyError, ParameterError
from ..solve.around import innermost
from .explain import listed
from .posterior import Evidence
from .sampling import _outcome

if TYPE_CHECKING:
    from .result import SurfaceResult


def evidence(result: SurfaceResult, seed: int) -> Evidence:
    """
    ln Z = ln of the likelihood of Gaussian errors, integrated over the prior: Gaussian as given, else uniform
    within the bounds.

    Raises
    ------
    OptionalDependencyError
        Without dynesty.
    ParameterError
        If the errors of the data are not known, or a parameter has no proper prior.
    """
    outcome = _outcome(result)
    whole, names = outcome.bound.problem, outcome.bound.names
    problem: Any = innermost(whole)
    if not whole.least_squares or not hasattr(problem, "w"):
        msg = (
            "the evidence is that of one data set with Gaussian errors and priors; fit without loss=, densities as priors and joint models"
        )
        raise ParameterError(msg)
    if getattr(whole, "smooth", ()):
        msg = (
            "a surface with smoothing has no proper prior (its trend is free), so there is no evidence; choose smoothing by 'gcv' or 'loo'"
        )
        raise ParameterError(msg)
    if result.scale_covar:
        msg = "the evidence needs the errors of the data: fit with sigma= and scale_covar=False"
        raise ParameterError(msg)
    gaussian = {prior.index: prior for prior in getattr(whole, "gaussian", ())}
    open_ = [
        n
        for i, (n, low, high) in enumerate(zip(names, problem.lower, problem.upper, strict=True))
        if i not in gaussian and not math.isfinite(high - low)
    ]
    open_ += [*outcome.bound.unused, *outcome.bound.stepped]
    if open_:
        one = len(open_) == 1
        msg = (
            f"the evidence needs a proper prior for every parameter, and {listed(open_)} {'has' if one else 'have'} none; "
            f"give {'it' if one else 'them'} a min and a max, or a prior in the fit"
        )
        raise ParameterError(msg, names=tuple(open_))
    try:
        from dynesty import NestedSampler
    except ImportError as err:
        msg = 'nested sampling needs dynesty: pip install "surffit[mc]"'
        raise OptionalDependencyError(msg, package="dynesty") from err
    from scipy.special import ndtr, ndtri

    # rows are data / sigma, times the problem's unit: ln of the product of 1 / (sigma sqrt(2 pi))
    weights = np.ones(problem.N) if problem.w is None else np.asarray(problem.w) / problem.unit
    constant = float(np.log(weights).sum()) - 0.5 * problem.N * math.log(2.0 * math.pi)
    low, high, unit = problem.lower, problem.upper, problem.unit

    def prior(u: np.ndarray) -> np.ndarray:
        out = low + (high - low) * u
        for i, given in gaussian.items():
            # cut off at the bounds
            below, above = ndtr((low[i] - given.mean) / given.sigma), ndtr((high[i] - given.mean) / given.sigma)
            out[i] = given.mean + given.sigma * ndtri(below + u[i] * (above - below))
        return np.asarray(out)

    def likelihood(p: np.ndarray) -> float:
        cost = problem.cost(p) / unit / unit
        return constant - 0.5 * cost if math.isfinite(cost) else -1e300

    with np.errstate(all="ignore"):
        sampler: Any = NestedSampler(likelihood, prior, len(names), nlive=max(250, 25 * len(names)), rstate=np.random.default_rng(seed))
        sampler.run_nested(dlogz=0.05, print_progress=False)
        found = sampler.results
    return Evidence(float(found.logz[-1]), float(found.logzerr[-1]))
