"""The data and the best laws, each with its residuals."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plot.figure import new_figure
from ...plot.maps import find_grid, value_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .found import FoundSurfaces

_MESH = 81


def draw(found: FoundSurfaces, n: int, fig: Figure | None) -> Figure:
    """See `FoundSurfaces.plot`."""
    raise NotImplementedError
