"""Errors of a fit made larger by what the fit can't know: that its data were chosen by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .result import SurfaceResult


def widen(result: SurfaceResult, errors: float, noise: float, note: str) -> None:
    """
    Multiply all errors of a fresh result (in place), bands included.

    Parameters
    ----------
    result : SurfaceResult
        Of plain least squares, not shown to anybody yet.
    errors : float
        Factor of the standard errors.
    noise : float
        Factor of the standard deviation of a data point, where that was found with the fit.
    note : str
        What `explain()` says of it.
    """
    result._sd_scale *= errors
    if result.covar is not None:
        result.covar = result.covar * errors**2
    for par in result.params.values():
        if par.stderr is not None:
            par.stderr *= errors
    if result.scale_covar:
        result._scatter = float(np.sqrt(result.redchi)) * noise
    result.covar_notes = (*result.covar_notes, note)
