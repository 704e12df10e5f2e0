"""The maps of numbers and flags of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...exceptions import ParameterError
from ...solve.status import CONVERGED, FAILED, Status
from ..maps import Maps

__all__ = ["MapsByName", "successful"]


class MapsByName:
    """What engines filled in, in the shape of the map and the container of the data."""

    maps: Maps
    shape: tuple[int, ...]
    _wrap: Callable[[np.ndarray], Any]

    @property
    def chisqr(self) -> Any:
        """Sum of the squared weighted residuals."""
        return self._map(self.maps.chisqr)

    @property
    def redchi(self) -> Any:
        """`chisqr` per degree of freedom."""
        return self._map(self._redchi())

    @property
    def nobs(self) -> Any:
        """Number of points used."""
        return self._map(self.maps.nobs)

    @property
    def nfree(self) -> Any:
        """Degrees of freedom."""
        return self._map(self.maps.nfree)

    @property
    def nfev(self) -> Any:
        """Evaluations of the model."""
        return self._map(self.maps.nfev)

    @property
    def status(self) -> Any:
        """Flags, see `surffit.Status`."""
        return self._map(self.maps.status)

    @property
    def errors(self) -> tuple[str, ...]:
        """Exceptions, each with the data sets that it hit; they have the flag CHUNK_FAILED."""
        return tuple(self.maps.errors)

    @property
    def success(self) -> Any:
        """Whether a minimum was reached."""
        return self._map(self._success())

    @property
    def failed(self) -> Any:
        """Whether no minimum was reached."""
        return self._map(~self._success())

    def where(self, flag: str | Status) -> Any:
        """
        Data sets that have a flag.

        Parameters
        ----------
        flag : str or Status
            Such as ``"RUNAWAY"``; several joined by "|" mean any of them.

        Returns
        -------
        map of bool
            Ready to index with; ``numpy.argwhere`` of it lists the places.

        Raises
        ------
        ParameterError
            If there is no such flag.
        """
        return self._map((self.maps.status & np.uint32(_flags(flag))) != 0)

    def _map(self, numbers: np.ndarray) -> Any:
        return self._wrap(numbers.reshape(self.shape))

    def _success(self) -> np.ndarray:
        return successful(self.maps.status)

    def _redchi(self) -> np.ndarray:
        return self.maps.chisqr / np.maximum(self.maps.nfree, 1)


def successful(status: np.ndarray) -> np.ndarray:
    """`Status.success` of many."""
    return ((status & np.uint32(CONVERGED)) != 0) & ((status & np.uint32(FAILED)) == 0)


def _flags(flag: str | Status) -> Status:
    if isinstance(flag, Status):
        return flag
    found = Status(0)
    for name in str(flag).split("|"):
        if name.strip() not in Status.__members__:
            from difflib import get_close_matches

            close = get_close_matches(name.strip().upper(), list(Status.__members__), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the flags are {', '.join(Status.__members__)}"
            msg = f"there is no flag {name.strip()!r}; {hint}"
            raise ParameterError(msg, flag=name)
        found |= Status[name.strip()]
    return found
