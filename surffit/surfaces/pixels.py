"""Coordinates that nobody gave: pixel centres at whole numbers from 0, x along the columns, y along the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..exceptions import DataError

__all__ = ["with_pixels"]


def with_pixels(data: Any, variables: Sequence[str], coords: Mapping[str, Any]) -> dict[str, Any]:
    """
    Coordinates for data, pixel indices where none are given.

    Parameters
    ----------
    data : array_like or DataArray
        An image (ny, nx) or a line (n,), if coordinates are to be made. A DataArray's own coordinates of these names are taken.
    variables : sequence of str
        For an image the names of x (columns) and y (rows), in this order.
    coords : mapping
        What was given.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        If some are missing and can't be made up.

    Examples
    --------
    >>> {name: values.shape for name, values in with_pixels(np.zeros((2, 3)), ("x", "y"), {}).items()}
    {'x': (1, 3), 'y': (2, 1)}
    """
    out = dict(coords)
    labels = getattr(data, "coords", None) if hasattr(data, "dims") else None
    for name in variables:
        if name not in out and labels is not None and name in labels:
            out[name] = labels[name]
    missing = [name for name in variables if name not in out]
    if not missing:
        return out
    shape = np.shape(getattr(data, "data", data) if hasattr(data, "uncertainty") else data)
    if missing != list(variables) or len(shape) != len(variables) or len(shape) > 2:
        each = ", ".join(f"{name}=..." for name in missing)
        msg = f"data of shape {shape} need the coordinate{'s' if len(missing) > 1 else ''} {each}; only images and lines have pixel indices"
        raise DataError(msg, missing=missing)
    if len(shape) == 1:
        return {**out, variables[0]: np.arange(shape[0], dtype=float)}
    across, down = np.arange(shape[1], dtype=float), np.arange(shape[0], dtype=float)
    return {**out, variables[0]: across[None, :], variables[1]: down[:, None]}
