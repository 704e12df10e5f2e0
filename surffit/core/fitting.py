"""From checked arguments to a result: bind, solve, and second chances where the start was at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np

from ..exceptions import DataError, NonFiniteError, ParameterError, TooFewPointsError
from ..solve.around import innermost
from ..solve.minimum import Options, minimise
from ..solve.polish import DenseSurveyor
from ..solve.status import Status
from ..solve.verdict import Solution
from .bind import bind
from .bound import Bound, free_names, inside
from .data import FitData, open_door
from .emcee_method import check_options
from .exchange import in_order
from .joint_bind import bind_joint
from .joint_data import JointData
from .likelihood import check, impossible, solve, wrap
from .methods import by_lmfit, is_lmfit_method
from .outcome import FitCall, Outcome
from .parameters import copy_parameters, snapshot
from .priors import count
from .settle import notes as notes_of
from .settle import roughness, settled
from .structure import evaluate

if TYPE_CHECKING:
    from .model import SurfaceModel

SEPARABLE_OPTIONS = ("rng", "on_interrupt", "polish", "restart", "refine", "jac", "f_scale")
ROUTES = (None, "graph", "complex-step", "differences")
NFEV_PER_PARAMETER = 2000  # lmfit's default limit


def fit(model: SurfaceModel, params: lmfit.Parameters, request: FitCall) -> Outcome:
    """Run one fit; `params` is ours to change."""
    _check_options(request)
    data = _open(model, request)
    with np.errstate(all="ignore"):
        model = settled(model, data)
        request.roughness = roughness(model)
        outcome = _solve(model, params, data, request)
    outcome.model = model
    return outcome


def _open(model: Any, request: FitCall) -> Any:
    """The data through the one door; several data sets by their model, which knows what belongs to which."""
    if hasattr(model, "parts"):
        return model._open(request)
    policy = request.nan_policy or "raise"
    return open_door(request.data, request.coords, mask=request.mask, nan_policy=policy, coerce=request.coerce, **request.errors)


def _check_options(request: FitCall) -> None:
    if request.method == "separable":
        unknown = [name for name in request.fit_kws if name not in SEPARABLE_OPTIONS]
        if unknown:
            msg = f"fit_kws has {', '.join(map(repr, unknown))}; method='separable' takes {', '.join(SEPARABLE_OPTIONS)}"
            raise ParameterError(msg, names=tuple(unknown))
        if request.fit_kws.get("on_interrupt", "raise") not in ("raise", "return"):
            msg = f'on_interrupt={request.fit_kws["on_interrupt"]!r}; use "raise" or "return"'
            raise ParameterError(msg)
        if request.fit_kws.get("jac") not in ROUTES:
            msg = f"jac={request.fit_kws['jac']!r}; use None, {', '.join(repr(r) for r in ROUTES[1:])}"
            raise ParameterError(msg)
    elif request.method == "emcee":
        check_options(request)
    elif not is_lmfit_method(request.method):
        msg = f"method={request.method!r} is unknown; use 'separable' or one of lmfit's methods such as 'leastsq', 'nelder', 'powell'"
        raise ParameterError(msg)
    check(request)


def _linear_confirmed(bound: Bound, solution: Solution) -> bool:
    """Whether the columns solved for are the derivatives at the end, and give the model's own value there."""
    problem, m = innermost(bound.problem), len(bound.nonlinear)
    columns = problem.columns(solution.p[:m])
    full = (None, solution.here.J) if problem is bound.problem else problem.full(solution.p)
    if columns is None or full is None:
        return False
    target, phi = columns
    tolerance = 1e-6 + 100.0 * problem.jac_error
    size = np.abs(phi).max(axis=1, initial=0.0)
    same = (np.abs(phi - full[1][m:]).max(axis=1, initial=0.0) <= tolerance * size).all()
    off = target - solution.p[m:] @ phi - problem.residual(solution.p)
    return bool(same and np.abs(off).max() <= tolerance * max(np.abs(target).max(), np.abs(problem.y).max()))


