"""Figures and Axes: made when none are given, counted when they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["data_limits", "given_axes", "label_once", "new_figure", "set_data_limits"]


def new_figure(
    size: tuple[float, float], fig_kws: Mapping[str, Any] | None = None, *, layout: str = "constrained", managed: bool = True
) -> Figure:
    """
    Make an empty figure with constrained layout.

    Parameters
    ----------
    size : tuple of float
        Width and height [inch].
    fig_kws : mapping, optional
        Keywords of `matplotlib.figure.Figure`, which win.
    layout : {"constrained", "compressed"}
        The second packs maps of fixed aspect with their colour bars.
    managed : bool
        True: a figure that ``plt.show()`` and notebooks know. False: one that pyplot never hears of.

    Returns
    -------
    matplotlib.figure.Figure
    """
    keywords = {"figsize": size, "layout": layout, **(fig_kws or {})}
    if managed:
        try:
            from matplotlib import pyplot as plt

            return plt.figure(**keywords)
        except ImportError:  # a window system is configured and can't be reached: the figure can still be saved
            pass
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(**keywords)
    FigureCanvasAgg(figure)
    return figure


def given_axes(ax: Any, panels: Sequence[str]) -> list[Axes] | None:
    """
    Check the Axes that a user handed in.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        One (it gets the main panel), or one for each panel.
    panels : sequence of str
        Names of the panels, the main one first.

    Returns
    -------
    list of Axes or None
        None if none were given.

    Raises
    ------
    ValueError
        If there are neither one nor as many as panels.
    TypeError
        If something in it isn't an Axes.
    """
    if ax is None:
        return None
    from matplotlib.axes import Axes

    axes = [ax] if isinstance(ax, Axes) else list(np.asarray(ax, dtype=object).ravel())
    for item in axes:
        if not isinstance(item, Axes):
            msg = f"ax holds a {type(item).__name__}, which is not a matplotlib Axes"
            raise TypeError(msg)
    if len(axes) not in (1, len(panels)):
        expected = "one Axes" if len(panels) == 1 else f"one Axes (for {panels[0]}) or {len(panels)} ({', '.join(panels)})"
        msg = f"ax has {len(axes)} Axes; give {expected}"
        raise ValueError(msg)
    return axes


def label_once(ax: Axes, *, x: str | None = None, y: str | None = None, title: str | None = None) -> None:
    """Set labels, and a title where the Axes has none yet."""
    if x is not None:
        ax.set_xlabel(x)
    if y is not None:
        ax.set_ylabel(y)
    if title and not ax.get_title():
        ax.set_title(title)


def data_limits(ax: Axes) -> np.ndarray | None:
    """What an Axes shows before we draw on it: corners (2, 2) of its data, or None if it is empty."""
    points = np.array(ax.dataLim.get_points())
    return points if ax.has_data() and np.isfinite(points).all() else None


def set_data_limits(ax: Axes, before: np.ndarray | None, x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> None:
    """
    Let exactly these values decide the limits, so that a wild band or an excluded point doesn't.

    Parameters
    ----------
    ax : Axes
        Already drawn on.
    before : ndarray, shape (2, 2), or None
        `data_limits` of the Axes before: stays in sight.
    x, y : sequence of ndarray
        Values that must be visible; non-finite ones are skipped.
    """
    box = np.array([_range(x), _range(y)]).T
    if before is not None:
        box = np.array([np.fmin(before[0], box[0]), np.fmax(before[1], box[1])])
    box[:, ~np.isfinite(box).all(axis=0)] = [[0.0], [1.0]]
    ax.dataLim.set_points(box)
    ax.autoscale_view()


def _range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Smallest and largest finite value, nan if there is none."""
    flat = np.concatenate([np.ravel(part) for part in values])
    flat = flat[np.isfinite(flat)]
    return (float(flat.min()), float(flat.max())) if flat.size else (np.nan, np.nan)
