"""``da.surffit``: many fits along a dimension as a method of xarray's DataArray."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["ArrayAccessor", "register"]


class ArrayAccessor:
    """
    Fits on a DataArray, as ``da.surffit``.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import surffit as sf
    >>> sf.tables.register()  # needed only where surffit was imported before xarray, and none of its names was used since
    >>> model = sf.get_model("linear")
    >>> da = xr.DataArray(np.outer(np.arange(5.0), [1.0, 2.0]), dims=("x", "pixel"), coords={"x": np.arange(5.0)})
    >>> da.surffit.fit(model, dim="x").values["slope"].dims
    ('pixel',)
    """

    # xarray turns an AttributeError in here into a RuntimeError: nothing that can fail
    def __init__(self, array: Any) -> None:
        self._array = array

    def fit(self, model: Any, dim: Any = None, params: Any = None, **keywords: Any) -> Any:
        """
        Fit a model along a dimension, once for every place of the others: `surffit.fit_many` with the data filled in.

        Parameters
        ----------
        model : SurfaceModel, lmfit.Model, callable or str
            What is fitted.
        dim : str or tuple of str
            The dimension, or dimensions, of one data set.
        params : Parameters or mapping, optional
            Starts, bounds and constraints.
        **keywords
            As in `surffit.fit_many`.

        Returns
        -------
        BatchResult
        """
        from surffit.batch import fit_many

        return fit_many(model, self._array, dim=dim, params=params, **keywords)


def register() -> None:
    """Register the accessor if xarray is loaded; twice does no harm."""
    xarray = sys.modules.get("xarray")
    known = getattr(xarray, "register_dataarray_accessor", None)
    # while xarray is being imported it has neither
    array = getattr(xarray, "DataArray", None)
    if known is not None and array is not None and getattr(array, "surffit", None) is not ArrayAccessor:
        known("surffit")(ArrayAccessor)
