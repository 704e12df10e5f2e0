"""Any number of variables: data and residuals against the fitted value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from surffit.plot.figure import label_once
from surffit.plot.view import View, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PANELS", "draw_fitted", "draw_fitted_residuals"]

PANELS = ("data against fitted", "residual against fitted")

_DATA, _LINE, _EXCLUDED = "0.25", "#D55E00", "0.6"
_MAX_POINTS = 20_000


def draw_fitted(axes: Sequence[Axes], view: View) -> None:
    """
    Draw data against the fitted values with the line of equality; on a second Axes the residuals against them.

    Parameters
    ----------
    axes : sequence of Axes, length 1 or 2
        Where to.
    view : View
        A fit in any number of variables, none included.
    """
    ax = axes[0]
    model, data = view.model.ravel(), view.data.ravel()
    drawn = view.shown.ravel() & np.isfinite(model)
    _points(ax, model, data, drawn)
    if drawn.any():
        ends = np.array([model[drawn].min(), model[drawn].max()])
        ax.plot(ends, ends, "-", color=_LINE, linewidth=1.2, label="data = fitted")
    _excluded(ax, model, data, ~view.used.ravel())
    label_once(ax, x=_fitted_label(view), y=view.data_label)
    ax.legend(framealpha=0.8)
    if len(axes) == 2:
        draw_fitted_residuals(axes[1], view)


def draw_fitted_residuals(ax: Axes, view: View) -> None:
    """
    Draw the residuals against the fitted values, in sigma if the data's error is known.

    Parameters
    ----------
    ax : Axes
        Where to.
    view : View
        A fit in any number of variables.
    """
    values, label = view.scaled_residual()
    model, values = view.model.ravel(), values.ravel()
    if view.sigma is not None:
        ax.axhspan(-1, 1, color="0.5", alpha=0.15, linewidth=0)
    ax.axhline(0, color=_LINE, linewidth=1.0)
    _points(ax, model, values, np.isfinite(values) & np.isfinite(model))
    label_once(ax, x=_fitted_label(view), y=label)


def _fitted_label(view: View) -> str:
    return with_unit("fitted", view.unit)


def _points(ax: Axes, x: np.ndarray, y: np.ndarray, drawn: np.ndarray) -> None:
    pick = np.flatnonzero(drawn)
    pick = pick[:: max(1, -(-pick.size // _MAX_POINTS))]
    size = 4.5 if pick.size <= 80 else 3.0 if pick.size <= 500 else 1.5
    ax.plot(x[pick], y[pick], "o", color=_DATA, markersize=size, alpha=1.0 if pick.size <= 500 else 0.5, markeredgewidth=0, label="data")


def _excluded(ax: Axes, x: np.ndarray, y: np.ndarray, hidden: np.ndarray) -> None:
    """Grey crosses; they leave the limits alone."""
    from matplotlib.lines import Line2D

    pick = np.flatnonzero(hidden & np.isfinite(x) & np.isfinite(y))
    if pick.size:
        ax.get_xlim(), ax.get_ylim()  # settles the limits by what is drawn so far
        pick = pick[:: max(1, -(-pick.size // _MAX_POINTS))]
        ax.add_artist(Line2D(x[pick], y[pick], marker="x", linestyle="none", color=_EXCLUDED, markersize=4, label="excluded"))
