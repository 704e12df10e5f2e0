"""The fitted models at the data and at other coordinates, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.columns import free_name
from ...core.containers import is_dataarray
from ...core.predict import coordinates
from ...core.significance import half_width
from ...exceptions import DataError, ShapeError
from ..data.cube import Rows, moved
from ..data.slabs import Block, slabs
from .evaluate import numbers_of

if TYPE_CHECKING:
    from .result import BatchResult

__all__ = ["best_fit", "params_of", "points_of", "predict", "residual", "rows_with_fit"]

# points evaluated at a time
POINTS = 200_000


def params_of(batch: BatchResult, block: Block, tied: bool = True) -> dict[str, np.ndarray]:
    """All parameters of the data sets of a block, shape (n,) each; tied ones where they are asked for and a graph doesn't make them."""
    cut, task = slice(block.start, block.stop), batch.task
    out = {name: numbers_of(task.value[name], block) for name in task.known}
    out.update(zip(task.free, batch.maps.values[:, cut], strict=True))
    if tied and not batch.evaluator.traced:
        out.update({name: batch._numbers(name)[0][cut] for name in task.tied})
    return out


def points_of(rows: Rows, n: int) -> list[np.ndarray]:
    """Coordinates of a block whose data sets are equally long: (points,) where they share them, else (n, points)."""
    return list(rows.x) if rows.shared else [x.reshape(n, -1) for x in rows.x]


