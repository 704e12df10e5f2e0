"""The numbers of all fits: one array per quantity, data sets along the last axis."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..solve.status import Status
from .data.slabs import Block

__all__ = ["Maps", "Usual"]

TYPES: dict[str, Any] = {"nobs": np.int32, "nfree": np.int32, "nfev": np.int32, "status": np.uint32}

_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Usual:
    """
    What an engine knows of its data sets before it sees them; the maps of it are made when someone asks for them.

    Attributes
    ----------
    counts : dict of int
        ``nobs``, ``nfree``, ``nfev`` and ``status``.
    deviation : ndarray, shape (parameters,)
        Standard errors for unit variance.
    part : float or None
        Variance over chi-square, 1 / nfree; None: the variance is 1.
    """

    counts: dict[str, int]
    deviation: np.ndarray
    part: float | None

    def stderr(self, chisqr: np.ndarray) -> np.ndarray:
        """Standard errors, shape (parameters, data sets)."""
        out = np.empty((len(self.deviation), len(chisqr)))
        if self.part is None:
            out[:] = self.deviation[:, None]
            return out
        with np.errstate(invalid="ignore"):
            root = self.part * chisqr
            np.sqrt(root, out=root)
        return np.multiply(self.deviation[:, None], root, out=out)


class Maps:
    """
    What the engines fill in.

    Parameters
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
    usual : Usual, optional
        What `stderr`, the counts and `status` are where nothing else was put. Those arrays are None then and made when someone asks for
        them, which must be after all fits: memory that is never written takes no time.
    """

    def __init__(
        self, values: np.ndarray, stderr: np.ndarray | None, chisqr: np.ndarray, nobs: np.ndarray | None, nfree: np.ndarray | None,
        nfev: np.ndarray | None, status: np.ndarray | None, covar: np.ndarray | None, tied: np.ndarray | None = None,
        tied_stderr: np.ndarray | None = None, errors: list[str] | None = None, usual: Usual | None = None,
    ) -> None:  # fmt: skip
        self.values, self.chisqr, self.covar, self.tied, self.tied_stderr = values, chisqr, covar, tied, tied_stderr
        self.errors = [] if errors is None else errors
        self.usual = usual
        self._arrays: dict[str, Any] = {"stderr": stderr, "nobs": nobs, "nfree": nfree, "nfev": nfev, "status": status}
        # data sets that are not as usual, in the order in which they came; a part hands its own to the whole
        self._apart: list[tuple[np.ndarray, dict[str, Any]]] = []
        self._whole, self._start = self, 0

    @classmethod
    def empty(cls, n_params: int, n_sets: int, covar: bool, n_tied: int = 0, usual: Usual | None = None) -> Maps:
        """Arrays without content; memory is taken when it is written."""
        values, chisqr = np.empty((n_params, n_sets)), np.empty(n_sets)
        whole = np.empty((n_params, n_params, n_sets)) if covar else None
        tied, tied_stderr = (np.empty((n_tied, n_sets)) if n_tied else None for _ in range(2))
        if usual is not None:
            return cls(values, None, chisqr, None, None, None, None, whole, tied, tied_stderr, usual=usual)
        counts: dict[str, Any] = {name: np.zeros(n_sets, dtype=dtype) for name, dtype in TYPES.items()}
        return cls(values, np.empty((n_params, n_sets)), chisqr, **counts, covar=whole, tied=tied, tied_stderr=tied_stderr)

    @property
    def size(self) -> int:
        """Number of data sets."""
        return len(self.chisqr)

    @property
    def stderr(self) -> np.ndarray:
        """Standard errors of the free parameters."""
        return self._array("stderr")

    @property
    def nobs(self) -> np.ndarray:
        """Points used."""
        return self._array("nobs")

    @property
    def nfree(self) -> np.ndarray:
        """Degrees of freedom."""
        return self._array("nfree")

    @property
    def nfev(self) -> np.ndarray:
        """Evaluations of the model."""
        return self._array("nfev")

    @property
    def status(self) -> np.ndarray:
        """Flags."""
        return self._array("status")

    def _array(self, name: str) -> np.ndarray:
        if self._arrays[name] is None and self._whole is not self:
            return self._whole._array(name)[..., self._start : self._start + self.size]
        if self._arrays[name] is None:
            with _lock:
                if self._arrays[name] is None:
                    self._arrays[name] = self._made(name, cast(Usual, self.usual))
        array: np.ndarray = self._arrays[name]
        return array

    def _made(self, name: str, usual: Usual) -> np.ndarray:
        if name == "stderr":
            array = usual.stderr(self.chisqr)
        else:
            array = np.full(self.size, usual.counts[name], dtype=TYPES[name])
        for sets, numbers in self._apart:
            array[..., sets] = numbers[name]
        return array

    def part(self, block: Block) -> Maps:
        """Views of one block."""
        cut = slice(block.start, block.stop)
        covar = None if self.covar is None else self.covar[..., cut]
        tied, tied_stderr = (None if rows is None else rows[:, cut] for rows in (self.tied, self.tied_stderr))
        views = {name: None if array is None else array[..., cut] for name, array in self._arrays.items()}
        about: dict[str, Any] = {"covar": covar, "tied": tied, "tied_stderr": tied_stderr, "errors": self.errors, "usual": self.usual}
        out = Maps(values=self.values[:, cut], chisqr=self.chisqr[cut], **views, **about)
        out._whole, out._start = self._whole, self._start + block.start
        return out

    def with_covar(self) -> Maps:
        """The same arrays, with covariances for now where none are kept; not for maps that are made later."""
        if self.covar is not None:
            return self
        covar = np.empty((len(self.values), len(self.values), self.size))
        about: dict[str, Any] = {"covar": covar, "tied": self.tied, "tied_stderr": self.tied_stderr, "errors": self.errors}
        return Maps(values=self.values, chisqr=self.chisqr, **self._arrays, **about)

    def put(self, sets: np.ndarray, found: Maps) -> None:
        """The numbers of some data sets (not those of tied parameters)."""
        self.values[:, sets], self.chisqr[sets] = found.values, found.chisqr
        if self.covar is not None and found.covar is not None:
            self.covar[..., sets] = found.covar
        if self.usual is not None:
            self._whole._apart.append((self._start + sets, found._arrays))
            return
        for name, array in found._arrays.items():
            self._arrays[name][..., sets] = array

    def lose(self, flag: Status) -> None:
        """No fit of any of these data sets, whatever was here before."""
        lost = Maps.empty(len(self.values), self.size, self.covar is not None)
        lost.fail(slice(None), flag)
        self.put(np.arange(self.size), lost)
        for rows in (self.tied, self.tied_stderr):
            if rows is not None:
                rows[...] = np.nan

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
