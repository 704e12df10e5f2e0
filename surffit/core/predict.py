"""The fitted model at new coordinates, and how sure it is: exact gradients against the determined covariance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import DataError, DocumentError
from ..trace import numeric
from .bind import find_structure
from .bind_numeric import resolver
from .containers import is_array_like, open_container
from .data import is_time, seconds_since
from .structure import Structure, evaluate, leaves

if TYPE_CHECKING:
    from .result import SurfaceResult

# share of a gradient in a null direction above which the prediction is undetermined
LOST = 1e-7


def coordinates(result: SurfaceResult, given: Mapping[str, Any]) -> dict[str, Any]:
    """New coordinates over the fitted ones, in the units of the fit."""
    out = dict(result.userkws)
    for name, value in given.items():
        if not is_array_like(value):
            out[name] = value
            continue
        if is_time(value):
            epochs = result.observed.epochs if result.observed is not None else {}
            if name not in epochs:
                msg = f"{name} holds times, but the fit had numbers; pass numbers (or, for a loaded result, seconds since the first time)"
                raise DataError(msg)
            out[name] = seconds_since(value, epochs[name])[0]
            continue
        unit = result.units.get(name)
        if hasattr(value, "unit") and hasattr(value, "to_value"):
            if unit is None:
                msg = f"{name} is in {value.unit}, but the fit had no unit for it; pass plain numbers"
                raise DataError(msg)
            try:
                value = value.to_value(unit)
            except Exception as err:
                msg = f"{name} is in {value.unit}, which is not convertible to {unit} of the fit"
                raise DataError(msg) from err
        out[name] = open_container(value, name).values
    return out


def answerable(result: SurfaceResult, given: Mapping[str, Any]) -> None:
    """
    Whether a loaded result, which has no data, can be evaluated at these coordinates; any other can.

    Raises
    ------
    DocumentError
        If coordinates are missing, or the file had no model.
    """
    facts = result.__dict__
    if "_names" not in facts or facts.get("observed") is not None:
        return
    model = result.model
    refuse = getattr(model.func, "refuse", None)
    if refuse is not None:
        refuse()
    defaults = getattr(model, "independent_vars_defvals", {})
    missing = [name for name in model.independent_vars if name not in given and name not in result.userkws and name not in defaults]
    if missing:
        example = ", ".join(f"{name}=..." for name in missing)
        msg = f"the data of a loaded fit aren't in its file; give the coordinates to evaluate at: {example}"
        raise DocumentError(msg, missing=missing)


def with_band(result: SurfaceResult, given: Mapping[str, Any]) -> None:
    """
    Whether a loaded result can tell its band at these coordinates; any other can.

    Raises
    ------
    DocumentError
        As `answerable`, and if the file had no covariance.
    """
    answerable(result, given)
    if (
        result.__dict__.get("observed") is None
        and result.covar is None
        and any(par.vary and not par.expr for par in result.params.values())
    ):
        msg = "the file of this fit holds no covariance, so there is no band; eval() gives the model's values"
        raise DocumentError(msg)


def gradient(result: SurfaceResult, given: Mapping[str, Any], component: Any = None, params: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """
    Values and their derivatives with respect to the free parameters, at the solution or at `params`.

    Returns
    -------
    value : ndarray, shape S
    J : ndarray, shape (n, *S)
    """
    model = result.model if component is None else component
    coords = coordinates(result, given)
    params = result.params if params is None else params
    names = result._names
    structure = _structure(model, params, coords)
    if structure is not None:
        present = set(structure.parameters)
        free = tuple(name for name in names if name in present)
        known = tuple(name for name in structure.parameters if name not in free)
        program = structure.program(free, (), known)
        arrays = [np.asarray(coords[name]) for name in program.coordinates]
        with np.errstate(all="ignore"):
            value, columns = program.full([params[n].value for n in free], [], [params[n].value for n in known], arrays)
        shape = np.broadcast_shapes(np.shape(value), *(np.shape(a) for a in arrays), *(np.shape(c) for c in columns if c is not None))
        value = np.broadcast_to(value, shape)
        J = np.zeros((len(names), *shape), dtype=value.dtype)
        for name, column in zip(free, columns, strict=True):
            if column is not None:
                J[names.index(name)] = column
        if np.isfinite(J.sum()) or not np.isfinite(value.sum()):
            return np.array(value), J
    return _numerically(model, params, coords, names)


def _structure(model: Any, params: Any, coords: Mapping[str, Any]) -> Structure | None:
    """The model's graph with symbols for the coordinates, confirmed on these; None if there is none."""
    names = tuple(
        n for n, v in coords.items() if isinstance(v, np.ndarray | float | int) and not isinstance(v, bool) and n in model.independent_vars
    )
    arrays = {name: np.asarray(coords[name]) for name in names}
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        return None
    view = NewCoordinates({**coords, **arrays}, names, np.empty(shape))
    with np.errstate(all="ignore"):
        found = find_structure(model, params, view, getattr(model, "_structures", {}), symbolic_only=True)
        if found is None and any(hasattr(leaf, "on_data") for leaf in leaves(model)):
            # functions without a graph of their own (splines) are exact at these coordinates; nothing is kept
            found = find_structure(model, params, view, {})
        return found


