"""What is to be fitted: the model with its parameters, for every data set, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.structure import Structure
from .data.cube import Source
from .data.slabs import Block

__all__ = ["CLIPS", "STARTS", "Options", "Task"]

CLIPS = (None, "studentized", "known", "population")
STARTS = ("guess", "coarse", "neighbours")


@dataclass(frozen=True)
class Options:
    """
    How a batch is fitted; the words of `fit_many`.

    Attributes
    ----------
    scale_covar : bool
        Errors from the data's own scatter.
    covar : bool
        Whether covariances are kept.
    clip : {None, "studentized", "known", "population"}
    clip_all : bool
        Drop all outliers of a pass, not the worst one.
    nsigma : float
    maxiters : int
        Largest number of points (of passes, with `clip_all`) dropped from a data set.
    start : None, "guess", "coarse", "neighbours"
        Where starts come from.
    max_nfev : int
    ftol, xtol, gtol : float
    workers : int or None
        Threads; None: as many as there are processors for this process.
    block : int
        Data sets per block.
    """

    scale_covar: bool = True
    covar: bool = False
    clip: str | None = None
    clip_all: bool = False
    nsigma: float = 5.0
    maxiters: int = 5
    start: Any = None
    max_nfev: int = 60
    ftol: float = 1e-10
    xtol: float = 1e-10
    gtol: float = 1e-8
    workers: int | None = None
    block: int = 4096
    rng: Any = None


@dataclass(frozen=True, eq=False)
class Task:
    """
    One model, many data sets.

    Numbers that may differ from data set to data set are floats, or arrays of shape (n_sets,).

    Attributes
    ----------
    model : SurfaceModel
    source : Source
        The data.
    structure : Structure or None
        The traced model with its constraints; None where it can't be traced.
    coordinates : tuple of str
        Names of the source's coordinates, in its order.
    free : tuple of str
        Parameters that vary, in the model's order.
    linear : tuple of str
        Those of them in which the model is jointly linear.
    known : tuple of str
        Fixed parameters.
    tied : tuple of str
        Parameters that expressions tie to others.
    value, lower, upper : dict
        Start (or fixed value) and bounds by name, for `free` and `known`; nan where a linear parameter has no start.
    opts : dict
        Keyword options of the model that are no coordinates.
    params : lmfit.Parameters
        The same for one data set, for names, expressions and bounds.
    options : Options
    epochs : dict
        First instant of coordinates that came as dates and are seconds now (None for durations).
    """

    model: Any
    source: Source
    structure: Structure | None
    coordinates: tuple[str, ...]
    free: tuple[str, ...]
    linear: tuple[str, ...]
    known: tuple[str, ...]
    tied: tuple[str, ...]
    value: Mapping[str, float | np.ndarray]
    lower: Mapping[str, float | np.ndarray]
    upper: Mapping[str, float | np.ndarray]
    params: Any
    options: Options
    opts: Mapping[str, Any] = field(default_factory=dict)
    epochs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nonlinear(self) -> tuple[str, ...]:
        """Free parameters that must be searched."""
        return tuple(name for name in self.free if name not in self.linear)

    def of(self, what: Mapping[str, float | np.ndarray], names: tuple[str, ...], block: Block) -> np.ndarray:
        """Numbers of a block, shape (block.size, len(names)): ``task.of(task.value, task.free, block)``."""
        out = np.empty((block.size, len(names)))
        for k, name in enumerate(names):
            number = what[name]
            out[:, k] = number[block.start : block.stop] if isinstance(number, np.ndarray) else number
        return out

    def varies(self, what: Mapping[str, float | np.ndarray], names: tuple[str, ...]) -> bool:
        """Whether any of the numbers differs between data sets."""
        return any(isinstance(what[name], np.ndarray) for name in names)
