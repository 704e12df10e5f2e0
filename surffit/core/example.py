"""Typical coordinates and values of a model, made from its hints where its class has no better ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from .data import open_door
from .keywords import has_option
from .parameters import untouched
from .settle import settled
from .structure import evaluate

__all__ = ["Exemplified"]

# ranges that are tried: positive (logarithms, powers), around zero, and below one
RANGES = ((0.5, 10.0), (-5.0, 5.0), (0.1, 1.0))
# free values are spread around these shares of the range, since equal ones hide which parameter does what
SIZES = (0.12, 0.4, 1.0)
POINTS = {1: (101,), 2: (31, 25), 3: (13, 11, 9)}
GOLDEN = 0.6180339887498949


class Exemplified:
    """`example()` of any model."""

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """
        Typical coordinates and values, for trying the model out.

        Those of a class that states none are made: values come from the hints (`value`, or inside `min` and `max`) and defaults,
        centres lie inside the coordinates, and of several ranges that one is taken which determines the parameters best.

        Returns
        -------
        coords : dict of str to ndarray
            Of one shape; a grid for models of several coordinates.
        values : dict of str to float
            One for each parameter.

        Raises
        ------
        ParameterError
            If the model is not finite for any of them.

        Examples
        --------
        >>> from surffit import SurfaceModel
        >>> def decay(t, height, tau):
        ...     return height * 2.0 ** (-t / tau)
        >>> coords, values = SurfaceModel(decay).example()
        >>> coords["t"].shape, sorted(values)
        ((101,), ['height', 'tau'])
        """
        best, found = np.inf, None
        with np.errstate(all="ignore"):
            for coords, values in _candidates(self):
                score = _condition(self, coords, values)
                if score is not None and (found is None or score < best):
                    best, found = score, (coords, values)
        if found is None:
            msg = (
                f"no example of {self.name} was found: for all values that were tried it is not finite, or not of the coordinates' "  # type: ignore[attr-defined]
                "shape; give its class a method example(), or its parameters hints with value="
            )
            raise ParameterError(msg)
        return found


def _candidates(model: Any) -> Iterator[tuple[dict[str, np.ndarray], dict[str, float]]]:
    names = [name for name in model.independent_vars if not has_option(model, name)]
    counts = POINTS.get(len(names), (5,) * len(names))
    for low, high in RANGES:
        axes = [np.linspace(low, high, count) for count in counts]
        coords = dict(zip(names, np.meshgrid(*axes, indexing="xy"), strict=True))
        for size in SIZES:
            yield coords, _values(model, names, (low, high), size)


def _values(model: Any, names: list[str], span: tuple[float, float], size: float) -> dict[str, float]:
    """One value per parameter, inside its bounds, no two alike."""
    with untouched(model):
        params = model.make_params()
    width = span[1] - span[0]
    for k, name in enumerate(model.param_names):
        par = params[name]
        root = name.removeprefix(model.prefix)
        hinted = model.param_hints.get(root, {}).get("value")
        if par.expr or hinted is not None:
            continue
        share = 0.7 + 0.6 * (GOLDEN * (k + 1) % 1.0)
        if _is_place(root, names):
            wanted = span[0] + width * 0.5 * share
        elif np.isfinite(par.min) and np.isfinite(par.max):
            wanted = par.min + (par.max - par.min) * 0.4 * share
        elif np.isfinite(par.min):
            wanted = par.min + width * size * share
        elif np.isfinite(par.max):
            wanted = par.max - width * size * share
        elif np.isfinite(par.value) and par.value != 0:
            continue
        else:
            wanted = width * size * share
        par.value = float(np.clip(wanted, par.min, par.max))
    return {name: float(params[name].value) for name in model.param_names}


def _is_place(root: str, coords: list[str]) -> bool:
    """Whether a parameter's name says that it is a position."""
    if len(coords) == 1 and root in ("center", "centre", "mu", "loc"):
        return True
    return any(root in (c + "0", c + "_0", c + "c", f"center{c}", f"center_{c}", f"centre_{c}", f"{c}_center", f"mu_{c}") for c in coords)


def _condition(model: Any, coords: dict[str, np.ndarray], values: dict[str, float]) -> float | None:
    """How badly the parameters are determined (condition of the scaled derivatives); None where the model is not finite."""
    shape = next(iter(coords.values())).shape if coords else (1,)
    leaf = settled(model, open_door(np.zeros(shape), coords))
    try:
        middle = np.asarray(evaluate(leaf, values, coords))
        if not np.isfinite(middle).all():
            return None
        columns = []
        for name, value in values.items():
            step = 1e-5 * max(abs(value), 0.1)
            ends = [np.asarray(evaluate(leaf, {**values, name: value + s}, coords)) for s in (step, -step)]
            columns.append(np.broadcast_to((ends[0] - ends[1]) / (2 * step), shape).ravel())
    except (ArithmeticError, ValueError):
        return None
    table = np.array(columns)
    norms = np.sqrt((np.abs(table) ** 2).sum(axis=1))
    if not np.isfinite(norms).all() or not norms.all():
        return float("inf")
    return float(np.linalg.cond(table / norms[:, None]))
