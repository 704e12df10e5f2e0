"""One of lmfit's own models as a SurfaceModel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lmfit
import numpy as np

from .data import NAN_POLICIES
from .model import SurfaceModel, refuse_reserved
from .parameters import untouched
from .structure import own_eval


class LmfitModel(SurfaceModel):
    """One of lmfit's models (a leaf), wrapped: its function, hints, options, `guess` and `post_fit`."""

    def __init__(self, wrapped: lmfit.Model, linear: Sequence[str] | None = None) -> None:
        self._stated_linear = None if linear is None else tuple(linear)
        self._structures = {}
        mine = dict(wrapped.__dict__)
        mine["param_hints"] = {name: dict(hint) for name, hint in wrapped.param_hints.items()}
        for name in ("_param_names", "independent_vars", "_param_root_names", "_func_allargs"):
            mine[name] = None if mine[name] is None else list(mine[name])
        if mine["nan_policy"] not in NAN_POLICIES:
            mine["nan_policy"] = "raise"
        self.__dict__.update(mine)
        self.wrapped = wrapped
        refuse_reserved(self)

    def guess(self, data: Any, *args: Any, **kws: Any) -> lmfit.Parameters:
        """The wrapped model's guess, under this model's prefix and hints; images may keep their shape."""
        with untouched(self.wrapped):
            if np.ndim(data) > 1:  # lmfit's guesses take flat arrays only
                shape = np.shape(data)
                data, args = np.ravel(data), tuple(_flattened(value, shape) for value in args)
                kws = {name: _flattened(value, shape) for name, value in kws.items()}
            return self.wrapped.guess(data, *args, **kws)

    def make_params(self, verbose: bool = False, **kwargs: Any) -> lmfit.Parameters:
        """As the wrapped model does it."""
        if self.prefix != self.wrapped.prefix or self.param_hints != self.wrapped.param_hints:
            return super().make_params(verbose=verbose, **kwargs)
        with untouched(self.wrapped):
            return self.wrapped.make_params(verbose=verbose, **kwargs)

    def post_fit(self, fitresult: Any) -> None:
        """As the wrapped model does it."""
        self.wrapped.post_fit(fitresult)

    def eval(self, params: Any = None, **kwargs: Any) -> Any:
        """As the wrapped model does it, if it has its own way."""
        if own_eval(self.wrapped):
            return self.wrapped.eval(params=params, **kwargs)
        return super().eval(params=params, **kwargs)

    eval.evaluates_func = True  # type: ignore[attr-defined]


def _flattened(value: Any, shape: tuple[int, ...]) -> Any:
    return np.ravel(value) if np.shape(value) == shape else value
