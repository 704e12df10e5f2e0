"""The picture of a choice of degree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plot.figure import given_axes, label_once, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .degree import DegreeChoice

# of Okabe and Ito
RESIDUAL, AHEAD, CHOSEN = "#0072B2", "#D55E00", "0.35"


def draw(choice: DegreeChoice, ax: Axes | None = None) -> Axes:
    """
    Root mean squares of the residual and of the leave-one-out residual against the degree (or the number of coefficients).

    Parameters
    ----------
    choice : DegreeChoice
    ax : Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    axes = given_axes(ax, ("degree",))
    panel = new_figure((6.4, 4.2)).add_subplot() if axes is None else axes[0]
    table, observed = choice.table, choice.result.observed
    several = isinstance(choice.degree, tuple)
    where = table["k"].to_numpy() if several else np.asarray(table.index, dtype=float)
    line = "none" if several else "-"
    rms = np.sqrt(table["chisqr"] / observed.n_used).to_numpy()
    ahead = np.where(np.isfinite(table["loo"]), table["loo"], np.nan)
    panel.plot(where, rms, "o", linestyle=line, color=RESIDUAL, markersize=5, label="residual", zorder=3)
    panel.plot(where, ahead, "s", linestyle=line, color=AHEAD, markersize=5, label="leave-one-out residual", zorder=4)
    chosen = float(table.loc[choice._row, "k"]) if several else float(choice.degree)  # type: ignore[arg-type]
    panel.axvline(chosen, color=CHOSEN, linestyle="--", linewidth=1.2, zorder=1, label=f"degree {choice.degree}, by {choice.criterion}")
    panel.set_yscale("log")
    if not several:
        panel.set_xticks(where)
    unit = choice.result.units.get("data")
    scale = "σ" if observed.weights is not None else "data unit" if unit is None else str(unit)
    label_once(panel, x="number of coefficients" if several else "total degree", y=f"root mean square [{scale}]")
    panel.grid(alpha=0.25)
    panel.legend(frameon=False)
    return panel
