"""How improbable a statistic is, and how wide an interval: Student's t with errors scaled by the data's scatter, else normal."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["half_width", "two_sided"]


def two_sided(statistic: Any, nfree: Any) -> Any:
    """
    Probability of a statistic at least as far from zero, if the truth is zero.

    Parameters
    ----------
    statistic : array_like
        Estimate over standard error.
    nfree : array_like or None
        Degrees of freedom of the scatter that scaled the errors, broadcastable; None for known errors. nan where not positive.

    Returns
    -------
    ndarray
    """
    from scipy import special

    size = np.abs(np.asarray(statistic, dtype=float))
    with np.errstate(invalid="ignore"):
        tail = special.ndtr(-size) if nfree is None else special.stdtr(_freedom(nfree), -size)
    return 2.0 * tail


def half_width(probability: float, nfree: Any) -> Any:
    """
    Standard errors on each side that hold a probability.

    Parameters
    ----------
    probability : float
        Between 0 and 1.
    nfree : array_like or None
        As in `two_sided`.

    Returns
    -------
    ndarray
        nan where there is no freedom.
    """
    from scipy import special

    tail = (1.0 + probability) / 2.0
    if nfree is None:
        return np.asarray(special.ndtri(tail))
    nfree = np.asarray(nfree)
    # the quantile is found by iteration: once per number of points, not once per data set
    distinct, where = np.unique(_freedom(nfree), return_inverse=True)
    return special.stdtrit(distinct, tail)[where].reshape(nfree.shape)


def _freedom(nfree: Any) -> np.ndarray:
    nfree = np.asarray(nfree, dtype=float)
    return np.where(nfree > 0, nfree, np.nan)
