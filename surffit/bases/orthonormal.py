r"""
Polynomials orthonormal on given points, by the Arnoldi process.

In one variable each function is the variable times the function before, made orthogonal to all before it and of norm one
under the mean over the points, :math:`\sum w^2 f g / \sum w^2`. In several variables the products of these are made
orthogonal in turn. The factors are kept, so that the functions can be evaluated anywhere and written in monomials.

References
----------
.. [1] P. D. Brubeck, Y. Nakatsukasa, L. N. Trefethen, SIAM Review 63 (2021) 405, doi:10.1137/19M130100X.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..exceptions import NonFiniteError, ShapeError
from ..kernels.dd import DD, dd_add, dd_dot, dd_mul
from .basis import checked_orders, require_variables
from .polynomial import Map, PolynomialBasis
from .terms import Axis, Degree, Domain, Term, axis, checked_degree, domain_of, terms

# of a function's norm: what must be left of it beside the earlier ones to count as a direction of its own on the points
NOTHING = 1e-12
# of the same: parts that are none
ROUNDING = 1e-14


# for each function its norm before it was scaled, and its parts along the earlier ones
Steps = tuple[tuple[float, ...], ...]


class Orthonormal(PolynomialBasis):
    """
    Polynomials orthonormal on given points; a fit to data on these points has the condition number 1.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree, or one for each variable.
    *coords : array_like
        The points: one array for each variable, broadcastable against each other.
    weights : array_like, optional
        1/sigma of the points, of their common shape; 0 leaves a point out.
    total : bool
        Whether the sum of the degrees is limited, too (by the highest of them), or only each one.

    Notes
    -----
    Where the points can't tell all terms apart (fewer values of x than powers), functions beyond what they carry are left as
    they are: they depend on the earlier ones there, and a fit says so. Immutable.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 10, 101)
    >>> columns = Orthonormal(5, x).columns(x)
    >>> bool(np.allclose(columns.T @ columns / x.size, np.eye(6), atol=1e-14))
    True
    """

    def __init__(self, degree: Degree, *coords: Any, weights: Any = None, total: bool = True) -> None:
        nvars = require_variables(len(coords), None)
        degree = checked_degree(degree)
        arrays = np.broadcast_arrays(*(np.asarray(values, dtype=float) for values in coords))
        points = [np.ascontiguousarray(a).reshape(-1) for a in arrays]
        w = None
        if weights is not None:
            given = np.asarray(weights, dtype=float)
            if given.shape != arrays[0].shape:
                msg = f"weights have shape {given.shape}, the points {arrays[0].shape}; give one weight for each point"
                raise ShapeError(msg)
            used = given.reshape(-1) != 0
            points, w = [p[used] for p in points], np.abs(given.reshape(-1)[used])
            if not np.isfinite(w).all():
                msg = "weights are not finite everywhere; a weight of 0 leaves a point out"
                raise NonFiniteError(msg)
            w = w / w.max(initial=1.0)
        domain = domain_of(points)
        known = terms(degree, nvars, bool(total))
        inner = [axis(*pair)(p) for pair, p in zip(domain, points, strict=True)]
        square = np.full(points[0].size, 1.0 / points[0].size) if w is None else w**2 / float(w @ w)
        singles = [_arnoldi(max(term[i] for term in known), s, square) for i, s in enumerate(inner)]
        joined = _joined(known, [functions for _, functions in singles], square) if nvars > 1 else ()
        self._set(degree, domain, bool(total), tuple(steps for steps, _ in singles), joined)

    def _set(self, degree: Degree, domain: Domain, total: bool, steps: tuple[Steps, ...], joined: Steps) -> None:
        values = {"degree": degree, "domain": domain, "total": total, "steps": steps, "joined": joined}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    domain: Domain
    steps: tuple[Steps, ...]  # of each variable
    joined: Steps  # of the products; empty in one variable

    def __setattr__(self, name: str, value: Any) -> None:
        msg = f"{name} of a basis can't be changed; make another one"
        raise AttributeError(msg)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Orthonormal) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.degree, self.domain, self.total, self.steps, self.joined)

    def __repr__(self) -> str:
        return f"Orthonormal(degree={self.degree}, domain={self.domain}, total={self.total})"

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """Degrees of the leading monomial of each function, by total degree."""
        return terms(self.degree, require_variables(nvars or len(self.domain), len(self.domain)), self.total)

    def axes(self, nvars: int) -> tuple[Axis, ...]:
        """The map of each variable's range onto [-1, 1]."""
        require_variables(nvars, len(self.domain))
        return tuple(axis(*pair) for pair in self.domain)

    def evaluate(self, coef: Sequence[Any], coords: Sequence[Any]) -> Any:
        """The sum of coefficients times functions, for numbers, arrays, and symbols of a graph."""
        out = coef[0]
        for c, function in zip(coef[1:], self._functions(coords)[1:], strict=True):
            out = out + c * function
        return out

    def derivatives(self, *coords: Any, orders: int | Sequence[int] = 1) -> np.ndarray:
        """Exact partial derivatives; see `Basis.derivatives`."""
        arrays = [np.asarray(values, dtype=float) for values in coords]
        plain = checked_orders(orders, require_variables(len(arrays), len(self.domain)))
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        columns = [np.broadcast_to(function, shape).reshape(-1) for function in self._functions(arrays, plain)]
        return np.stack(columns, axis=1)

    def _functions(self, coords: Sequence[Any], orders: Sequence[int] | None = None) -> list[Any]:
        """The functions, or their derivatives: each step of the process is linear, so it is the same for both."""
        known = self.terms(len(coords))
        singles = []
        for one, x, steps, order in zip(self.axes(len(coords)), coords, self.steps, orders or (0,) * len(coords), strict=True):
            s = one(x)
            functions: list[Any] = []
            for d in range(order + 1):
                below, functions = functions, [0.0 if d else 1.0]
                for j, step in enumerate(steps):
                    raw = s * functions[j] if j or d else s
                    functions.append(_step(raw + d * below[j] if d else raw, step, functions))
            singles.append([f * one.scale**order for f in functions] if order else functions)
        if not self.joined:
            return singles[0]
        first: Any = 1.0
        for functions in singles:
            first = first * functions[0]
        out: list[Any] = [first]
        for term, step in zip(known[1:], self.joined, strict=True):
            raw = None
            for i, (functions, n) in enumerate(zip(singles, term, strict=True)):
                if n or (orders and orders[i]):
                    raw = functions[n] if raw is None else raw * functions[n]
            out.append(_step(raw, step, out))
        return out

    def expansion(self, maps: Sequence[Map]) -> DD:
        """The functions in monomials; see `Basis.expansion`."""
        known = self.terms(len(maps))
        out: DD = (np.ones((len(known), len(known))), np.zeros((len(known), len(known))))
        for i, ((factor, shift), steps) in enumerate(zip(maps, self.steps, strict=True)):
            high, low = np.zeros((len(steps) + 1,) * 2), np.zeros((len(steps) + 1,) * 2)
            high[0, 0] = 1.0
            for j, step in enumerate(steps):
                # the last entry is still 0
                moved: DD = (np.roll(high[j], 1), np.roll(low[j], 1))
                raw = dd_add(dd_mul(factor, moved), dd_mul(shift, (high[j], low[j])))
                high[j + 1], low[j + 1] = _expanded_step(raw, step, (high[: j + 1], low[: j + 1]))
            n = np.array([term[i] for term in known])
            out = dd_mul(out, (high[np.ix_(n, n)], low[np.ix_(n, n)]))
        for j, step in enumerate(self.joined, start=1):
            out[0][j], out[1][j] = _expanded_step((out[0][j], out[1][j]), step, (out[0][:j], out[1][:j]))
        return out


