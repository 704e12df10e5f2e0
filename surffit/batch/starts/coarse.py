"""Starts from a coarser map: means of k x k data sets are fitted first, which see fainter things and are few."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...exceptions import ParameterError
from ...solve.status import CONVERGED, FAILED
from ..data.cube import Rows
from ..data.slabs import Block, slabs
from ..data.stack import stacks
from ..maps import Maps
from ..search.ends import fill
from ..search.rowmodel import RowModel
from ..search.walk import walk
from ..task import Task

__all__ = ["Answers", "coarse_answers"]

SIDE = 4  # data sets along each axis of the map in a mean
BLOCK = 1024  # means at a time


@dataclass(frozen=True, eq=False)
class Answers:
    """
    Answers of a coarser map.

    Attributes
    ----------
    values : ndarray, shape (M, *coarse map)
        nan where the fit failed.
    shape : tuple of int
        Of the map itself.
    """

    values: np.ndarray
    shape: tuple[int, ...]

    def of(self, block: Block) -> np.ndarray:
        """The answers of the coarse sets in which the data sets of a block lie, shape (n, M)."""
        where = np.unravel_index(np.arange(block.start, block.stop), self.shape)
        coarse = np.ravel_multi_index(tuple(i // SIDE for i in where), self.values.shape[1:])
        return np.asarray(self.values.reshape(len(self.values), -1)[:, coarse].T)


def coarse_answers(task: Task, model: RowModel, starts: Any) -> Answers:
    """
    Fit the means of squares of the map.

    Parameters
    ----------
    task : Task
        With a cube whose data sets share their coordinates.
    model : RowModel
    starts : Starts
        For the means.

    Raises
    ------
    ParameterError
        If a mean has no meaning, because coordinates differ from data set to data set.
    """
    cube: Any = task.source
    if not cube.shared_coords:
        msg = 'start="coarse" takes means of neighbouring data sets, which needs coordinates that they share; use start="neighbours"'
        raise ParameterError(msg)
    shape = cube.map_shape
    small = tuple(-(-n // SIDE) for n in shape)
    values = np.full((len(task.free), math.prod(small)), np.nan)
    linear, nonlinear = ([task.free.index(name) for name in names] for names in (task.linear, task.nonlinear))
    for coarse in slabs(small, BLOCK):
        index = tuple(slice(s.start * SIDE, min(s.stop * SIDE, n)) for s, n in zip(coarse.index, shape, strict=True))
        rows = _means(cube, index, coarse)
        # numbers that differ from data set to data set: those of a square's first
        first = np.ravel_multi_index(tuple(SIDE * i for i in np.unravel_index(np.arange(coarse.start, coarse.stop), small)), shape)
        given, known, lower, upper = (_at(what, names, first) for what, names in (
            (task.value, task.free), (task.value, task.known), (task.lower, task.free), (task.upper, task.free),
        ))  # fmt: skip
        start = starts.complete(given, rows, known, lower, upper)
        out = Maps.empty(len(task.free), coarse.size, False)
        out.values[...] = np.nan
        for stack in stacks(rows, len(task.free)):
            nobs = np.count_nonzero(stack.w, axis=1)
            some = stack.take(np.flatnonzero(nobs >= len(task.free)))
            if len(some.index):
                at = some.index
                end = walk(model, some, start[at], known[at], lower[at], upper[at], linear, task.options)
                fill(out, at, end, start[at], lower[at], upper[at], nobs[nobs >= len(task.free)], nonlinear, task.options)
        good = ((out.status & np.uint32(CONVERGED)) != 0) & ((out.status & np.uint32(FAILED)) == 0)
        values[:, coarse.start : coarse.stop] = np.where(good, out.values, np.nan)
    return Answers(values.reshape(len(task.free), *small), shape)


def _at(what: Any, names: tuple[str, ...], where: np.ndarray) -> np.ndarray:
    out = np.empty((len(where), len(names)))
    for k, name in enumerate(names):
        out[:, k] = what[name][where] if isinstance(what[name], np.ndarray) else what[name]
    return out


def _means(cube: Any, index: tuple[slice, ...], coarse: Block) -> Rows:
    """Weighted means of the squares of a rectangle of the map."""
    sides = tuple(s.stop - s.start for s in index)
    small = [s.stop - s.start for s in coarse.index]
    D = cube.longest
    sum_w, sum_y = np.zeros((*small, D)), np.zeros((*small, D))
    x = np.empty((0, D))
    # a line of the map at a time: what the blocks of a source can be
    for number in np.ndindex(*sides[:-1]):
        line = tuple(slice(s.start + i, s.start + i + 1) for s, i in zip(index, number, strict=False))
        at = tuple(s.start for s in (*line, index[-1]))
        begin = int(np.ravel_multi_index(at, cube.map_shape))
        rows = cube.rows(Block(begin, begin + sides[-1], (*line, index[-1])))
        w2 = (rows.w * rows.w).reshape(sides[-1], D)
        w2[rows.status != 0] = 0.0
        x = rows.x
        edges = np.arange(0, sides[-1], SIDE)
        place = tuple(i // SIDE for i in number)
        sum_w[place] += np.add.reduceat(w2, edges, axis=0)
        sum_y[place] += np.add.reduceat(np.where(w2 > 0, w2 * rows.y.reshape(sides[-1], D), 0.0), edges, axis=0)
    y = np.where(sum_w > 0, sum_y / np.where(sum_w > 0, sum_w, 1.0), 0.0)
    n = coarse.size
    offsets = np.arange(n + 1, dtype=np.int64) * D
    return Rows(y.reshape(-1), np.sqrt(sum_w).reshape(-1), x, offsets, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.uint32))
