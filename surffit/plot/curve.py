"""One variable: data, best fit with its confidence band, residuals below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from surffit.plot.figure import data_limits, label_once, set_data_limits
from surffit.plot.view import View, evaluate, finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PANELS", "CurveOptions", "draw_fit", "draw_residuals", "fine_grid"]

PANELS = ("fit", "residuals")
LEVEL = 0.95

_DATA, _FIT, _START, _EXCLUDED = "0.25", "#D55E00", "#009E73", "0.6"
_MAX_POINTS = 20_000  # more than a figure can show; beyond it every k-th point is drawn
_CURVE_POINTS = 400
_ERROR_BAR_WORDS = frozenset(
    {"barsabove", "capsize", "capthick", "ecolor", "elinewidth", "errorevery", "label", "lolims", "uplims", "xlolims", "xuplims"}
)


@dataclass(frozen=True, eq=False)
class CurveOptions:
    """lmfit's words for a plot: formats of data, fit and start, keywords of their artists, number of points of the curve."""

    datafmt: str = "o"
    fitfmt: str = "-"
    initfmt: str = "--"
    numpoints: int | None = None
    data_kws: Mapping[str, Any] | None = None
    fit_kws: Mapping[str, Any] | None = None
    init_kws: Mapping[str, Any] | None = None
    show_init: bool = False


def draw_fit(ax: Axes, view: View, result: Any, options: CurveOptions) -> None:
    """
    Draw data (with error bars where known), best fit and its 95 % confidence band.

    Parameters
    ----------
    ax : Axes
        Where to.
    view : View
        A fit in one variable.
    result : SurfaceResult
        The same fit, evaluated on a finer grid.
    options : CurveOptions
        lmfit's words.

    Notes
    -----
    Excluded points are grey crosses; those out of sight stand on the edge. Neither they nor the band nor error bars
    longer than the range of the data decide the limits of the axes.
    """
    before = data_limits(ax)
    x, shown = view.coords[0].ravel(), view.shown.ravel()
    data = view.data.ravel()
    grid, curve = _curve(view, result, options.numpoints)
    in_sight = [data[shown], curve]
    if options.show_init:
        start = evaluate(result, {view.names[0]: grid}, params=result.init_params, part=view.part)
        if start is not None:
            _line(ax, grid, start, options.initfmt, options.init_kws, color=_START, label="start", zorder=2)
            in_sight.append(start)
    in_sight.extend(_points(ax, x, data, view, options))
    _line(ax, grid, curve, options.fitfmt, options.fit_kws, color=_FIT, label="best fit", zorder=4)
    band = _band(result, view, grid)
    if band is not None:
        ax.fill_between(grid, *band, color=_FIT, alpha=0.25, linewidth=0, zorder=1, label=f"{LEVEL:.0%} confidence")
    hidden = ~view.used.ravel() & np.isfinite(x)
    set_data_limits(ax, before, [x[shown], x[hidden]], in_sight)
    _excluded(ax, x[hidden], data[hidden])
    ax.legend(framealpha=0.8)


def draw_residuals(ax: Axes, view: View, options: CurveOptions) -> None:
    """
    Draw the residuals against the variable, in sigma if the data's error is known.

    Parameters
    ----------
    ax : Axes
        Where to.
    view : View
        A fit in one variable.
    options : CurveOptions
        `datafmt` and `data_kws` are used; `fit_kws` go to the zero line.
    """
    before = data_limits(ax)
    values, label = view.scaled_residual()
    x, values = view.coords[0].ravel(), values.ravel()
    step = _step(x.size)
    zero = {"color": _FIT, "linewidth": 1.0, **_normal(options.fit_kws)}
    ax.axhline(0, **zero)
    if view.sigma is not None:
        ax.axhspan(-1, 1, color="0.5", alpha=0.15, linewidth=0)
    style = {word: value for word, value in (options.data_kws or {}).items() if word not in _ERROR_BAR_WORDS}
    _line(ax, x[::step], values[::step], options.datafmt, style, color=_DATA, markersize=_size(x.size), zorder=3)
    limit = np.nanmax(np.abs(values)) if np.isfinite(values).any() else 1.0
    hidden = ~view.used.ravel() & np.isfinite(x)
    set_data_limits(ax, before, [x[np.isfinite(values)], x[hidden]], [np.array([-limit, limit])])
    label_once(ax, y=label)


