"""The guess of a sum of models: background first, then part after part on what is left."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np
from lmfit.model import CompositeModel

from ..solve.rough import beneath, resisting, some, strong_and_some
from .data import open_door
from .parameters import untouched
from .settle import settled
from .structure import evaluate, leaves

if TYPE_CHECKING:
    from .model import SurfaceModel

# points that decide about linear parameters, and sums of as many parts are gone through again
_POINTS = 4000
_SWEEPS = 4


@dataclass
class _Term:
    """One term of the sum, with its present values (full names)."""

    model: SurfaceModel
    sign: float
    linear: tuple[str, ...]
    values: dict[str, float] = field(default_factory=dict)

    @property
    def background(self) -> bool:
        return set(self.linear) >= set(self.model.param_names)

    def at(self, coords: Mapping[str, np.ndarray], values: Mapping[str, float] | None = None) -> np.ndarray:
        known = _variables(self.model)
        used = {name: array for name, array in coords.items() if name in known}
        value = np.asarray(evaluate(self.model, values or self.values, used), dtype=float)
        shape = next(iter(coords.values())).shape
        return self.sign * np.broadcast_to(value, shape)

    def columns(self, coords: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """What the term is with its linear parameters at 0, and what each adds at 1."""
        zero = {**self.values, **dict.fromkeys(self.linear, 0.0)}
        rest = self.at(coords, zero)
        return rest, [self.at(coords, {**zero, name: 1.0}) - rest for name in self.linear]


def guess_sum(model: SurfaceModel, data: Any, coords: Mapping[str, Any], given: Mapping[str, Any]) -> lmfit.Parameters:
    """
    Starts of a sum of models.

    Parameters
    ----------
    model : SurfaceComposite
    data : array_like
        Points that are not finite are left out.
    coords : mapping of str to array_like
    given : mapping of str to float
        Values that override the guess.

    Returns
    -------
    lmfit.Parameters

    Raises
    ------
    NotImplementedError
        If a term neither is linear in all its parameters nor has a `guess`.

    Notes
    -----
    Terms linear in all parameters (planes, polynomials, constants) are fitted to most of the points. What is left goes to the other
    terms one after the other, the one that describes most first; then each is guessed again with all others subtracted, as long as
    that helps.
    """
    opened = open_door(data, coords, nan_policy="omit")
    model = settled(model, opened)
    with untouched(model):
        params = model.make_params()
    z = np.asarray(opened.data if opened.used is None else opened.data[opened.used], dtype=float).ravel()
    points = {name: opened.select(opened.coords[name]) for name in opened.names}
    with np.errstate(all="ignore"):
        parts = [_Term(part, sign, tuple(part.linear)) for sign, part in terms(model)]
        for part in parts:
            if not part.background and _cannot_guess(part.model):
                msg = f"guess() is not known for {part.model.name} in the sum {model.name}; give starts by make_params(...)"
                raise NotImplementedError(msg)
        found = _Search(parts, z, points).run()
    for name, value in {**found, **given}.items():
        if isinstance(value, Mapping):
            params[name].set(**value)
        elif name in params and not params[name].expr:
            params[name].value = getattr(value, "value", value)
    return params


class _Search:
    def __init__(self, parts: list[_Term], z: np.ndarray, points: dict[str, np.ndarray]) -> None:
        self.z, self.points = z, points
        self.background = [part for part in parts if part.background]
        self.parts = [part for part in parts if not part.background]
        rows = strong_and_some(z, _POINTS)
        # strong points stand for themselves in the cost only: they are where peaks are
        self.judged = (z[rows], {name: value[rows] for name, value in points.items()})
        rows = some(np.arange(z.size), _POINTS)
        self.seen = (z[rows], {name: value[rows] for name, value in points.items()})

    def run(self) -> dict[str, float]:
        self._level(self.seen[0], beneath)
        if not self.parts:
            return self._values()
        todo = list(self.parts)
        done: list[_Term] = []
        while todo:
            done.append(self._next(todo, done))
            todo = [part for part in todo if part is not done[-1]]
        best = (self._cost(), self._values())
        for _ in range(_SWEEPS):
            self._level(self.seen[0] - sum(part.at(self.seen[1]) for part in self.parts), resisting)
            if len(self.parts) == 1 and self._cost() > 0.97 * best[0]:
                # the background was right from the start
                best = min((self._cost(), self._values()), best, key=lambda one: one[0])
                break
            for part in self.parts:
                self._guess(part, [p for p in self.parts if p is not part])
            cost = self._cost()
            enough = cost > 0.97 * best[0]
            if cost < best[0]:
                best = (cost, self._values())
            if enough:
                break
        return best[1]

    def _next(self, todo: list[_Term], done: list[_Term]) -> _Term:
        """Guess one of the terms that are left: the one that then describes most."""
        if len({type(part.model) for part in todo}) == 1:
            self._guess(todo[0], done)
            return todo[0]
        costs = []
        for part in todo:
            self._guess(part, done)
            costs.append(self._cost([*done, part]))
        return todo[int(np.argmin(costs))]

    def _guess(self, part: _Term, others: list[_Term]) -> None:
        """Guess one term on the data without the background and the other terms."""
        rest = self.z - sum(one.at(self.points) for one in (*self.background, *others))
        known = _variables(part.model)
        guessed = part.model.guess(part.sign * rest, **{name: v.copy() for name, v in self.points.items() if name in known})
        part.values = {name: float(guessed[name].value) for name in part.model.param_names}

    def _level(self, z: np.ndarray, fit: Any) -> None:
        """Fit the background terms to what is left for them."""
        if not self.background:
            return
        columns, names = [], []
        for part in self.background:
            rest, own = part.columns(self.seen[1])
            z = z - rest
            columns += own
            names += [(part, name) for name in part.linear]
        for (part, name), value in zip(names, fit(np.stack(columns), z), strict=True):
            part.values[name] = float(value)

    def _cost(self, parts: list[_Term] | None = None) -> float:
        """Sum of the sizes of what is left."""
        z, points = self.judged
        left = z - sum(part.at(points) for part in (*self.background, *(self.parts if parts is None else parts)))
        total = float(np.abs(left).sum())
        return total if np.isfinite(total) else np.inf

    def _values(self) -> dict[str, float]:
        return {name: value for part in (*self.background, *self.parts) for name, value in part.values.items()}


def terms(model: lmfit.Model, sign: float = 1.0) -> list[tuple[float, Any]]:
    """
    The terms of sums and differences, with their signs.

    Parameters
    ----------
    model : lmfit.Model
    sign : float

    Returns
    -------
    list of (float, SurfaceModel)
    """
    if isinstance(model, CompositeModel) and model.op in (operator.add, operator.sub):
        return terms(model.left, sign) + terms(model.right, sign if model.op is operator.add else -sign)
    return [(sign, model)]


def _cannot_guess(model: Any) -> bool:
    model = getattr(model, "wrapped", model)
    return isinstance(model, CompositeModel) or type(model).guess is lmfit.Model.guess


def _variables(model: lmfit.Model) -> set[str]:
    return {name for leaf in leaves(model) for name in leaf.independent_vars}
