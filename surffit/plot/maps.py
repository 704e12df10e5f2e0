"""Two variables: maps of data, model and residual, as cells on a grid, as coloured points elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from surffit.plot.figure import label_once
from surffit.plot.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

__all__ = ["PANELS", "Grid", "colorbar", "draw_maps", "draw_residual_map", "edges", "find_grid"]

PANELS = ("data", "model", "residual")

_MAX_CELLS = 1000  # per axis: about what a panel has pixels
_MAX_POINTS = 20_000
_COARSE = 2500  # cells: up to here each excluded one gets a cross
_FEW = 40  # excluded cells: up to here they get one in any image
_MARKED = 400  # samples: up to here they are marked where cells are uneven
_VALUES, _RESIDUALS, _NOTHING = "viridis", "RdBu_r", "0.82"


@dataclass(frozen=True, eq=False)
class Grid:
    """
    Points that form a rectangular grid, in whatever order they came.

    Attributes
    ----------
    x : ndarray, shape (nx,)
    y : ndarray, shape (ny,)
        Ascending coordinates of the columns and rows.
    index : ndarray of int, shape (ny, nx)
        Position of each cell in the raveled data, -1 where there is none.
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray

    def place(self, values: np.ndarray) -> np.ndarray:
        """Values of the data's shape as (ny, nx), nan in cells without data."""
        return np.where(self.index >= 0, values.ravel()[self.index], np.nan)

    def excluded(self, used: np.ndarray) -> np.ndarray:
        """Cells (ny, nx) that hold a point which was not used."""
        return (self.index >= 0) & ~used.ravel()[self.index]

    def thinned(self, most: int = _MAX_CELLS) -> Grid:
        """Every k-th row and column, so that neither has more than `most`."""
        row, column = (-(-count // most) for count in self.index.shape)
        return Grid(self.x[::column], self.y[::row], self.index[::row, ::column])


def find_grid(x: np.ndarray, y: np.ndarray) -> Grid | None:
    """
    Find the rectangular grid that points stand on.

    Parameters
    ----------
    x, y : ndarray, of one shape
        Coordinates. Two-dimensional ones with one varying along each axis are a grid at once, either axis first. Others
        are a grid if they fill at least six tenths of the cells of their distinct values, none twice.

    Returns
    -------
    Grid or None
        None for scattered points, and where a coordinate is not finite.
    """
    if x.size < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    index = np.arange(x.size).reshape(x.shape)
    if x.ndim == 2:
        for across, down, places in ((x, y, index), (x.T, y.T, index.T)):
            if (across == across[:1]).all() and (down == down[:, :1]).all():
                columns, at_column = np.unique(across[0], return_index=True)
                rows, at_row = np.unique(down[:, 0], return_index=True)
                if columns.size == across.shape[1] and rows.size == down.shape[0]:
                    return Grid(columns, rows, places[np.ix_(at_row, at_column)])
    columns, column = np.unique(x.ravel(), return_inverse=True)
    rows, row = np.unique(y.ravel(), return_inverse=True)
    cells = columns.size * rows.size
    if min(columns.size, rows.size) < 2 or not 0.6 * cells <= x.size <= cells:
        return None
    table = np.full((rows.size, columns.size), -1)
    table[row, column] = index.ravel()
    return Grid(columns, rows, table) if np.count_nonzero(table >= 0) == x.size else None


def edges(centres: np.ndarray) -> np.ndarray:
    """
    Edges of cells, halfway between neighbouring centres.

    Parameters
    ----------
    centres : ndarray, shape (n,)
        Ascending.

    Returns
    -------
    ndarray, shape (n + 1,)
        The outer ones mirror the inner ones; a single centre gets a cell of a tenth of its size.
    """
    if centres.size == 1:
        half = 0.05 * abs(centres[0]) or 0.5
        return np.array([centres[0] - half, centres[0] + half])
    middle = centres[:-1] + 0.5 * np.diff(centres)
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def draw_maps(axes: Sequence[Axes], view: View, data_kws: Mapping[str, Any] | None = None) -> None:
    """
    Draw data, model and residual side by side; on a single Axes the data with contours of the model.

    Parameters
    ----------
    axes : sequence of Axes, length 1 or 3
        Where to.
    view : View
        A fit in two variables.
    data_kws : mapping, optional
        Keywords of ``pcolormesh`` or ``scatter`` for data and model, such as ``cmap`` or ``vmax``.

    Notes
    -----
    Data and model share one colour scale: the range of the model and of the data (of more than two hundred points the
    outermost half per cent is left to the arrows of the colour bar). The scale of the residual is symmetric about zero.
    Excluded points are grey, with a cross while there are few of them, and decide no scale.
    """
    grid = find_grid(*view.coords)
    low, high, extend = value_limits(view)
    style = {"cmap": _VALUES, "vmin": low, "vmax": high, **(data_kws or {})}
    if "norm" in style:
        style.pop("vmin"), style.pop("vmax")
    left_out = int(view.used.size - np.count_nonzero(view.used))
    heading = "data" if not left_out else f"data ({left_out} of {view.used.size} excluded, grey)"
    mapped = _draw(axes[0], view, grid, view.data, style)
    if len(axes) == 1:
        _contours(axes[0], view, grid, low, high)
        colorbar(mapped, axes, view.data_label, extend)
        label_once(axes[0], title=heading if grid is None else f"{heading}; contours: model")
        return
    label_once(axes[0], title=heading)
    _draw(axes[1], view, grid, view.model, style, everywhere=True)
    label_once(axes[1], title="model")
    colorbar(mapped, axes[:2], view.data_label, extend)
    draw_residual_map(axes[2], view, grid=grid)
    label_once(axes[2], title="residual")


def draw_residual_map(ax: Axes, view: View, *, grid: Grid | None = None, data_kws: Mapping[str, Any] | None = None) -> None:
    """
    Draw the residual map, in sigma if the data's error is known.

    Parameters
    ----------
    ax : Axes
        Where to.
    view : View
        A fit in two variables.
    grid : Grid, optional
        Of its points, if it is known already.
    data_kws : mapping, optional
        Keywords of ``pcolormesh`` or ``scatter``.
    """
    values, label = view.scaled_residual()
    limit, extend = residual_limit(values)
    style = {"cmap": _RESIDUALS, "vmin": -limit, "vmax": limit, **(data_kws or {})}
    if "norm" in style:
        style.pop("vmin"), style.pop("vmax")
    mapped = _draw(ax, view, find_grid(*view.coords) if grid is None else grid, values, style)
    colorbar(mapped, [ax], label, extend)


def value_limits(view: View) -> tuple[float, float, str]:
    """
    Colour scale that data and model share.

    Parameters
    ----------
    view : View
        Only points that were used count.

    Returns
    -------
    low, high : float
        low < high.
    extend : {"neither", "min", "max", "both"}
        Where data lie beyond.
    """
    data, model = view.data[view.shown], view.model[view.used & np.isfinite(view.model)]
    if not data.size and not model.size:
        return 0.0, 1.0, "neither"
    ends = [np.quantile(data, [0.005, 0.995], method="inverted_cdf")] if data.size > 200 else [data]
    inner = np.concatenate([*ends, model])
    low, high = float(inner.min()), float(inner.max())
    if not high - low > 1e-12 * max(abs(low), abs(high)):  # a constant still needs a scale
        pad = 0.05 * max(abs(low), abs(high)) or 1.0
        return low - pad, high + pad, "neither"
    return low, high, _extend(bool((data < low).any()), bool((data > high).any()))


def residual_limit(values: np.ndarray) -> tuple[float, str]:
    """
    Half-width of a symmetric colour scale.

    Parameters
    ----------
    values : ndarray
        Residuals; nan is skipped.

    Returns
    -------
    limit : float
        Largest size of a residual; of more than two hundred the 99.5 % quantile. 1 if all are zero.
    extend : {"neither", "min", "max", "both"}
        Where values lie beyond.
    """
    values = values[np.isfinite(values)]
    if not values.size or not values.any():
        return 1.0, "neither"
    sizes = np.abs(values)
    limit = float(np.quantile(sizes, 0.995, method="inverted_cdf") if sizes.size > 200 else sizes.max()) or float(sizes.max())
    return limit, _extend(bool((values < -limit).any()), bool((values > limit).any()))


def _extend(below: bool, above: bool) -> str:
    """matplotlib's word for which ends of a colour bar are arrows."""
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]


def _draw(
    ax: Axes, view: View, grid: Grid | None, values: np.ndarray, style: dict[str, Any], *, everywhere: bool = False
) -> ScalarMappable:
    """One panel: cells on a grid, coloured points elsewhere. `everywhere`: excluded points have a colour too (the model's)."""
    ax.set(xlabel=view.labels[0], ylabel=view.labels[1])
    if grid is not None:
        return _cells(ax, view, grid.thinned(), values, style, everywhere)
    return _scatter(ax, view, values, style, everywhere)


def _cells(ax: Axes, view: View, grid: Grid, values: np.ndarray, style: dict[str, Any], everywhere: bool) -> ScalarMappable:
    import matplotlib as mpl

    excluded = grid.excluded(view.used)
    cells = grid.place(values)
    if not everywhere:
        cells[excluded] = np.nan
    colors = mpl.colormaps.get_cmap(style["cmap"]).with_extremes(bad=_NOTHING)
    mesh = ax.pcolormesh(edges(grid.x), edges(grid.y), np.ma.masked_invalid(cells), **{"rasterized": True, **style, "cmap": colors})
    if excluded.any() and (cells.size <= _COARSE or np.count_nonzero(excluded) <= _FEW):
        row, column = np.nonzero(excluded)
        ax.plot(grid.x[column], grid.y[row], "x", color="0.35", markersize=4, markeredgewidth=0.8)
    uneven = not (_uniform(grid.x) and _uniform(grid.y))
    if uneven and grid.index.size <= _MARKED:  # where in its cell the sample was taken
        row, column = np.nonzero((grid.index >= 0) & ~excluded)
        ax.plot(grid.x[column], grid.y[row], "o", color="white", markersize=2.4, markeredgecolor="0.2", markeredgewidth=0.4)
    if not uneven and _square(grid):
        ax.set_aspect("equal")
    return mesh


def _scatter(ax: Axes, view: View, values: np.ndarray, style: dict[str, Any], everywhere: bool) -> ScalarMappable:
    x, y = (coordinate.ravel() for coordinate in view.coords)
    values, used = values.ravel(), view.used.ravel()
    drawn = np.isfinite(values) & (used | everywhere) & np.isfinite(x) & np.isfinite(y)
    pick = np.flatnonzero(drawn)
    pick = pick[:: max(1, -(-pick.size // _MAX_POINTS))]
    size = float(np.clip(16_000 / max(1, pick.size), 2.0, 45.0))
    outline = {"edgecolors": "0.3", "linewidths": 0.4} if pick.size <= 500 else {"edgecolors": "none"}
    points = ax.scatter(x[pick], y[pick], c=values[pick], **{"s": size, "rasterized": pick.size > 5000, **outline, **style})
    hidden = np.flatnonzero(~used & np.isfinite(x) & np.isfinite(y))
    if hidden.size:
        hidden = hidden[:: max(1, -(-hidden.size // _MAX_POINTS))]
        ax.plot(x[hidden], y[hidden], "x", color="0.55", markersize=4 if hidden.size <= _MARKED else 2, markeredgewidth=0.8)
    return points


def _contours(ax: Axes, view: View, grid: Grid | None, low: float, high: float) -> None:
    """White contours of the model over a map of the data."""
    if grid is None or min(grid.index.shape) < 2:
        return
    grid = grid.thinned(200)
    model = np.ma.masked_invalid(grid.place(view.model))
    if model.count() >= 4 and np.ptp(model.compressed()) > 0:
        ax.contour(grid.x, grid.y, model, levels=np.linspace(low, high, 9)[1:-1], colors="white", linewidths=0.9)


def colorbar(mapped: ScalarMappable, axes: Sequence[Axes], label: str, extend: str) -> None:
    """A colour bar right of the last Axes."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = axes[0].get_figure(root=True)
    assert figure is not None  # noqa: S101 - an Axes that is drawn on stands in a figure
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        # this layout makes room for it, and so it is as high as a map of fixed aspect
        figure.colorbar(mapped, cax=axes[-1].inset_axes((1.03, 0.0, 0.045, 1.0)), label=label, extend=extend)
    else:
        figure.colorbar(mapped, ax=list(axes), label=label, extend=extend, fraction=0.06 if len(axes) == 1 else 0.035, pad=0.02)


def _uniform(centres: np.ndarray) -> bool:
    """Whether neighbours are equally far apart (to the rounding of the coordinates)."""
    steps = np.diff(centres)
    return steps.size < 2 or bool(np.ptp(steps) <= 1e-6 * steps.mean())


def _square(grid: Grid) -> bool:
    """Whether cells are square and the map isn't much longer than wide: an image, not a table."""
    ny, nx = grid.index.shape
    if min(nx, ny) < 2 or max(nx, ny) > 4 * min(nx, ny):
        return False
    return bool(np.isclose(grid.x[1] - grid.x[0], grid.y[1] - grid.y[0], rtol=1e-6, atol=0.0))
