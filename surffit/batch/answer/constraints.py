"""Parameters that expressions tie to others: values and errors while a block's covariances are at hand."""

from __future__ import annotations

import threading

import numpy as np

from ..data.slabs import Block
from ..maps import Maps
from ..task import Task
from .evaluate import Evaluator, numbers_of

__all__ = ["Ties"]


class Ties:
    r"""
    Tied parameters of a task.

    To first order, with the gradient g of the expression in the free parameters and their covariance C,

    .. math:: \sigma^2 = g^T C g

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.evaluator = Evaluator(task)
        # the evaluator compiles what it is asked for first; and expressions that only lmfit understands share one interpreter
        self._lock = threading.Lock()

    def fill(self, block: Block, out: Maps) -> None:
        """Fill in ``out.tied`` and ``out.tied_stderr`` of a fitted block, which has covariances."""
        task = self.task
        params = dict(zip(task.free, out.values, strict=True))
        params |= {name: numbers_of(task.value[name], block) for name in task.known}
        errors = dict(zip(task.free, out.stderr, strict=True))
        covar = (
            np.where(np.isfinite(out.covar), out.covar, 0.0)
            if out.covar is not None
            else np.zeros((len(task.free),) * 2 + out.status.shape)
        )
        if out.tied is None or out.tied_stderr is None:
            return
        lost = ~np.isfinite(out.values).all(axis=0)
        for row, name in enumerate(task.tied):
            with self._lock:
                value, J = self.evaluator.tied(name, params, errors)
            felt = (J != 0) & ~lost
            J = np.where(np.isfinite(J), J, 0.0)
            stderr = np.sqrt(np.maximum(np.einsum("in,ijn,jn->n", J, covar, J), 0.0))
            stderr[(felt & np.isinf(out.stderr)).any(axis=0)] = np.inf
            # one that a bound holds does not move, and its error is not known
            stderr[(felt & np.isnan(out.stderr)).any(axis=0)] = np.nan
            stderr[lost] = np.nan
            out.tied[row] = np.where(lost, np.nan, value)
            out.tied_stderr[row] = stderr
