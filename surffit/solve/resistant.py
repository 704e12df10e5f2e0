"""
A start of the linear parameters that outliers don't reach.

Fits through a few points drawn at random are judged by the median of their absolute residuals (P. Rousseeuw, J. Am. Stat.
Assoc. 79 (1984) 871), and the best are refitted to the half of the points they describe best (Rousseeuw and Van Driessen,
Data Min. Knowl. Disc. 12 (2006) 29): up to nearly half of the data may lie anywhere.
"""

from __future__ import annotations

import numpy as np

from .problem import Problem, finite

DRAWS = 100  # of as many points as there are linear parameters
KEPT = 4  # draws that are refitted
REFITS = 4
ENOUGH = 5000  # points that are looked at
SEED = 20
MANY = 30  # linear parameters beyond which hardly a draw is without an outlier


def resistant(problem: Problem, alpha: np.ndarray) -> np.ndarray | None:
    """
    Linear parameters at `alpha` by least median and least trimmed squares.

    Parameters
    ----------
    problem : Problem
        Of the data alone.
    alpha : ndarray, shape (m,)

    Returns
    -------
    ndarray, shape (k,), or None
        None where there are none, or too many of them, or the model isn't finite.
    """
    columns = problem.columns(alpha) if 0 < problem.k <= MANY else None
    if columns is None:
        return None
    target, phi = columns
    rng = np.random.default_rng(SEED)
    if target.size > ENOUGH:
        chosen = rng.choice(target.size, ENOUGH, replace=False)
        target, phi = target[chosen], phi[:, chosen]
    size = np.sqrt(np.einsum("ij,ij->i", phi, phi))
    unit = np.where(size > 0.0, size, 1.0)
    phi, n, k = phi / unit[:, None], target.size, problem.k
    if n <= k + 1 or not (finite(phi) and finite(target)):
        return None
    half = (n + k + 1) // 2

    def solved(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.lstsq(phi[:, rows].T, target[rows], rcond=None)[0])

    def spread(c: np.ndarray) -> float:
        return float(np.partition(np.abs(target - c @ phi), half - 1)[half - 1])

    drawn = [solved(rng.choice(n, k, replace=False)) for _ in range(DRAWS)]
    ends = []
    for c in sorted(drawn, key=spread)[:KEPT]:
        for _ in range(REFITS):
            c = solved(np.argpartition(np.abs(target - c @ phi), half - 1)[:half])
        ends.append(c)
    return min(ends, key=spread) / unit