def rows_with_fit(batch: BatchResult, what: str) -> Iterator[tuple[Block, Rows, np.ndarray]]:
    """Blocks of the data with the model there, (n, points)."""
    source = batch.source(what)
    for block in source.blocks(max(1, POINTS // max(1, source.longest))):
        rows = source.rows(block)
        yield block, rows, batch.evaluator.value(params_of(batch, block), points_of(rows, block.size))


def _empty(batch: BatchResult) -> np.ndarray:
    """An array for the data's shape, map axes first; C order in the order of axes that the data came in."""
    shape = (*batch.shape, *batch.task.source.fit_shape)  # type: ignore[attr-defined]
    axes = batch._axes
    if axes is None:
        return np.empty(shape)
    k, ndim = len(axes), len(shape)
    order = [0] * ndim  # where each axis of `shape` stands in the data
    rest = iter([a for a in range(ndim) if a not in axes])
    order = [*(next(rest) for _ in range(ndim - k)), *axes]
    whole = np.empty([shape[order.index(a)] for a in range(ndim)])
    return whole.transpose(order)


def best_fit(batch: BatchResult) -> np.ndarray:
    """Shape map + fit axes."""
    out = _empty(batch) if batch.source("best_fit") else np.empty(0)
    for block, rows, fitted in rows_with_fit(batch, "best_fit"):
        piece = np.where(rows.w.reshape(fitted.shape) != 0, fitted, np.nan)
        _put(out, block, piece)
    return out


def residual(batch: BatchResult, weighted: bool) -> np.ndarray:
    """Shape map + fit axes."""
    out = _empty(batch) if batch.source("residual()") else np.empty(0)
    for block, rows, fitted in rows_with_fit(batch, "residual()"):
        w = rows.w.reshape(fitted.shape)
        piece = rows.y.reshape(fitted.shape) - fitted
        _put(out, block, np.where(w != 0, piece * w if weighted else piece, np.nan))
    return out


def _put(out: np.ndarray, block: Block, piece: np.ndarray) -> None:
    place: Any = (*block.index, ...)
    target = out[place]
    target[...] = piece.reshape(target.shape)


def predict(batch: BatchResult, level: float | None, given: Mapping[str, Any]) -> Any:
    """See `BatchResult.predict`."""
    if level is not None and not 0 < level < 1:
        msg = f"level = {level!r} is outside 0 to 1; for 95 % pass level=0.95"
        raise DataError(msg)
    if level is not None and batch.maps.covar is None:
        _ = batch.covar  # raises, with the way to have them
    names = batch.task.coordinates
    unknown = [name for name in given if name not in names]
    missing = [name for name in names if name not in given]
    if unknown or (given and missing):
        which = f"got {', '.join(unknown)}" if unknown else f"lacks {', '.join(missing)}"
        msg = f"predict() {which}; give all of {', '.join(names) or 'none'}, or none for the data's own"
        raise DataError(msg, unknown=unknown, missing=missing)
    points = _Given(batch, given) if given else _Own(batch)
    shape = (*batch.shape, *points.shape)
    n_points = max(1, math.prod(points.shape))
    columns = [np.empty(shape) for _ in range(1 if level is None else 3)]
    for block in slabs(batch.shape, max(1, POINTS // n_points)):
        cut = slice(block.start, block.stop)
        params, coords = params_of(batch, block), points.at(block)
        if level is None:
            parts = [batch.evaluator.value(params, coords)]
        else:
            errors = dict(zip(batch.task.free, batch.maps.stderr[:, cut], strict=True))
            fit, J = batch.evaluator.gradient(params, coords, errors)
            nfree = batch.maps.nfree[cut] if batch.task.options.scale_covar else None
            half = np.reshape(half_width(level, nfree), (-1, 1)) * band_error(J, batch.maps.covar[..., cut], batch.maps.stderr[:, cut])  # type: ignore[index]
            parts = [fit, fit - half, fit + half]
        for column, part in zip(columns, parts, strict=True):
            column.reshape(batch.size, n_points)[cut] = part
    wrapped = [points.wrapped(column) for column in columns]
    return wrapped[0] if level is None else dict(zip(("fit", "lower", "upper"), wrapped, strict=True))


def band_error(J: np.ndarray, covar: np.ndarray, stderr: np.ndarray) -> np.ndarray:
    """
    Standard errors of predictions.

    Parameters
    ----------
    J : ndarray, shape (parameters, n, points)
    covar : ndarray, shape (parameters, parameters, n)
    stderr : ndarray, shape (parameters, n)
        inf: not determined by the data, and so is all that feels it; nan: held.

    Returns
    -------
    ndarray, shape (n, points)
    """
    with np.errstate(all="ignore"):
        spread = np.einsum("ijn,jnp->inp", np.where(np.isfinite(covar), covar, 0.0), J)
        sd = np.sqrt(np.maximum((spread * J).sum(axis=0), 0.0))
        lost = np.isinf(stderr)
        if lost.any():
            sd[(lost[:, :, None] & (J != 0)).any(axis=0)] = np.inf
        sd[np.isnan(stderr).all(axis=0)] = np.nan
    return sd


def _numbers(batch: BatchResult, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """New coordinates in the units of the fit, times as seconds from its first."""
    fit: Any = SimpleNamespace(userkws={}, units=batch.units, observed=SimpleNamespace(epochs=getattr(batch.task, "epochs", {})))
    return {name: np.asarray(value, dtype=float) for name, value in coordinates(fit, given).items()}


class _Own:
    """The data's own coordinates."""

    def __init__(self, batch: BatchResult) -> None:
        self.batch, self.source = batch, batch.source("predict() without coordinates")
        self.shape = self.source.fit_shape

    def at(self, block: Block) -> list[np.ndarray]:
        rows = self.source.rows(block)
        return points_of(rows, block.size)

    def wrapped(self, out: np.ndarray) -> Any:
        return self.batch._in_data(out)


class _Given:
    """New coordinates: the same for all data sets, or as many axes as the whole data."""

    def __init__(self, batch: BatchResult, given: Mapping[str, Any]) -> None:
        self.batch, self.given = batch, given
        axes = batch._axes if batch._axes is not None else (len(batch.shape),)
        ndim = len(batch.shape) + len(axes)
        arrays = _numbers(batch, given)
        whole = {name: array.ndim == ndim and bool(batch.shape) for name, array in arrays.items()}
        try:
            self.shape = np.broadcast_shapes(
                *(array.shape if not whole[name] else moved(array, axes).shape[len(batch.shape) :] for name, array in arrays.items())
            )
            self.arrays = []
            for name in batch.task.coordinates:
                array = arrays[name]
                if whole[name]:
                    view = moved(array, axes)
                    view = np.broadcast_to(view, (*batch.shape, *self.shape))
                else:
                    view = np.broadcast_to(array, self.shape)
                self.arrays.append((whole[name], view))
        except ValueError as err:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            msg = (
                f"the coordinates have shapes {shapes}, which don't fit together on a map of shape {batch.shape}; give arrays of one shape"
            )
            raise ShapeError(msg) from err
        self.axes = axes

    def at(self, block: Block) -> list[np.ndarray]:
        place: Any = (*block.index, ...)
        return [view[place].reshape(block.size, -1) if whole else view.reshape(-1) for whole, view in self.arrays]

    def wrapped(self, out: np.ndarray) -> Any:
        batch, k = self.batch, len(self.shape)
        if k == 0:
            return self._with_unit(batch._wrap(out))
        first = len(batch.shape)
        template = batch.labels.template
        if template is not None:
            dims, coords = self._named(k, template)
            return type(template)(out, dims=(*template.dims, *dims), coords={**template.coords, **coords}, attrs=template.attrs)
        axes = self.axes if k == len(self.axes) else range(min(self.axes), min(self.axes) + k)
        return self._with_unit(np.moveaxis(out, range(first, first + k), axes))

    def _with_unit(self, out: Any) -> Any:
        unit = self.batch.units.get("data")
        return out if unit is None or hasattr(out, "unit") else out * unit

    def _named(self, k: int, template: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Names of the new axes, none of them one of the map's, and coordinates along them."""
        taken = {*map(str, template.dims), *map(str, template.coords)}
        for value in self.given.values():
            if is_dataarray(value) and value.ndim == k and not taken & {*map(str, value.dims), *map(str, value.coords)}:
                return tuple(value.dims), dict(value.coords)
        if k > 1:
            return tuple(free_name(f"point_{i}", taken) for i in range(k)), {}
        name, value = next((name, value) for name, value in self.given.items() if np.ndim(value) == 1)
        own = free_name(name, taken)
        return (own,), {own: np.asarray(value)}