def fine_grid(x: np.ndarray, numpoints: int | None = None) -> np.ndarray:
    """
    Points at which the curve is drawn: each interval between neighbouring data is divided evenly.

    So the curve goes through the abscissae of all data, and is finer where they are.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Abscissae of the data; non-finite ones are skipped.
    numpoints : int, optional
        As in lmfit: that many points, evenly spaced, if there are fewer data.

    Returns
    -------
    ndarray, shape (m,)
        Ascending; m is at most 20 000.
    """
    own = np.unique(x[np.isfinite(x)])
    if own.size < 2:
        return own
    if numpoints is not None:
        return np.linspace(own[0], own[-1], numpoints) if x.size < numpoints else own
    parts = -(-_CURVE_POINTS // (own.size - 1))
    if parts == 1:
        return np.append(own[: -1 : _step(own.size)], own[-1])
    inner = own[:-1, None] + np.diff(own)[:, None] * (np.arange(parts) / parts)
    return np.append(inner.ravel(), own[-1])


def _curve(view: View, result: Any, numpoints: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Abscissae and values of the best fit; at the data where it can't be evaluated elsewhere."""
    x, shown = view.coords[0].ravel(), view.shown.ravel()
    grid = fine_grid(x[shown], numpoints)
    values = evaluate(result, {view.names[0]: grid}, part=view.part) if grid.size else np.empty(0)
    if values is None:
        grid, first = np.unique(x[shown], return_index=True)
        values = view.model.ravel()[shown][first]
    return grid, values


def _band(result: Any, view: View, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper edge of the confidence band; None if the fit has no covariance or the data are complex."""
    if view.part is not None or getattr(result, "covar", None) is None or not grid.size:
        return None
    try:
        with np.errstate(all="ignore"):
            band = result.predict(level=LEVEL, kind="confidence", **{view.names[0]: grid})
        lower, upper = (finite(np.broadcast_to(np.asarray(band[edge]), grid.shape)) for edge in ("lower", "upper"))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError):
        return None  # the function can't be evaluated between the data: a curve without band is still true
    return (lower, upper) if np.isfinite(lower).any() else None


def _points(ax: Axes, x: np.ndarray, data: np.ndarray, view: View, options: CurveOptions) -> list[np.ndarray]:
    """Draw the data that were used. Returns what their error bars want in sight."""
    pick = np.flatnonzero(view.shown.ravel())
    pick = pick[:: _step(pick.size)]
    style = {"color": _DATA, "markersize": _size(pick.size), "label": "data", "zorder": 3}
    if view.sigma is None:
        _line(ax, x[pick], data[pick], options.datafmt, options.data_kws, **style)
        return []
    error = view.sigma.ravel()[pick]
    keywords = {**style, "linestyle": "none", "elinewidth": 0.8, "capsize": 0, **_normal(options.data_kws)}
    if _has_color(options.datafmt):
        keywords.pop("color")
    ax.errorbar(
        x[pick], data[pick], yerr=np.where(np.isfinite(error), error, 0.0), fmt=options.datafmt, **_without_style(keywords, options.datafmt)
    )
    # a point that hardly counts may have an error bar that would squeeze all the others
    reach = np.ptp(data[pick]) if pick.size > 1 else np.inf
    sane = np.where(error <= max(reach, np.nanmedian(error)), error, np.nan)
    return [data[pick] - sane, data[pick] + sane]


def _excluded(ax: Axes, x: np.ndarray, data: np.ndarray) -> None:
    """Grey crosses at excluded points, at the edge for those out of sight."""
    if not x.size:
        return
    from matplotlib.lines import Line2D

    step = _step(x.size)
    x, data = x[::step], data[::step]
    low, high = sorted(ax.get_ylim())
    inside = np.isfinite(data) & (data >= low) & (data <= high)
    style: dict[str, Any] = {"marker": "x", "linestyle": "none", "color": _EXCLUDED, "markersize": _size(x.size) + 1, "zorder": 2}
    label = "excluded"
    for where, height, transform in (
        (inside, data, None),
        (~inside & (data > high), np.full(x.shape, 0.985), ax.get_xaxis_transform()),
        (~inside & ~(data > high), np.full(x.shape, 0.015), ax.get_xaxis_transform()),
    ):
        if where.any():
            # add_artist, unlike add_line, leaves the limits alone
            line = Line2D(x[where], height[where], label=label, **style)
            if transform is not None:
                line.set_transform(transform)
            ax.add_artist(line)
            label = "_excluded"


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, fmt: str, keywords: Mapping[str, Any] | None, **defaults: Any) -> None:
    """``ax.plot`` with our defaults where neither format nor keywords say otherwise."""
    if _has_color(fmt):
        defaults.pop("color", None)
    ax.plot(x, y, fmt, **{**defaults, **_normal(keywords)})


def _normal(keywords: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keywords of a line by their full names (ms becomes markersize), so that they replace our defaults."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return dict(normalize_kwargs(dict(keywords or {}), Line2D))


def _without_style(keywords: dict[str, Any], fmt: str) -> dict[str, Any]:
    """Error bars of a format that has a line of its own keep it."""
    if any(mark in fmt for mark in ("-", ":")):
        keywords.pop("linestyle", None)
    return keywords


def _has_color(fmt: str) -> bool:
    """Whether a format string names a colour."""
    return any(letter in fmt for letter in "bgrcmykwC")


def _step(count: int) -> int:
    """Every how many-th point is drawn."""
    return max(1, -(-count // _MAX_POINTS))


def _size(count: int) -> float:
    """Marker size [point] for so many points."""
    return 4.5 if count <= 80 else 3.0 if count <= 500 else 1.5
