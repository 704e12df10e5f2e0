r"""
Which of several candidates for the searched parameters fits a data set best, with its linear parameters solved for.

With coordinates common to all data sets the columns :math:`\phi` of a candidate are common too, and chi-square is
:math:`\sum w^2 d^2 - b' G^{-1} b` with :math:`G_{ij} = \sum_d w_d^2 \phi_i \phi_j` and :math:`b_i = \sum_d w_d^2 d \phi_i`: sums over
products that are made once.
"""

from __future__ import annotations

import numpy as np

from ..data.cube import Rows
from ..data.stack import Stack, stacks
from ..search.rowmodel import RowModel
from ..search.walk import linear_solve, weighted

__all__ = ["best", "chi_squares", "each"]

PIVOT = 1e-10  # of unit-norm columns: a dependent one is left out


def best(
    model: RowModel, rows: Rows, start: np.ndarray, table: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray,
    linear: list[int], own: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """
    Starts (n, M) with the best candidate of each data set in place of what it names.

    Parameters
    ----------
    model : RowModel
    rows : Rows
    start : ndarray, shape (n, M)
    table : ndarray, shape (K, M)
        Candidates; nan where the start stays.
    known, lower, upper : ndarray
    linear : list of int
    own : ndarray, shape (n, M), optional
        One more candidate of each data set's own.
    """
    out = start.copy()
    named = np.flatnonzero(np.isfinite(table).any(axis=0))
    width = 2 * len(linear) + 4
    for stack in stacks(rows, max(width, start.shape[1])):
        at = stack.index
        chi2 = chi_squares(model, stack, start[at], table, known[at], lower[at], upper[at], linear)
        if own is not None:
            mine = start[at]
            mine[:, named] = own[np.ix_(at, named)]
            chi2 = np.column_stack([each(model, stack, mine, known[at], lower[at], upper[at], linear), chi2])
        ranked = np.where(np.isfinite(chi2), chi2, np.inf)
        winner = np.argmin(ranked, axis=1)
        found = np.isfinite(ranked[np.arange(len(at)), winner])
        if own is not None:
            chosen = np.where((winner == 0)[:, None], own[at], table[winner - 1])
        else:
            chosen = table[winner]
        chosen = np.clip(chosen, lower[at], upper[at])
        use = np.isfinite(chosen) & found[:, None]
        use[:, linear] = False
        out[at] = np.where(use, chosen, out[at])
    return out


def chi_squares(
    model: RowModel, stack: Stack, start: np.ndarray, table: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray,
    linear: list[int],
) -> np.ndarray:  # fmt: skip
    """Chi-square (n, K) of every candidate, linear parameters solved for; nan where the model isn't finite."""
    varied = np.isnan(table).any(axis=0)
    varied[linear] = False
    common = all(a.ndim == 1 for a in stack.x) and not np.ptp(known, axis=0).any()
    if common and not np.ptp(start[:, varied], axis=0).any() and (lower == lower[0]).all() and (upper == upper[0]).all():
        return _shared(model, stack, start[0], table, known[:1], lower[:1], upper[:1], linear)
    out = np.empty((len(start), len(table)))
    for k, candidate in enumerate(table):
        p = np.where(np.isfinite(candidate), candidate, start)
        out[:, k] = each(model, stack, p, known, lower, upper, linear)
    return out


def each(
    model: RowModel, stack: Stack, p: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray, linear: list[int]
) -> np.ndarray:
    """Chi-square (n,) at starts of each data set's own, linear parameters solved for."""
    p = np.clip(p, lower, upper)
    p[:, linear] = 0.0
    r, J, chi2 = weighted(model, stack, p, known, lower, upper)
    if linear:
        c = linear_solve(r, J[:, linear])
        for i, k in enumerate(linear):
            r -= c[:, i, None] * J[:, k]
        chi2 = np.einsum("nd,nd->n", r, r)
    return np.asarray(chi2)


def _shared(
    model: RowModel, stack: Stack, start: np.ndarray, table: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray,
    linear: list[int],
) -> np.ndarray:  # fmt: skip
    p = np.clip(np.where(np.isfinite(table), table, start), lower, upper)
    p[:, linear] = 0.0
    K, k = len(p), len(linear)
    f, J = model.full(p, np.repeat(known, K, axis=0), stack.x, np.repeat(lower, K, axis=0), np.repeat(upper, K, axis=0))
    w2 = stack.w * stack.w
    phi = J[:, linear]
    ok = np.isfinite(f) & np.isfinite(phi).all(axis=1)
    f, phi = np.where(ok, f, 0.0), np.where(ok[:, None], phi, 0.0)
    out = np.empty((len(w2), K))
    for c in range(K):
        d = stack.y - f[c] if f[c].any() else stack.y
        d2 = w2 * d
        chi2 = np.einsum("nd,nd->n", d2, d)
        b = [np.einsum("nd,d->n", d2, phi[c, i]) for i in range(k)]
        G = {(i, j): np.einsum("nd,d->n", w2, phi[c, i] * phi[c, j]) for i in range(k) for j in range(i + 1)}
        size = [G[i, i].copy() for i in range(k)]
        for i in range(k):
            pivot = G[i, i]
            dead = ~(pivot > PIVOT * size[i])
            pivot = np.where(dead, np.inf, pivot)
            chi2 = chi2 - b[i] * b[i] / pivot
            for j in range(i + 1, k):
                factor = G[j, i] / pivot
                b[j] = b[j] - factor * b[i]
                for m in range(i + 1, j + 1):
                    G[j, m] = G[j, m] - factor * G[m, i]
        out[:, c] = chi2
        if not ok[c].all():
            out[(w2[:, ~ok[c]] > 0).any(axis=1), c] = np.nan
    return out
