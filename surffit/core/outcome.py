"""One call of `fit` as it was asked for, and what it found: the records that pass between solving and showing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lmfit
import numpy as np

from ..exceptions import ParameterError
from ..solve.verdict import Solution
from .bound import Bound
from .data import FitData

Rough = tuple[tuple[str, ...], np.ndarray]  # full names of parameters, and rows whose squared sum is added to the cost


@dataclass(eq=False)
class FitCall:
    """The arguments of one call of `SurfaceModel.fit`."""

    data: Any
    coords: dict[str, Any]
    errors: dict[str, Any]
    mask: Any
    nan_policy: str | None  # None: what each model of a joint fit says
    method: str = "separable"
    iter_cb: Callable[..., Any] | None = None
    scale_covar: bool = True
    calc_covar: bool = True
    max_nfev: int | None = None
    fit_kws: dict[str, Any] = field(default_factory=dict)
    coerce: bool = True
    loss: Any = "linear"
    priors: Any = None
    unstarted: tuple[str, ...] = ()  # whose start is but the default of one of lmfit's functions
    roughness: tuple[Rough, ...] = ()  # what smoothing surfaces in the model are held by

    @property
    def own(self) -> bool:
        """Whether our solver walks; "emcee" samples around its minimum."""
        return self.method in ("separable", "emcee")

    @property
    def plain(self) -> bool:
        """Whether this is least squares of the data alone."""
        linear = self.loss is None or (isinstance(self.loss, str) and self.loss == "linear")
        return linear and not self.priors and not self.roughness


@dataclass(eq=False)
class Outcome:
    """What a fit found, for `SurfaceResult` to show."""

    params: lmfit.Parameters
    started: list[tuple[Any, ...]]
    data: FitData
    bound: Bound
    solution: Solution
    call: FitCall
    notes: list[str]
    limit: int
    solver_status: Any = None
    solver_message: str | None = None
    model: Any = None  # as it stands for these data; see `settled`


def refuse_mapped(result: Any) -> None:
    """
    For what needs the solver's own end: a result in another basis has none.

    Raises
    ------
    ParameterError
        If the result was made by `to_basis`.
    """
    basis = result.__dict__.get("_mapped")
    if basis:
        msg = f"this result was mapped to the {basis} basis and holds no solution to go on from; do that with the fit it was made of"
        raise ParameterError(msg, basis=basis)
