"""
Models that take something from the data before they are fitted: the domain of a polynomial, the points of a basis.

Such a model has a method ``on_data(data)`` that returns itself bound to the data, a copy, and says by its attribute ``basis`` what
its parameters mean then. The model a user holds is never changed. The fit runs with the bound model, and the result keeps it,
so that results of two data sets each evaluate right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmfit.model import CompositeModel

from ..exceptions import ParameterError
from .outcome import Rough
from .structure import leaves

# bound models that a composite or joint model keeps, with what was traced for them
KEPT = 32


def settled(model: Any, data: Any) -> Any:
    """
    The model as it stands for these data.

    Parameters
    ----------
    model : SurfaceModel
        Composites and joint models are looked into.
    data : FitData
        With `parts`, each one's data, for a joint model.

    Returns
    -------
    SurfaceModel
        The model itself if it takes nothing from data.

    Raises
    ------
    ParameterError
        If data sets share a parameter that would mean different things in them.
    """
    if hasattr(model, "parts"):
        return _joint(model, data)
    alone = not isinstance(model, CompositeModel)

    def bound(leaf: Any) -> Any:
        if not alone and getattr(leaf, "needs_alone", False):
            msg = f"{leaf.name} can't choose its smoothing beside another model; give a number, e.g. that of a fit by itself"
            raise ParameterError(msg)
        return leaf.on_data(data) if hasattr(leaf, "on_data") else leaf

    return replaced(model, bound)


def replaced(model: Any, leaf: Callable[[Any], Any]) -> Any:
    """A composite with other leaves, kept with the composite; the model itself if ``leaf(part)`` is the part for all."""
    if not isinstance(model, CompositeModel):
        return leaf(model)
    left, right = replaced(model.left, leaf), replaced(model.right, leaf)
    if left is model.left and right is model.right:
        return model
    return _kept(model, (left, right), lambda: type(model)(left, right, model.op))


def roughness(model: Any) -> tuple[Rough, ...]:
    """
    What the smoothing surfaces in a bound model are held by.

    Raises
    ------
    ParameterError
        If one of them is part of a joint model.
    """
    parts = model.parts.values() if hasattr(model, "parts") else (model,)
    found = tuple(rows for part in parts for leaf in leaves(part) if (rows := getattr(leaf, "roughness", None)) is not None)
    if found and hasattr(model, "parts"):
        msg = "a surface with smoothing= can't be part of a joint fit; take fewer intervals there, and smoothing=None"
        raise ParameterError(msg)
    return found


def notes(model: Any) -> list[str]:
    """What models have to say about what they took from the data."""
    parts = model.parts.values() if hasattr(model, "parts") else (model,)
    return [text for part in parts for leaf in leaves(part) for text in getattr(leaf, "notes", ())]


def _joint(model: Any, data: Any) -> Any:
    """A joint model of bound parts."""
    parts = {key: settled(part, data.parts[key]) for key, part in model.parts.items()}
    if all(parts[key] is part for key, part in model.parts.items()):
        return model
    meanings: dict[str, Any] = {}
    for part in parts.values():
        for leaf in leaves(part):
            for name in leaf.param_names if hasattr(leaf, "on_data") else ():
                if name in model.shared and meanings.setdefault(name, leaf.basis) != leaf.basis:
                    msg = f"{name} is shared, but the data sets differ in range, so that it would mean another coefficient in each"
                    raise ParameterError(f"{msg}; give the polynomials a common domain=", name=name)
    return _kept(model, tuple(parts.values()), lambda: type(model)(parts, model.shared, name=model._name))


def _kept(model: Any, parts: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """The model of these parts, from the last time or new; the parts stay alive with it, so that their ids are theirs."""
    cache: dict[Any, Any] = model._structures
    key = ("settled", *map(id, parts))
    if key not in cache:
        out = make()
        out.param_hints = {name: dict(hint) for name, hint in model.param_hints.items()}
        while len(cache) >= KEPT:
            cache.pop(next(iter(cache)), None)
        cache[key] = out
        return out
    return cache[key]
