"""What `loss=` and `priors=` ask for: checked, turned into problems around the problem, and solved."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np

from ..exceptions import DataError, NonFiniteError, ParameterError
from ..solve.fewrows import few_rows
from ..solve.layers import Layers
from ..solve.loss import CONVEX, ROBUST, Poisson, Rho, Robust, Term, UserLikelihood
from ..solve.lossfit import begin_scale, finish, minimise_loss, minimise_with_priors, squares
from ..solve.minimum import Options, minimise
from ..solve.priors import PriorProblem
from ..solve.problem import Problem
from ..solve.reweighted import Reweighted
from ..solve.separable import DenseEngine
from ..solve.status import Status
from ..solve.verdict import Solution
from .methods import VECTOR, by_lmfit
from .priors import read, roughness

if TYPE_CHECKING:
    from .bound import Bound
    from .data import FitData
    from .outcome import FitCall

LOSSES = ("linear", *ROBUST, "poisson")
MILD = "soft_l1"  # the convex loss whose answer is where those with several minima begin

Callback = Callable[[np.ndarray, np.ndarray, float], bool]


def kind_of(loss: Any) -> str:
    """
    "linear", "robust", "poisson" or "likelihood".

    Raises
    ------
    ParameterError
        For anything that is no loss.
    """
    if loss is None or (isinstance(loss, str) and loss == "linear"):
        return "linear"
    if isinstance(loss, str):
        if loss not in LOSSES:
            from difflib import get_close_matches

            close = get_close_matches(loss, LOSSES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(map(repr, LOSSES))}, rho(z), or loss(data, model)"
            msg = f"loss={loss!r} is unknown; {hint}"
            raise ParameterError(msg, loss=loss)
        return "poisson" if loss == "poisson" else "robust"
    if not callable(loss):
        msg = f"loss={loss!r} is neither a name nor a function; use one of {', '.join(map(repr, LOSSES))}, rho(z), or loss(data, model)"
        raise ParameterError(msg)
    count = _arguments(loss)
    if count is None:
        msg = "loss takes any number of arguments; give rho(z) of one (a robust loss), or loss(data, model) of two (-2 ln L per point)"
        raise ParameterError(msg)
    if count not in (1, 2):
        msg = f"loss takes {count} arguments; give rho(z) of one (a robust loss), or loss(data, model) of two (-2 ln L per point)"
        raise ParameterError(msg, arguments=count)
    return "robust" if count == 1 else "likelihood"


def _arguments(func: Callable[..., Any]) -> int | None:
    """How many arguments a function asks for; None where it takes what comes."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return 1  # numpy's ufuncs and the like
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not positional and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.default is p.empty for p in positional) or len(positional)


def check(request: FitCall) -> None:
    """Refuse combinations that can't be right; a likelihood knows its errors, so nothing is scaled there."""
    kind = kind_of(request.loss)
    if kind == "linear" and "f_scale" in request.fit_kws and request.method == "separable":
        msg = "f_scale has no effect with loss='linear'; give loss='soft_l1', 'huber', 'cauchy' or 'arctan', or leave it out"
        raise ParameterError(msg)
    if kind == "linear" and request.method == "least_squares" and "loss" in request.fit_kws:
        msg = "fit_kws has 'loss' for method='least_squares'; pass it as fit(..., loss=...), so that the errors fit it too"
        raise ParameterError(msg)
    if kind == "linear":
        return
    _refuse_vector(request)
    if "f_scale" in request.fit_kws:
        value = request.fit_kws["f_scale"]
        if kind != "robust":
            msg = f"f_scale has no effect with loss={label(request.loss)}, which knows the errors of its data; leave it out"
            raise ParameterError(msg)
        if not (isinstance(value, int | float | np.number) and np.isfinite(value) and float(np.real(value)) > 0.0):
            msg = f"f_scale={value!r} must be a positive number: the residual, in standard deviations, beyond which a point is an outlier"
            raise ParameterError(msg)
    if kind in ("poisson", "likelihood"):
        given = [name for name, value in request.errors.items() if value is not None]
        if given:
            msg = (
                f"{given[0]} was given with loss={label(request.loss)}, which knows the errors of its data; leave it out "
                "(mask= excludes points)"
            )
            raise ParameterError(msg, names=tuple(given))
        request.scale_covar = False


def _refuse_vector(request: FitCall, problem: Problem | None = None) -> None:
    """An error for solvers of residual vectors where what is minimised is no sum of squares."""
    method = request.method.lower()
    if not (method in VECTOR or method.startswith("least")) or (problem is not None and problem.least_squares):
        return
    what = f"loss={label(request.loss)}" if kind_of(request.loss) != "linear" else "a prior that is not Gaussian"
    msg = f"method={request.method!r} minimises a sum of squares, which {what} is not; use the default, or a scalar method such as 'nelder'"
    raise ParameterError(msg)


def label(loss: Any) -> str:
    """A loss as a user wrote it."""
    return repr(loss) if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)