def _step(raw: Any, step: tuple[float, ...], earlier: list[Any]) -> Any:
    """A function from what it was before it was made orthogonal."""
    norm, *parts = step
    for h, other in zip(parts, earlier, strict=True):
        if h != 0.0:
            raw = raw - h * other
    return raw * (1.0 / norm)


def _expanded_step(raw: DD, step: tuple[float, ...], earlier: DD) -> DD:
    """The same on rows of monomial coefficients, with the same float64 factors."""
    norm, *parts = step
    gone = dd_dot(np.array(parts), earlier[0].T, earlier[1].T)
    return dd_mul(dd_add(raw, (-gone[0], -gone[1])), (np.asarray(1.0 / norm), np.asarray(0.0)))


def _arnoldi(degree: int, s: np.ndarray, square: np.ndarray) -> tuple[Steps, np.ndarray]:
    """Steps of one variable, and its functions on the points, (degree + 1, n)."""
    functions = np.ones((degree + 1, s.size))
    steps = [_orthogonal(functions, j, s * functions[j - 1], square) for j in range(1, degree + 1)]
    return tuple(steps), functions


def _joined(known: tuple[Term, ...], singles: list[np.ndarray], square: np.ndarray) -> Steps:
    """Steps of the products of several variables."""
    functions = np.ones((len(known), square.size))
    steps = []
    for j, term in enumerate(known[1:], start=1):
        raw = np.ones(square.size)
        for rows, n in zip(singles, term, strict=True):
            raw = raw * rows[n]
        steps.append(_orthogonal(functions, j, raw, square))
    return tuple(steps)


def _orthogonal(functions: np.ndarray, j: int, raw: np.ndarray, square: np.ndarray) -> tuple[float, ...]:
    """One step: fills row j of `functions`."""
    new, parts = raw.copy(), np.zeros(j)
    for _ in range(2):  # twice is enough: what the first pass leaves along the others is rounding
        along = functions[:j] @ (square * new)
        new -= along @ functions[:j]
        parts += along
    whole, norm = (float(np.sqrt(square @ f**2)) for f in (raw, new))
    small = np.abs(parts) <= ROUNDING * norm
    if small.any():  # symmetric points: what is orthogonal by itself is left alone
        new += parts[small] @ functions[:j][small]
        parts[small] = 0.0
    if not norm > NOTHING * whole:
        new, parts, norm = raw, np.zeros(j), whole if whole > 0.0 else 1.0
    functions[j] = new * (1.0 / norm)
    return (norm, *(float(h) for h in parts))
