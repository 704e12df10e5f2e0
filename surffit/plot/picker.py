"""A click on a map shows the fit of that data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Picker"]


class Picker:
    """
    Listens to clicks on maps.

    Parameters
    ----------
    batch : BatchResult
    maps : sequence of Axes
        Panels that show maps.
    detail : Axes or None
        Where the fit is drawn; None: in a figure of its own.
    show : callable
        ``show(number)`` makes that figure.
    draw : callable
        ``draw(ax, batch, number)`` draws one fit.
    """

    def __init__(
        self, batch: Any, maps: Sequence[Axes], detail: Axes | None, show: Callable[[int], Any], draw: Callable[[Axes, Any, int], None]
    ) -> None:
        from surffit.plot.batch import MapAxes

        self.batch, self.maps, self.detail = batch, list(maps), detail
        self._show, self._draw = show, draw
        self.where = MapAxes(batch.labels)
        self.number: int | None = None
        self._marks: list[Any] = []

    def connect(self, figure: Any) -> None:
        """Listen to a figure's clicks, as long as it lives."""
        root = figure.get_figure(root=True)
        root.canvas.mpl_connect("button_press_event", self.clicked)
        # matplotlib holds no strong reference to what it calls
        root.__dict__.setdefault("_surffit_pickers", []).append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # a figure that is pickled goes without its listener, which holds all fits
        return list, ()

    def clicked(self, event: Any) -> None:
        """Show what lies under the mouse; not while the toolbar zooms or pans."""
        toolbar = getattr(event.canvas, "toolbar", None)
        if event.inaxes not in self.maps or event.xdata is None or (toolbar is not None and str(getattr(toolbar, "mode", ""))):
            return
        self.show_number(self.where.number(self.batch.shape, event.xdata, event.ydata))
        event.canvas.draw_idle()

    def show_number(self, number: int) -> None:
        """Draw the fit of a data set and mark its place on the maps."""
        self.number = number
        if self.detail is None:
            self._show(number)
        else:
            self.detail.clear()
            self._draw(self.detail, self.batch, number)
        for mark in self._marks:
            mark.remove()
        x, y = self.where.point(self.batch.shape, number)
        self._marks = []
        for ax in self.maps:
            limits = ax.get_xlim(), ax.get_ylim()
            if y is None:
                self._marks.append(ax.axvline(x, color="0.4", linewidth=0.8, linestyle=":"))
            else:
                for color, size in (("white", 9.0), ("black", 7.0)):
                    self._marks += ax.plot([x], [y], "s", markerfacecolor="none", markeredgecolor=color, markersize=size)
            ax.set_xlim(limits[0])
            ax.set_ylim(limits[1])
