"""`priors=` as people write it, turned into prior rows of a problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np

from ..exceptions import ParameterError
from ..solve.priors import DensityPrior, GaussianPrior, Prior, Roughness

if TYPE_CHECKING:
    from .bound import Bound
    from .outcome import Rough

WAYS = "(mean, sigma), a distribution with logpdf, or a function of the value that returns its log-density"


def names_of(key: Any) -> tuple[str, ...]:
    """The parameters of one entry."""
    return tuple(key) if isinstance(key, tuple) else (key,)


def count(priors: Any) -> int:
    """How many parameters have a prior."""
    return len({name for key in priors for name in names_of(key)}) if isinstance(priors, Mapping) else 0


def read(priors: Any, bound: Bound, params: lmfit.Parameters) -> list[Prior]:
    """
    Priors of a bound model.

    Raises
    ------
    ParameterError
        For a prior on a parameter that isn't fitted, or one that is no prior.
    """
    if not isinstance(priors, Mapping):
        msg = f"priors is {type(priors).__name__}; give a dict of parameter names, each with {WAYS}"
        raise ParameterError(msg)
    out: list[Prior] = []
    seen: set[str] = set()
    for key, given in priors.items():
        names = names_of(key)
        _check_names(names, bound, params, seen)
        out.append(_read_one(names, given, bound))
    return out


def roughness(given: Sequence[Rough], bound: Bound, params: lmfit.Parameters) -> list[Prior]:
    """
    What smoothing surfaces add to the cost, as rows of the parameters that are fitted; others keep their values.

    Raises
    ------
    ParameterError
        For a coefficient that is tied by an expression.
    """
    out: list[Prior] = []
    for names, rows in given:
        tied = next((name for name in names if params[name].expr), None)
        if tied is not None:
            msg = (
                f"{tied} is tied by expr {params[tied].expr!r}, but is part of a surface with smoothing; free it, or fix it with vary=False"
            )
            raise ParameterError(msg, name=tied)
        fitted = [i for i, name in enumerate(names) if name in bound.names]
        known = [i for i in range(len(names)) if i not in fitted]
        values = np.array([params[names[i]].value for i in known])
        goal = -rows[:, known] @ np.where(np.isfinite(values), values, 0.0)
        out.append(Roughness(np.array([bound.names.index(names[i]) for i in fitted], dtype=int), rows[:, fitted], goal))
    return out


def _check_names(names: tuple[Any, ...], bound: Bound, params: lmfit.Parameters, seen: set[str]) -> None:
    """An error for parameters that can't have a prior."""
    for name in names:
        if name not in params:
            close = get_close_matches(str(name), list(params), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"parameters: {', '.join(params)}"
            msg = f"priors names {name!r}, which is not a parameter; {hint}"
            raise ParameterError(msg, name=name)
        if name in seen:
            msg = f"{name} has two priors; give one, or a joint one for ({name!r}, ...)"
            raise ParameterError(msg, name=name)
        seen.add(name)
        par = params[name]
        if par.expr:
            msg = f"{name} has a prior but is tied by expr {par.expr!r}; put the prior on the parameters it is made of"
            raise ParameterError(msg, name=name)
        if not par.vary:
            msg = f"{name} has a prior but is fixed at {par.value:.6g}; set vary=True, or leave the prior out"
            raise ParameterError(msg, name=name)
        if name not in bound.names:
            msg = (
                f"{name} has a prior but no effect on the model, so the fit is not about it; fix it with vary=False and leave the prior out"
            )
            raise ParameterError(msg, name=name)


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple | list | np.ndarray) and len(given) == 2


def _gaussian(name: str, given: Any) -> tuple[float, float]:
    try:
        mean, sigma = float(given[0]), float(given[1])
    except (TypeError, ValueError) as err:
        msg = f"the prior of {name} is {given!r}; (mean, sigma) are two numbers"
        raise ParameterError(msg, name=name) from err
    if not math.isfinite(mean) or not (0.0 < sigma < math.inf):
        msg = f"the prior of {name} has mean {mean:g} and sigma {sigma:g}; the mean must be finite and sigma a finite number above 0"
        raise ParameterError(msg, name=name)
    return mean, sigma


