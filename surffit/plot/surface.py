"""Two variables in space: the fitted surface, with the data standing above and below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from surffit.plot.maps import find_grid
from surffit.plot.view import ABOVE, BELOW, View, evaluate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_surface"]

_MESH = 61  # nodes of the drawn surface per axis
_MAX_POINTS = 500
_GOLDEN = 0.5 * (5**0.5 - 1)
_ELEVATION = 24
_DIRECTIONS = (-55, -125, 125, 55)  # azimuth [degree] of the eye, the usual one first


def draw_surface(ax: Axes, view: View, result: Any) -> None:
    """
    Draw the fitted surface in 3-D, with points above it red, points below it blue, each on a stem to the surface.

    Parameters
    ----------
    ax : Axes3D
        Where to.
    view : View
        A fit in two variables.
    result : SurfaceResult
        The same fit, evaluated on a regular mesh.

    Notes
    -----
    Parts of the surface far outside the range of the data are left away (an extrapolated corner would flatten the
    rest). The eye stands where the surface falls towards it. Excluded points are grey crosses.
    """
    space: Any = ax  # an Axes3D: its methods aren't those of Axes
    x, y = (coordinate.ravel() for coordinate in view.coords)
    data, model, shown = view.data.ravel(), view.model.ravel(), view.shown.ravel()
    low, high = _height_range(data[shown], model[view.used.ravel()])
    mesh = _mesh(view, result)
    if mesh is not None:
        xs, ys, heights = mesh
        margin = 0.1 * (high - low)
        heights = np.where((heights >= low - margin) & (heights <= high + margin), heights, np.nan)
        if np.isfinite(heights).any():
            _surface(space, xs, ys, heights, low, high)
            space.view_init(elev=_ELEVATION, azim=_azimuth(heights))
    _stems(space, x, y, data, model, shown)
    hidden = ~view.used.ravel() & (data >= low) & (data <= high)
    if hidden.any():
        space.plot(x[hidden], y[hidden], data[hidden], "x", color="0.5", markersize=4, label="excluded", zorder=3)
    if high > low:
        space.set_zlim(low, high)
    space.set(xlabel=view.labels[0], ylabel=view.labels[1], zlabel=view.data_label)
    space.tick_params(labelsize="small", pad=1)
    space.locator_params(nbins=6)
    if shown.any() or hidden.any():
        space.legend(loc="upper left", fontsize="small", framealpha=0.8, markerscale=1.5)


def _height_range(data: np.ndarray, model: np.ndarray) -> tuple[float, float]:
    """Range of the data that were used and of the model at them; widened if it is a single value."""
    heights = np.concatenate([data, model[np.isfinite(model)]])
    if not heights.size:
        return 0.0, 1.0
    low, high = float(heights.min()), float(heights.max())
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        pad = 0.05 * max(abs(low), abs(high)) or 1.0
        return low - pad, high + pad
    return low, high


def _mesh(view: View, result: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Coordinates and heights (m, m) of the surface; the data's own grid where the model can't be evaluated elsewhere."""
    x, y = (coordinate[view.used & np.isfinite(coordinate)] for coordinate in view.coords)
    if not x.size or not y.size:
        return None
    across, down = (np.linspace(values.min(), values.max(), _MESH) for values in (x, y))
    xs, ys = np.meshgrid(across, down)
    heights = evaluate(result, {view.names[0]: xs, view.names[1]: ys}, part=view.part)
    if heights is not None:
        return xs, ys, heights
    grid = find_grid(*view.coords)
    if grid is None or min(grid.index.shape) < 2:
        return None
    grid = grid.thinned(_MESH)
    xs, ys = np.meshgrid(grid.x, grid.y)
    return xs, ys, grid.place(view.model)


def _surface(space: Any, xs: np.ndarray, ys: np.ndarray, heights: np.ndarray, low: float, high: float) -> None:
    """The surface, coloured by height, under a fine net that shows its shape."""
    space.computed_zorder = False  # else a point just below the surface vanishes with all the others
    count = max(heights.shape)
    style = {"cmap": _light_viridis(), "vmin": low, "vmax": high, "rcount": count, "ccount": count}
    space.plot_surface(xs, ys, heights, **style, linewidth=0, antialiased=False, zorder=1)
    space.plot_wireframe(xs, ys, heights, rcount=13, ccount=13, color="0.2", linewidth=0.35, alpha=0.55, zorder=2)


def _light_viridis() -> Any:
    """viridis mixed with white: what transparency would give, without the seams it shows between facets."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(0.75 * mpl.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] + 0.25)


def _stems(space: Any, x: np.ndarray, y: np.ndarray, data: np.ndarray, model: np.ndarray, shown: np.ndarray) -> None:
    """Points coloured by the sign of their residual, joined to the surface."""
    pick = np.flatnonzero(shown & np.isfinite(x) & np.isfinite(y))
    if pick.size > _MAX_POINTS:  # steps of the golden ratio: even in both directions, where every k-th pixel makes stripes
        pick = np.unique(pick[(np.arange(1, _MAX_POINTS + 1) * _GOLDEN % 1.0 * pick.size).astype(int)])
    size = 16.0 if pick.size <= 150 else 6.0
    with np.errstate(invalid="ignore"):
        above = data[pick] >= model[pick]
    for side, color, label in ((above, ABOVE, "data above the surface"), (~above, BELOW, "data below the surface")):
        chosen = pick[side]
        if not chosen.size:
            continue
        look = {"s": size, "color": color, "edgecolors": "white", "linewidths": 0.3, "depthshade": False}
        space.scatter(x[chosen], y[chosen], data[chosen], label=label, zorder=4, **look)
        stems = chosen[np.isfinite(model[chosen])]
        # one broken line for all stems: a line object each would be slow
        gap = np.full(stems.size, np.nan)
        joined = [np.column_stack([start[stems], end[stems], gap]).ravel() for start, end in ((x, x), (y, y), (model, data))]
        space.plot(*joined, color=color, linewidth=0.8 if size > 10 else 0.5, zorder=3)


def _azimuth(heights: np.ndarray) -> int:
    """The direction of the eye from which the surface falls towards it, the usual one unless another is clearly better."""
    rise = np.nanmax(heights) - np.nanmin(heights) or 1.0
    down, across = np.indices(heights.shape) / (np.array(heights.shape)[:, None, None] - 1.0) - 0.5
    known = np.isfinite(heights)
    centred = (heights[known] - heights[known].mean()) / rise
    along_x, along_y = np.mean(centred * across[known]), np.mean(centred * down[known])
    slopes = [float(along_x * np.cos(angle) + along_y * np.sin(angle)) for angle in np.deg2rad(_DIRECTIONS)]
    best = int(np.argmin(slopes))
    return _DIRECTIONS[best if slopes[best] < slopes[0] - 0.01 else 0]
