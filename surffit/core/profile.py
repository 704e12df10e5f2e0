"""Confidence intervals by profiling: what is minimised, over all other parameters while one or two are held."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ConvergenceWarning, CovarianceWarning, ParameterError
from ..solve.flank import Flank
from ..solve.hessian import NoCurvatureError, scales
from ..solve.profile import LOWER, Profiler
from .outcome import refuse_mapped
from .parameters import copy_parameters
from .sampling import row_scale

if TYPE_CHECKING:
    from .result import SurfaceResult

SWEEPS = 4  # over points that were visited, for lower costs

Limits = list[tuple[float, float]]


class Profiles:
    """The profiles of one result: names and probabilities around a `Profiler`."""

    def __init__(self, result: SurfaceResult, prob_func: Callable[[Any, Any], float] | None = None) -> None:
        call = result._call  # a loaded result says here that it has no data
        outcome = result._outcome
        if outcome is None:
            refuse_mapped(result)
            msg = "a copied or loaded result holds no model code, so it can't be profiled; fit the data again for that"
            raise ParameterError(msg)
        if not math.isfinite(result._sd_scale):
            msg = f"no interval can be had: {result._no_errors}"
            raise ParameterError(msg)
        self.result, self.names, self.call = result, outcome.bound.names, call
        self.problem, self.p = outcome.bound.problem, outcome.solution.p
        self.held = outcome.solution.held
        self.sigma = row_scale(result)
        self.prob_func = prob_func
        self.profiler = Profiler(self.problem, self.p, result._covariance.root * result._sd_scale, self.sigma)

    def index(self, name: str) -> int | None:
        """Place of a parameter; None if the model does not feel it."""
        if name not in self.result.var_names:
            msg = f"{name!r} was not varied, so it has no confidence interval; varied: {', '.join(self.result.var_names)}"
            raise ParameterError(msg, name=name)
        lost = self.result._covariance.undetermined
        return self.names.index(name) if name in self.names and not lost[self.names.index(name)] else None

    def error(self, j: int) -> float:
        """A length on the scale of a parameter's error, also for one held on its bound."""
        if self.profiler.sd[j] > 0:
            return float(self.profiler.sd[j])
        try:
            return float(scales(self.problem, self.p, self.sigma, np.array([j]))[0])
        except NoCurvatureError:
            return math.inf

    def height(self, cost: float) -> float:
        """sqrt of the rise over the minimum, in standard errors."""
        return math.sqrt(max(cost - self.profiler.best, 0.0)) / self.sigma

    def probability(self, cost: float, held: int = 1) -> float:
        """Probability content up to a cost: the F-test with scaled errors, chi-square with known ones, or the caller's."""
        from scipy.stats import chi2, f

        result = self.result
        if self.prob_func is not None:
            unit = self.problem.unit
            fit = SimpleNamespace(chisqr=cost / unit / unit, nfree=result.nfree + held, nvarys=result.nvarys - held, ndata=result.ndata)
            return float(self.prob_func(result, fit))
        rise = self.height(cost) ** 2 / held
        return float(f.cdf(rise, held, result.nfree) if result.scale_covar else chi2.cdf(rise * held, held))

    def goal(self, prob: float) -> float:
        """The height at which a probability is reached."""
        from scipy.stats import norm, t

        tail = 0.5 * (1.0 + prob)
        return float(t.ppf(tail, self.result.nfree) if self.result.scale_covar else norm.ppf(tail))

    def values(self, p: np.ndarray) -> dict[str, float]:
        """All parameters, tied ones too, where the free ones are p."""
        params = copy_parameters(self.result.params)
        for name, value in zip(self.names, p, strict=True):
            params[name].value = float(value)
        params.update_constraints()
        return {name: float(par.value) for name, par in params.items()}

    def warn_of_a_lower_minimum(self, stacklevel: int = 4) -> None:
        """Say where the cost was lower than at the fit's end, if it was."""
        cost, p = self.profiler.lowest
        if cost < self.profiler.best - LOWER * self.sigma**2:
            unit, values = self.problem.unit, self.values(p)
            where = ", ".join(f"{name} = {values[name]:.6g}" for name in self.result.var_names)
            msg = (
                f"profiling met a lower chi-square than the fit's {self.profiler.best / unit / unit:.6g}: {cost / unit / unit:.6g} at "
                f"{where}; fit again from there, the intervals belong to a local minimum"
            )
            warnings.warn(ConvergenceWarning(msg, chisqr=cost / unit / unit, values=values), stacklevel=stacklevel)