@dataclass(frozen=True, eq=False)
class NewCoordinates:
    """Coordinates without data, as far as finding a structure needs them."""

    coords: dict[str, Any]
    names: tuple[str, ...]
    data: np.ndarray
    elementwise: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape


def _numerically(model: Any, params: Any, coords: Mapping[str, Any], names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    resolve, complex_ok = resolver(model, params)
    base = {name: par.value for name, par in params.items()}

    def whole(p: np.ndarray) -> np.ndarray:
        return np.asarray(evaluate(model, resolve(base | dict(zip(names, p.tolist(), strict=True))), coords))

    p0 = np.array([params[name].value for name in names])
    with np.errstate(all="ignore"):
        value = whole(p0)
        is_complex = np.iscomplexobj(value)

        def func(p: np.ndarray) -> np.ndarray:
            out = np.ascontiguousarray(np.broadcast_to(whole(p), value.shape)).reshape(-1)
            return out.astype(complex).view(float) if is_complex else out

        lower = np.array([params[name].min for name in names])
        upper = np.array([params[name].max for name in names])
        differentiator = numeric.choose(func, p0, complex_step=complex_ok and not is_complex, lower=lower, upper=upper)
        J = np.asarray(differentiator.jacobian(func, p0))
    J = np.where(np.isfinite(J), J, 0.0)
    if is_complex:
        J = np.ascontiguousarray(J).view(complex)
    return value, J.reshape(len(names), *value.shape)


def standard_error(result: SurfaceResult, J: np.ndarray) -> np.ndarray:
    """
    Standard error of a prediction from its gradient: finite wherever the gradient avoids the undetermined directions.

    Parameters
    ----------
    result : SurfaceResult
    J : ndarray, shape (n, *S)

    Returns
    -------
    ndarray, shape S
        Complex for complex values: errors of the real and imaginary part.
    """
    if np.iscomplexobj(J):
        return standard_error(result, J.real) + 1j * standard_error(result, J.imag)
    with np.errstate(all="ignore"):  # where the model overflows its band is nan
        return _standard_error(result, J)


def _standard_error(result: SurfaceResult, J: np.ndarray) -> np.ndarray:
    cov = result._covariance
    flat = J.reshape(len(J), -1)
    sd = np.sqrt(np.einsum("ij,ij->j", cov.root.T @ flat, cov.root.T @ flat)) * result._sd_scale
    if len(cov.null):
        parts = cov.null @ flat
        # compare with what the same parameters would contribute without cancelling, in any of the directions: an entry
        # that is rounding in one of them is none in another
        size = np.abs(cov.null).max(axis=0) @ np.abs(flat)
        sd[(np.abs(parts) > LOST * size).any(axis=0)] = np.inf
    return sd.reshape(J.shape[1:])
