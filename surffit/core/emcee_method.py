"""`method="emcee"`: a fit, then its posterior, and the posterior's medians as the answer, as in lmfit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ChainTooShortError, ParameterError
from ..solve.polish import DenseSurveyor
from .posterior import whole
from .rungs import SEED, matrix_of
from .sampling import _outcome, improper, sample

if TYPE_CHECKING:
    from .outcome import FitCall
    from .result import SurfaceResult

OPTIONS = ("steps", "nwalkers", "walkers", "burn", "thin", "seed", "rng", "progress", "is_weighted")
STEPS = 1000  # lmfit's default
HALF = (15.87, 50.0, 84.13)


def check_options(request: FitCall) -> None:
    """Refuse what this sampler doesn't take, by name."""
    kws = request.fit_kws
    unknown = [name for name in kws if name not in OPTIONS]
    if unknown:
        msg = f"fit_kws has {', '.join(map(repr, unknown))}; method='emcee' takes {', '.join(OPTIONS)}"
        raise ParameterError(msg, names=tuple(unknown))
    for one, two in (("nwalkers", "walkers"), ("seed", "rng")):
        if one in kws and two in kws:
            msg = f"fit_kws has {one} and {two}, which mean the same; give one of them"
            raise ParameterError(msg)
    weighted = kws.get("is_weighted")
    if weighted is not None and bool(weighted) is request.scale_covar:
        msg = (
            f"is_weighted={weighted!r} and scale_covar={request.scale_covar!r} contradict each other: pass scale_covar=False where the "
            "errors of the data are known, scale_covar=True where they are to be found, too"
        )
        raise ParameterError(msg)


def apply(result: SurfaceResult) -> None:
    """
    Sample, and put the medians in place of the minimum.

    As in lmfit: values are medians, stderr is half the distance of the 15.87 and 84.13 % quantiles, `flatchain` is a DataFrame,
    `chain`, `lnprob`, `acor` and `acceptance_fraction` hold the run; `residual` and `chisqr` belong to the medians. `covar` is the
    covariance of the samples. `posterior` is the whole, with `more()`.
    """
    outcome = _outcome(result)
    kws = outcome.call.fit_kws
    burn = None if kws.get("burn") is None else whole("burn", kws["burn"], 0)
    thin = whole("thin", 1 if kws.get("thin") is None else kws["thin"], 1)
    steps = kws.get("steps", STEPS)
    seed = kws.get("seed", kws.get("rng", SEED))  # fits are the same twice
    posterior = sample(result, steps, kws.get("nwalkers", kws.get("walkers")), seed, kws.get("progress", False), stacklevel=7)
    if posterior._escaped:
        # medians of such a chain say where it was stopped, and nothing of the parameters
        raise ChainTooShortError(f"method='emcee': {improper(list(posterior._escaped))}", chain=posterior.chain, tau=posterior.tau)
    if burn is not None:
        posterior.burn = burn
    posterior.thin = thin
    if not posterior.burn < posterior.steps:
        msg = f"burn={burn} leaves nothing of {posterior.steps} steps"
        raise ParameterError(msg)
    flat = posterior.flat(thin=posterior.thin)
    low, middle, high = np.percentile(flat, HALF, axis=0)
    varied = len(posterior.names) - len(posterior.derived)
    problem, solution, names = outcome.bound.problem, outcome.solution, outcome.bound.names
    p = solution.p.copy()
    for name, value in zip(posterior.names[:varied], middle, strict=False):
        p[names.index(name)] = value
    here = DenseSurveyor(problem).local(p, solution.held)
    if here is not None:
        solution.here = here
        result._statistics(outcome)
        if not outcome.call.plain:
            from . import coststats

            coststats.statistics(result, outcome)
        result._values(outcome)
    result.nfev = problem.nfev
    _errors(result, posterior, 0.5 * (high - low))
    result.covar_notes = (
        f"Values are medians, errors half the distance of the 15.87 and 84.13 % quantiles, of {posterior.steps} steps of "
        f"{posterior.walkers} walkers with the seed {posterior.seed}.",
        *posterior.notes,
    )
    result.posterior = posterior
    result.flatchain = posterior.to_frame()[list(posterior.names)]
    result.chain = posterior.chain[posterior.burn :: posterior.thin]
    result.lnprob = posterior.log_prob[posterior.burn :: posterior.thin]
    result.acor = posterior.tau
    result.acceptance_fraction = np.full(posterior.walkers, posterior.acceptance)


def _errors(result: SurfaceResult, posterior: Any, half: np.ndarray) -> None:
    """Errors, correlations and covariance of the samples; what was not sampled keeps inf or nan."""
    at = {name: i for i, name in enumerate(posterior.names)}
    matrix = posterior.covariance()
    sd = np.sqrt(matrix.diagonal())
    with np.errstate(all="ignore"):
        correlation = np.where(sd * sd[:, None] > 0, matrix / sd / sd[:, None], np.nan)
    n = result.nvarys
    errors = np.array([sd[at[name]] if name in at else result.params[name].stderr for name in result.var_names])
    related = np.full((n, n), np.nan)
    sure = [i for i, name in enumerate(result.var_names) if name in at]
    for i in sure:
        for j in sure:
            related[i, j] = correlation[at[result.var_names[i]], at[result.var_names[j]]]
    result.covar = matrix_of(errors, related)
    result.covar_source, result.errorbars = "mcmc", True
    for name, par in result.params.items():
        if name in at:
            par.stderr = float(half[at[name]])
    for i in sure:
        others = {result.var_names[j]: float(related[i, j]) for j in sure if j != i}
        result.params[result.var_names[i]].correl = others
