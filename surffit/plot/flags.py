"""A map of status flags: one colour per way to end, named in a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from surffit.solve.status import CONVERGED, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLORS", "categories", "draw_flags"]

# What counts most comes first. Okabe and Ito's colours for what is common, darker ones of Tol's for the rest; tell apart in grey, too.
COLORS = {
    "NO_DATA": "#000000",
    "NONFINITE_DATA": "#555555",
    "FEW_POINTS": "#888888",
    "NONFINITE_START": "#661100",
    "CHUNK_FAILED": "#332288",
    "ABORTED": "#BBBBBB",
    "RUNAWAY": "#D55E00",
    "MAX_NFEV": "#E69F00",
    "STALLED": "#882255",
    "NOT_A_MINIMUM": "#AA4499",
    "NO_EFFECT_AT_START": "#999933",
    "RANK_DEFICIENT": "#F0E442",
    "AT_BOUND": "#56B4E9",
    "CLIPPED": "#009E73",
    "QR_FALLBACK": "#0072B2",
}
CONVERGED_COLOR = "#E4EEF6"
UNKNOWN_COLOR = "#CC79A7"


def categories(status: np.ndarray) -> tuple[np.ndarray, list[tuple[str, str, int]]]:
    """
    The most telling flag of each fit.

    Parameters
    ----------
    status : ndarray of uint32

    Returns
    -------
    codes : ndarray of int, shape of `status`
        Numbers into the list.
    found : list of (name, colour, count)
        Those that occur, "converged" first.
    """
    left = np.ones(status.shape, dtype=bool)
    whole = np.full(status.shape, -1)
    found: list[tuple[str, str, int]] = []
    names = [("converged", CONVERGED_COLOR, None), *((name, color, Status[name]) for name, color in COLORS.items())]
    special = np.uint32(sum(Status[name] for name in COLORS))
    for name, color, flag in names:
        here = (status & np.uint32(CONVERGED)).astype(bool) & ((status & special) == 0) if flag is None else (status & np.uint32(flag)) != 0
        here = here & left
        if here.any():
            whole[here] = len(found)
            found.append((name, color, int(here.sum())))
            left &= ~here
    if left.any():
        whole[left] = len(found)
        found.append(("other", UNKNOWN_COLOR, int(left.sum())))
    return whole, found


def draw_flags(ax: Axes, status: np.ndarray, where: Any) -> None:
    """
    Draw a map of flags.

    Parameters
    ----------
    ax : Axes
    status : ndarray of uint32, one or two axes
    where : MapAxes
        Where the data sets stand.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from surffit.plot.batch import mesh_of

    codes, found = categories(status)
    if status.ndim == 1:
        colors = [color for _, color, _ in found]
        ax.scatter(where.places[0], codes, c=[colors[code] for code in codes], s=16, edgecolors="0.3", linewidths=0.3)
        ax.set_yticks(range(len(found)), [f"{name} ({count})" for name, _, count in found])
        ax.set(ylim=(len(found) - 0.5, -0.5), xlabel=where.names[0], ylabel="")
        return
    mesh_of(ax, where, codes, cmap=ListedColormap([color for _, color, _ in found]), vmin=-0.5, vmax=len(found) - 0.5)
    handles = [Patch(facecolor=color, edgecolor="0.3", linewidth=0.5, label=f"{name} ({count})") for name, color, count in found]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, fontsize="small", frameon=False)
