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

import math
from collections.abc import Callable, Iterator

import numpy as np

from ..bases.basis import Basis
from ..bases.product import ProductBasis

BLOCK = 4_000_000  # numbers of the design that are held at a time
TINY = 1e-14  # of a squared cosine: a direction that the data know nothing of
STEPS = 8  # per factor of ten, of the first search
CLOSE = 1e-5  # of ln lambda: nearer to the minimum makes no difference


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
    rows = _roughness(basis)
    flat = [np.ravel(c) for c in np.broadcast_arrays(*coords)]
    w = np.ones(y.size) if weights is None else np.ravel(weights)
    k = rows.shape[1]
    size = max(k + 1, BLOCK // k)

    def design() -> Iterator[tuple[np.ndarray, slice]]:
        for start in range(0, y.size, size):
            part = slice(start, start + size)
            yield w[part, None] * basis.columns(*(c[part] for c in flat)), part

    few = np.zeros((0, k + 1))
    for X, part in design():
        few = np.asarray(np.linalg.qr(np.vstack([few, np.column_stack([X, (w * y)[part]])]), mode="r"))
    found = Directions(few[:, :k], few[:, k], 0.0, rows)
    if way == "gcv":
        return found.strongest(lambda log: found.gcv(log, y.size))
    tables = [(X @ found.turn, (w * y)[part]) for X, part in design()]

    def left_out(log: float) -> float:
        total = 0.0
        for Z, z in tables:
            r = z - Z @ (found.b / found.both(log))
            h = (Z * Z) @ (1.0 / found.both(log))
            total += float(np.sum((r / np.maximum(1.0 - h, 1e-9)) ** 2))
        return float(np.log(max(total, 1e-300)))

    return found.strongest(left_out)


def choose_on_grid(basis: ProductBasis, lines: list[np.ndarray], z: np.ndarray) -> float:
    """
    The same by generalised cross-validation on a whole grid without weights, from the factors of each axis.

    Parameters
    ----------
    basis : ProductBasis
        With a penalty, of two variables.
    lines : list of ndarray
        Values of either variable.
    z : ndarray, shape (n_1, n_2)
        Data, the first variable along the first axis.

    Returns
    -------
    float
    """
    (q1, r1), (q2, r2) = (np.linalg.qr(basis.axis_functions(i, line)) for i, line in enumerate(lines))
    target = q1.T @ z @ q2
    rest = sum(float(np.sum((row - (a @ target) @ q2.T) ** 2)) for row, a in zip(z, q1, strict=True))
    found = Directions(np.kron(r1, r2), target.ravel(), rest, _roughness(basis))
    return found.strongest(lambda log: found.gcv(log, z.size))


class Directions:
    """
    The directions in which data and roughness are both diagonal.

    Parameters
    ----------
    X, y : ndarray, shapes (q, k) and (q,)
        Weighted columns and data, in few rows.
    rest : float
        Squares of the data beside these rows.
    rows : ndarray, shape (p, k)
        Of the roughness.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, rest: float, rows: np.ndarray) -> None:
        from scipy.linalg import solve_triangular, svd

        self.ratio = float(np.sqrt(np.sum(X * X) / np.sum(rows * rows)))
        S = np.linalg.qr(np.concatenate([X, self.ratio * rows]), mode="r")
        _, sine, V = svd(solve_triangular(S, self.ratio * rows.T, trans="T").T, full_matrices=False)
        self.turn = solve_triangular(S, V.T)
        self.s2 = np.minimum(sine, 1.0) ** 2
        self.c2 = 1.0 - self.s2
        self.known = self.c2 > TINY
        self.b = (X @ self.turn).T @ y
        self.best = np.where(self.known, self.b / np.where(self.known, self.c2, 1.0), 0.0)
        left = y - X @ (self.turn @ self.best)  # without smoothing
        self.rest = rest + float(left @ left)

    def both(self, log: float) -> np.ndarray:
        """What the data and the smoothing know of each direction."""
        return np.asarray(self.c2 + math.exp(log) * self.s2)

    def gcv(self, log: float, n: int) -> float:
        """ln of the score of generalised cross-validation."""
        share = self.c2 / self.both(log)
        lost = self.rest + float(np.sum(self.c2 * (self.best * (1.0 - share)) ** 2))
        return math.log(max(lost, 1e-300)) - 2.0 * math.log(max(n - float(share.sum()), 1e-9))

    def strongest(self, score: Callable[[float], float]) -> float:
        """The strength of the lowest score."""
        live = self.known & (self.s2 > TINY)
        if not live.any():
            return self.ratio**2
        turns = self.c2[live] / self.s2[live]  # the strength at which a direction is halved
        ends = math.log(1e-2 * turns.min()), math.log(1e2 * turns.max())
        return self.ratio**2 * math.exp(_lowest(score, *ends))


def _roughness(basis: Basis) -> np.ndarray:
    rows = basis.penalty()
    assert rows is not None  # noqa: S101 - for the type checker: splines have one
    return rows


def _lowest(score: Callable[[float], float], low: float, high: float) -> float:
    """The lowest point of a function of one variable that may have several minima: a coarse search, then golden section."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(low, high, 2 + int(STEPS * (high - low) / np.log(10.0)))
    values = [score(at) for at in grid]
    i = int(np.argmin(values))
    if i in (0, len(grid) - 1):
        return float(grid[i])
    return float(minimize_scalar(score, bracket=(grid[i - 1], grid[i], grid[i + 1]), tol=CLOSE).x)
