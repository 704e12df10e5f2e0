"""The columns of a linear batch: what the model is made of at the points of the data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from ...core.structure import Structure
from ...trace.emit import Program
from ..data.cube import Cube, Rows
from ..data.slabs import Block
from ..task import Task

__all__ = ["Columns", "Shared", "program_of", "shared_columns", "why_not"]


def why_not(task: Task) -> str | None:
    """Why a task can't be fitted by linear algebra alone; None where it can."""
    structure = task.structure
    if structure is None:
        return "the model can't be traced"
    if not task.free:
        return "nothing varies"
    found = structure.linear(task.free, task.free)
    # a parameter that the model can't feel is in neither
    searched = [name for name in task.free if name not in task.linear and name in (*found.names, *found.nonlinear)]
    if searched:
        return f"the model is not linear in {', '.join(searched)}"
    if structure.concrete or set(structure.coordinates) - set(task.coordinates):
        return "the coordinates are no arguments of the graph"
    if structure.graph.is_complex:
        return "the model is complex"
    for name in task.free:
        if np.max(task.lower[name]) > -np.inf or np.min(task.upper[name]) < np.inf:
            return f"{name} has bounds"
    return None


def program_of(task: Task) -> Program:
    """The model's columns as code."""
    structure = cast(Structure, task.structure)
    return structure.program((), task.free, task.known)


@dataclass(frozen=True, eq=False)
class Shared:
    """
    Columns that all data sets share.

    Attributes
    ----------
    phi : ndarray, shape (K, D)
    f0 : ndarray, shape (D,) or (0,)
        The part without free parameters; (0,) where it vanishes.
    lines : list of ndarray, shape (D,)
        Coordinates that the model depends on.
    """

    phi: np.ndarray
    f0: np.ndarray
    lines: list[np.ndarray]


class Columns:
    """
    Evaluates the columns of a model.

    Parameters
    ----------
    task : Task
        Linear in all its free parameters.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.program = program_of(task)
        self.order = [task.coordinates.index(name) for name in self.program.coordinates]

    @property
    def per_set(self) -> bool:
        """Whether fixed parameters differ from data set to data set."""
        return self.task.varies(self.task.value, self.task.known)

    def at(self, x: np.ndarray, known: list[float | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """phi (K, points) and f0 (points,) or (0,) at coordinates x (number of coordinates, points)."""
        points = x.shape[1]
        with np.errstate(all="ignore"):
            f0, phi = self.program.columns([], known, tuple(x[j] for j in self.order))
            out = np.zeros((len(self.task.free), points))
            for row, column in zip(out, phi, strict=True):
                if column is not None:
                    row[:] = column
            return out, np.empty(0) if f0 is None else np.array(np.broadcast_to(f0, points), dtype=float)

    def of(self, rows: Rows, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """The same for each point of the data sets of a block, one after the other."""
        task, n = self.task, rows.size
        known: list[float | np.ndarray] = [task.value[name] for name in task.known]
        lengths = np.diff(rows.offsets)
        x = rows.x
        if rows.shared and n > 1:
            x = np.tile(x[:, : lengths[0]], n)
        if not self.per_set:
            return self.at(x, known)
        here = [value[block.start : block.stop] if isinstance(value, np.ndarray) else value for value in known]
        first = self._one(x, here, rows, 0)
        try:
            whole = self.at(x, [np.repeat(v, lengths) if isinstance(v, np.ndarray) else v for v in here])
        except (TypeError, ValueError):
            whole = None
        # some functions of numbers take no arrays, and some choose by their first element
        last = self._one(x, here, rows, n - 1)
        if whole is not None and self._same(whole, first, rows, 0) and self._same(whole, last, rows, n - 1):
            return whole
        parts = [self._one(x, here, rows, q) for q in range(n)]
        return np.concatenate([p[0] for p in parts], axis=1), np.concatenate([p[1] for p in parts])

    def _one(self, x: np.ndarray, known: list[float | np.ndarray], rows: Rows, q: int) -> tuple[np.ndarray, np.ndarray]:
        numbers: list[float | np.ndarray] = [float(v[q]) if isinstance(v, np.ndarray) else v for v in known]
        return self.at(x[:, rows.offsets[q] : rows.offsets[q + 1]], numbers)

    @staticmethod
    def _same(whole: tuple[np.ndarray, np.ndarray], one: tuple[np.ndarray, np.ndarray], rows: Rows, q: int) -> bool:
        cut = slice(rows.offsets[q], rows.offsets[q + 1])
        return all(
            len(b.T) == 0 or np.allclose(a[..., cut], b, rtol=1e-12, atol=0.0, equal_nan=True) for a, b in zip(whole, one, strict=True)
        )


def shared_columns(task: Task) -> Shared | None:
    """The columns where all data sets share them, else None."""
    source = task.source
    columns = Columns(task)
    if not isinstance(source, Cube) or not source.shared_coords or columns.per_set:
        return None
    D = source.longest
    x = np.array([source.line(c) for c in source.coords]) if source.coords else np.empty((0, D))
    phi, f0 = columns.at(x, [task.value[name] for name in task.known])
    return Shared(phi, f0, [x[j] for j in columns.order])
