"""Two models joined by an operator."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import lmfit
from lmfit.model import CompositeModel

from ..exceptions import ParameterError
from .keywords import has_option
from .model import SurfaceModel, refuse_reserved
from .sums import guess_sum


class SurfaceComposite(SurfaceModel, CompositeModel):
    """Two models joined by an operator; see `lmfit.model.CompositeModel`."""

    def __init__(self, left: lmfit.Model, right: lmfit.Model, op: Callable[..., Any], **kws: Any) -> None:
        self._structures = {}
        stated = [m._stated_linear for m in (left, right) if isinstance(m, SurfaceModel)]
        # two stated sets need not be linear together, so the composite finds its own unless both switch elimination off
        self._stated_linear = () if len(stated) == 2 and all(s == () for s in stated) else None
        CompositeModel.__init__(self, left, right, op, **kws)
        self.func = _composite  # lmfit's own placeholder can't be pickled
        refuse_reserved(self)

    def copy(self, **kwargs: Any) -> SurfaceModel:
        """An independent copy of the composite and its parts."""
        if kwargs:
            msg = f"copy() of a composite takes no {', '.join(kwargs)}; change the parts"
            raise ParameterError(msg)
        left, right = SurfaceModel.from_lmfit(self.left).copy(), SurfaceModel.from_lmfit(self.right).copy()
        out = SurfaceComposite(left, right, self.op)
        out.param_hints = {name: dict(hint) for name, hint in self.param_hints.items()}
        return out

    def make_funcargs(self, params: Any = None, kwargs: Any = None, strip: bool = True) -> dict[str, Any]:
        """As in lmfit."""
        return lmfit.Model.make_funcargs(self, params, kwargs, strip)

    def guess(self, data: Any, *args: Any, **kws: Any) -> lmfit.Parameters:
        """
        Starts of a sum or difference from data: what is linear in all its parameters first, then the other terms by their own `guess`.

        Parameters
        ----------
        data : array_like
            Points that are not finite are left out.
        *args
            Coordinates in the order of `independent_vars`.
        **kws
            Coordinates by name, and values that override the guess.

        Returns
        -------
        lmfit.Parameters

        Raises
        ------
        NotImplementedError
            For products and quotients, and for terms without a `guess`.
        """
        if self.op not in (operator.add, operator.sub):
            msg = f"guess() is not known for the product or quotient {self.name}; guess its parts and add their Parameters"
            raise NotImplementedError(msg)
        names = [name for name in self.independent_vars if not has_option(self, name)]
        given = {**dict(zip(names, args, strict=False)), **{name: kws.pop(name) for name in names if name in kws}}
        missing = [name for name in names if name not in given]
        unknown = [name for name in kws if name not in self.param_names]
        if missing or unknown:
            msg = f"guess() of {self.name} lacks the coordinate {missing[0]}; pass {missing[0]}=..." if missing else (
                f"guess() of {self.name} got {unknown[0]!r}, which is neither a coordinate nor a parameter ({', '.join(self.param_names)})"
            )  # fmt: skip
            raise ParameterError(msg, name=(missing or unknown)[0])
        return guess_sum(self, data, given, kws)

    guess.sees_to_points = True  # type: ignore[attr-defined]


def _composite(*args: Any, **kwargs: Any) -> None:
    """Stands where a composite has no function of its own; its parts do."""
