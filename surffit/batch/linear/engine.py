"""
Models that are linear in all that varies: one solve per data set, without starts.

Engine "common" serves data sets that share columns and weights: one pseudo-inverse for all. Engine "weighted" gives each its own normal
equations. Both look at 64 data sets at a time where these lie in one array, and hand on, one by one, what needs QR or loses outliers.
"""

from __future__ import annotations

import os
from typing import Any, cast

import numpy as np

from ...solve.status import Status
from ..data.cube import Cube, Rows
from ..data.slabs import Block, slabs
from ..maps import Maps, Usual
from ..task import Options, Task
from .basis import Basis, conditioned
from .clip import LOOK, thresholds
from .design import Columns, Shared, shared_columns, why_not
from .scratch import Scratch
from .window import FLOATS, Field

__all__ = ["offer"]

LONGEST = 4096  # points beyond which 64 data sets no longer fit into a cache
SCRATCH = 1 << 15  # points gathered at once for normal equations: two tables of 256 kB
CHUNK = 1 << 18  # points gathered at once for what is done one by one
CONVERGED = np.uint32(Status.CONVERGED_GRADIENT)
NONE = np.zeros(1)
NOWHERE = np.zeros(1, dtype=np.int64)


def offer(task: Task, name: str) -> Common | Weighted | str:
    """An engine for linear tasks, or why there is none."""
    refusal = why_not(task)
    if refusal is not None:
        return refusal
    if not task.source.n_sets:
        return "there are no data sets"
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
            along = as_weights(given, cube.inverse)
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


