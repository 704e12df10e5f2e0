"""Pictures of a batch: maps with robust limits, a map of the flags, and the fit of the data set that is clicked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from surffit.exceptions import DataError, ParameterError
from surffit.plot import curve, flags
from surffit.plot.figure import given_axes, new_figure
from surffit.plot.maps import colorbar, edges
from surffit.plot.picker import Picker
from surffit.plot.view import make_view, plain, shorten, with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MapAxes", "plot_batch", "robust_limits"]

FIELDS = {
    "chisqr": "chi-square", "redchi": "reduced chi-square", "nobs": "points used", "nfree": "degrees of freedom",
    "nfev": "evaluations of the model", "status": "how the fits ended",
}  # fmt: skip
MOST_PANELS = 12
INNER = (0.02, 0.98)
WIDE = 1.5
_MAX_CELLS = 1000  # per axis: about what a panel has pixels
_NOTHING = "0.72"
_LINE, _FAILED = "#0072B2", "#D55E00"


def plot_batch(batch: Any, name: str | None = None, *, number: int | None = None, ax: Any = None, fig: Any = None) -> Figure:
    """
    Plot a batch.

    Parameters
    ----------
    batch : BatchResult
        Only read.
    name : str, optional
        One parameter (its value and error), or "chisqr", "redchi", "nobs", "nfree", "nfev", "status". By default the values of all
        varied parameters, redchi and the flags.
    number : int, optional
        The data and fit of this data set (counted in C order) instead; `BatchResult.plot` takes its place or labels.
    ax : Axes or sequence of Axes, optional
        One for the first panel, or as many as there are panels.
    fig : matplotlib.figure.Figure, optional
        Where to put the panels. Made if neither `fig` nor `ax` is given.

    Returns
    -------
    matplotlib.figure.Figure
        It is not shown.

    Raises
    ------
    ParameterError
        If there is nothing of this name.
    DataError
        If the maps have more than two axes.
    ValueError
        If `ax` holds neither one nor as many Axes as there are panels, or `ax` and `fig` are given.

    Notes
    -----
    Maps of one axis are lines with error bars. Colours span the inner 96 % of the successful fits; arrows on the colour bar tell of
    values beyond. Grey: no fit, or no error. In a window, a click on a map shows that data set's fit below; where the Axes were given,
    in a figure of its own.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.arange(6.0)
    >>> cube = np.random.default_rng(1).normal(size=(6, 3, 4)) + 2 * x[:, None, None]
    >>> figure = sf.fit_many(sf.get_model("linear"), cube, axis=0, x=x).plot("slope")
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['slope', 'standard error of slope']
    """
    if ax is not None and fig is not None:
        msg = "both ax and fig are given; give the Axes, or a figure to put new ones into"
        raise ValueError(msg)
    if not batch.size:
        msg = f"there are no data sets to draw: the map has the shape {batch.shape}"
        raise DataError(msg, shape=batch.shape)
    if number is not None or batch.size == 1:
        if name is not None:
            msg = f"name={name!r} has no effect where one data set is shown; leave it away"
            raise ValueError(msg)
        return _one(batch, number or 0, ax, fig)
    if len(batch.shape) > 2:
        msg = (
            f"maps of {len(batch.shape)} axes can't be drawn; choose a plane, e.g. "
            f"batch.to_dataset().isel({batch.labels.dims[0]}=0)[{batch.param_names[0]!r}].plot(), or one data set by index="
        )
        raise DataError(msg, shape=batch.shape)
    panels = _panels(batch, name)
    axes = given_axes(ax, [panel for _, panel in panels])
    own = axes is None
    lines = len(batch.shape) == 1
    below = own and batch.task.source is not None and len(batch.task.coordinates) == 1
    detail = None
    if axes is None:
        fig, axes, detail = _make_axes(fig, len(panels), lines, below)
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, batch, panel, lines)
        if own:
            axis.label_outer()
    figure: Any = axes[0].get_figure()
    if own and not figure.get_suptitle():
        good = int(batch._success().sum())
        figure.suptitle(f"{shorten(plain(str(batch.model.name)))}: {good} of {batch.size} fits succeeded")
    if batch.task.source is not None:
        picker = Picker(batch, axes, detail, show=lambda q: _one(batch, q, None, None), draw=draw_one)
        picker.connect(figure)
        if detail is not None:
            picker.show_number(_typical(batch))
    return figure


def _panels(batch: Any, name: str | None) -> tuple[tuple[str, str], ...]:
    """What is drawn: pairs of kind and name."""
    if name is None:
        free = [("value", one) for one in batch.var_names[: MOST_PANELS - 2]]
        return (*free, ("field", "redchi"), ("field", "status"))
    if name in batch.param_names:
        fixed = name in batch.task.known
        return (("value", name),) if fixed else (("value", name), ("stderr", name))
    if name in FIELDS:
        return (("field", name),)
    from difflib import get_close_matches

    known = (*batch.param_names, *FIELDS)
    close = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    msg = f"the batch has no map {name!r}; {hint}"
    raise ParameterError(msg, name=name)


def _make_axes(fig: Any, count: int, lines: bool, below: bool) -> tuple[Any, list[Axes], Axes | None]:
    """Rows of up to four panels (lines: below each other), and one for a fit at the bottom."""
    columns = 1 if lines else min(count, 4 if count in (4, 7, 8, 11, 12) else 3)
    rows = -(-count // columns)
    if fig is None:
        size = (8.0, 1.5 * rows + 0.6) if lines else (max(6.4, 4.1 * columns), 3.4 * rows)
        fig = new_figure((size[0], size[1] + (2.8 if below else 0.0)))
    # the maps have a grid of their own, so that its last row is labelled
    outer = fig.add_gridspec(2 if below else 1, 1, height_ratios=[float(rows), 1.5 if lines else 0.8][: 2 if below else 1])
    grid = outer[0].subgridspec(rows, columns)
    axes: list[Axes] = []
    for i in range(count):
        shared = {} if not axes else {"sharex": axes[0]} if lines else {"sharex": axes[0], "sharey": axes[0]}
        axes.append(fig.add_subplot(grid[i // columns, i % columns], **shared))
    return fig, axes, fig.add_subplot(outer[1]) if below else None


class MapAxes:
    """
    Where the data sets stand in a picture.

    Attributes
    ----------
    places : list of ndarray
        For each axis of the map the places of its rows: the labels where these are numbers in order, else 0, 1, ...
    names : list of str
        Labels for the axes of the picture, with units.
    """

    def __init__(self, labels: Any) -> None:
        self.places, self.names = [], []
        for dim, n in zip(labels.dims, labels.shape, strict=True):
            values, unit = np.asarray(labels.values(dim)), ""
            if labels.template is not None and dim in labels.template.coords:
                unit = str(labels.template.coords[dim].attrs.get("units", ""))
            steps = np.diff(values.astype(float)) if values.dtype.kind in "iuf" else np.array([np.nan])
            ordered = values.dtype.kind in "iuf" and (np.isfinite(steps).all() and ((steps > 0).all() or (steps < 0).all()))
            self.places.append(values.astype(float) if ordered else np.arange(float(n)))
            label = plain(str(dim)) if ordered else f"{plain(str(dim))} (number)"
            self.names.append(with_unit(label, plain(unit) if ordered else ""))

    def number(self, shape: tuple[int, ...], x: float, y: float) -> int:
        """The data set nearest to a point of the picture."""
        at = [
            int(np.argmin(np.abs(places - value))) for places, value in zip(self.places, (x,) if len(shape) == 1 else (y, x), strict=True)
        ]
        return int(np.ravel_multi_index(tuple(at), shape))

    def point(self, shape: tuple[int, ...], number: int) -> tuple[float, float | None]:
        """Where a data set stands in the picture."""
        at = [float(places[i]) for places, i in zip(self.places, np.unravel_index(number, shape), strict=True)]
        return (at[0], None) if len(at) == 1 else (at[1], at[0])


def _draw(ax: Axes, batch: Any, panel: tuple[str, str], lines: bool) -> None:
    kind, name = panel
    where = MapAxes(batch.labels)
    heading = {"value": plain(name), "stderr": f"standard error of {plain(name)}"}.get(kind, FIELDS.get(name, name))
    if lines:
        ax.set_ylabel({"stderr": f"stderr of {plain(name)}", "field": name}.get(kind, heading))
    else:
        ax.set_title(heading)
    if name == "status" and kind == "field":
        flags.draw_flags(ax, batch.maps.status.reshape(batch.shape), where)
        return
    good = batch._success()
    errors = None
    if kind == "field":
        numbers = batch._redchi() if name == "redchi" else getattr(batch.maps, name).astype(float)
    else:
        numbers, errors = batch._numbers(name)
        numbers, errors = (errors, None) if kind == "stderr" else (numbers, errors)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    if lines:
        _line(ax, where, numbers, errors, good)
    else:
        limits = robust_limits(numbers[good])
        # counts show a failure as well as a success, errors and values don't
        _cells(ax, where, numbers.reshape(batch.shape), limits, "viridis" if kind == "value" else "cividis")


def robust_limits(values: np.ndarray, wide: float = WIDE) -> tuple[float, float, str]:
    """
    Limits that a few wild fits don't decide.

    Parameters
    ----------
    values : ndarray
        nan is skipped.
    wide : float
        A whole range up to so many times the inner one is shown whole.

    Returns
    -------
    low, high : float
        The inner 96 %, or the whole range where it is little wider; low < high.
    extend : {"neither", "min", "max", "both"}
        Where values lie beyond.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0, "neither"
    low, high = (float(v) for v in np.quantile(values, INNER))
    whole = float(values.min()), float(values.max())
    if whole[1] - whole[0] <= wide * (high - low):
        low, high = whole
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        pad = 0.05 * max(abs(low), abs(high)) or 1.0
        low, high = low - pad, high + pad
    ends = (whole[0] < low, whole[1] > high)
    return low, high, {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]


