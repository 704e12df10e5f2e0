"""Parameters that expressions tie to others: their values, and their errors to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data.slabs import slabs
from .fitted import POINTS, params_of

if TYPE_CHECKING:
    from .result import BatchResult

__all__ = ["tied_numbers"]


def tied_numbers(batch: BatchResult, name: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Values and standard errors of one tied parameter.

    Returns
    -------
    values, stderr : ndarray, shape (n_sets,)
        inf where it changes with a parameter that the data don't determine; nan where it changes with one that is held, and where it
        changes with several and the batch kept no covariances.
    """
    value, stderr = np.empty(batch.size), np.full(batch.size, np.nan)
    for block in slabs(batch.shape, POINTS):
        cut = slice(block.start, block.stop)
        errors = batch.maps.stderr[:, cut]
        value[cut], J = batch.evaluator.tied(name, params_of(batch, block, tied=False), dict(zip(batch.task.free, errors, strict=True)))
        value[cut][~np.isfinite(batch.maps.values[:, cut]).all(axis=0)] = np.nan
        with np.errstate(all="ignore"):
            felt = J != 0
            if batch.maps.covar is not None:
                covar = np.where(np.isfinite(batch.maps.covar[..., cut]), batch.maps.covar[..., cut], 0.0)
                out = np.sqrt(np.maximum(np.einsum("in,ijn,jn->n", J, covar, J), 0.0))
            else:
                out = np.where(felt.sum(axis=0) <= 1, np.where(felt, np.abs(J) * errors, 0.0).sum(axis=0), np.nan)
            out[(felt & np.isinf(errors)).any(axis=0)] = np.inf
            out[(felt & np.isnan(errors)).any(axis=0)] = np.nan
        stderr[cut] = out
    return value, stderr