def as_weights(error: np.ndarray, inverse: bool) -> np.ndarray:
    """1/sigma; nan where there is no error at all (negative, nan)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error >= 0, error, np.nan) if inverse else np.where(error > 0, 1.0 / error, np.nan)


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
        cube = task.source
        if basis is not None and isinstance(cube, Cube):
            self.data = Field(cube.y, cube.ndim, used)
            self.error = None if cube.error is None else Field(cube.error, cube.ndim, used, FLOATS)
            self.mask = None if cube.mask is None else Field(cube.mask, cube.ndim, used)

    def rest(self, block: Block, out: Maps, sets: np.ndarray) -> None:
        """Fit some data sets of a block of a cube one by one."""
        cube, basis = cast(Cube, self.task.source), cast(Basis, self.basis)
        data = self.data.at(block)
        error = None if self.error is None else self.error.at(block)
        mask = None if self.mask is None else self.mask.at(block)
        D = len(self.used)
        step = max(1, CHUNK // D)
        for begin in range(0, len(sets), step):
            here = sets[begin : begin + step]
            y = data.take(here).astype(float)
            w = np.ones_like(y)
            if error is not None:
                w = as_weights(error.take(here).astype(float), cube.inverse)
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
        from .single import single

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
        out.put(here, found)


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
        self.factor = None if factor is None else Field(factor, cast(Cube, task.source).ndim, np.zeros(1, dtype=np.intp), FLOATS)
        Q, R = np.linalg.qr((basis.V * along).T)
        n, K = len(used), len(basis.V)
        # columns and points in pairs, the first point twice: it is 0 where it is subtracted, else its weight is; weights take time
        self.Q = np.pad(np.ascontiguousarray(Q.T), ((0, K % 2), (0, n % 2)))
        self.along = np.empty(0) if (along == 1).all() and (n % 2 == 0 or basis.one is not None) else np.pad(along, (0, n % 2))
        self.T = np.ascontiguousarray(basis.T @ np.linalg.inv(R))
        self.C = self.T @ self.T.T
        left = 1.0 - np.einsum("dk,dk->d", Q, Q) if self.look < 3 else np.ones(n)
        lever = np.where(left > 1e-10, 1.0 / np.where(left > 1e-10, left, 1.0), 0.0)
        self.lever = np.pad(lever, (0, n % 2)) if self.look else np.empty(0)
        self.part = (1.0 / (n - K) if n > K else np.nan) if task.options.scale_covar else None
        self.deviation = np.sqrt(np.diag(self.C))
        self.alike = Usual({"nobs": n, "nfree": n - K, "nfev": 1, "status": int(CONVERGED)}, self.deviation, self.part)
        # one call per block: large ones, but enough for all processors
        self.block = max(1 << 14, min(1 << 16, task.source.n_sets // (8 * (os.cpu_count() or 1))))
        # errors that differ from data set to data set are not to be had from chi-square afterwards
        self.usual = self.alike if factor is None else None

    def fit(self, block: Block, out: Maps) -> None:
        """Fit the data sets of a block."""
        from .lanes import common_kernel

        basis, data = cast(Basis, self.basis), self.data.at(block)
        again = np.zeros(block.size, dtype=np.uint8)
        worst = np.empty(block.size if self.look else 0)
        one = np.zeros(len(self.T)) if basis.one is None else basis.one
        points, f0 = data.points, self.f0
        if len(points) % 2:
            points, f0 = np.append(points, points[0]), np.append(f0, 0.0) if len(f0) else f0
        where = (data.base, data.lanes, points, data.together)
        model = (f0, self.along, self.Q, self.lever, self.T, one, basis.one is not None)
        some = common_kernel(self.data.kind)(*where, *model, out.values, out.chisqr, worst, again)
        square = None if self.factor is None else self._square(block)
        if self.look:
            unit = out.chisqr if self.look != 2 else 1.0 if square is None else square
            again |= worst > self.critical[len(self.used)] * unit
        if square is not None:
            out.chisqr[:] /= square
            again |= ~(np.isfinite(out.chisqr) & np.isfinite(square) & (square > 0))
        if out.usual is None:
            self._write(out, 1.0 if square is None else square)
        if some or self.look or square is not None:
            sets = np.flatnonzero(again)
            if len(sets):
                self.rest(block, out, sets)

    def _square(self, block: Block) -> np.ndarray:
        """sigma^2 of the data sets; what is no error at all (0, negative, nan) is nan."""
        window = cast(Field, self.factor).at(block)
        scale = window.base[window.lanes].astype(float)
        square = np.where(scale > 0, scale, np.nan) ** 2
        return 1.0 / square if cast(Cube, self.task.source).inverse else square

    def _write(self, out: Maps, square: np.ndarray | float) -> None:
        """Errors, covariances and counts at once, where they can't wait."""
        for name, number in self.alike.counts.items():
            getattr(out, name)[:] = number
        s2 = square if self.part is None else self.part * square * out.chisqr
        out.stderr[:] = self.deviation[:, None] * np.sqrt(s2)
        if out.covar is not None:
            out.covar[:] = self.C[:, :, None] * s2


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
        # columns of its own for each data set take memory
        self.block = max(1, min(Options.block, CHUNK // max(1, cube.longest)))
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
        self.block = Options.block
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
            self.rest(block, out, np.arange(block.size))
            return
        again = np.zeros(block.size, dtype=np.uint8)
        D, whole = cube.longest, cast(Any, (*block.index, ...))
        data, error, mask = (None if array is None else array[whole] for array in (cube.y, cube.error, cube.mask))
        shape = cast(np.ndarray, data).shape[: cube.ndim]
        runs = slabs(shape, min(max(SCRATCH // D, 64), block.size))
        longest = -(-max(run.size for run in runs) // 64) * 64
        # what is gathered stays in the nearer caches while a kernel passes over it several times
        scratch = Scratch(D, longest, error is not None, mask is not None)
        for run in runs:
            scratch.fill(data, error, mask, run.index)
            self._normal(scratch, out.part(run), again[run.start : run.stop])
        sets = np.flatnonzero(again)
        if len(sets):
            self.rest(block, out, sets)

    def _normal(self, scratch: Scratch, out: Maps, again: np.ndarray) -> None:
        """Normal equations of what was gathered."""
        from .lanes import weighted_kernel
        from .single import GUARD

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