def _cells(ax: Axes, where: MapAxes, values: np.ndarray, limits: tuple[float, float, str], cmap: str) -> None:
    """A map as coloured cells, grey where there is nothing."""
    import matplotlib as mpl

    low, high, extend = limits
    colors = mpl.colormaps[cmap].with_extremes(bad=_NOTHING)
    mesh = mesh_of(ax, where, np.ma.masked_invalid(values), cmap=colors, vmin=low, vmax=high)
    colorbar(mesh, [ax], "", extend)


def mesh_of(ax: Axes, where: MapAxes, values: Any, **style: Any) -> Any:
    """Cells of a map, thinned to what a panel can show."""
    rows, columns = (max(1, -(-n // _MAX_CELLS)) for n in values.shape)
    y, x = where.places[0][::rows], where.places[1][::columns]
    cells = values[::rows, ::columns]
    down, across = (bool(len(p) > 1 and p[1] < p[0]) for p in (y, x))
    mesh = ax.pcolormesh(_edges(x, across), _edges(y, down), cells, rasterized=True, **style)
    ax.set(xlabel=where.names[1], ylabel=where.names[0])
    if _alike(x, y):
        ax.set_aspect("equal")
    return mesh


def _edges(places: np.ndarray, falling: bool) -> np.ndarray:
    return -edges(-places) if falling else edges(places)


def _alike(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether cells are square and the map isn't much longer than wide: an image, not a table."""
    if min(len(x), len(y)) < 2 or max(len(x), len(y)) > 4 * min(len(x), len(y)):
        return False
    steps = np.abs(np.concatenate([np.diff(x), np.diff(y)]))
    return bool(np.ptp(steps) <= 1e-6 * steps.mean())


def _line(ax: Axes, where: MapAxes, values: np.ndarray, errors: np.ndarray | None, good: np.ndarray) -> None:
    """A map of one axis: points with errors, crosses for fits that failed."""
    x = where.places[0]
    size = 4.0 if len(x) <= 100 else 2.0
    if errors is not None:
        bars = np.where(np.isfinite(errors), errors, 0.0)
        ax.errorbar(x[good], values[good], yerr=bars[good], fmt="o", color=_LINE, markersize=size, elinewidth=0.8)
    else:
        ax.plot(x[good], values[good], "o", color=_LINE, markersize=size)
    low, high, _ = robust_limits(values[good], 3.0)
    if not np.isfinite(values[good]).any():
        return
    reach = 0.0 if errors is None or not np.isfinite(errors[good]).any() else float(np.nanmedian(errors[good][np.isfinite(errors[good])]))
    pad = 0.05 * (high - low) + reach
    ax.set_ylim(low - pad, high + pad)
    bad = ~good & np.isfinite(values)
    ax.plot(x[bad], values[bad], "x", color=_FAILED, markersize=size + 1)
    none = ~np.isfinite(values)
    ax.plot(x[none], np.full(none.sum(), 0.03), "|", color="0.4", markersize=6, transform=ax.get_xaxis_transform())
    ax.set_xlabel(where.names[0])


# ---- one data set


def _one(batch: Any, number: int, ax: Any, fig: Any) -> Figure:
    """The usual picture of one fit; the data and the reason where there is none."""
    from surffit.plot import plot

    title = f"{shorten(plain(str(batch.model.name)))} at {plain(batch.labels.place(number))}"
    if np.isfinite(batch.maps.values[:, number]).all():
        return plot(_result(batch, number), ax=ax, fig=fig, title=title)
    axes = given_axes(ax, ("fit",))
    if axes is None:
        axes = [(new_figure((6.8, 4.2)) if fig is None else fig).add_subplot()]
    draw_one(axes[0], batch, number)
    return axes[0].get_figure()  # type: ignore[return-value]


def _result(batch: Any, number: int) -> Any:
    """The full result of one data set, refitted at most once."""
    kept: dict[int, Any] = batch._found.setdefault("shown", {})
    if number not in kept:
        from surffit.batch.answer.one import one_result

        kept.clear()  # one is looked at at a time
        kept[number] = one_result(batch, number)
    return kept[number]


def draw_one(ax: Axes, batch: Any, number: int) -> None:
    """Data and fit of one data set in one variable on one Axes; the data and the reason where there is no fit."""
    from surffit.batch.answer.one import one_set
    from surffit.solve.status import Status

    title = f"fit at {plain(batch.labels.place(number))}"
    name = batch.task.coordinates[0] if len(batch.task.coordinates) == 1 else None
    status = Status(int(batch.maps.status[number]))
    if name is not None and np.isfinite(batch.maps.values[:, number]).all():
        result = _result(batch, number)
        curve.draw_fit(ax, make_view(result), result, curve.CurveOptions())
        handles, words = ax.get_legend_handles_labels()
        ax.legend(
            handles, words, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False, fontsize="small",
            title=_values(batch, number), title_fontsize="small", alignment="left",
        )  # fmt: skip
    elif name is not None:
        one = one_set(batch, number)
        x, y = one.coords[name].ravel(), np.where(np.isfinite(one.data), one.data, np.nan).ravel()
        out = one.excluded.ravel()
        for where, marker, color, label in ((~out, "o", "0.25", "data"), (out, "x", "0.6", "excluded")):
            if np.isfinite(y[where]).any():
                ax.plot(x[where], y[where], marker, color=color, markersize=4.5, label=label)
        if ax.has_data():
            ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False, fontsize="small")
        else:
            ax.set(xlim=(np.nanmin(x), np.nanmax(x)) if np.ptp(x) > 0 else None, yticks=[])
        title += ": no fit"
    else:
        title += ": no fit"
        ax.set_axis_off()
    if not status.success:
        ax.text(0.01, 0.02, status.sentence, transform=ax.transAxes, color=_FAILED, fontsize="small", wrap=True, zorder=6)
    ax.set_title(title, fontsize="medium")
    if name is not None:
        across, up = (with_unit(plain(label), plain(str(batch.units.get(label, "")))) for label in (name, "data"))
        ax.set(xlabel=across, ylabel=up)


def _values(batch: Any, number: int) -> str:
    """The first values with their errors, one per line."""
    texts = []
    for name in batch.var_names[:8]:
        value, error = (numbers[number] for numbers in batch._numbers(name))
        texts.append(f"{plain(name)} = {value:.4g}" + (f" ± {error:.2g}" if np.isfinite(error) else ""))
    texts += ["..."] if len(batch.var_names) > 8 else []
    return "\n".join([*texts, f"redchi = {batch._redchi()[number]:.3g}"])


def _typical(batch: Any) -> int:
    """A successful fit whose chi-square is in the middle."""
    good = np.flatnonzero(batch._success())
    if not good.size:
        return 0
    redchi = batch._redchi()[good]
    return int(good[np.argsort(redchi, kind="stable")[len(good) // 2]])