def _bind(
    model: Any, params: lmfit.Parameters, data: FitData | JointData, request: FitCall, linear: tuple[str, ...] | None = None
) -> Bound:
    if linear is None:
        linear = None if model._stated_linear is None else model.linear
    route = request.fit_kws.get("jac") if request.method == "separable" else None
    rng = request.fit_kws.get("rng") if request.method == "separable" else None
    if isinstance(data, JointData):
        return bind_joint(model, params, data, linear=linear, rng=rng, route=route)
    return bind(model, params, data, linear=linear, cache=model._structures, rng=rng, route=route)


def _solve(model: Any, params: lmfit.Parameters, data: Any, request: FitCall) -> Outcome:
    notes = [*data.notes, *notes_of(model)]
    varying = free_names(params)
    if not varying:
        msg = f"every parameter of {model.name} is fixed; nothing to fit: set vary=True for one, or use eval()"
        raise ParameterError(msg)
    try:
        bound = _bind(model, params, data, request)
    except ParameterError as err:
        names = getattr(err, "names", ())
        guessed = _guess(model, data, strict=bool(names))
        if not names or guessed is None or not all(_usable(guessed, name) for name in names):
            if names:
                _refuse_poles(model, data)
            raise
        for name in names:
            params[name].value = guessed[name].value
        notes.append(_guessed_note(names))
        bound = _bind(model, params, data, request)
    names = [name for name in bound.nonlinear if name in request.unstarted]
    guessed = _guess(model, data) if names else None
    if guessed is not None and all(_usable(guessed, name) for name in names):
        # defaults of a function, such as a centre at 0, are no start that anybody chose
        for name in names:
            params[name].value = guessed[name].value
        notes.append(_guessed_note(names))
        bound = _bind(model, params, data, request)
    _enough_points(data, bound, varying, count(request.priors) + sum(len(rows) for _, rows in request.roughness))
    started = snapshot(params)
    outcome = _run(model, params, data, bound, request, notes)
    if outcome.solution.status & Status.NO_EFFECT_AT_START:
        for moved, text in _other_starts(model, params, data, bound, outcome.solution):
            second = _run(model, moved, data, _bind(model, moved, data, request), request, [*notes, text])
            if not second.solution.status & Status.NO_EFFECT_AT_START:
                outcome = second
                break
    outcome.started = started
    return outcome


def _enough_points(data: FitData, bound: Bound, varying: tuple[str, ...], priors: int = 0) -> None:
    n, points = len(bound.names), bound.problem.N
    if points + priors >= n:
        return
    used = data.n_used
    msg = few_points(used, data.size, data.masked, data.omitted, n)
    raise TooFewPointsError(msg, n_points=used, n_varying=n, n_masked=data.masked)


def few_points(used: int, total: int, masked: int, omitted: int, n: int) -> str:
    """The sentence for fewer points than parameters."""
    detail = []
    if masked:
        detail.append(f"{masked} masked")
    if omitted:
        detail.append(f"{omitted} not finite")
    of = f" (of {total}; {', '.join(detail)})" if detail else ""
    return (
        f"{used} usable point{'s' if used != 1 else ''}{of} cannot determine {n} varying parameters; "
        f"fix some with vary=False or {'unmask' if masked else 'add'} data"
    )


