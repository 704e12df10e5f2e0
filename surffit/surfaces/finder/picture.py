"""The data and the best laws, each with its residuals."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ...exceptions import DataError
from ...plot.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .found import FoundSurfaces

_MESH = 121
_MOST = 6
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito's, safe for the colour-blind
_MARKERS = ("o", "s", "^", "D", "v", "P")


def draw(found: FoundSurfaces, n: int, fig: Figure | None) -> Figure:
    """See `FoundSurfaces.plot`."""
    if not 1 <= n <= _MOST:
        msg = f"n={n}; a picture shows between 1 and {_MOST} laws"
        raise DataError(msg)
    count = min(n, len(found))
    if not count:
        msg = "there is no law to draw"
        raise DataError(msg)
    if len(found._task.names) == 1:
        return _curves(found, count, fig)
    return _maps(found, count, fig)


def _maps(found: FoundSurfaces, count: int, fig: Figure | None) -> Figure:
    """Data and laws above, weights and residuals below."""
    task = found._task
    x, y = task.points.raw
    z = task.points.z
    figure = new_figure((2.9 * (count + 1) + 0.6, 6.2)) if fig is None else fig
    axes = np.array(figure.subplots(2, count + 1, squeeze=False))
    low, high = float(z.min()), float(z.max())
    if not high > low:
        low, high = low - 0.5, high + 0.5
    size = float(np.clip(6000 / z.size, 3.0, 30.0))
    style = {"cmap": "viridis", "vmin": low, "vmax": high}
    shown = axes[0, 0].scatter(x, y, c=z, s=size, edgecolors="0.3", linewidths=0.3, rasterized=z.size > 5000, **style)
    axes[0, 0].set_title("data", fontsize="medium")
    across, down = np.linspace(x.min(), x.max(), _MESH), np.linspace(y.min(), y.max(), _MESH)
    xs, ys = np.meshgrid(across, down)
    residuals = [found._entries[i].residual / task.points.w for i in range(count)]
    limit = max(float(np.quantile(np.abs(r), 0.995)) for r in residuals) or 1.0
    for i, residual in enumerate(residuals):
        top, bottom = axes[0, i + 1], axes[1, i + 1]
        with np.errstate(all="ignore"):
            heights = values(found, i, {task.names[0]: xs, task.names[1]: ys})
        top.pcolormesh(across, down, np.ma.masked_invalid(heights), rasterized=True, shading="nearest", **style)
        top.plot(x, y, ".", color="white", markersize=1.5, alpha=0.6, rasterized=z.size > 5000)
        top.set_title(title(found, i), fontsize="small")
        left = bottom.scatter(
            x, y, c=residual, s=size, cmap="RdBu_r", vmin=-limit, vmax=limit, edgecolors="0.3", linewidths=0.3, rasterized=z.size > 5000
        )
        bottom.set_title("residuals", fontsize="small")
    for ax in (*axes[0], *axes[1, 1:]):
        ax.locator_params(nbins=5)
        ax.tick_params(labelsize="small")
        ax.set(xlim=_limits(x), ylim=_limits(y))
    for ax in axes[1, 1:]:
        ax.set_xlabel(label(found, 0))
    axes[0, 0].set(xlabel=label(found, 0), ylabel=label(found, 1))
    axes[1, 1].set_ylabel(label(found, 1))
    for ax in axes[0, 1:]:
        ax.tick_params(labelbottom=False, labelleft=False)
    for ax in axes[1, 2:]:
        ax.tick_params(labelleft=False)
    figure.colorbar(shown, ax=list(axes[0]), label=task.label, fraction=0.03, pad=0.01)
    figure.colorbar(left, ax=list(axes[1]), label=f"{task.label}: data − law", fraction=0.03, pad=0.01, extend="both")
    _weights(axes[1, 0], found, count)
    return figure


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The range and a little more."""
    low, high = float(values.min()), float(values.max())
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def _weights(ax: Axes, found: FoundSurfaces, count: int) -> None:
    """How the weight is shared."""
    weights = [entry.weight for entry in found._entries[:count]]
    rest = max(0.0, 1.0 - sum(weights))
    names = [f"law {i + 1}" for i in range(count)] + ["all others"]
    ax.barh(range(count + 1), [*weights, rest], color=["#0072B2"] * count + ["0.6"])
    ax.set_yticks(range(count + 1), names, fontsize="small")
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="weight")
    ax.set_title("weights of the laws", fontsize="small")
    ax.tick_params(labelsize="small")


def _curves(found: FoundSurfaces, count: int, fig: Figure | None) -> Figure:
    """One variable: the data with all laws, and their residuals."""
    task = found._task
    x, z = task.points.raw[0], task.points.z
    figure = new_figure((7.2, 5.6)) if fig is None else fig
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    top.plot(x, z, "o", color="0.25", markersize=4 if x.size < 300 else 2, label="data", zorder=1)
    fine = np.linspace(x.min(), x.max(), 501)
    for i in range(count):
        with np.errstate(all="ignore"):
            top.plot(fine, values(found, i, {task.names[0]: fine}), color=_COLORS[i], label=title(found, i).replace("\n", " "), zorder=2)
        residual = found._entries[i].residual / task.points.w
        bottom.plot(x, residual, _MARKERS[i], color=_COLORS[i], markersize=3.5, alpha=0.8)
    bottom.axhline(0.0, color="0.5", linewidth=0.8)
    top.set_ylabel(task.label)
    bottom.set(xlabel=label(found, 0), ylabel="data − law")
    top.legend(fontsize="small")
    return figure


def values(found: FoundSurfaces, place: int, coords: dict[str, Any]) -> np.ndarray:
    """Values of the law at a place of the table."""
    from .task import own_variables

    result = found[place]
    given = dict(zip(own_variables(result.model), coords.values(), strict=True))
    return np.broadcast_to(np.asarray(result.eval(**given), dtype=float), np.shape(next(iter(coords.values()))))


def title(found: FoundSurfaces, place: int) -> str:
    """Rank and formula, in short lines."""
    lines = wrap(found._entries[place].formula, 30)
    if len(lines) > 3:
        lines = [*lines[:2], lines[2][:26] + " ..."]
    return "\n".join([f"{place + 1}: {lines[0]}", *lines[1:]])


def label(found: FoundSurfaces, variable: int) -> str:
    """The variable, with the column it came from."""
    name = found._task.names[variable]
    column = found._task.labels.get(name, name)
    return name if column == name else f"{name} = {column}"
