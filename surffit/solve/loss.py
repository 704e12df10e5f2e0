r"""
Pointwise terms of a cost: what a residual, or a pair of datum and model value, adds to what is minimised.

The cost is C(p) = sum_i d_i(r_i) with r = y - F(p) in the rows' unit. Every term gives, per row,

    d,   g = d'/2,   h = d''/2,   w > 0,

with primes for derivatives by r. Least squares is d = r^2, g = r, h = w = 1. The weight w makes the rows that a
least-squares solver sees: for a robust loss that of iteratively reweighted least squares, for a likelihood that of Fisher
scoring (the expected h).

Robust losses are d = f^2 rho(z) with z = (r/f)^2, the functions and names of `scipy.optimize.least_squares`; f is the scale
beyond which a residual is an outlier (P. Huber, Robust Statistics, 1981). Counts n with mean m follow Poisson's law, and
-2 ln L up to a constant is C = 2 sum (m - n + n ln(n/m)) (W. Cash, ApJ 228 (1979) 939).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..exceptions import ParameterError
from .derivatives import Pointwise

Array = np.ndarray
Rows = tuple[Array, Array, Array]


class Term(Protocol):
    """How one row enters the cost."""

    likelihood: bool  # the cost is -2 ln L, so the rows know their errors; else it is robust, in the residual's unit squared
    convex: bool  # whether the cost of a linear model has one minimum

    def cost(self, r: Array, y: Array) -> Array:
        """d per row (N,); infinite where the model's value is impossible."""

    def rows(self, r: Array, y: Array) -> Rows:
        """g, h and w per row, each (N,)."""


def _huber(z: Array) -> tuple[Array, Array, Array]:
    root = np.sqrt(np.maximum(z, 1.0))
    inside = z <= 1.0
    return np.where(inside, z, 2.0 * root - 1.0), 1.0 / root, np.where(inside, 0.0, -0.5 / root**3)


def _soft_l1(z: Array) -> tuple[Array, Array, Array]:
    root = np.sqrt(1.0 + z)
    # 2 (root - 1) without the cancellation
    return 2.0 * z / (1.0 + root), 1.0 / root, -0.5 / root**3


def _cauchy(z: Array) -> tuple[Array, Array, Array]:
    t = 1.0 / (1.0 + z)
    return np.log1p(z), t, -t * t


def _arctan(z: Array) -> tuple[Array, Array, Array]:
    t = 1.0 / (1.0 + z * z)
    return np.arctan(z), t, -2.0 * z * t * t


ROBUST: dict[str, Callable[[Array], tuple[Array, Array, Array]]] = {
    "soft_l1": _soft_l1, "huber": _huber, "cauchy": _cauchy, "arctan": _arctan,
}  # fmt: skip
CONVEX = ("soft_l1", "huber")
STRAIGHT = 1e-6  # times the squared slope of a -2 ln L: below, its own curvature is not worth a step


class Robust:
    """
    f^2 rho((r/f)^2), for a function rho(z) that grows more slowly than z.

    Parameters
    ----------
    rho : callable
        z (N,) -> rho, rho', rho'', each (N,).
    convex : bool
        Whether f^2 rho((r/f)^2) is convex in r.
    scale : float
        f, in the rows' unit.
    """

    likelihood = False

    def __init__(self, rho: Callable[[Array], tuple[Array, Array, Array]], convex: bool, scale: float = 1.0) -> None:
        self.rho, self.convex, self.scale = rho, convex, scale

    def cost(self, r: Array, y: Array) -> Array:
        f = self.scale
        return f * f * self.rho((r / f) ** 2)[0]

    def rows(self, r: Array, y: Array) -> Rows:
        z = (r / self.scale) ** 2
        _, first, second = self.rho(z)
        return r * first, first + 2.0 * z * second, first


class Poisson:
    """
    2 (m - n + n ln(n/m)) for counts n = y and model m = y - r.

    Parameters
    ----------
    floor : float or None
        Where the model may not be positive yet: below this rate the term is continued by its parabola, so that a walk can
        find its way back. None: the term itself.
    """

    likelihood = True
    convex = True

    def __init__(self, floor: float | None = None) -> None:
        self.floor = floor

    def cost(self, r: Array, y: Array) -> Array:
        m = y - r
        if self.floor is not None:
            e = self.floor
            off = np.minimum(m - e, 0.0)
            slope, bend = self._floor_slopes(y)
            return self._exact(np.maximum(m, e), y) + off * slope + 0.5 * off * off * bend
        return np.where((m > 0.0) | ((m == 0.0) & (y == 0.0)), self._exact(np.maximum(m, TINY), y), np.inf)

    def _floor_slopes(self, y: Array) -> tuple[Array, Array]:
        e = float(self.floor or TINY)
        # without counts the term is straight, and would fall for ever below zero: what holds it up must outweigh other points
        return 2.0 * (1.0 - y / e), 2.0 * np.maximum(y, STIFF * e) / (e * e)

    @staticmethod
    def _exact(m: Array, n: Array) -> Array:
        # n ln(n/m) - (n - m) loses its digits where n and m agree; log1p keeps those of the difference
        x = (m - n) / np.where(n > 0.0, n, 1.0)
        near = np.abs(x) < 0.5
        log = np.where(near, np.log1p(np.where(near, x, 0.0)), np.log(m / np.where(n > 0.0, n, 1.0)))
        return np.where(n > 0.0, 2.0 * np.maximum((m - n) - n * log, 0.0), 2.0 * m)

    def rows(self, r: Array, y: Array) -> Rows:
        m = y - r
        if self.floor is not None:
            e = self.floor
            slope, bend = self._floor_slopes(y)
            low = m < e
            safe = np.maximum(m, e)
            g = np.where(low, -0.5 * (slope + (m - e) * bend), r / safe)
            h = np.where(low, 0.5 * bend, y / safe**2)
            return g, h, np.where(low, 0.5 * bend, 1.0 / safe)
        m = np.maximum(m, TINY)
        return r / m, y / (m * m), 1.0 / m