def _run(model: SurfaceModel, params: lmfit.Parameters, data: FitData, bound: Bound, request: FitCall, notes: list[str]) -> Outcome:
    """One solve from the present starts."""
    if not request.plain:
        bound = wrap(bound, data, params, request)
    problem, m = bound.problem, len(bound.nonlinear)
    kws = request.fit_kws if request.method == "separable" else {}
    known = data.weights is not None and not request.scale_covar
    # exact counts of a limit that people give for lmfit's solver would be mostly derivatives there
    limit = request.max_nfev or NFEV_PER_PARAMETER * (problem.n + 1)
    options = Options(limit, known, bool(kws.get("polish", True)), bool(kws.get("restart", True)), bool(kws.get("refine", True)))
    alpha, c = bound.start[:m], bound.start[m:]
    best: list[np.ndarray] = []
    returns = kws.get("on_interrupt", "raise") == "return"
    callback = _callback(request, params, bound, problem, best, returns)
    solver_status: Any = None
    solver_message = None
    try:
        if not request.plain:
            solution, solver_status, solver_message = solve(bound, request, options, callback)
        elif request.own:
            solution = minimise(problem, alpha, c, options, bound.moments, callback)
        else:
            solution, solver_status, solver_message = by_lmfit(bound, request, options, callback)
    except KeyboardInterrupt:
        if not returns:
            raise
        solution = _at(problem, best[-1] if best else np.where(np.isfinite(bound.start), bound.start, 0.0), bound)
    if solution is None:
        moved = copy_parameters(params)
        names = _off_bounds(bound, moved)
        if not names:
            raise impossible(model.name, bound, request) or _not_finite(model, params, data, bound)
        # a model may have no value on the very bound (a width of 0)
        return _run(model, moved, data, _bind(model, moved, data, request), request, notes)
    if bound.derivatives != "graph" and bound.linear and not _linear_confirmed(bound, solution):
        # found by probing, and wrong where it matters
        notes = [*notes, f"{', '.join(bound.linear)} looked linear at the start but are not; all parameters were searched instead."]
        return _run(model, params, data, _bind(model, params, data, request, linear=()), request, notes)
    if request.own:
        solution, exchanged = in_order(model, params, bound, solution, options)
        notes = [*notes, exchanged] if exchanged else notes
    if bound.stepped or not bound.names:
        # wherever the others end, a better value of these may lie beyond a jump
        solution.status |= Status.NO_EFFECT_AT_START
    return Outcome(params, [], data, bound, solution, request, [*notes, *bound.notes], limit, solver_status, solver_message)


def _at(problem: Any, p: np.ndarray, bound: Bound) -> Solution | None:
    """The interrupted fit as it stands."""
    none = np.zeros(problem.n, dtype=bool)
    here = DenseSurveyor(problem).local(p, none)
    if here is None:
        return None
    sigma = max(float(np.sqrt(here.chi2 / max(problem.N - problem.n, 1))), problem.noise, 1e-300)
    return Solution(here, Status.ABORTED, none, none, float(np.sqrt(here.qtr @ here.qtr)) / sigma, None, None, sigma, p.copy())


def _callback(
    request: FitCall, params: lmfit.Parameters, bound: Bound, problem: Any, best: list[np.ndarray], returns: bool
) -> Callable[[np.ndarray, np.ndarray, float], bool] | None:
    """What the walk calls after every step: lmfit's iter_cb, and a note of the best point where an interrupt may want it."""
    if request.iter_cb is None and not returns:
        return None
    shown = copy_parameters(params) if request.iter_cb is not None else None
    count = 0
    rows = innermost(problem)

    def callback(alpha: np.ndarray, c: np.ndarray, chi2: float) -> bool:
        nonlocal count
        p = np.concatenate([alpha, c])
        best[:] = [p]
        if shown is None or request.iter_cb is None:
            return False
        for name, value in zip(bound.names, p, strict=True):
            shown[name].value = float(value)
        shown.update_constraints()
        count += 1
        return bool(request.iter_cb(shown, count, rows.residual(p) / rows.unit, **request.coords))

    return callback


def _guessed_note(names: Sequence[str]) -> str:
    return f"{', '.join(names)} had no start and {'was' if len(names) == 1 else 'were'} guessed from the data."


def _usable(guessed: lmfit.Parameters, name: str) -> bool:
    return name in guessed and bool(np.isfinite(guessed[name].value))


def _guess(model: Any, data: FitData | JointData, strict: bool = False) -> lmfit.Parameters | None:
    """The model's own guess on the used points; None where there is none or it fails (`strict`: unless it says what the data lack)."""
    if isinstance(data, JointData):
        found = {key: _guess(part, data.parts[key], strict) for key, part in model.parts.items()}
        return model._merged(found) if any(one is not None for one in found.values()) else None
    if type(model).guess is lmfit.Model.guess:
        return None
    coords = {name: data.select(data.coords[name]) if data.elementwise else data.coords[name] for name in data.names}
    if data.elementwise and data.used is None:
        coords = {name: np.broadcast_to(value.reshape(data.shape), data.shape).copy() for name, value in coords.items()}
    values = data.data if data.used is None else data.data[data.used]
    try:
        guessed = model.guess(values.copy(), **coords)
    except DataError:
        if strict:
            raise
        return None
    except Exception:  # noqa: BLE001 - a guess that fails is no guess
        return None
    return guessed


