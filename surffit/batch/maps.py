"""The numbers of all fits: one array per quantity, data sets along the last axis."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..solve.status import Status
from .slabs import Block

__all__ = ["Maps"]


@dataclass(frozen=True, eq=False)
class Maps:
    """
    What the engines fill in.

    Attributes
    ----------
    values, stderr : ndarray, shape (parameters, data sets)
        Free parameters; nan where there was no fit.
    chisqr : ndarray, shape (data sets,)
    nobs, nfree, nfev : ndarray of int32, shape (data sets,)
        Points used; these minus the parameters that were determined; evaluations of the model.
    status : ndarray of uint32, shape (data sets,)
    covar : ndarray, shape (parameters, parameters, data sets), or None
    tied, tied_stderr : ndarray, shape (tied parameters, data sets), or None
        Parameters that expressions tie to others; not the engines' business.
    errors : list of str
        Exceptions, each with its data sets.
    """

    values: np.ndarray
    stderr: np.ndarray
    chisqr: np.ndarray
    nobs: np.ndarray
    nfree: np.ndarray
    nfev: np.ndarray
    status: np.ndarray
    covar: np.ndarray | None
    tied: np.ndarray | None = None
    tied_stderr: np.ndarray | None = None
    errors: list[str] = field(default_factory=list)

    @classmethod
    def empty(cls, n_params: int, n_sets: int, covar: bool, n_tied: int = 0) -> Maps:
        """Arrays without content; memory is taken when it is written."""
        whole = np.empty((n_params, n_params, n_sets)) if covar else None
        nobs, nfree, nfev = (np.zeros(n_sets, dtype=np.int32) for _ in range(3))
        values, stderr = np.empty((n_params, n_sets)), np.empty((n_params, n_sets))
        tied, tied_stderr = (np.empty((n_tied, n_sets)) if n_tied else None for _ in range(2))
        return cls(values, stderr, np.empty(n_sets), nobs, nfree, nfev, np.zeros(n_sets, dtype=np.uint32), whole, tied, tied_stderr)

    def part(self, block: Block) -> Maps:
        """Views of one block."""
        cut = slice(block.start, block.stop)
        covar = None if self.covar is None else self.covar[..., cut]
        tied, tied_stderr = (None if rows is None else rows[:, cut] for rows in (self.tied, self.tied_stderr))
        counts = (self.nobs[cut], self.nfree[cut], self.nfev[cut])
        return Maps(
            self.values[:, cut], self.stderr[:, cut], self.chisqr[cut], *counts, self.status[cut], covar, tied, tied_stderr, self.errors
        )  # fmt: skip

    def with_covar(self) -> Maps:
        """The same arrays, with covariances for now where none are kept."""
        if self.covar is not None:
            return self
        return replace(self, covar=np.empty((len(self.values), len(self.values), len(self.status))))

    def fail(self, where: np.ndarray | slice, flag: Status | int) -> None:
        """No fit: nan and a flag."""
        self.values[:, where] = np.nan
        self.stderr[:, where] = np.nan
        self.chisqr[where] = np.nan
        if self.covar is not None:
            self.covar[..., where] = np.nan
        for rows in (self.tied, self.tied_stderr):
            if rows is not None:
                rows[:, where] = np.nan
        self.status[where] |= np.uint32(flag)
