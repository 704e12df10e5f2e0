r"""
How much to smooth: the strength with the smallest error of prediction.

With X the weighted columns, R the rows of the roughness and S'S = X'X + R'R, the singular values s_j of R S^-1 are sines, and a
fit of strength lambda keeps of its j-th direction the share c_j^2/(c_j^2 + lambda s_j^2), where c_j^2 + s_j^2 = 1. So all
strengths cost one decomposition. It works where the data leave coefficients open, too, as long as the roughness doesn't.

References
----------
.. [1] P. Craven, G. Wahba, Numer. Math. 31 (1979) 377, doi:10.1007/BF01404567.
.. [2] G. H. Golub, C. F. Van Loan, Matrix Computations (1996), Johns Hopkins, section 8.7.3 (CS decomposition).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..bases.basis import Basis

BLOCK = 4_000_000  # numbers of the design that are held at a time
TINY = 1e-14  # of a squared cosine: a direction that the data know nothing of
STEPS = 8  # per factor of ten, of the first search
CLOSE = 1e-3  # of ln lambda: nearer to the minimum makes no difference


def choose(basis: Basis, coords: list[np.ndarray], y: np.ndarray, weights: np.ndarray | None, way: str) -> float:
    """
    The best strength of smoothing for data.

    Parameters
    ----------
    basis : Basis
        With a penalty.
    coords : list of ndarray, shape (n,)
    y : ndarray, shape (n,)
    weights : ndarray, shape (n,), optional
        1/sigma.
    way : {"gcv", "loo"}
        What is smallest: generalised cross-validation, n |r|^2/(n - edf)^2, or the mean square of residuals of points left out,
        (r_i/(1 - h_ii))^2.

    Returns
    -------
    float
        lambda of ``|w (y - f)|**2 + lambda |R c|**2``.
    """
    rows = basis.penalty()
    assert rows is not None  # noqa: S101 - for the type checker: splines have one
    flat = [np.ravel(c) for c in np.broadcast_arrays(*coords)]
    w = np.ones(y.size) if weights is None else np.ravel(weights)
    k = rows.shape[1]
    size = max(1, BLOCK // k)

    def design() -> Iterator[tuple[np.ndarray, slice]]:
        for start in range(0, y.size, size):
            part = slice(start, start + size)
            yield w[part, None] * basis.columns(*(c[part] for c in flat)), part

    norm = np.sqrt(sum(float(np.sum(X * X)) for X, _ in design()))
    ratio = norm / np.sqrt(np.sum(rows * rows))
    S = np.linalg.qr(ratio * rows, mode="r")
    for X, _ in design():
        S = np.linalg.qr(np.concatenate([S, X]), mode="r")
    from scipy.linalg import solve_triangular, svd

    _, sine, V = svd(solve_triangular(S, ratio * rows.T, trans="T").T, full_matrices=False)
    turn = solve_triangular(S, V.T)
    s2 = np.minimum(sine, 1.0) ** 2
    c2 = 1.0 - s2
    known = c2 > TINY
    z = w * y
    b = sum(((X @ turn).T @ z[part] for X, part in design()), np.zeros(k))
    best = np.where(known, b / np.where(known, c2, 1.0), 0.0)
    left = np.concatenate([z[part] - X @ (turn @ best) for X, part in design()])  # of the unsmoothed fit
    rest = float(left @ left)
    tables = [(X @ turn) for X, _ in design()] if way == "loo" else []

    def score(log: float) -> float:
        share = c2 / (c2 + np.exp(log) * s2)
        if way == "gcv":
            lost = rest + float(np.sum(np.where(known, b * b / np.where(known, c2, 1.0), 0.0) * (1.0 - share) ** 2))
            return float(np.log(max(lost, 1e-300)) - 2.0 * np.log(max(y.size - share.sum(), 1e-9)))
        total, start = 0.0, 0
        for Z in tables:
            h = (Z * Z) @ (1.0 / (c2 + np.exp(log) * s2))
            r = left[start : start + len(Z)] + Z @ (best * (1.0 - share))
            total += float(np.sum((r / np.maximum(1.0 - h, 1e-9)) ** 2))
            start += len(Z)
        return float(np.log(max(total, 1e-300)))

    live = known & (s2 > TINY)
    if not live.any():
        return float(ratio**2)
    turns = c2[live] / s2[live]  # the strength at which a direction is halved
    ends = float(np.log(1e-2 * turns.min())), float(np.log(1e2 * turns.max()))
    return float(ratio**2 * np.exp(_lowest(score, *ends)))


def _lowest(score: Callable[[float], float], low: float, high: float) -> float:
    """The lowest point of a function of one variable that may have several minima: a coarse search, then golden section."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(low, high, 2 + int(STEPS * (high - low) / np.log(10.0)))
    values = [score(at) for at in grid]
    i = int(np.argmin(values))
    if i in (0, len(grid) - 1):
        return float(grid[i])
    return float(minimize_scalar(score, bracket=(grid[i - 1], grid[i], grid[i + 1]), tol=CLOSE).x)
