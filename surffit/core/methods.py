"""lmfit's own solvers, run in coordinates of order one where their absolute tolerances do no harm.

Solvers of residual vectors (leastsq, least_squares) walk in all parameters; scalar and global ones walk in the non-linear
parameters alone, the linear ones solved inside. Our polish and our covariance follow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np
from lmfit.minimizer import SCALAR_METHODS

from ..kernels.warned import filtered
from ..solve.layers import Layers
from ..solve.lossfit import feasible, squares
from ..solve.minimum import Options, judge
from ..solve.scaling import unit_scale
from ..solve.separable import DenseEngine
from ..solve.status import Status
from ..solve.verdict import Solution, final_flags

if TYPE_CHECKING:
    from .bound import Bound
    from .outcome import FitCall

VECTOR = ("leastsq", "least_squares")
WITH_GRADIENT = ("cg", "bfgs", "l-bfgs-b", "tnc", "slsqp")
WITH_HESSIAN = ("newton-cg", "dogleg", "trust-ncg", "trust-krylov", "trust-exact")
GLOBAL = ("brute", "basinhopping", "ampgo", "shgo", "dual_annealing", "differential_evolution")
# these draw random numbers, from numpy's global generator unless told otherwise: a fit is the same twice and leaves that alone
SEEDED = ("basin", "dual", "diff")  # lmfit takes abbreviations
SEED = 20240607
_global_generator = threading.Lock()


def is_lmfit_method(method: str) -> bool:
    """Whether lmfit knows a minimiser of this name (its abbreviations included)."""
    name = method.lower().replace("-", "").replace("_", "")
    known = [*VECTOR, *GLOBAL, *SCALAR_METHODS, *SCALAR_METHODS.values()]
    plain = {k.lower().replace("-", "").replace("_", "") for k in known}
    return name in plain or any(k.startswith(name) for k in plain if len(name) >= 4)


def by_lmfit(
    bound: Bound,
    request: FitCall,
    options: Options,
    callback: Callable[[np.ndarray, np.ndarray, float], bool] | None,
    layers: Layers | None = None,
) -> tuple[Solution | None, Any, str | None]:
    """
    Minimise with one of lmfit's methods.

    Returns
    -------
    Solution or None
        None if the model isn't finite at the start.
    status, message
        lmfit's own.
    """
    problem, m = bound.problem, len(bound.nonlinear)
    squared = problem.least_squares
    engine = DenseEngine(problem if squared or layers is None else squares(layers))
    alpha = bound.start[:m]
    first = engine.inner(alpha)
    if first is None:
        return None, None, None
    c = np.where(np.isfinite(bound.start[m:]), bound.start[m:], first.c)
    method = request.method.lower()
    vector = method in VECTOR or method.startswith("least")
    start = np.concatenate([alpha, c]) if vector or not m or not squared else alpha
    if not squared and layers is not None:
        possible = feasible(layers, layers.starts(start), options, None)
        if possible is None:
            return None, None, None
        start = possible
    n = start.size
    full = problem.full(np.concatenate([alpha, first.c]) if squared else start)
    if full is None:
        return None, None, None
    spread = float(np.sqrt(full[0] @ full[0])) or problem.noise or 1.0
    unit = unit_scale(start, full[1][:n], spread, problem.lower[:n], problem.upper[:n])

    def complete(z: np.ndarray) -> np.ndarray | None:
        p = np.clip(unit.outward(z), problem.lower[:n], problem.upper[:n])
        if n == problem.n:
            return p
        point = engine.inner(p)
        return None if point is None else np.concatenate([p, point.c])

    def residual(z: lmfit.Parameters) -> np.ndarray:
        p = complete(np.array([par.value for par in z.values()]))
        if not squared:
            cost = np.inf if p is None else problem.cost(p)
            if callback is not None and p is not None and callback(p[:m], p[m:], cost):
                raise _StopFitError(p)
            # lmfit sums the squares of what it gets
            return np.array([np.sqrt(max(cost, 0.0)) / spread, 0.0] if np.isfinite(cost) else [1e30, 1e30])
        r = np.full(problem.N, np.inf) if p is None else problem.residual(p) / spread
        if not np.isfinite(r.sum()):
            # far worse than anything finite, so that no solver stays there, yet a number
            return np.full(problem.N, 1e30)
        if callback is not None and p is not None and callback(p[:m], p[m:], float(r @ r)):
            raise _StopFitError(p)
        return r

    kind = SCALAR_METHODS.get(method.replace("-", "").replace("_", ""), request.method).lower().replace("_", "-")
    curved = kind in WITH_HESSIAN
    zs = lmfit.Parameters()
    for i in range(n):
        # these walk by the Hessian in free coordinates; `complete` keeps the model inside the bounds
        low, high = (-np.inf, np.inf) if curved else (float(unit.lower[i]), float(unit.upper[i]))
        zs.add(f"z{i}", value=0.0, min=low, max=high)
    kws = {name: value for name, value in request.fit_kws.items() if layers is None or name != "f_scale"}
    if method == "leastsq":
        kws.setdefault("epsfcn", float(np.finfo(float).eps))
    if kind.startswith(SEEDED):
        kws.setdefault("seed", SEED)

    def slopes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Gauss-Newton Hessian of the summed squares in unit coordinates."""
        p = np.clip(unit.outward(z), problem.lower[:n], problem.upper[:n])
        point = engine.inner(p) if squared and (n < problem.n or not problem.k) else None
        if not squared or (n == problem.n and problem.k):
            whole = problem.full(p)
            sums = None if whole is None else (whole[1] @ whole[1].T, whole[1] @ whole[0])
        else:
            sums = None if point is None else engine.system(point)
        if sums is None:
            return np.zeros(n), np.eye(n)
        scale = unit.unit / spread
        return -2.0 * sums[1] * scale / spread, 2.0 * sums[0] * scale * scale[:, None]

    if kind in WITH_GRADIENT or curved:
        kws.setdefault("jac", lambda z: slopes(np.array([par.value for par in z.values()]))[0])
    if curved:
        kws.setdefault("hess", lambda z: slopes(np.asarray(z))[1])
    minimizer = lmfit.Minimizer(residual, zs, nan_policy="propagate", max_nfev=request.max_nfev, calc_covar=False)
    status: Any = None
    message = None
    flags = Status.CONVERGED_FTOL
    try:
        # scipy's remarks about its own approximations are no news to the user: the polish judges the end
        with filtered("ignore"), _own_random_numbers() if kind.startswith("ampgo") else nullcontext():
            found = minimizer.minimize(method=request.method, **kws)
        p = complete(np.array([par.value for par in found.params.values()]))
        status = getattr(found, "ier", None) or getattr(found, "status", None)
        message = getattr(found, "message", None)
        if found.aborted or getattr(found, "nfev", 0) >= (request.max_nfev or np.inf):
            flags = Status.MAX_NFEV
    except _StopFitError as stop:
        p, flags = stop.p, Status.ABORTED
    if p is None:
        return None, status, message
    start_full = np.concatenate([alpha, first.c])
    if not squared and layers is not None:
        layers.refer(p)
    solution = judge(problem, p, flags, start_full, options, f"lmfit {request.method}")
    if solution is not None:
        final_flags(problem, solution)
    return solution, status, message


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """numpy's global generator at a fixed state inside, as it was after: ampgo takes no other."""
    with _global_generator:
        before = np.random.get_state()  # noqa: NPY002 - the very thing to protect
        np.random.seed(SEED)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


class _StopFitError(Exception):
    """iter_cb asked to stop."""

    def __init__(self, p: np.ndarray) -> None:
        super().__init__("stopped by iter_cb")
        self.p = p
