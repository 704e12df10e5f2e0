r"""
Polynomials orthonormal on given points, by the Arnoldi process.

Each function is one variable times an earlier function, made orthogonal to all before it and of norm one under the mean
over the points, :math:`\sum w^2 f g / \sum w^2`. The factors are kept, so that the functions can be evaluated anywhere and
written in monomials.

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
from .basis import Basis, Map, require_variables
from .terms import Axis, Degree, Domain, Term, axis, checked_degree, domain_of, terms

# of a function's norm: what must be left of it beside the earlier ones to count as a direction of its own on the points
NOTHING = 1e-12


class Orthonormal(Basis):
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
        self._set(degree, domain_of(points), bool(total), ())
        known = terms(degree, nvars, bool(total))
        self._set(degree, self.domain, bool(total), _arnoldi(known, [one(p) for one, p in zip(self.axes(nvars), points, strict=True)], w))

    def _set(self, degree: Degree, domain: Domain, total: bool, steps: tuple[tuple[float, ...], ...]) -> None:
        for name, value in (("degree", degree), ("domain", domain), ("total", total), ("steps", steps)):
            object.__setattr__(self, name, value)

    domain: Domain
    steps: tuple[tuple[float, ...], ...]

    def __setattr__(self, name: str, value: Any) -> None:
        msg = f"{name} of a basis can't be changed; make another one"
        raise AttributeError(msg)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Orthonormal) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.degree, self.domain, self.total, self.steps)

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

    def columns(self, *coords: Any) -> np.ndarray:
        """The functions at coordinates; see `Basis.columns`."""
        arrays = [np.asarray(values, dtype=float) for values in coords]
        require_variables(len(arrays), len(self.domain))
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        columns = [np.broadcast_to(function, shape).reshape(-1) for function in self._functions(arrays)]
        return np.stack(columns, axis=1)

    def _functions(self, coords: Sequence[Any]) -> list[Any]:
        known = self.terms(len(coords))
        inner = [one(x) for one, x in zip(self.axes(len(coords)), coords, strict=True)]
        out: list[Any] = [1.0]
        for (parent, i), (norm, *parts) in zip(_parents(known), self.steps, strict=True):
            function = inner[i] * out[parent] if parent else inner[i]
            for h, earlier in zip(parts, out, strict=True):
                if h != 0.0:
                    function = function - h * earlier
            out.append(function * (1.0 / norm))
        return out

    def expansion(self, maps: Sequence[Map]) -> DD:
        """The functions in monomials; see `Basis.expansion`."""
        known = self.terms(len(maps))
        place = {term: j for j, term in enumerate(known)}
        k = len(known)
        up = [[place.get(tuple(n + (axis == i) for axis, n in enumerate(term)), -1) for term in known] for i in range(len(maps))]
        high, low = np.zeros((k, k)), np.zeros((k, k))
        high[0, 0] = 1.0
        for j, ((parent, i), (norm, *parts)) in enumerate(zip(_parents(known), self.steps, strict=True), start=1):
            factor, shift = maps[i]
            row: DD = (high[parent], low[parent])
            moved: DD = (np.zeros(k), np.zeros(k))
            for source, target in enumerate(up[i]):
                if target >= 0:
                    moved[0][target], moved[1][target] = row[0][source], row[1][source]
            new = dd_add(dd_mul(factor, moved), dd_mul(shift, row))
            gone = dd_dot(np.array(parts), high[:j].T, low[:j].T)
            new = dd_add(new, (-gone[0], -gone[1]))
            # times the float64 reciprocal, as in the evaluation
            high[j], low[j] = dd_mul(new, (np.asarray(1.0 / norm), np.asarray(0.0)))
        return high, low


def _parents(known: tuple[Term, ...]) -> list[tuple[int, int]]:
    """For each term but the first, an earlier one (its number) and the variable that makes it of that."""
    place = {term: j for j, term in enumerate(known)}
    out = []
    for term in known[1:]:
        i = max(range(len(term)), key=lambda axis: (term[axis], -axis))
        out.append((place[tuple(n - (axis == i) for axis, n in enumerate(term))], i))
    return out


def _arnoldi(known: tuple[Term, ...], inner: list[np.ndarray], w: np.ndarray | None) -> tuple[tuple[float, ...], ...]:
    """For each function its norm before it was scaled, and its parts along the earlier ones."""
    n = inner[0].size
    square = np.full(n, 1.0 / n) if w is None else w**2 / float(w @ w)
    functions = np.zeros((len(known), n))
    functions[0] = 1.0
    steps = []
    for j, (parent, i) in enumerate(_parents(known), start=1):
        raw = inner[i] * functions[parent]
        new, parts = raw.copy(), np.zeros(j)
        for _ in range(2):  # twice is enough: what the first pass leaves along the others is rounding
            along = functions[:j] @ (square * new)
            new -= along @ functions[:j]
            parts += along
        whole, norm = (float(np.sqrt(square @ f**2)) for f in (raw, new))
        if not norm > NOTHING * whole:
            new, parts, norm = raw, np.zeros(j), whole if whole > 0.0 else 1.0
        steps.append((norm, *(float(h) for h in parts)))
        functions[j] = new * (1.0 / norm)
    return tuple(steps)