def _check_counts(data: FitData, problem: Problem) -> None:
    if data.weights is not None:
        msg = "the data bring their own errors, which loss='poisson' and loss(data, model) don't take; pass the bare values"
        raise DataError(msg)
    if np.iscomplexobj(data.data):
        msg = "the data are complex; counts and loss(data, model) need real numbers"
        raise DataError(msg)


def term_of(request: FitCall, data: FitData, problem: Problem) -> Term:
    """The loss as a term of the problem's rows."""
    kind = kind_of(request.loss)
    if kind == "robust":
        if isinstance(request.loss, str):
            return Robust(ROBUST[request.loss], request.loss in CONVEX, problem.unit)
        return Robust(Rho(request.loss), False, problem.unit)
    _check_counts(data, problem)
    if kind == "likelihood":
        return UserLikelihood(request.loss, problem.y, problem.unit)
    negative = int((problem.y < 0).sum())
    if negative:
        worst = float(problem.y.min()) / problem.unit
        msg = (
            f"data have {negative} negative value{'s' if negative > 1 else ''}, the lowest {worst:.6g}; counts are >= 0: mask them, "
            "or use another loss"
        )
        raise DataError(msg, n_negative=negative)
    if problem.unit != 1.0:
        msg = f"counts as large as {float(problem.y.max()) / problem.unit:.3g} can't be; loss='poisson' needs numbers of events"
        raise DataError(msg)
    return Poisson()


def wrap(bound: Bound, data: FitData, params: lmfit.Parameters, request: FitCall) -> Bound:
    """The binding with the loss, and then the priors, around its problem."""
    problem = bound.problem
    if kind_of(request.loss) != "linear":
        problem = Reweighted(problem, term_of(request, data, problem))
    if request.roughness and request.method == "separable" and problem is bound.problem and not request.priors:
        problem = few_rows(problem, bound.moments)
    if request.priors or request.roughness:
        priors = [*read(request.priors or {}, bound, params), *roughness(request.roughness, bound, params)]
        likelihood = isinstance(problem, Reweighted) and problem.term.likelihood
        problem = PriorProblem(problem, priors, 1.0 if likelihood else problem.unit)
    return replace(bound, problem=problem, moments=None)


def layers_of(problem: Problem, request: FitCall) -> Layers:
    """The wrappers, with what is known of their scales."""
    layers = Layers(problem, sigma_known=not request.scale_covar)
    term = None if layers.loss is None else layers.loss.term
    if isinstance(term, Robust):
        f_scale = float(request.fit_kws.get("f_scale", 1.0))
        term.scale = f_scale * layers.data.unit
        layers.factor = f_scale if request.scale_covar else None
    return layers


def solve(bound: Bound, request: FitCall, options: Options, callback: Callback | None) -> tuple[Solution | None, Any, str | None]:
    """
    Minimise a wrapped binding.

    Returns
    -------
    Solution or None
        None if the model isn't finite, or not possible, at the start.
    status, message
        lmfit's own, where its solver ran.
    """
    problem, m = bound.problem, len(bound.nonlinear)
    layers = layers_of(problem, request)
    options = replace(options, sigma_known=options.sigma_known or layers.likelihood)
    alpha, c = bound.start[:m], bound.start[m:]
    if not request.own:
        _refuse_vector(request, problem)
        begin_scale(layers, alpha)
        if layers.signed:
            # these methods judge by ratios, for which a -2 ln L must count from somewhere: from what ours finds
            ours = minimise_loss(problem, alpha, c, options, layers)
            if ours is not None:
                layers.refer(ours.p)
        if layers.factor is not None:
            plain = minimise(squares(layers), alpha, c, replace(options, polish=False, refine=False))
            if plain is not None:
                layers.update(plain.p)
        solution, status, message = by_lmfit(bound, request, options, callback, layers)
        return None if solution is None else finish(solution, options, layers), status, message
    if problem.least_squares:
        return minimise_with_priors(problem, alpha, c, options, layers, callback), None, None
    term = None if layers.loss is None else layers.loss.term
    milder = Robust(ROBUST[MILD], True, term.scale) if isinstance(term, Robust) and not term.convex else None
    return minimise_loss(problem, alpha, c, options, layers, callback, milder), None, None


def impossible(name: str, bound: Bound, request: FitCall) -> NonFiniteError | None:
    """The error of a start that the loss or a prior forbids although the model is finite there; None where that isn't it."""
    if request.plain:
        return None
    layers = Layers(bound.problem)
    alpha = bound.start[: len(bound.nonlinear)]
    first = DenseEngine(squares(layers)).inner(alpha)
    if first is None:
        return None
    at = ", ".join(f"{n} = {v:.6g}" for n, v in zip(bound.names, np.concatenate([alpha, first.c]), strict=True))
    if kind_of(request.loss) == "poisson":
        what, cure = "is not positive where there are counts", "start where it is, or set bounds that keep it so"
    elif layers.likelihood:
        what, cure = f"has values that {label(request.loss)} gives no finite -2 ln L for", "change the start values or set bounds"
    else:
        what, cure = "has parameters there that the priors call impossible", "change the start values"
    msg = f"{name} {what} (at {at}), and no way from there to possible values was found; {cure}"
    return NonFiniteError(msg, status=Status.NONFINITE_START)
