"""Non-linear models whose graph becomes a compiled kernel."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np

from ...exceptions import TraceError
from ...trace.derive import derive
from ...trace.emit import compile_program
from ...trace.scalar import ScalarKernel, scalar_kernel
from ..data.cube import Rows
from ..maps import Maps
from ..task import Task
from .common import Searching

__all__ = ["TracedEngine", "offer"]

# compiled kernels kept, by their source
KEPT = 128
_kernels: OrderedDict[str, Any] = OrderedDict()
_lock = threading.RLock()


def offer(task: Task, name: str) -> TracedEngine | str:
    """The engine, or why the model has no compiled form."""
    structure = task.structure
    if structure is None:
        return "the model can't be traced"
    if structure.concrete:
        return "the model's graph holds what belongs to one data set"
    try:
        emitted = scalar_kernel(
            structure.builder, structure.builder.lift(structure.node), task.free, task.known, task.coordinates,
            hoist=bool(getattr(task.source, "shared_coords", False)),
        )  # fmt: skip
        shape = _row_shape(task, emitted)
        kernel, seconds = _compiled(emitted)
    except TraceError as err:
        return str(err)
    except ImportError as err:
        return f"numba can't be imported ({err})"
    words = f"compiled in {seconds:.2f} s" if seconds else "compiled before"
    return TracedEngine(task, emitted, kernel, f"exact derivatives in a kernel of this model, {words}", shape)


def _compiled(emitted: ScalarKernel) -> tuple[Any, float]:
    """The kernel of a source, and the seconds that it took."""
    with _lock:
        kernel = _kernels.get(emitted.source)
        if kernel is not None:
            _kernels.move_to_end(emitted.source)
            return kernel, 0.0
        start = time.perf_counter()
        import numba

        from .driver import FLAGS, SIGNATURE
        from .exponential import exp
        from .specials import function

        plain = emitted.compile({name: function(name) for name in emitted.functions}, exp)
        kernel = numba.njit(SIGNATURE, nogil=True, error_model="numpy", fastmath=FLAGS)(plain)
        _kernels[emitted.source] = kernel
        while len(_kernels) > KEPT:
            _kernels.popitem(last=False)
        return kernel, time.perf_counter() - start


def _row_shape(task: Task, emitted: ScalarKernel) -> tuple[int, ...] | None:
    """Shape in which expressions of coordinates alone are computed; None: as they lie."""
    builder = task.structure.builder  # type: ignore[union-attr]
    shapes = {np.shape(builder.payload[i]) for i in builder.below(emitted.rows) if builder.ops[i] == "array"}
    if not shapes:
        return None
    whole: tuple[int, ...] | None = getattr(task.source, "fit_shape", None)
    for shape in shapes:
        if whole is None or np.broadcast_shapes(shape, whole) != whole:
            msg = f"the model holds an array of shape {shape}, which belongs to no shape of data"
            raise TraceError(msg)
    return whole


class TracedEngine(Searching):
    """
    A compiled kernel in the compiled driver.

    Parameters
    ----------
    task : Task
    emitted : ScalarKernel
    kernel : compiled function
    reason : str
    shape : tuple of int or None
        Of one data set, where the model holds arrays.
    """

    name = "traced"

    def __init__(self, task: Task, emitted: ScalarKernel, kernel: Any, reason: str, shape: tuple[int, ...] | None = None) -> None:
        from .driver import MOVING, SEARCHED, STATIC

        super().__init__(task)
        self.emitted, self.kernel, self.reason, self.shape = emitted, kernel, reason, shape
        structure: Any = task.structure
        builder, root = structure.builder, structure.builder.lift(structure.node)
        searched = builder.bits(task.nonlinear)
        kinds = []
        for name in task.free:
            slope = derive(builder, root, name)
            moving = slope is not None and builder.mask[slope] & searched
            kinds.append(SEARCHED if name not in task.linear else MOVING if moving else STATIC)
        self.kind = np.array(kinds, dtype=np.int64)
        self.hard = False
        self._row = None
        if emitted.rows:
            nodes = [builder.node(i) for i in emitted.rows]
            self._row = [compile_program(builder, node, nonlinear=(), linear=()) for node in nodes]
            self._places = [task.coordinates.index(name) if name in task.coordinates else -1 for name in builder.coordinates]

    def fit_rows(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """
        Fit gathered data sets.

        Parameters
        ----------
        rows : Rows
        start, lower, upper : ndarray, shape (n, free)
            nan where a linear parameter has no start.
        known : ndarray, shape (n, known)
        out : Maps
            Of these n data sets; overwritten, status included.
        """
        from .driver import fit_sets

        options = self.task.options
        if not rows.size:
            return
        status = np.array(rows.status, dtype=np.uint32)
        values, stderr, out.chisqr[...], out.nobs[...], out.nfree[...], out.nfev[...], covar, hard = fit_sets(
            self.kernel, _plain(rows.y), _plain(rows.w), self._rows(rows), rows.offsets, rows.x_offsets, status, _plain(start),
            _plain(lower), _plain(upper), _plain(known), self.kind, (options.ftol, options.xtol, options.gtol), options.max_nfev,
            options.scale_covar, out.covar is not None, self.hard,
        )  # fmt: skip
        self.hard |= hard
        out.values[...], out.stderr[...], out.status[...] = values.T, stderr.T, status
        if out.covar is not None:
            out.covar[...] = np.moveaxis(covar, 0, -1)

    def _rows(self, rows: Rows) -> np.ndarray:
        """Coordinates, and below them the expressions of coordinates alone."""
        if self._row is None:
            return _plain(rows.x)
        points = rows.x.shape[1] if len(rows.x) else int(np.diff(rows.offsets).max(initial=0))
        X = np.empty((len(rows.x) + len(self._row), points))
        X[: len(rows.x)] = rows.x
        whole = (-1, *self.shape) if self.shape is not None else (points,)
        coords = [rows.x[k].reshape(whole) if k >= 0 else np.zeros(1) for k in self._places]
        for line, program in zip(X[len(rows.x) :], self._row, strict=True):
            line[:] = np.broadcast_to(
                program.value([], [], [], coords), (points // int(np.prod(whole[1:], dtype=int)), *whole[1:])
            ).reshape(-1)
        return X


def _plain(array: np.ndarray) -> np.ndarray:
    return np.require(array, dtype=float, requirements=["C", "W", "A"])
