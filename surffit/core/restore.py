"""Results rebuilt from their numbers, without fitting: what a saved document becomes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np
from lmfit.minimizer import Minimizer
from lmfit.parameter import Parameters

from ..exceptions import DocumentError
from ..solve.covariance import Covariance
from ..solve.status import Status
from .model import SurfaceModel
from .result import SurfaceResult


def restore(
    model: Any, params: Parameters, *, covar: np.ndarray | None, covar_names: list[str], stats: Mapping[str, Any], data: Any = None,
    coords: Mapping[str, Any] | None = None, kind: type[SurfaceResult] = SurfaceResult,
) -> SurfaceResult:  # fmt: skip
    """
    Rebuild a result from its numbers, without fitting: reports, `eval` and `predict` at given coordinates work.

    Parameters
    ----------
    model : SurfaceModel or None
        None: the numbers only.
    params : Parameters
        Values and errors.
    covar : ndarray or None
        Covariance of `covar_names`.
    stats : mapping
        Attributes by name (chisqr, redchi, nfev, status, ...); `explain` is the saved text.
    kind : type
        Class of the result.
    """
    if model is None:
        model = without_model()
    result = kind.__new__(kind)
    Minimizer.__init__(result, model._residual, params, fcn_kws=dict(coords or {}))
    fields = dict(stats)
    text = fields.pop("explain", "")
    n = len(covar_names)
    block = np.zeros((n, n)) if covar is None else np.where(np.isfinite(covar), covar, 0.0)
    # by correlations: a variance of 1e-20 beside one of 1e20 would drown
    size = np.sqrt(block.diagonal())
    safe = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(block / safe / safe[:, None]) if n else (np.zeros(0), np.zeros((0, 0)))
    lost = np.zeros(n, dtype=bool) if covar is None else np.isinf(covar.diagonal())
    root = size[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    # the directions themselves were not saved, so any effect of an undetermined parameter counts as undetermined
    null = np.eye(n)[lost]
    result.__dict__.update(
        model=model, data=data, weights=None, ci_out=None, user_options=None, observed=None, units={}, userargs=(data, None),
        _names=tuple(covar_names), _notes=[], _started=[], _outcome=None, _explained=text, components=model.components, covar=covar,
        var_names=list(covar_names), nvarys=n, errorbars=covar is not None, _sd_scale=1.0 if covar is not None else np.nan, _constraints={},
        _no_errors="" if covar is not None else "the document holds no covariance.", residual=None, init_vals=[], method="separable",
        _covariance=Covariance(*_errors(covar, n), lost, null, root, int(n - lost.sum())),
        init_params=params, init_values={}, best_fit=None, init_fit=None, residual_map=None, call_kws={}, aborted=False, _abort=False,
        solver_status=None, rsquared=None,
    )  # fmt: skip
    for name, value in fields.items():
        result.__dict__[name] = Status(value) if name == "status" and isinstance(value, int) else value
    for i, name in enumerate(covar_names):
        if covar is not None and name in params and params[name].stderr:
            scale = params[name].stderr
            params[name].correl = {
                other: float(covar[i, j] / (scale * params[other].stderr))
                for j, other in enumerate(covar_names)
                if j != i and np.isfinite(covar[i, j]) and params[other].stderr
            }
    return result


def _errors(covar: np.ndarray | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors (inf: undetermined, nan: held) and correlations (nan where there is none) of a saved covariance."""
    if covar is None:
        return np.full(n, np.nan), np.eye(n)
    sd = np.sqrt(covar.diagonal())
    sure = np.isfinite(sd) & (sd > 0)
    safe = np.where(sure, sd, 1.0)
    correlation = np.where(sure & sure[:, None], covar / safe / safe[:, None], np.nan)
    correlation.flat[:: n + 1] = 1.0
    return sd, correlation


def without_model(names: Iterable[str] = ()) -> SurfaceModel:
    """In the place of a model that could not travel."""
    return SurfaceModel(MissingModel(name for name in names if name != "x"), independent_vars=["x"], name="unknown model")


class MissingModel:
    """Stands where a document has no function: it has names, and evaluating it asks for the model."""

    def __init__(self, names: Iterable[str]) -> None:
        self.__name__ = "unknown"
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("x", *names)])

    def refuse(self) -> NoReturn:
        """Say what is missing."""
        msg = "the document holds no model, so it can't be evaluated; load it with surffit.load(path, model=...)"
        raise DocumentError(msg)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.refuse()