TINY = 1e-290
STIFF = 1e3


class Rho:
    """A user's rho(z): values alone, or scipy's three rows; `Robust` makes a term of it."""

    def __init__(self, func: Callable[[Array], Array]) -> None:
        self.func = func
        self.whole = self._validate()
        # in t = sqrt(z) the loss is even and smooth through 0, where z ends
        self._by_t = Pointwise(lambda t: np.asarray(func(t * t)))

    def _validate(self) -> bool:
        """Whether three rows come back."""
        z = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0])
        name = getattr(self.func, "__name__", "loss")
        out = np.asarray(self.func(z.copy()))
        if out.shape not in ((3, z.size), (z.size,)):
            msg = (
                f"{name}(z) returned shape {out.shape} for z of shape {z.shape}; return rho(z) of shape (N,), or rho, rho', rho'' as (3, N)"
            )
            raise ParameterError(msg, shape=out.shape)
        if not np.issubdtype(out.dtype, np.floating) and not np.issubdtype(out.dtype, np.integer):
            msg = f"{name}(z) returned {out.dtype}, not real numbers; return rho(z) as floats"
            raise ParameterError(msg)
        if not np.isfinite(out).all():
            at = z[int(np.flatnonzero(~np.isfinite(np.atleast_2d(out)).all(axis=0))[0])]
            msg = f"{name}(z) is not finite at z = {at:g}; rho must be finite for every z >= 0"
            raise ParameterError(msg, z=float(at))
        values = out[0] if out.ndim == 2 else out
        if (np.diff(values) < -1e-12 * np.abs(values).max()).any():
            at = z[int(np.flatnonzero(np.diff(values) < 0)[0]) + 1]
            msg = f"{name}(z) falls before z = {at:g}; a loss must not fall with the residual"
            raise ParameterError(msg, z=float(at))
        if out.ndim == 2:
            inner = z[1:]
            h = 1e-5 * inner
            slope = (np.asarray(self.func(inner + h))[0] - np.asarray(self.func(inner - h))[0]) / (2.0 * h)
            off = np.abs(slope - out[1, 1:]) > 1e-3 * (np.abs(slope) + np.abs(out[1, 1:])) + 1e-8 * np.abs(values).max()
            # one point may lie on a kink
            if off.sum() > 1:
                at = int(np.flatnonzero(off)[0])
                msg = (
                    f"{name}(z) gives rho' = {out[1, at + 1]:.6g} at z = {inner[at]:g}, where rho rises by {slope[at]:.6g}; "
                    "the rows are rho, rho', rho''"
                )
                raise ParameterError(msg, z=float(inner[at]))
        return out.ndim == 2

    def __call__(self, z: Array) -> tuple[Array, Array, Array]:
        """rho, rho' and rho''."""
        if self.whole:
            out = np.array(self.func(z.copy()), dtype=float)
            return out[0], np.maximum(out[1], 0.0), out[2]
        t = np.sqrt(z)
        value, first, second = self._by_t(t, np.maximum(t, 1.0))
        # d/dt = 2 t rho', d2/dt2 = 2 rho' + 4 z rho''
        small = t < 1e-3
        slope = np.where(small, 0.5 * second, 0.5 * first / np.where(small, 1.0, t))
        bend = np.where(small, 0.0, 0.25 * (second - 2.0 * slope) / np.where(small, 1.0, z))
        return value, np.maximum(slope, 0.0), bend


class UserLikelihood:
    """
    A user's -2 ln L per point, as a function of data and model.

    Parameters
    ----------
    func : callable
        (data, model), each (N,) -> (N,).
    y : ndarray, shape (N,)
        Data rows on which it is tried.
    unit : float
        Of the problem's rows.
    """

    likelihood = True
    convex = False

    def __init__(self, func: Callable[[Array, Array], Array], y: Array, unit: float) -> None:
        self.func, self.unit = func, unit
        self.name = getattr(func, "__name__", "loss")
        self._data = y / unit
        out = np.asarray(func(self._data.copy(), np.where(self._data > 0.0, self._data, 1.0)))
        if out.shape != y.shape:
            msg = (
                f"{self.name}(data, model) returned shape {out.shape} for {y.size} points; return -2 ln L of each point, "
                f"shape ({y.size},), without summing"
            )
            raise ParameterError(msg, shape=out.shape)
        if not np.issubdtype(out.dtype, np.floating) and not np.issubdtype(out.dtype, np.integer):
            msg = f"{self.name}(data, model) returned {out.dtype}, not real numbers; return -2 ln L of each point as floats"
            raise ParameterError(msg)
        self._by_model = Pointwise(lambda m: np.asarray(func(self._data.copy(), m.copy())))  # it may write into them

    def cost(self, r: Array, y: Array) -> Array:
        out = np.asarray(self.func(self._data.copy(), (y - r) / self.unit), dtype=float)
        return np.where(np.isnan(out), np.inf, out)

    def rows(self, r: Array, y: Array) -> Rows:
        m = (y - r) / self.unit
        _, first, second = self._by_model(m, np.abs(m))
        g, h = -0.5 * first / self.unit, 0.5 * second / self.unit**2
        # any positive weight gives a way down; the point's own curvature where it has one, else that of a residual of one
        return g, h, np.where(h > STRAIGHT * g * g, h, g * g)
