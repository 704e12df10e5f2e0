r"""
Outliers of non-linear fits: fit, judge every point against the fit without it, drop, fit again.

A residual must not be measured by a scatter that contains it: :math:`r_i^2 \le (1 - h_i)\,RSS`, so that :math:`r / \sqrt{RSS/n}` stays
below :math:`\sqrt{n}` whatever the outlier. The externally studentised residual

.. math:: t_i = \frac{w_i r_i}{s_i \sqrt{1 - h_i}}, \qquad s_i^2 = \frac{RSS - w_i^2 r_i^2 / (1 - h_i)}{n - P - 1}

is that of the fit without point i (Cook & Weisberg 1982, section 2.2.1), to first order where the model is curved.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...solve.linear import factor
from ...solve.status import CONVERGED, FAILED, Status
from ..data.cube import Rows
from ..data.stack import Stack, stacks, take
from ..maps import Maps
from ..task import Options, Task
from .ends import held_at
from .rowmodel import RowModel
from .walk import cholesky, sums, unit_diagonal, weighted

__all__ = ["Fitter", "clipped", "leverages", "outliers"]

PIVOT = 1e-8  # squared, of unit-norm columns: below, leverages come from orthogonal transformations
ONE = 1e-10  # a point whose leverage is 1 within this is fitted exactly: nothing can be said about it


class Fitter(Protocol):
    """What clipping needs of an engine."""

    def fit_rows(self, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps) -> None:
        """Fit data sets from given starts."""


def clipped(
    engine: Fitter, model: RowModel, rows: Rows, start: np.ndarray, lower: np.ndarray, upper: np.ndarray, known: np.ndarray, out: Maps,
    task: Task,
) -> None:  # fmt: skip
    """
    Fit data sets, without their outliers if the task says so.

    Parameters
    ----------
    engine : Fitter
    model : RowModel
        For residuals and leverages.
    rows : Rows
    start, lower, upper : ndarray, shape (n, M)
    known : ndarray, shape (n, K)
    out : Maps
        Of these data sets.
    task : Task
    """
    engine.fit_rows(rows, start, lower, upper, known, out)
    options = task.options
    if options.clip is None:
        return
    y, w = rows.y.copy(), rows.w.copy()
    which = np.flatnonzero((rows.status == 0) & _succeeded(out.status))
    begun = start.copy()
    for _ in range(options.maxiters):
        rows_now = Rows(y, w, rows.x, rows.offsets, rows.x_offsets, rows.status)
        changed: list[np.ndarray] = []
        for stack in stacks(rows_now, len(task.free), which):
            at = stack.index
            bad = outliers(model, stack, out.values[:, at].T, known[at], lower[at], upper[at], options)
            hit = bad.any(axis=1)
            if not hit.any():
                continue
            for q, gone in zip(at[hit], bad[hit], strict=True):
                points = rows.offsets[q] + np.flatnonzero(gone)
                y[points] = w[points] = 0.0
            changed.append(at[hit])
        if not changed:
            return
        which = np.sort(np.concatenate(changed))
        begun[which] = out.values[:, which].T
        again = Maps.empty(len(task.free), len(which), out.covar is not None)
        engine.fit_rows(take(rows, which, y, w), begun[which], lower[which], upper[which], known[which], again)
        again.status[...] |= np.uint32(Status.CLIPPED)
        _write(out, which, again)
        which = which[_succeeded(again.status)]


def _succeeded(status: np.ndarray) -> np.ndarray:
    return np.asarray(((status & np.uint32(CONVERGED)) != 0) & ((status & np.uint32(FAILED)) == 0))


def _write(out: Maps, which: np.ndarray, part: Maps) -> None:
    """Put fits into their places; evaluations add up."""
    part.nfev[...] += out.nfev[which]
    for whole, some in (
        (out.values, part.values), (out.stderr, part.stderr), (out.chisqr, part.chisqr), (out.nobs, part.nobs),
        (out.nfree, part.nfree), (out.nfev, part.nfev), (out.status, part.status),
    ):  # fmt: skip
        whole[..., which] = some
    if out.covar is not None and part.covar is not None:
        out.covar[..., which] = part.covar


def outliers(
    model: RowModel, stack: Stack, p: np.ndarray, known: np.ndarray, lower: np.ndarray, upper: np.ndarray, options: Options
) -> np.ndarray:
    """
    Points (n, D) to drop: of each fit the worst that is too far off, or with `clip_all` all of them.

    Parameters
    ----------
    model : RowModel
    stack : Stack
    p : ndarray, shape (n, M)
        Answers.
    known, lower, upper : ndarray
    options : Options
        `clip`, `clip_all`, `nsigma`.
    """
    from scipy import special

    r, J, chi2 = weighted(model, stack, p, known, lower, upper)
    used = stack.w != 0
    nobs = np.count_nonzero(used, axis=1)
    if options.clip == "population":
        with np.errstate(all="ignore"):
            far, limit = np.abs(r) / np.sqrt(chi2 / nobs)[:, None], np.full(len(r), float(options.nsigma))
    else:
        h, rank = leverages(r, J, chi2, p, lower, upper)
        rest = np.where(used & (1 - h > ONE), 1 - h, np.inf)
        if options.clip == "known":
            far, limit = np.abs(r) / np.sqrt(rest), np.full(len(r), float(options.nsigma))
        else:
            dof = nobs - rank - 1
            share = r * r / rest
            with np.errstate(all="ignore"):
                # of what is left without the point, rounding can make a negative number
                others = np.maximum(chi2[:, None] - share, 1e-15 * chi2[:, None]) / dof[:, None]
                far = np.sqrt(share / others)
                # as improbable as nsigma of a normal distribution
                limit = -special.stdtrit(dof, special.ndtr(-options.nsigma))
            limit[dof < 1] = np.inf
    bad = np.nan_to_num(far, nan=0.0) > limit[:, None]
    bad &= used
    if not options.clip_all and options.clip != "population":
        worst = np.argmax(np.where(bad, far, -1.0), axis=1)
        bad &= np.arange(r.shape[1]) == worst[:, None]
    return np.asarray(bad)


def leverages(
    r: np.ndarray, J: np.ndarray, chi2: np.ndarray, p: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Diagonal of the hat matrix of each fit, (n, D), and its trace, the number of determined parameters, (n,).

    Parameters
    ----------
    r, J : ndarray, shape (n, D), (n, M, D)
        Weighted residuals and derivatives.
    chi2 : ndarray, shape (n,)
    p, lower, upper : ndarray, shape (n, M)
        Parameters held on a bound take no part.
    """
    g, H = sums(r, J)
    diag = np.einsum("nkk->nk", H)
    free = ~held_at(p, g, np.sqrt(diag * chi2[:, None]), lower, upper) & (diag > 0)
    C, s = unit_diagonal(H, free)
    L, least = cholesky(C)
    h = np.zeros_like(r)
    u = np.where(free, 1.0 / s, 0.0)[:, :, None] * J
    for i in range(u.shape[1]):
        for k in range(i):
            u[:, i] -= L[:, i, k, None] * u[:, k]
        u[:, i] /= L[:, i, i, None]
        h += u[:, i] * u[:, i]
    rank = free.sum(axis=1)
    for q in np.flatnonzero(~(least > PIVOT) & free.any(axis=1)).tolist():
        f = factor(np.ascontiguousarray(J[q][free[q]]))
        if f is not None:
            h[q], rank[q] = np.einsum("ij,ij->i", f.q, f.q), f.rank
    return np.minimum(h, 1.0), rank
