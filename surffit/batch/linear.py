"""
Models that are linear in all that varies: one solve per data set, without starts.

Engine "common" serves data sets that share columns and weights: one pseudo-inverse for all. Engine "weighted" gives each its own normal
equations. Both look at 64 data sets at a time where these lie in one array, and hand on, one by one, what needs QR or loses outliers.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ..solve.status import Status
from .cube import Cube, Rows
from .linear_basis import Basis, conditioned
from .linear_clip import LOOK, thresholds
from .linear_design import Columns, Shared, shared_columns, why_not
from .linear_scratch import Scratch
from .linear_window import FLOATS, Window, window
from .maps import Maps
from .slabs import Block, slabs
from .task import Task

__all__ = ["offer"]

LONGEST = 4096  # points beyond which 64 data sets no longer fit into a cache
SCRATCH = 1 << 15  # points gathered at once for normal equations: two tables of 256 kB
CHUNK = 1 << 19  # points gathered at once for what is done one by one
CONVERGED = np.uint32(Status.CONVERGED_GRADIENT)
NONE = np.zeros(1)


def offer(task: Task, name: str) -> Common | Weighted | str:
    """An engine for linear tasks, or why there is none."""
    refusal = why_not(task)
    if refusal is not None:
        return refusal
    if isinstance(task.source, Cube) and np.iscomplexobj(task.source.y):
        return "the data are complex"
    shared = shared_columns(task)
    if name == "weighted":
        return Weighted(task, shared)
    if shared is None:
        return "coordinates or fixed parameters differ from data set to data set"
    return _common(task, shared)


def _common(task: Task, shared: Shared) -> Common | str:
    cube = cast(Cube, task.source)
    if cube.mask is not None and not cube.is_shared(cube.mask):
        return "masks differ from data set to data set"
    D = cube.longest
    if D > LONGEST:
        return f"{D} points per data set are too many for it"
    used = np.ones(D, dtype=bool) if cube.mask is None else ~_line(cube, cube.mask).astype(bool)
    along, factor = np.ones(D), None
    if cube.error is not None:
        if cube.is_shared(cube.error):
            given = _line(cube, cube.error).astype(float)
            with np.errstate(divide="ignore", invalid="ignore"):
                along = given if cube.inverse else np.where(given > 0, 1.0 / given, np.nan)
            used &= along != 0
        elif _constant(cube, cube.error):
            factor = cube.error
        else:
            return "weights differ both along the fit axes and from data set to data set"
    fine = np.isfinite(along) & np.isfinite(shared.phi).all(axis=0) & np.all([np.isfinite(x) for x in cube_lines(cube)] + [used], axis=0)
    if len(shared.f0):
        fine &= np.isfinite(shared.f0)
    if (used & ~fine).any():
        return "weights, coordinates or columns are not finite at some points"
    if used.sum() < len(task.free):
        return "there are fewer points than parameters"
    basis = conditioned(shared.phi[:, used], along[used], [x[used] for x in shared.lines])
    root = np.linalg.svd(basis.V * along[used], compute_uv=False) if basis.full else np.zeros(1)
    if not root[-1] > 1e-6 * root[0]:
        return "the columns depend on each other"
    return Common(task, shared, basis, np.flatnonzero(used), along[used], factor)


def cube_lines(cube: Cube) -> list[np.ndarray]:
    """The shared coordinates."""
    return [cube.line(x) for x in cube.coords]


def _line(cube: Cube, array: np.ndarray) -> np.ndarray:
    return np.asarray(array[(0,) * cube.ndim]).reshape(-1)


def _constant(cube: Cube, array: np.ndarray) -> bool:
    """Whether an array is the same along the fit axes."""
    return all(n == 1 or stride == 0 for n, stride in zip(array.shape[cube.ndim :], array.strides[cube.ndim :], strict=True))


class _Linear:
    """
    What both engines share: the fits one by one.

    Parameters
    ----------
    task : Task
    shared : Shared or None
        Columns that all data sets share.
    basis : Basis or None
        Of these.
    used : ndarray of int
        Points that any data set may use.
    """

    def __init__(self, task: Task, shared: Shared | None, basis: Basis | None, used: np.ndarray) -> None:
        self.task, self.shared, self.basis, self.used = task, shared, basis, used
        self.look = LOOK[task.options.clip]
        self.critical = thresholds(task.options, len(task.free), task.source.longest)
        self.f0 = shared.f0[used] if shared is not None and len(shared.f0) else np.empty(0)

    def rest(self, block: Block, out: Maps, sets: np.ndarray, data: Window, error: Window | None, mask: Window | None) -> None:
        """Fit some data sets of a block of a cube one by one."""
        cube, basis = cast(Cube, self.task.source), cast(Basis, self.basis)
        D = len(self.used)
        step = max(1, CHUNK // D)
        for begin in range(0, len(sets), step):
            here = sets[begin : begin + step]
            y = data.take(here).astype(float)
            w = np.ones_like(y)
            if error is not None:
                w = error.take(here).astype(float)
                if not cube.inverse:
                    w = np.where(w > 0, 1.0 / w, np.nan)
            excluded = w == 0
            if mask is not None:
                excluded |= mask.take(here) != 0
            bad = ~(np.isfinite(y) & np.isfinite(w)) & ~excluded
            status = np.zeros(len(here), dtype=np.uint32)
            if not cube.omit:
                status[bad.any(axis=1)] = Status.NONFINITE_DATA
            excluded |= bad
            y[excluded] = w[excluded] = 0.0
            if len(self.f0):
                used_f0 = np.where(excluded, 0.0, self.f0)
            rows = np.arange(len(here))
            y0 = np.zeros(len(here))
            if basis.one is not None:
                y0 = y[rows, np.argmin(excluded, axis=1)]
                y -= y0[:, None]
            if len(self.f0):
                y -= used_f0
            y[excluded] = 0.0
            offsets = np.arange(len(here) + 1, dtype=np.int64) * D
            zeros = np.zeros(len(here), dtype=np.int64)
            one = NONE.repeat(len(basis.T)) if basis.one is None else basis.one
            flat = (y.reshape(-1), w.reshape(-1), offsets, y0, basis.V, zeros, basis.T, one, basis.size)
            self.one_by_one(flat, status, basis.full, out, here)

    def one_by_one(self, flat: Any, status: np.ndarray, full: bool, out: Maps, here: np.ndarray) -> None:
        """Call the kernel for data sets, and put what it found in its place."""
        from .linear_single import single

        options, K, m = self.task.options, len(self.task.free), len(here)
        found = Maps.empty(K, m, out.covar is not None)
        covar = np.empty((0, 0, 0)) if found.covar is None else found.covar
        how = (options.scale_covar, self.look, self.critical, options.clip_all, options.maxiters, full)
        maps = (found.values, found.stderr, found.chisqr, found.nobs, found.nfree, found.status, covar)
        single(*flat, *how, *maps)
        found.nfev[:] = 1
        bad = status != 0
        if bad.any():
            found.status[bad] = 0
            found.fail(bad, 0)
            found.status[bad] = status[bad]
            found.nfree[bad] = 0
        failed = (found.status & CONVERGED) == 0
        found.nfev[failed] = 0
        out.values[:, here], out.stderr[:, here], out.chisqr[here] = found.values, found.stderr, found.chisqr
        out.nobs[here], out.nfree[here], out.nfev[here] = found.nobs, found.nfree, found.nfev
        out.status[here] = found.status
        if out.covar is not None:
            out.covar[..., here] = found.covar


class Common(_Linear):
    """
    One pseudo-inverse for all data sets.

    Parameters
    ----------
    task : Task
    shared : Shared
    basis : Basis
    used : ndarray of int
        Points that are used.
    along : ndarray
        Weights at these points.
    factor : ndarray or None
        Errors that differ from data set to data set but not along the fit axes.
    """

    name = "common"

    def __init__(self, task: Task, shared: Shared, basis: Basis, used: np.ndarray, along: np.ndarray, factor: np.ndarray | None) -> None:
        super().__init__(task, shared, basis, used)
        words = "one pseudo-inverse serves all data sets"
        self.reason = f"{words}, {basis.how}" if basis.how else words
        self.along, self.factor = along, factor
        A = basis.V * along
        Q, R = np.linalg.qr(A.T)
        # the kernel sums four points at a time
        self.B = np.pad(np.linalg.solve(R, Q.T) * along, ((0, 0), (0, 3)))
        self.V = np.pad(basis.V, ((0, 0), (0, 3)))
        root = basis.T @ np.linalg.inv(R)
        self.C = root @ root.T
        h = np.einsum("dk,dk->d", Q, Q)
        left = 1.0 - h if self.look < 3 else np.ones_like(h)
        self.lever = np.where(left > 1e-10, along**2 / np.where(left > 1e-10, left, 1.0), 0.0) if self.look else np.empty(0)

    def fit(self, block: Block, out: Maps) -> None:
        """Fit the data sets of a block."""
        from .linear_lanes import common_kernel

        task, basis, cube = self.task, cast(Basis, self.basis), cast(Cube, self.task.source)
        K, n = len(task.free), len(self.used)
        data = window(cube.y, block, cube.ndim).at(self.used)
        scale = None if self.factor is None else window(self.factor, block, cube.ndim, FLOATS)
        kernel = common_kernel(data.base.dtype.str[1:], "f8" if scale is None else scale.base.dtype.str[1:])
        scales = (np.zeros(1, dtype=np.int64), np.empty(0)) if scale is None else (scale.lanes, scale.base)
        one = np.zeros(K) if basis.one is None else basis.one
        model = (self.f0, self.V, self.B, basis.T, one, basis.one is not None, self.along**2, self.lever, self.C)
        nfree = n - K if task.options.scale_covar else -1
        again = np.zeros(block.size, dtype=np.uint8)
        covar = np.empty((0, 0, 0)) if out.covar is None else out.covar
        limit = self.critical[n]
        results = (out.values, out.stderr, out.chisqr, covar, again)
        kernel(data.base, data.lanes, data.points, *scales, cube.inverse, *model, nfree, limit, self.look != 2, *results)
        out.nobs[:], out.nfree[:], out.nfev[:], out.status[:] = n, n - K, 1, CONVERGED
        sets = np.flatnonzero(again)
        if len(sets):
            error = None if cube.error is None else window(cube.error, block, cube.ndim, FLOATS).at(self.used)
            self.rest(block, out, sets, data, error, None)


class Weighted(_Linear):
    """
    Normal equations of each data set.

    Parameters
    ----------
    task : Task
    shared : Shared or None
        Columns that all data sets share; None: each has its own.
    """

    name = "weighted"

    def __init__(self, task: Task, shared: Shared | None) -> None:
        cube, K = task.source, len(task.free)
        if shared is None or not isinstance(cube, Cube):
            super().__init__(task, None, None, np.empty(0, dtype=np.intp))
            self.columns, self.lanes = Columns(task), False
            self.reason = "each data set has columns of its own"
            return
        fine = np.all([np.isfinite(x) for x in cube_lines(cube)] + [np.ones(cube.longest, dtype=bool)], axis=0)
        usable = np.isfinite(shared.phi).all(axis=0)
        if len(shared.f0):
            usable &= np.isfinite(shared.f0)
        if not (fine & usable).all():
            super().__init__(task, None, None, np.empty(0, dtype=np.intp))
            self.columns, self.lanes = Columns(task), False
            self.reason = "coordinates or columns are not finite at some points"
            return
        basis = conditioned(shared.phi, np.ones(cube.longest), shared.lines)
        super().__init__(task, shared, basis, np.arange(cube.longest))
        self.lanes = basis.full and cube.longest <= LONGEST and cube.longest >= K
        words = "normal equations of each data set" if basis.full else "the columns depend on each other: QR of each data set"
        self.reason = f"{words}, {basis.how}" if basis.how else words

    def fit(self, block: Block, out: Maps) -> None:
        """Fit the data sets of a block."""
        if self.basis is None:
            self._own_columns(block, out)
            return
        cube = cast(Cube, self.task.source)
        if not self.lanes:
            self._rest(block, out, np.arange(block.size))
            return
        again = np.zeros(block.size, dtype=np.uint8)
        D, whole = cube.longest, cast(Any, (*block.index, ...))
        data, error, mask = (None if array is None else array[whole] for array in (cube.y, cube.error, cube.mask))
        shape = cast(np.ndarray, data).shape[: cube.ndim]
        runs = slabs(shape, min(SCRATCH // D, block.size))
        longest = -(-max(run.size for run in runs) // 64) * 64
        # what is gathered stays in the nearer caches while a kernel passes over it several times
        scratch = Scratch(D, longest, error is not None, mask is not None)
        for run in runs:
            scratch.fill(data, error, mask, run.index)
            self._normal(scratch, out.part(run), again[run.start : run.stop])
        sets = np.flatnonzero(again)
        if len(sets):
            self._rest(block, out, sets)

    def _normal(self, scratch: Scratch, out: Maps, again: np.ndarray) -> None:
        """Normal equations of what was gathered."""
        from .linear_lanes import weighted_kernel
        from .linear_single import GUARD

        cube, basis, K = cast(Cube, self.task.source), cast(Basis, self.basis), len(self.task.free)
        kind = 0 if cube.error is None else 1 if cube.inverse else 2
        one = np.zeros(K) if basis.one is None else basis.one
        model = (self.f0, basis.V, basis.T, one, basis.one is not None)
        how = (cube.omit, self.task.options.scale_covar, self.look, self.critical, GUARD)
        covar = np.empty((0, 0, 0)) if out.covar is None else out.covar
        results = (out.values, out.stderr, out.chisqr, out.nobs, covar, again)
        weighted_kernel()(scratch.y, scratch.error, kind, scratch.mask, *model, *how, *results)
        np.subtract(out.nobs, K, out=out.nfree)
        out.nfev[:], out.status[:] = 1, CONVERGED

    def _rest(self, block: Block, out: Maps, sets: np.ndarray) -> None:
        cube = cast(Cube, self.task.source)
        error = None if cube.error is None else window(cube.error, block, cube.ndim, FLOATS)
        mask = None if cube.mask is None else window(cube.mask, block, cube.ndim)
        self.rest(block, out, sets, window(cube.y, block, cube.ndim), error, mask)

    def _own_columns(self, block: Block, out: Maps) -> None:
        """Data sets with columns of their own."""
        rows: Rows = self.task.source.rows(block)
        phi, f0 = self.columns.of(rows, block)
        lengths = np.diff(rows.offsets)
        set_of = np.repeat(np.arange(rows.size), lengths)
        used = rows.w != 0
        y, w, status = rows.y.copy(), rows.w.copy(), rows.status.copy()
        fine = np.isfinite(phi).all(axis=0)
        if len(f0):
            fine &= np.isfinite(f0)
            y -= np.where(used & fine, f0, 0.0)
        wrong = used & ~fine
        if wrong.any():
            status[np.unique(set_of[wrong])] |= np.uint32(Status.NONFINITE_START)
        phi[:, ~fine] = 0.0
        K = len(phi)
        flat = (y, w, rows.offsets, np.zeros(rows.size), phi, rows.offsets[:-1], np.eye(K), np.zeros(K), np.empty(0))
        self.one_by_one(flat, status, True, out, np.arange(rows.size))
