"""
Pictures of a fit.

`plot` chooses by the number of independent variables: one gives a curve with its confidence band and the residuals
below; two give maps of data, model and residual; more give data and residuals against the fitted value.
`plot_surface` draws two variables in space, `plot_residuals` the residuals alone, `picture` one figure for a report, `plot_batch` the
maps of many fits.

Nothing is shown, no setting of matplotlib is changed, and matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from surffit.plot import curve, fitted, maps, surface
from surffit.plot.batch import plot_batch
from surffit.plot.figure import given_axes, label_once, new_figure
from surffit.plot.view import View, make_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["picture", "plot", "plot_batch", "plot_residuals", "plot_surface"]


def plot(
    result: Any,
    datafmt: str = "o",
    fitfmt: str = "-",
    initfmt: str = "--",
    xlabel: str | None = None,
    ylabel: str | None = None,
    yerr: Any = None,
    numpoints: int | None = None,
    fig: Figure | None = None,
    data_kws: Mapping[str, Any] | None = None,
    fit_kws: Mapping[str, Any] | None = None,
    init_kws: Mapping[str, Any] | None = None,
    ax_res_kws: Mapping[str, Any] | None = None,
    ax_fit_kws: Mapping[str, Any] | None = None,
    fig_kws: Mapping[str, Any] | None = None,
    show_init: bool = False,
    parse_complex: str = "abs",
    title: str | None = None,
    *,
    ax: Any = None,
) -> Figure:
    """
    Plot a fit: a curve with residuals, a map triptych, or data against fitted values.

    The keywords are those of `lmfit.model.ModelResult.plot`, in its order, and `ax`.

    Parameters
    ----------
    result : SurfaceResult
        A fit; only read.
    datafmt, fitfmt, initfmt : str
        Formats of data, best fit and start. One variable only, like all keywords marked (1).
    xlabel, ylabel : str, optional
        In place of the names of the variables (and of the data) with their units.
    yerr : array_like, optional
        Error of the data in place of the fit's own [data unit].
    numpoints : int, optional
        Number of points of the curve (1). By default the intervals between the data are divided evenly.
    fig : matplotlib.figure.Figure, optional
        Where to put the panels. Made if neither `fig` nor `ax` is given.
    data_kws : mapping, optional
        Keywords of the data's artist: ``plot`` or ``errorbar`` in one variable, ``pcolormesh`` or ``scatter`` (for data
        and model) in two.
    fit_kws, init_kws : mapping, optional
        Keywords of the curves of fit and start (1).
    ax_res_kws, ax_fit_kws : mapping, optional
        Keywords of new Axes for residuals and fit (1).
    fig_kws : mapping, optional
        Keywords of a new figure.
    show_init : bool
        Draw the start, too (1).
    parse_complex : {"abs", "real", "imag", "angle"}
        What is shown of complex data.
    title : str, optional
        In place of the model's name.
    ax : Axes or sequence of Axes, optional
        One for the main panel, or as many as there are panels: (fit, residuals) in one variable,
        (data, model, residual) in two, (data against fitted, residual against fitted) in more.

    Returns
    -------
    matplotlib.figure.Figure
        The figure that holds the panels; it is not shown.

    Raises
    ------
    ValueError
        If `ax` holds neither one nor as many Axes as there are panels, if both `ax` and `fig` are given, or if a keyword
        marked (1) is given for a fit in more variables, or one that has no effect because of another.

    Notes
    -----
    Excluded points are grey crosses and decide no scale. On a rectangular grid, also a table of points that form one in
    any order, a map is made of cells with edges halfway between neighbours; scattered points are drawn as points.
    Images are thinned to at most 1000 pixels per axis for display. Residuals are in sigma if the data's error is known.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> def plane(x, y, a, b, c):
    ...     return a + b * x + c * y
    >>> y, x = np.mgrid[:4, :5]
    >>> result = sf.SurfaceModel(plane, independent_vars=["x", "y"]).fit(1.0 + x - y + np.cos(3 * x * y), x=x, y=y)
    >>> figure = plot(result)
    >>> [ax.get_title() for ax in figure.axes]
    ['data', 'model', 'residual']
    """
    view = make_view(result, parse_complex=parse_complex, yerr=yerr, title=title)
    options = curve.CurveOptions(datafmt, fitfmt, initfmt, numpoints, data_kws, fit_kws, init_kws, show_init)
    panels = _panels(view)
    if len(view.names) != 1:
        _refuse_curve_words(view, options, ax_res_kws=ax_res_kws, ax_fit_kws=ax_fit_kws)
        if len(view.names) != 2 and data_kws:
            _refuse(view, ["data_kws"])
    if ax is not None and fig is not None:
        msg = "both ax and fig are given; give the Axes, or a figure to put new ones into"
        raise ValueError(msg)
    if fig_kws and (ax is not None or fig is not None):
        msg = "fig_kws has no effect where ax or fig is given; leave one of them away"
        raise ValueError(msg)
    axes = given_axes(ax, panels)
    own = axes is None
    if axes is None:
        fig = new_figure(_SIZES[panels], fig_kws, layout="compressed" if panels is maps.PANELS else "constrained") if fig is None else fig
        axes = _make_axes(fig, view, ax_fit_kws or {}, ax_res_kws or {})
    _draw(axes, view, result, options)
    main = axes[0]
    figure = main.get_figure()
    assert figure is not None  # noqa: S101 - an Axes that was drawn on stands in a figure
    _title(figure, axes, view, own)
    for panel in axes if panels is maps.PANELS else axes[:1]:
        inner = own and panel is not main  # maps side by side share the first one's label
        label_once(panel, x=None if panels is curve.PANELS and len(axes) == 2 else xlabel, y=None if inner else ylabel)
    if panels is curve.PANELS and xlabel is not None:
        axes[-1].set_xlabel(xlabel)
    return figure  # type: ignore[return-value]


def plot_residuals(
    result: Any,
    ax: Any = None,
    datafmt: str = "o",
    yerr: Any = None,
    data_kws: Mapping[str, Any] | None = None,
    fit_kws: Mapping[str, Any] | None = None,
    ax_kws: Mapping[str, Any] | None = None,
    parse_complex: str = "abs",
    title: str | None = None,
) -> Axes:
    """
    Plot the residuals ``data - model``, in sigma if the data's error is known, else in data units.

    The keywords are those of `lmfit.model.ModelResult.plot_residuals`, in its order.

    Parameters
    ----------
    result : SurfaceResult
        A fit; only read.
    ax : Axes, optional
        Where to; a new figure if not given.
    datafmt : str
        Format of the points (one variable).
    yerr : array_like, optional
        Error of the data in place of the fit's own [data unit].
    data_kws : mapping, optional
        Keywords of the points (one variable) or of ``pcolormesh`` or ``scatter`` (two).
    fit_kws : mapping, optional
        Keywords of the zero line (one variable).
    ax_kws : mapping, optional
        Keywords of a new Axes.
    parse_complex : {"abs", "real", "imag", "angle"}
        What is shown of complex data.
    title : str, optional
        In place of the model's name.

    Returns
    -------
    matplotlib.axes.Axes
        Against the variable if there is one, a map if there are two, else against the fitted value.

    Raises
    ------
    ValueError
        If `ax` holds more than one Axes, or a keyword has no meaning for this number of variables.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> def line(x, a, b):
    ...     return a + b * x
    >>> x = np.arange(6.0)
    >>> result = sf.SurfaceModel(line).fit(2 * x + np.array([1.1, 0.9, 1.0, 1.2, 0.8, 1.0]), x=x, sigma=0.1)
    >>> plot_residuals(result).get_ylabel()
    '(data − model) / σ'
    """
    view = make_view(result, parse_complex=parse_complex, yerr=yerr, title=title)
    options = curve.CurveOptions(datafmt=datafmt, data_kws=data_kws, fit_kws=fit_kws)
    if len(view.names) != 1:
        _refuse_curve_words(view, options)
        if len(view.names) != 2 and data_kws:
            _refuse(view, ["data_kws"])
    axes = given_axes(ax, ("residuals",))
    if axes is None:
        panel = new_figure((6.4, 4.8) if len(view.names) == 2 else (6.4, 3.6), layout="compressed").add_subplot(**(ax_kws or {}))
    elif ax_kws:
        msg = "ax_kws has no effect where ax is given; leave one of them away"
        raise ValueError(msg)
    else:
        panel = axes[0]
    if len(view.names) == 1:
        curve.draw_residuals(panel, view, options)
        panel.set_xlabel(view.labels[0])
    elif len(view.names) == 2:
        maps.draw_residual_map(panel, view, data_kws=data_kws)
    else:
        fitted.draw_fitted_residuals(panel, view)
    label_once(panel, title=view.title)
    return panel


def plot_surface(result: Any, ax: Any = None, *, parse_complex: str = "abs", title: str | None = None) -> Axes:
    """
    Plot the fitted surface in 3-D with the data points on stems: red above it, blue below it.

    Parameters
    ----------
    result : SurfaceResult
        A fit in two variables; only read.
    ax : Axes3D, optional
        Where to (made with ``projection="3d"``); a new figure if not given.
    parse_complex : {"abs", "real", "imag", "angle"}
        What is shown of complex data.
    title : str, optional
        In place of the model's name.

    Returns
    -------
    mpl_toolkits.mplot3d.axes3d.Axes3D

    Raises
    ------
    ValueError
        If the fit hasn't two independent variables, or `ax` isn't one 3-D Axes.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> def plane(x, y, a, b, c):
    ...     return a + b * x + c * y
    >>> y, x = np.mgrid[:4, :5]
    >>> result = sf.SurfaceModel(plane, independent_vars=["x", "y"]).fit(1.0 + x - y + np.cos(3 * x * y), x=x, y=y)
    >>> plot_surface(result, title="a plane").get_title()
    'a plane'
    """
    view = make_view(result, parse_complex=parse_complex, title=title)
    if len(view.names) != 2:
        msg = f"a surface needs two independent variables, this fit has {_count(view)}; use plot() instead"
        raise ValueError(msg)
    axes = given_axes(ax, ("surface",))
    panel = new_figure((7.0, 5.6)).add_subplot(projection="3d") if axes is None else axes[0]
    if panel.name != "3d":
        msg = f'ax is a {panel.name} Axes; make one with fig.add_subplot(projection="3d")'
        raise ValueError(msg)
    surface.draw_surface(panel, view, result)
    label_once(panel, title=view.title)
    return panel


def picture(result: Any, path: str | PathLike[str] | None = None, *, dpi: float = 150, title: str | None = None) -> Figure:
    """
    Make one figure for a report: in two variables the surface with the data beside the residual map, else `plot`.

    Parameters
    ----------
    result : SurfaceResult
        A fit; only read.
    path : path-like, optional
        File to write; its suffix (.png, .pdf, .svg, ...) decides the format.
    dpi : float
        Resolution of the file [pixel/inch].
    title : str, optional
        In place of the model's name.

    Returns
    -------
    matplotlib.figure.Figure
        pyplot doesn't know it: nothing is shown, nothing need be closed.

    Raises
    ------
    ValueError
        If the suffix of `path` is no format that matplotlib writes.
    OSError
        If the file can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import surffit as sf
    >>> def line(x, a, b):
    ...     return a + b * x
    >>> x = np.arange(6.0)
    >>> result = sf.SurfaceModel(line).fit(2 * x + np.array([1.1, 0.9, 1.0, 1.2, 0.8, 1.0]), x=x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     figure = picture(result, Path(folder) / "line.png", dpi=50)
    ...     Path(folder, "line.png").exists()
    True
    """
    view = make_view(result, title=title)
    panels = _panels(view)
    size = (12.0, 5.2) if panels is maps.PANELS else _SIZES[panels]
    figure = new_figure(size, managed=False)
    if panels is maps.PANELS:
        layout = figure.add_gridspec(1, 2, width_ratios=[1.15, 1.0])
        space, flat = figure.add_subplot(layout[0], projection="3d"), figure.add_subplot(layout[1])
        surface.draw_surface(space, view, result)
        maps.draw_residual_map(flat, view)
        label_once(flat, title="residual")
        figure.suptitle(view.title)
    else:
        axes = _make_axes(figure, view, {}, {})
        _draw(axes, view, result, curve.CurveOptions())
        _title(figure, axes, view, True)
    if path is not None:
        figure.savefig(path, dpi=dpi)
    return figure


# Width and height [inch] of a figure with these panels.
_SIZES = {curve.PANELS: (6.8, 5.6), maps.PANELS: (13.0, 4.2), fitted.PANELS: (10.0, 4.4)}


def _panels(view: View) -> tuple[str, ...]:
    """Panels of `plot` for this number of variables, the main one first."""
    return {1: curve.PANELS, 2: maps.PANELS}.get(len(view.names), fitted.PANELS)


def _make_axes(fig: Figure, view: View, main_kws: Mapping[str, Any], residual_kws: Mapping[str, Any]) -> list[Axes]:
    """New Axes in the order of the panels."""
    panels = _panels(view)
    if panels is curve.PANELS:
        layout = fig.add_gridspec(2, 1, height_ratios=[5, 2])
        main = fig.add_subplot(layout[0], **main_kws)
        below = fig.add_subplot(layout[1], **{"sharex": main, **residual_kws})
        fig.align_ylabels([main, below])
        return [main, below]
    row = fig.subplots(1, len(panels), sharex=panels is maps.PANELS, sharey=panels is maps.PANELS)
    return list(np.ravel(row))


def _draw(axes: list[Axes], view: View, result: Any, options: curve.CurveOptions) -> None:
    """Draw the panels of `plot`."""
    if len(view.names) == 1:
        curve.draw_fit(axes[0], view, result, options)
        label_once(axes[0], y=view.data_label)
        if len(axes) == 2:
            curve.draw_residuals(axes[1], view, curve.CurveOptions(datafmt=options.datafmt, data_kws=options.data_kws))
        axes[-1].set_xlabel(view.labels[0])
    elif len(view.names) == 2:
        maps.draw_maps(axes, view, options.data_kws)
    else:
        fitted.draw_fitted(axes, view)


def _title(figure: Any, axes: list[Axes], view: View, own: bool) -> None:
    """The model's name over our own figure, or over the main panel where its Axes were given."""
    if own and len(view.names) != 1:
        if not figure.get_suptitle():
            figure.suptitle(view.title)
        for ax in axes[1:] if len(view.names) == 2 else ():
            ax.label_outer()
    else:
        label_once(axes[0], title=view.title)
        if own:
            axes[0].tick_params(labelbottom=False)


def _refuse_curve_words(view: View, options: curve.CurveOptions, **others: Any) -> None:
    """Refuse keywords that only a curve knows: they would have no effect."""
    plain = curve.CurveOptions()
    names = [
        name
        for name in ("datafmt", "fitfmt", "initfmt", "numpoints", "fit_kws", "init_kws", "show_init")
        if getattr(options, name) != getattr(plain, name)
    ]
    names += [name for name, value in others.items() if value]
    if names:
        _refuse(view, names)


def _refuse(view: View, names: list[str]) -> None:
    msg = f"{', '.join(names)}: no effect on the plot of a fit in {_count(view)}; leave it away"
    raise ValueError(msg)


def _count(view: View) -> str:
    return f"{len(view.names)} variable{'' if len(view.names) == 1 else 's'} ({', '.join(view.names) or 'none'})"
