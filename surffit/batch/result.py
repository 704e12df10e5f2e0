"""What a batch has found: maps of values, errors and flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .maps import Maps
from .task import Task

__all__ = ["BatchResult"]


class BatchResult:
    """
    Fits of one model to many data sets.

    Attributes
    ----------
    engine, engine_reason : str
        Which engine ran, and why.
    complete : bool
        False if the batch was interrupted.
    """

    def __init__(
        self, task: Task, maps: Maps, shape: tuple[int, ...], wrap: Callable[[np.ndarray], Any], engine: Any, complete: bool
    ) -> None:
        self.task, self.maps, self.shape, self._wrap = task, maps, shape, wrap
        self.engine, self.engine_reason, self.complete = engine.name, engine.reason, complete

    @property
    def values(self) -> Mapping[str, Any]:
        """Best values by name of parameter, shape of the map."""
        return {name: self._wrap(row.reshape(self.shape)) for name, row in zip(self.task.free, self.maps.values, strict=True)}

    @property
    def stderr(self) -> Mapping[str, Any]:
        """Their errors."""
        return {name: self._wrap(row.reshape(self.shape)) for name, row in zip(self.task.free, self.maps.stderr, strict=True)}

    @property
    def status(self) -> Any:
        """Flags, see `surffit.Status`."""
        return self._wrap(self.maps.status.reshape(self.shape))
