"""Confidence intervals by profiling: chi-square minimised over all other parameters while one is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ParameterError
from .parameters import copy_parameters

if TYPE_CHECKING:
    from .result import SurfaceResult

FURTHEST = 64.0  # standard errors beyond which a limit is taken as infinite


def conf_interval(
    result: SurfaceResult, p_names: Sequence[str] | None = None, sigmas: Sequence[float] = (1, 2, 3), trace: bool = False,
    maxiter: int = 200, verbose: bool = False, prob_func: Any = None, min_rel_change: float = 1e-5,
) -> Any:  # fmt: skip
    """
    Confidence intervals of fitted parameters.

    Parameters
    ----------
    result : SurfaceResult
    p_names : sequence of str, optional
        Default: all that were varied and are determined.
    sigmas : sequence of float
        Levels: numbers of sigma, or probabilities below 1.
    trace : bool
        Also return the points visited, as lmfit does.
    maxiter : int
        Limit of refits per limit.
    verbose, prob_func, min_rel_change
        `prob_func` as in lmfit; the other two are accepted for lmfit's sake.

    Returns
    -------
    dict
        name: list of (probability, value) from lower to upper limits, the best value in the middle (probability 0).
    """
    from scipy.optimize import brentq
    from scipy.special import erf

    names = list(p_names) if p_names is not None else [n for n in result.var_names if np.isfinite(result.params[n].stderr or np.nan)]
    for name in names:
        if name not in result.var_names:
            msg = f"{name!r} was not varied, so it has no confidence interval; varied: {', '.join(result.var_names)}"
            raise ParameterError(msg, name=name)
    probs = sorted(float(s) if s < 1 else float(erf(s / np.sqrt(2))) for s in sigmas)
    best_chi2 = result.chisqr
    output: dict[str, list[tuple[float, float]]] = {}
    traces: dict[str, dict[str, np.ndarray]] = {}
    for name in names:
        par = result.params[name]
        error = par.stderr
        if not (np.isfinite(error) and error > 0):
            output[name] = [(p, np.nan) for p in reversed(probs)] + [(0.0, par.value)] + [(p, np.nan) for p in probs]
            continue
        visited: list[tuple[float, dict[str, float], float]] = []
        warm = copy_parameters(result.params)
        free = len(result.var_names) > 1

        def deviation(value: float, name: str = name, warm: Any = warm, free: bool = free, visited: Any = visited) -> float:
            chi2, values = _profiled(result, warm, name, value, free)
            prob = _probability(result, chi2, best_chi2, prob_func)
            visited.append((value, values, prob))
            return prob

        limits: dict[int, list[float]] = {}
        for side in (-1, 1):
            edge = par.min if side < 0 else par.max
            found = []
            inner, step = par.value, 1.0
            for prob in probs:
                outer = inner
                reached = 0.0
                while reached < prob and step <= FURTHEST:
                    outer = par.value + side * step * error
                    if (outer - edge) * side > 0:
                        outer = edge
                    reached = deviation(outer)
                    if outer == edge:
                        break
                    step *= 1.5 if reached < prob else 1.0
                if reached < prob:
                    found.append(side * np.inf)
                    continue
                low, high = sorted((inner, outer))
                root = brentq(lambda v, goal=prob: deviation(v) - goal, low, high, xtol=1e-6 * error, rtol=1e-12, maxiter=maxiter)
                found.append(float(root))
                inner = found[-1]
            limits[side] = found
        output[name] = (
            [(p, v) for p, v in zip(reversed(probs), reversed(limits[-1]), strict=True)]
            + [(0.0, par.value)]
            + [(p, v) for p, v in zip(probs, limits[1], strict=True)]
        )
        visited.append((par.value, {n: result.params[n].value for n in result.var_names}, 0.0))
        visited.sort(key=lambda entry: entry[0])
        traces[name] = {n: np.array([v[1][n] for v in visited]) for n in result.var_names} | {"prob": np.array([v[2] for v in visited])}
    return (output, traces) if trace else output


def _profiled(result: SurfaceResult, warm: Any, name: str, value: float, free: bool) -> tuple[float, dict[str, float]]:
    """Chi-square with one parameter held, the others fitted from where they were last."""
    call = result._call
    params = copy_parameters(warm)
    par = params[name]
    par.min, par.max = min(par.min, value), max(par.max, value)
    par.value = value
    par.vary = False
    errors = {key: given for key, given in call.errors.items() if given is not None}
    if not free:
        with np.errstate(all="ignore"):
            out = result.observed.select(np.asarray(result.model.eval(params=params, **result.userkws)))
        r = result.observed.select(result.observed.data) - out
        if result.weights is not None:
            r = r * result.observed.select(result.weights)
        return float(np.sum(np.abs(r) ** 2)), {name: value}
    fresh = result.model.fit(
        call.data, params, mask=call.mask, nan_policy=call.nan_policy, calc_covar=False, coords=call.coords, coerce_farray=call.coerce,
        fit_kws={"restart": False}, **errors,
    )  # fmt: skip
    for other in result.var_names:
        if other != name:
            warm[other].value = fresh.params[other].value
    return fresh.chisqr, {n: fresh.params[n].value for n in result.var_names}


def _probability(result: SurfaceResult, chi2: float, best: float, prob_func: Any) -> float:
    """Probability content up to this chi-square: F-test with scaled errors, chi-square with known ones."""
    from scipy.stats import chi2 as chi2_dist, f as fisher  # noqa: I001 - beside its only use

    if prob_func is not None:
        return float(prob_func(result, type("Fit", (), {"chisqr": chi2, "nfree": result.nfree + 1})()))
    rise = max(chi2 - best, 0.0)
    if not result.scale_covar:
        return float(chi2_dist.cdf(rise, 1))
    return float(fisher.cdf(rise / best * result.nfree, 1, result.nfree))
