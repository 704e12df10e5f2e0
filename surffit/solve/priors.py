r"""
Prior knowledge of parameters as rows of a problem.

A Gaussian prior (mean, tau) is one exact row, (mean - p) / tau: elimination of linear parameters, refinement and errors
hold with it as they do without. Any other log-density ln P adds -2 ln P to the cost; its gradient and Hessian come by
differences of high order and enter as rows v' sqrt(w) along the Hessian's axes v, with w > 0, and as what the exact Hessian
differs by from those, as for a loss (see `reweighted`).

Prior rows are in units of their own errors; data rows are so only where sigma is known. Otherwise the data's variance s^2
is found with the fit, from the freedom that the data have left: s^2 = chi2 / (N - gamma), where gamma is the trace of the
data's share of the information, sum_j of A (A + s^2 T)^{-1} with A = J'J and T the prior's (D. MacKay, Neural Computation
4 (1992) 415). Without priors gamma is n, with a prior that holds a parameter it is one less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev

from .around import Around
from .derivatives import differences
from .linear import factor
from .problem import EPS, Problem, finite

FLAT = 1e20  # times the first guess: a density that doesn't change within this has no scale
CORNER = 0.5  # relative change of a curvature with the step beyond which it is a corner
NODES = 14  # of the interpolation beside the end of a support
END = 16.0 * EPS  # of the spread, or of the end itself: closer, a density may count itself outside by rounding
STRAIGHT = 1e-6  # times the squared slope of ln P: below, its curvature is not worth a step


@dataclass(frozen=True, slots=True, eq=False)
class GaussianPrior:
    """p[index] ~ N(mean, sigma^2)."""

    index: int
    mean: float
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class Roughness:
    """
    ``|goal - rows p[indices]|**2`` added to the cost: what a smoothing surface is held by.

    The rows count as data of unit weight: unlike a prior of known size they scale with the data's error, so that how smooth a
    surface is does not depend on whether that is known.
    """

    indices: np.ndarray
    rows: np.ndarray
    goal: np.ndarray


class DensityPrior:
    """
    Any log-density of one or several parameters.

    Parameters
    ----------
    indices : sequence of int
        Its parameters.
    logp : callable
        One float per parameter -> float.
    scale : sequence of float
        First guess of the distance over which it changes, per parameter.
    centre : float, optional
        Where a single parameter is expected, with `spread`; a place to start from.
    spread : float, optional
    lower, upper : float
        Support of a single parameter.

    Attributes
    ----------
    hard : (bool, bool)
        Whether the density is still smooth and finite at either end of the support, so that a fit can end there.
    """

    def __init__(
        self, indices: Sequence[int], logp: Callable[..., float], scale: Sequence[float], *, centre: float = math.nan,
        spread: float = math.nan, lower: float = -math.inf, upper: float = math.inf,
    ) -> None:  # fmt: skip
        self.indices = np.array(indices, dtype=int)
        self.logp = logp
        self._scale = np.array(scale, dtype=float)
        self._widest = FLAT * self._scale
        self.centre, self.spread = centre, spread
        self.lower, self.upper = lower, upper
        self.hard = (self._ends_hard(lower, 1.0), self._ends_hard(upper, -1.0))

    def _ends_hard(self, end: float, inward: float) -> bool:
        """Whether ln P comes to the end of its support without falling or rising for ever."""
        if not (math.isfinite(end) and 0.0 < self.spread < math.inf):
            return False
        size = max(self.spread, 1e-3 * abs(end))
        near, far = (self._plain([end + inward * share * size]) for share in (1e-9, 1e-6))
        return math.isfinite(near) and abs(near - far) < 1e-3

    def _plain(self, x: list[float]) -> float:
        with np.errstate(all="ignore"):
            out = float(self.logp(*x))
        return out if out < math.inf else -math.inf  # nan compares false

    def value(self, x: np.ndarray) -> float:
        """ln P at x (q,); -inf where it is not possible."""
        at = x.tolist()
        if self.hard[0] and self.lower <= at[0]:
            at[0] = max(at[0], self.lower + END * max(abs(self.lower), self.spread))
        if self.hard[1] and self.upper >= at[0]:
            at[0] = min(at[0], self.upper - END * max(abs(self.upper), self.spread))
        return self._plain(at)

    def _beside_end(self, x: np.ndarray) -> tuple[float, float] | None:
        """First and second derivative where a hard end of the support is near, from inside; None elsewhere."""
        at = float(x[0])
        near = (self.hard[0] and at - self.lower < self.spread) or (self.hard[1] and self.upper - at < self.spread)
        if not near or not self.lower <= at <= self.upper:
            return None
        length = min(self.spread, self.upper - self.lower)
        for _ in range(60):
            low = min(max(at - 0.5 * length, self.lower), self.upper - length)
            window = [low, low + length]
            sides = [self.value(np.array([end])) for end in window]
            if all(math.isfinite(side) for side in sides) and abs(sides[1] - sides[0]) < 2.0:
                curve = Chebyshev.interpolate(lambda t: np.array([self.value(np.array([v])) for v in t]), NODES, domain=window)
                return float(curve.deriv(1)(at)), float(curve.deriv(2)(at))
            length *= 0.5
        return None

    def _reach(self, x: np.ndarray, direction: np.ndarray, first: float, widest: float) -> float:
        """The distance over which ln P changes by about one; short of where it ends."""
        here = self.value(x)
        d, grew = first, False
        for _ in range(200):
            sides = [self.value(x + sign * d * direction) for sign in (0.1, -0.1, 1.0, -1.0)]
            if not math.isfinite(sides[0] + sides[1]):
                d *= 0.25
                continue
            change = max(abs(side - here) for side in sides[2:])
            if change > 1.0:
                if grew:
                    return 0.5 * d
                d *= 0.5
            elif change < 0.1 and d < widest:
                d *= 2.0
                grew = True
            else:
                break
        return d

    def _along(self, x: np.ndarray, direction: np.ndarray, scale: float) -> tuple[float, float]:
        """First and second derivative along a direction."""

        def line(t: np.ndarray) -> np.ndarray:
            return np.array([self.value(x + step * direction) for step in t.tolist()])

        _, first, second = differences(line, np.zeros(1), np.array([scale]))
        return float(first[0]), float(second[0])

    def derivatives(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Gradient (q,) and Hessian (q, q) of ln P; None where they aren't finite."""
        q = x.size
        if not math.isfinite(self.value(x)):
            return None
        ended = self._beside_end(x)
        if ended is not None:
            return np.array([ended[0]]), np.array([[ended[1]]])
        axes = np.eye(q)
        g, H = np.zeros(q), np.zeros((q, q))
        for j in range(q):
            scale = self._reach(x, axes[j], self._scale[j], self._widest[j])
            if scale <= EPS * max(abs(x[j]), self._widest[j] / FLAT):
                return None  # on the very edge of what a function calls possible there is no derivative
            self._scale[j] = scale
            g[j], H[j, j] = self._along(x, axes[j], self._scale[j])
        for i in range(q):
            for j in range(i):
                di, dj = self._scale[i], self._scale[j]
                both = di * axes[i] + dj * axes[j]
                _, bend = self._along(x, both, self._reach(x, both, 1.0, FLAT))
                H[i, j] = H[j, i] = (bend - H[i, i] * di**2 - H[j, j] * dj**2) / (2.0 * di * dj)
        return (g, H) if finite(g) and finite(H) else None

    def corner(self, x: np.ndarray) -> bool:
        """Whether ln P has a corner at x: a curvature that grows as the step shrinks is none."""
        if not math.isfinite(self.value(x)):
            return True
        if self._beside_end(x) is not None:
            return False
        for j, axis in enumerate(np.eye(x.size)):
            scale = self._reach(x, axis, float(self._scale[j]), float(self._widest[j]))
            if scale <= EPS * max(abs(x[j]), self._widest[j] / FLAT):
                return True  # the edge of what is possible
            slope, bend = self._along(x, axis, scale)
            closer = self._along(x, axis, 0.1 * scale)[1]
            if abs(closer - bend) > CORNER * max(abs(bend), slope * slope, 1.0 / scale**2):
                return True
        return False