def conf_interval(
    result: SurfaceResult, p_names: Iterable[str] | None = None, sigmas: Sequence[float] | None = None, trace: bool = False,
    maxiter: int = 200, verbose: bool = False, prob_func: Any = None, min_rel_change: float = 1e-5,
) -> Any:  # fmt: skip
    """Confidence intervals of fitted parameters; see `SurfaceResult.conf_interval`."""
    profiles = Profiles(result, prob_func)
    names = (
        [p_names]
        if isinstance(p_names, str)
        else list(p_names)
        if p_names is not None
        else [n for n in result.var_names if profiles.index(n) is not None]
    )
    probs = _probabilities((1, 2, 3) if sigmas is None else sigmas)
    if isinstance(maxiter, bool) or not maxiter >= 1:
        msg = f"maxiter={maxiter!r} leaves no step to search a limit with; give a positive number (default 200)"
        raise ParameterError(msg)
    where = {name: profiles.index(name) for name in names}
    output: dict[str, Limits] = {}
    traces: dict[str, dict[str, np.ndarray]] = {}
    with np.errstate(all="ignore"):
        for name, j in where.items():
            visited: list[tuple[float, np.ndarray]] = [(profiles.profiler.best, profiles.p)]
            value = float(result.params[name].value)
            if j is None:
                low, high = [-math.inf] * len(probs), [math.inf] * len(probs)
            else:
                low, high = (_side(profiles, j, side, probs, maxiter, visited) for side in (-1, 1))
            output[name] = [*zip(probs[::-1], low[::-1], strict=True), (0.0, value), *zip(probs, high, strict=True)]
            if trace:
                traces[name] = _trace(profiles, j, visited)
    _warn_of_bounds(profiles, where, output)
    profiles.warn_of_a_lower_minimum(stacklevel=4)
    return (output, traces) if trace else output


def _probabilities(sigmas: Any) -> list[float]:
    """Levels as growing probabilities: numbers of sigma, or probabilities below 1."""
    from scipy.special import erf

    try:
        levels = [float(s) for s in np.atleast_1d(sigmas)]
    except (TypeError, ValueError):
        levels = []
    if not levels or not all(0.0 < s < math.inf for s in levels):
        msg = f"sigmas={sigmas!r}; give positive numbers of sigma, or probabilities below 1, such as (1, 2, 3)"
        raise ParameterError(msg)
    return sorted(s if s < 1 else float(erf(s / np.sqrt(2))) for s in levels)


def _side(profiles: Profiles, j: int, side: int, probs: list[float], maxiter: int, visited: list[tuple[float, np.ndarray]]) -> list[float]:
    """The limits on one side, for growing probabilities."""
    error = profiles.error(j)
    flank = Flank(profiles.profiler, j, side, error)
    if not 0 < error < math.inf or flank.edge <= 0:
        return [side * math.inf] * len(probs)

    def limit(prob: float) -> float:
        goal = profiles.goal(prob)
        first = error * (goal if math.isfinite(goal) else 10.0)
        if profiles.prob_func is None:
            return flank.limit(goal, first, lambda cost: profiles.height(cost), goal, maxiter)
        return flank.limit(goal, first, lambda cost: profiles.probability(cost) if math.isfinite(cost) else math.inf, prob, maxiter)

    found: list[float] = []
    for prob in probs:
        found.append(limit(prob) if not found or math.isfinite(found[-1]) else found[-1])
    # points further out may have shown a lower way past the nearer limits
    for _ in range(SWEEPS):
        points = len(flank.distances)
        for i, prob in enumerate(probs):
            found[i] = limit(prob) if i == 0 or math.isfinite(found[i - 1]) else found[i - 1]
        if len(flank.distances) == points:
            break
    visited.extend((cost, p) for cost, p in zip(flank.costs[1:], flank.states[1:], strict=True) if math.isfinite(cost))
    return found


def _trace(profiles: Profiles, j: int | None, visited: list[tuple[float, np.ndarray]]) -> dict[str, np.ndarray]:
    """The points visited, sorted: every parameter, and the probability."""
    rows = sorted(visited, key=lambda entry: entry[1][j]) if j is not None else visited
    all_values = [profiles.values(p) for _, p in rows]
    out = {name: np.array([values[name] for values in all_values]) for name in profiles.result.params}
    out["prob"] = np.array([0.0 if p is profiles.p else profiles.probability(cost) for cost, p in rows])
    return out


def _warn_of_bounds(profiles: Profiles, where: dict[str, int | None], output: dict[str, Limits]) -> None:
    """As lmfit: a limit beyond a bound is infinite, and that is said."""
    for name, j in where.items():
        if j is None:
            continue
        for side, edge in ((-1, profiles.problem.lower[j]), (1, profiles.problem.upper[j])):
            beyond = [prob for prob, limit in output[name] if limit == side * math.inf]
            if math.isfinite(edge) and beyond:
                msg = (
                    f"{name} reaches its {'min' if side < 0 else 'max'} = {edge:.6g} before a probability of {min(beyond):.4g}; "
                    "limits beyond it are infinite"
                )
                warnings.warn(CovarianceWarning(msg, name=name, bound=float(edge), probability=min(beyond)), stacklevel=4)


