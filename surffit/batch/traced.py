"""Engine "traced": the model's own compiled kernel in the driver that all models share."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from ..trace.scalar import NoScalarForm, scalar_function
from .cube import Rows
from .maps import Maps
from .slabs import Block
from .task import Task

__all__ = ["TracedEngine", "offer"]

_lock = threading.Lock()


def offer(task: Task, name: str) -> TracedEngine | str:
    """The engine, or why the model can't be compiled."""
    if task.structure is None:
        return "the model can't be traced"
    if task.structure.graph.is_complex:
        return "the model is complex"
    if task.options.clip is not None:
        return "it doesn't clip"
    started = time.perf_counter()
    try:
        kernel = _kernel(task)
    except NoScalarForm as err:
        return str(err)
    spent = time.perf_counter() - started
    words = f"compiled in {spent:.2f} s" if spent > 0.05 else "compiled before"
    return TracedEngine(task, kernel, f"exact derivatives from the function's graph, {words}")


def _kernel(task: Task) -> object:
    """The compiled kernel; kept with the graph, so that the same model compiles once."""
    from .driver import KERNEL

    structure: Any = task.structure
    key = ("scalar", task.free, task.known, task.coordinates)
    with _lock:
        if key not in structure.plans:
            structure.plans[key] = scalar_function(
                structure.builder, structure.node, free=task.free, known=task.known, coordinates=task.coordinates, signature=KERNEL
            )
        return structure.plans[key]


class TracedEngine:
    """
    Fits blocks by the driver.

    Parameters
    ----------
    task : Task
    kernel : compiled function
    reason : str
    """

    name = "traced"

    def __init__(self, task: Task, kernel: object, reason: str) -> None:
        self.task, self.kernel, self.reason = task, kernel, reason
        self._linear = np.array([name in task.linear for name in task.free], dtype=bool)

    def fit(self, block: Block, out: Maps) -> None:
        """Fit the data sets of a block."""
        task = self.task
        start, known = task.of(task.value, task.free, block), task.of(task.value, task.known, block)
        lower, upper = task.of(task.lower, task.free, block), task.of(task.upper, task.free, block)
        self.fit_rows(task.source.rows(block), start, lower, upper, known, out)

    def fit_rows(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """
        Fit data sets that have been gathered.

        Parameters
        ----------
        rows : Rows
        start, lower, upper : ndarray, shape (n, free parameters)
        known : ndarray, shape (n, fixed parameters)
        out : Maps
            Of these data sets.
        """
        from .driver import drive

        options, n, M = self.task.options, rows.size, len(self.task.free)
        P = np.ascontiguousarray(np.concatenate([start, known], axis=1))
        stderr = np.full((n, M), np.nan)
        covar = np.full((n if out.covar is not None else 0, M, M), np.nan)
        chisqr = np.full(n, np.nan)
        nobs, nfree, nfev = (np.zeros(n, dtype=np.int32) for _ in range(3))
        status = np.zeros(n, dtype=np.uint32)
        drive(
            self.kernel, rows.x, rows.x_offsets, rows.offsets, rows.y, rows.w, rows.status, P, self._linear,
            np.ascontiguousarray(lower), np.ascontiguousarray(upper), not options.scale_covar, options.max_nfev,
            options.ftol, options.xtol, options.gtol, stderr, covar, chisqr, nobs, nfree, nfev, status,
        )  # fmt: skip
        out.values[...], out.stderr[...] = P[:, :M].T, stderr.T
        out.chisqr[...], out.nobs[...], out.nfree[...], out.nfev[...], out.status[...] = chisqr, nobs, nfree, nfev, status
        if out.covar is not None:
            out.covar[...] = covar.transpose(1, 2, 0)
        unfitted = np.isnan(chisqr)
        if unfitted.any():
            out.fail(unfitted, 0)