def _refuse_unfrozen(names: tuple[str, ...], given: Any) -> None:
    """An error for a distribution of scipy.stats whose arguments were not given: its defaults are hardly what is known."""
    if not (hasattr(given, "freeze") and hasattr(given, "logpdf")):
        return
    shapes = str(getattr(given, "shapes", None) or "")
    kind = getattr(given, "name", None) or type(given).__name__
    example = f"{kind}({shapes}, loc, scale) with numbers" if shapes else f"{kind}(0, 1)"
    msg = f"the prior of {', '.join(names)} is the distribution {kind} without its arguments; write scipy.stats.{example}"
    raise ParameterError(msg, names=names)


def _log_density(names: tuple[str, ...], given: Any) -> Callable[..., float]:
    """A prior as a function of its parameters."""
    if hasattr(given, "logpdf"):
        if len(names) == 1:
            return lambda value: float(np.squeeze(given.logpdf(value)))
        return lambda *values: float(np.squeeze(given.logpdf(np.array(values))))
    if callable(given):
        return lambda *values: given(*values)
    listed = ", ".join(names)
    what = "is a discrete distribution" if hasattr(given, "logpmf") else f"is {given!r}"
    msg = f"the prior of {listed} {what}; give {WAYS if len(names) == 1 else 'a joint log-density of all of them'}"
    raise ParameterError(msg, names=names)


def _read_one(names: tuple[str, ...], given: Any, bound: Bound) -> Prior:
    name = names[0]
    _refuse_unfrozen(names, given)
    if len(names) == 1:
        index = bound.names.index(name)
        if _is_pair(given):
            return GaussianPrior(index, *_gaussian(name, given))
        if getattr(getattr(given, "dist", None), "name", "") == "norm":
            return GaussianPrior(index, *_gaussian(name, (given.mean(), given.std())))
        if hasattr(given, "logpdf") and hasattr(given, "ppf"):
            return _distribution(index, name, given, bound)
    return _density(names, _log_density(names, given), bound)


def _distribution(index: int, name: str, given: Any, bound: Bound) -> DensityPrior:
    """A frozen distribution of scipy.stats: it knows its centre, spread and support."""
    low, centre, high = (float(given.ppf(q)) for q in (0.25, 0.5, 0.75))
    spread = float(given.std())
    if not 0.0 < spread < math.inf:
        spread = (high - low) / 1.349
    if not (math.isfinite(centre) and 0.0 < spread < math.inf):
        msg = f"the prior of {name} has median {centre:g} and spread {spread:g}; check the distribution's arguments"
        raise ParameterError(msg, name=name)
    lower, upper = (float(end) for end in given.support())
    low, high = float(bound.problem.lower[index]), float(bound.problem.upper[index])
    if lower > high or upper < low:
        msg = f"the prior of {name} is zero outside {lower:g} to {upper:g}, its bounds are {low:g} and {high:g}; nothing is left between"
        raise ParameterError(msg, name=name)
    density = _log_density((name,), given)
    return DensityPrior([index], density, [spread], centre=centre, spread=spread, lower=lower, upper=upper)


def _density(names: tuple[str, ...], logp: Callable[..., float], bound: Bound) -> DensityPrior:
    """A log-density given as a function: tried where the fit starts."""
    indices = [bound.names.index(name) for name in names]
    start = bound.start[indices]
    if np.isfinite(start).all():
        at = ", ".join(f"{name} = {value:g}" for name, value in zip(names, start, strict=True))
        try:
            value = float(logp(*start.tolist()))
        except (TypeError, ValueError) as err:
            msg = f"the log-density failed at {at} ({err}); it gets one float per parameter and returns one"
            raise ParameterError(msg, names=names) from err
        if math.isnan(value) or value == math.inf:
            msg = f"the log-density is {value} at {at}; return a number, or -inf where it is impossible"
            raise ParameterError(msg, names=names)
        if value == -math.inf:
            msg = f"the start {at} is impossible by its prior; start where it is not"
            raise ParameterError(msg, names=names)
    scale = [0.1 * abs(value) if math.isfinite(value) and value else 1.0 for value in start]
    return DensityPrior(indices, logp, scale)