Prior = GaussianPrior | Roughness | DensityPrior


class PriorProblem(Around):
    """
    Priors around a problem.

    Parameters
    ----------
    base : Problem
    priors : sequence of GaussianPrior, Roughness or DensityPrior
    scale : float
        Standard deviation of a data row of unit error, in the rows' unit: prior rows are multiplied by it (but rows of a roughness
        by the rows' unit, always).

    Attributes
    ----------
    reference : float
        Subtracted from -2 ln P of the densities, as for a loss.
    """

    def __init__(self, base: Problem, priors: Sequence[Prior], scale: float) -> None:
        super().__init__(base)
        self.gaussian = [prior for prior in priors if isinstance(prior, GaussianPrior)]
        self.densities = [prior for prior in priors if isinstance(prior, DensityPrior)]
        self.scale = scale
        self.reference = 0.0
        self.least_squares = base.least_squares and not self.densities
        self.smooth = [prior for prior in priors if isinstance(prior, Roughness)]
        single = np.array([prior.index for prior in self.gaussian], dtype=int)
        # parameters that the rows are about
        self.index = np.unique(np.concatenate([single, *(prior.indices for prior in self.smooth)]))
        tau = np.array([prior.sigma for prior in self.gaussian])
        goals = [np.array([prior.mean for prior in self.gaussian]) / tau, *(prior.goal for prior in self.smooth)]
        self._goal = np.concatenate(goals)
        self._relative = np.arange(self._goal.size) >= single.size
        self._lines = np.zeros((self._goal.size, base.n))
        self._lines[np.arange(single.size), single] = 1.0 / tau
        start = single.size
        for held in self.smooth:
            self._lines[start : start + len(held.rows), held.indices] = held.rows
            start += len(held.rows)
        self.extra = self._goal.size + sum(prior.indices.size for prior in self.densities)
        self.N = base.N + self.extra
        self.lower, self.upper = base.lower.copy(), base.upper.copy()
        for prior in self.densities:
            if prior.indices.size == 1:
                self._narrow(int(prior.indices[0]), prior.lower, prior.upper)
        self._limit()

    def confine(self, lower: np.ndarray, upper: np.ndarray) -> None:
        """Take on narrower bounds, those of the priors' supports in a problem that has none of these priors."""
        for j in range(self.n):
            self._narrow(j, lower[j], upper[j])
        self._limit()

    def _narrow(self, j: int, lower: float, upper: float) -> None:
        self.lower[j], self.upper[j] = max(self.lower[j], lower), min(self.upper[j], upper)

    def _limit(self) -> None:
        self.bounded = bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())
        limits = self.lower[self.m :], self.upper[self.m :]
        self.linear_bounded = self.k > 0 and bool(np.isfinite(limits[0]).any() or np.isfinite(limits[1]).any())

    @property
    def _weight(self) -> np.ndarray:
        """By what each row is multiplied."""
        return np.where(self._relative, self.base.unit, self.scale)

    @property
    def y(self) -> np.ndarray:
        """Data rows, and the priors' means in their units."""
        return np.concatenate([self.base.y, self._weight * self._goal, np.zeros(self.extra - self._goal.size)])

    @y.setter
    def y(self, value: np.ndarray) -> None:
        """The inner problem's; nothing is kept."""

    @property
    def noise(self) -> float:
        """Rounding of all rows."""
        far = float(np.abs(self._weight * self._goal).max(initial=0.0))
        return math.hypot(self.base.noise, 8.0 * EPS * far * math.sqrt(self.extra))

    @noise.setter
    def noise(self, value: float) -> None:
        """The inner problem's; nothing is kept."""

    def columns(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if not self.least_squares:
            msg = "a cost that is no sum of squares has no linear parameters to eliminate"
            raise TypeError(msg)
        columns = self.base.columns(alpha)
        if columns is None:
            return None
        target, phi = columns
        left = self._weight * (self._goal - self._lines[:, : self.m] @ alpha)
        return np.concatenate([target, left]), np.hstack([phi, self._lines[:, self.m :].T * self._weight])

    def _gaussian_rows(self, p: np.ndarray) -> np.ndarray:
        return self._weight * (self._goal - self._lines @ p)

    def _density_rows(self, p: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]] | None:
        """Per density r~ (q,), J~ (n, q) and W - H/2 (q, q), in its own unit."""
        out = []
        for prior in self.densities:
            found = prior.derivatives(p[prior.indices])
            if found is None:
                return None
            g, H = found  # of ln P; half of -2 ln P is its negative
            values, V = np.linalg.eigh(-H)
            slope = V.T @ g
            w = np.where(values > STRAIGHT * slope * slope, values, slope * slope)
            root = np.sqrt(w)
            J = np.zeros((self.n, g.size))
            J[prior.indices] = V * root
            out.append((np.where(w > 0.0, slope / np.where(w > 0.0, root, 1.0), 0.0), J, (V * (w - values)) @ V.T))
        return out

    def residual(self, p: np.ndarray) -> np.ndarray:
        rows = self._density_rows(p)
        left = np.full(self.extra - self._goal.size, np.inf) if rows is None else np.concatenate([np.empty(0), *(r for r, _, _ in rows)])
        return np.concatenate([self.base.residual(p), self._gaussian_rows(p), self.scale * left])

    def full(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        full = self.base.full(p)
        if full is None or not math.isfinite(self.penalty(p)):
            return None
        rows = self._density_rows(p)
        if rows is None:
            return None
        r = [full[0], self._gaussian_rows(p), *(self.scale * left for left, _, _ in rows)]
        J = [full[1], self._lines.T * self._weight, *(self.scale * wide for _, wide, _ in rows)]
        return np.concatenate(r), np.hstack(J)

    def curvature(self, p: np.ndarray, r: np.ndarray) -> np.ndarray | None:
        B = self.base.curvature(p, r[: self.base.N])
        if B is None:
            if self.least_squares:
                return None
            B = np.zeros((self.n, self.n))
        rows = self._density_rows(p)
        if rows is None:
            return None
        for prior, (_, _, excess) in zip(self.densities, rows, strict=True):
            B[np.ix_(prior.indices, prior.indices)] += self.scale**2 * excess
        return B if finite(B) else None

    def penalty(self, p: np.ndarray) -> float:
        """-2 ln P of all priors at p, Gaussian ones without their constant; infinite where it is not possible."""
        z = self._gaussian_rows(p) / self.scale
        return float(z @ z) - 2.0 * sum(prior.value(p[prior.indices]) for prior in self.densities)

    def cost(self, p: np.ndarray) -> float:
        """Cost of the data and the priors', in the data rows' unit squared."""
        penalty = self.penalty(p)
        return self.base.cost(p) + self.scale**2 * (penalty - self.reference) if math.isfinite(penalty) else math.inf

    def centres(self) -> list[tuple[int, float, float]]:
        """Parameter, centre and spread of the priors of single parameters that know theirs."""
        known = [(prior.index, prior.mean, prior.sigma) for prior in self.gaussian]
        single = [prior for prior in self.densities if prior.indices.size == 1 and 0.0 < prior.spread < math.inf]
        return known + [(int(prior.indices[0]), prior.centre, prior.spread) for prior in single]

    def information(self, p: np.ndarray) -> np.ndarray | None:
        """Rows (n, extra) whose products with themselves are the priors' information, in their own units."""
        rows = self._density_rows(p)
        return None if rows is None else np.hstack([self._lines.T * (self._weight / self.scale), *(wide for _, wide, _ in rows)])


def determined(data: np.ndarray, prior: np.ndarray) -> float:
    """
    gamma: how many parameters the data determine, beside the priors.

    Parameters
    ----------
    data, prior : ndarray, shapes (n, N) and (n, q)
        Rows of both, each in units of its own errors.
    """
    f = factor(np.hstack([data, prior]), EPS)
    if f is None or not f.rank:
        return 0.0
    q = f.q[: data.shape[1]]
    return float(np.einsum("ij,ij->", q, q))
