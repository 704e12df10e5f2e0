"""
Models that take something from the data before they are fitted: the domain of a polynomial, the points of a basis.

Such a model has a method ``on_data(data)`` that returns itself bound to the data, a copy; the model a user holds is never
changed. The fit runs with the bound model, and the result keeps it, so that results of two data sets each evaluate right.
"""

from __future__ import annotations

from typing import Any

import lmfit
from lmfit.model import CompositeModel

from .data import FitData


def settled(model: Any, data: FitData) -> Any:
    """
    The model as it stands for these data.

    Parameters
    ----------
    model : SurfaceModel
        Composites are looked into.
    data : FitData

    Returns
    -------
    SurfaceModel
        The model itself if it takes nothing from data.
    """
    return replaced(model, lambda leaf: leaf.on_data(data) if hasattr(leaf, "on_data") else leaf)


def replaced(model: Any, leaf: Any) -> Any:
    """A composite with other leaves, kept with the composite; the model itself if ``leaf(part)`` is the part for all."""
    if not isinstance(model, CompositeModel):
        return leaf(model)
    left, right = replaced(model.left, leaf), replaced(model.right, leaf)
    if left is model.left and right is model.right:
        return model
    cache: dict[Any, lmfit.Model] = model._structures
    key = ("settled", id(left), id(right))
    if key not in cache:
        out = type(model)(left, right, model.op)
        out.param_hints = {name: dict(hint) for name, hint in model.param_hints.items()}
        cache[key] = out
        # the first fit has made room for itself already
        while len(cache) > 64:
            cache.pop(next(iter(cache)))
    return cache[key]