def _other_starts(
    model: SurfaceModel, params: lmfit.Parameters, data: FitData, bound: Bound, solution: Solution
) -> Iterator[tuple[lmfit.Parameters, str]]:
    """Better starts for parameters without effect: the guess for them, for all that are searched, or off their bounds."""
    dead = [name for name, none in zip(bound.names, solution.no_effect, strict=True) if none]
    guessed = _guess(model, data)
    for names in (dead, list(bound.nonlinear)):
        if guessed is None:
            break
        usable = [name for name in names if _usable(guessed, name)]
        if usable:
            moved = copy_parameters(params)
            for name in usable:
                moved[name].value = guessed[name].value
            verb = "was" if len(usable) == 1 else "were"
            yield moved, f"Parameters without effect at the start: {', '.join(usable)} {verb} moved to the guess from the data."
    moved = copy_parameters(params)
    names = _off_bounds(bound, moved)
    if names:
        verb = "was" if len(names) == 1 else "were"
        yield moved, f"Parameters without effect at the start: {', '.join(names)} {verb} moved off the bound."


def _off_bounds(bound: Bound, params: lmfit.Parameters) -> list[str]:
    """Move starts that lie on a bound a little inside (in place); their names."""
    m = len(bound.nonlinear)
    start, lower, upper = bound.start[:m], bound.problem.lower[:m], bound.problem.upper[:m]
    moved = inside(start, lower, upper)
    names = [name for name, a, b in zip(bound.nonlinear, start, moved, strict=True) if a != b]
    for name, value in zip(bound.nonlinear, moved, strict=True):
        if name in names:
            params[name].value = float(value)
    return names


def _refuse_poles(model: Any, data: FitData | JointData) -> None:
    """Points where the model is finite for no parameters (x = 0 in 1/x): the guess fails there, and nothing looks linear."""
    if isinstance(data, JointData) or not data.elementwise:
        return
    coords = {name: np.ravel(data.select(data.coords[name])) for name in data.names}
    rng, found, k = np.random.default_rng(0), [], len(model.param_names)
    scattered = [rng.standard_normal(k) * 10.0 ** rng.uniform(-2.0, 2.0, k) for _ in range(12)]
    for values in (*(np.full(k, value) for value in (0.5, 1.0, 2.0)), *scattered):
        try:
            out = np.asarray(evaluate(model, dict(zip(model.param_names, map(float, values), strict=True)), coords))
        except Exception:  # noqa: BLE001 - whatever a model raises there, its own fit says it better
            return
        if np.isfinite(out).any():  # the root of something negative at all points tells of the parameters only
            found.append(~np.isfinite(out))
    bad = np.logical_and.reduce(found)
    if len(found) < 3 or np.ndim(bad) != 1 or not bad.any():
        return
    at = ", ".join(f"{name} = {array[bad][0]:.6g}" for name, array in coords.items() if array.shape == bad.shape)
    msg = (
        f"{model.name} is not finite at {bad.sum()} of {bad.size} points for any values of its parameters that were tried, the first at "
        f"{at}; mask such points"
    )
    raise NonFiniteError(msg, status=Status.NONFINITE_START)


def _not_finite(model: SurfaceModel, params: lmfit.Parameters, data: FitData, bound: Bound) -> NonFiniteError:
    listed = ", ".join(f"{name} = {params[name].value:.6g}" for name in bound.nonlinear)
    if listed:
        msg = f"{model.name} is not finite on the data at the start {listed}; change the start values or set bounds that keep it finite"
    else:
        msg = f"{model.name} is not finite on the data; look at it with eval(), and mask the points where it isn't"
    return NonFiniteError(msg, start={name: params[name].value for name in bound.nonlinear}, status=Status.NONFINITE_START)
