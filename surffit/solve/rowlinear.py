"""Linear least squares on many rows and columns, by Householder QR of blocks of rows: the columns are never held as a whole."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg.lapack import dgeqrf

from .condensed import Look, sound, within
from .gram import BlockMoments, IllConditioned

# rows factored together
ROWS = 32_768


class LinearRows:
    """
    The columns of a linear problem whose kernel works on any rows; see `solve.condensed.Condensed`.

    Parameters
    ----------
    moments : BlockMoments
        Of a problem without non-linear parameters.

    Raises
    ------
    IllConditioned
        Where a column isn't finite, or where the columns are too much alike for their triangle alone: whole columns keep the digits.
    """

    way = "rows"

    def __init__(self, moments: BlockMoments) -> None:
        self._blocks = moments.blocks
        top = np.zeros((0, 0))
        waiting: list[np.ndarray] = []
        for i, block in enumerate(self._blocks):
            columns = block.columns(np.empty(0))
            if columns is None:
                raise IllConditioned
            phi = columns[1]
            if not i:
                k = len(phi)
                top, self._largest = np.zeros((0, k)), np.zeros(k)
            self._largest = np.maximum(self._largest, np.abs(phi).max(axis=1, initial=0.0))
            waiting.append(phi.T)
            if sum(map(len, waiting)) >= ROWS or block is self._blocks[-1]:
                top = np.triu(dgeqrf(np.concatenate([top, *waiting]), lwork=64 * k, overwrite_a=1)[0][:k])
                waiting = []
        if len(top) < k:
            raise IllConditioned
        self.root = np.ascontiguousarray(top.T)
        triangle = sound(self.root)
        if triangle is None:
            raise IllConditioned
        self._triangle = triangle

    def look(self, c: np.ndarray | None) -> Look:
        """The residual at coefficients c in one pass; see `solve.condensed.Condensed`."""
        g, chi2 = np.zeros(len(self.root)), 0.0
        for block in self._blocks:
            columns = block.columns(np.empty(0))
            if columns is None:
                return g, math.nan
            r, phi = columns
            if c is not None:
                r = r - c @ phi
            g += phi @ r
            chi2 += float(r @ r)
        return within(self._triangle, g), chi2

    def terms_size(self, c: np.ndarray) -> float:
        """No sum over the columns of the sizes of their terms is larger."""
        return float(np.abs(c) @ self._largest)