def conf_interval2d(
    result: SurfaceResult, x_name: str, y_name: str, nx: int = 10, ny: int = 10, limits: Any = None, prob_func: Any = None,
    nsigma: float = 5, chi2_out: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Confidence regions of two parameters; see `SurfaceResult.conf_interval2d`."""
    profiles = Profiles(result, prob_func)
    if x_name == y_name:
        msg = f"conf_interval2d needs two different parameters, not {x_name!r} twice; conf_interval() does one"
        raise ParameterError(msg)
    found = [profiles.index(name) for name in (x_name, y_name)]
    for name, j in zip((x_name, y_name), found, strict=True):
        if j is None:
            msg = f"the data don't determine {name}, so there is no region for it; see explain()"
            raise ParameterError(msg, name=name)
    which = np.array(found, dtype=int)
    for name, count in (("nx", nx), ("ny", ny)):
        if isinstance(count, bool) or int(count) != count or count < 2:
            msg = f"{name}={count!r}; a grid needs at least 2 points along each axis"
            raise ParameterError(msg)
    if limits is not None and not isinstance(limits, tuple | list | np.ndarray):
        nsigma, limits = float(limits), None
    if limits is None and not 0.0 < nsigma < math.inf:
        msg = f"nsigma={nsigma!r} must be a positive number of standard errors"
        raise ParameterError(msg)
    if limits is not None and (np.shape(limits) != (2, 2) or not np.isfinite(np.asarray(limits, dtype=float)).all()):
        msg = f"limits={limits!r}; give ((x_upper, x_lower), (y_upper, y_lower)) in finite numbers, or one number of standard errors"
        raise ParameterError(msg)
    axes = []
    for i, (j, count) in enumerate(zip(which, (nx, ny), strict=True)):
        if limits is None:
            half = nsigma * profiles.error(j)
            low, high = profiles.p[j] - half, profiles.p[j] + half
            # outside the bounds there is nothing to fit
            low, high = max(low, float(profiles.problem.lower[j])), min(high, float(profiles.problem.upper[j]))
        else:
            high, low = limits[i]
        axes.append(np.linspace(low, high, count))
    with np.errstate(all="ignore"):
        costs = _grid(profiles, which, axes)
    profiles.warn_of_a_lower_minimum(stacklevel=4)
    unit = profiles.problem.unit
    if chi2_out:
        return axes[0], axes[1], costs / unit / unit
    if prob_func is not None:
        return axes[0], axes[1], np.vectorize(lambda cost: profiles.probability(float(cost), held=2))(costs)
    floor = min(profiles.profiler.best, float(costs.min()))
    return axes[0], axes[1], np.sqrt(np.maximum(costs - floor, 0.0)) / profiles.sigma


def _grid(profiles: Profiles, which: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Costs, shape (ny, nx): every point from a neighbour nearer to the minimum, then from any neighbour that leads lower."""
    profiler, (nx, ny) = profiles.profiler, (axes[0].size, axes[1].size)
    costs = np.empty((ny, nx))
    states: dict[tuple[int, int], np.ndarray] = {}
    middle = [int(np.abs(axis - profiles.p[j]).argmin()) for axis, j in zip(axes, which, strict=True)]
    # from the middle outwards
    order = sorted(np.ndindex(ny, nx), key=lambda at: max(abs(at[0] - middle[1]), abs(at[1] - middle[0])))
    for i, k in order:
        inner = (i - int(np.sign(i - middle[1])), k - int(np.sign(k - middle[0])))
        costs[i, k], p = profiler.at(which, np.array([axes[0][k], axes[1][i]]), states.get(inner, profiles.p))
        states[i, k] = p if math.isfinite(costs[i, k]) else profiles.p
    changed = set(order)
    for sweep in range(SWEEPS):
        before, changed = changed, set()
        for i, k in order[:: -1 if sweep % 2 == 0 else 1]:
            for other in ((i - 1, k), (i + 1, k), (i, k - 1), (i, k + 1)):
                if (other not in before and other not in changed) or other not in states:
                    continue
                found = profiler.lower(which, np.array([axes[0][k], axes[1][i]]), states[other], float(costs[i, k]), states[i, k])
                if found[0] < costs[i, k]:
                    costs[i, k], states[i, k] = found
                    changed.add((i, k))
        if not changed:
            break
    return costs
