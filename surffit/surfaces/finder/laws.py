"""A law: linear parameters times products, in groups that share factors with shape parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .functions import cost, one_cost, parts, written
from .points import ONE, Function, Points, Product
from .shapes import Shape

# beyond this an exponent is written about a reference value, so that it neither overflows nor loses its digits
LARGEST = 60.0
# polynomials of more terms than this are named, not written out
SHOWN = 6
# nats of a shape parameter, of one inside a root or a fraction, and of a function that the law has already
SHAPE, INSIDE, AGAIN = 3.0, 2.0, 0.5


@dataclass(frozen=True)
class ShapeFactor:
    """A function with shape parameters of one variable; `at` is the place of its first one."""

    shape: Shape
    variable: int
    at: int

    @property
    def count(self) -> int:
        return self.shape.count

    @property
    def cost(self) -> float:
        return self.shape.cost

    def values(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """Values (T, m) at theta (T, p)."""
        return self.shape.values(points.coords[self.variable], theta[:, self.at : self.at + self.count])

    def raw(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """Parameters in the user's units."""
        return theta[self.at : self.at + self.count] * points.scales[self.variable] ** np.array(self.shape.powers, dtype=float)

    def text(self, names: Sequence[str], shapes: Sequence[str], points: Points | None, theta: np.ndarray | None) -> tuple[str, str]:
        """Above and below the fraction bar."""
        x = names[self.variable]
        fields = {f"b{i}": shapes[self.at + i] for i in range(self.count)}
        text = self.shape.text
        if self.shape.shift and points is not None and theta is not None:
            values = points.raw[self.variable]
            inverse = "/{x}" in text
            values = 1.0 / values if inverse else values
            if abs(self.raw(points, theta)[0]) * np.abs(values).max() > LARGEST:
                reference = float(f"{values.mean():.4g}")
                if inverse:
                    return f"exp({fields['b0']}*(1/{x} - {reference:.6g}))", ""
                x = f"({x} {'-' if reference >= 0 else '+'} {abs(reference):.6g})"
        text = text.format(x=x, **fields)
        return ("", text[2:]) if text.startswith("1/") else (text, "")

    def denominator(self, points: Points, theta: np.ndarray) -> np.ndarray | None:
        """What must not change its sign (T, m)."""
        if self.shape.denominator is None:
            return None
        return self.shape.denominator(points.coords[self.variable], theta[:, self.at : self.at + self.count])


@dataclass(frozen=True)
class LinkFactor:
    """A function of lead + b0*t0 + b1*t1 + ..., with products of powers t."""

    kind: str
    lead: Product
    terms: tuple[Product, ...]
    at: int = 0

    @property
    def count(self) -> int:
        return len(self.terms)

    @property
    def cost(self) -> float:
        return 2.0 + sum(cost(t) for t in self.terms) + cost(self.lead)

    def inner(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """The linear combination (T, m)."""
        table = np.stack([points.product(t) for t in self.terms])
        eta = theta[:, self.at : self.at + self.count] @ table
        return eta if self.kind == "exp" else eta + points.product(self.lead)

    def values(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """Values (T, m) at theta (T, p)."""
        eta = self.inner(points, theta)
        if self.kind == "exp":
            return np.exp(np.clip(eta - eta.max(axis=-1, keepdims=True), -700.0, 0.0))
        if self.kind == "reciprocal":
            return 1.0 / eta
        return np.sqrt(eta) if self.kind == "sqrt" else eta * eta

    def raw(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """Parameters in the user's units."""
        lead = 1.0 if self.kind == "exp" else points.scale_of(self.lead)
        return theta[self.at : self.at + self.count] * lead / np.array([points.scale_of(t) for t in self.terms])

    def text(self, names: Sequence[str], shapes: Sequence[str], points: Points | None, theta: np.ndarray | None) -> tuple[str, str]:
        """Above and below the fraction bar."""
        pieces = [] if self.kind == "exp" else [written(*parts(self.lead, names))]
        for i, term in enumerate(self.terms):
            above, below = parts(term, names)
            pieces.append(written([shapes[self.at + i], *above], below))
        inner = " + ".join(pieces)
        if self.kind == "reciprocal":
            return "", f"({inner})"
        return (f"exp({inner})" if self.kind == "exp" else f"sqrt({inner})" if self.kind == "sqrt" else f"({inner})**2"), ""

    def denominator(self, points: Points, theta: np.ndarray) -> np.ndarray | None:
        """What must not change its sign (T, m)."""
        return self.inner(points, theta) if self.kind in ("reciprocal", "sqrt") else None


Factor = ShapeFactor | LinkFactor


@dataclass(frozen=True)
class Group:
    """``factor * factor * (a0*product + a1*product + ...)``."""

    factors: tuple[Factor, ...]
    products: tuple[Product, ...]


@dataclass(frozen=True)
class Law:
    """
    A law that a search tries.

    Attributes
    ----------
    groups : tuple of Group
        Their sum is the law; every product has a linear parameter of its own.
    family : str
        What kind of law it is, in words.
    cost : float
        Nats: one for each linear parameter, the costs of its functions, and those of its shapes.
    polynomial : tuple or None
        (function of each variable, exponents of each term) where the law is a polynomial of these functions, whose columns are
        then Chebyshev polynomials on the range of the data: the same span without its loss of digits.
    """

    groups: tuple[Group, ...]
    family: str
    cost: float
    polynomial: tuple[tuple[Function, ...], tuple[tuple[int, ...], ...]] | None = None

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All different factors with shape parameters."""
        seen: dict[int, Factor] = {}
        for group in self.groups:
            for factor in group.factors:
                seen.setdefault(factor.at, factor)
        return tuple(seen[at] for at in sorted(seen))

    @property
    def n_shape(self) -> int:
        """Number of shape parameters, which a search must find."""
        return sum(factor.count for factor in self.factors)

    @property
    def n_linear(self) -> int:
        """Number of linear parameters."""
        return sum(len(group.products) for group in self.groups)

    @property
    def k(self) -> int:
        """Number of parameters."""
        return self.n_linear + self.n_shape

    def fits_levels(self, levels: Sequence[int]) -> bool:
        """
        Whether every variable takes at least two values more than the law has functions of it.

        A law with as many functions as there are values goes through all of them and says nothing about what lies between,
        which leaving out single points can't show where other points have the same value.
        """
        for variable, count in enumerate(levels):
            if count > 40:
                continue
            functions = {product[variable] for group in self.groups for product in group.products} | {ONE}
            shapes = sum(f.count if isinstance(f, LinkFactor) else f.count * (f.variable == variable) for f in self.factors)
            if len(functions) + shapes > max(count - 2, 2):
                return False
        return True

    def columns(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """Weighted columns of the linear parameters (T, n_linear, m) at shape parameters theta (T, p)."""
        count = len(theta)
        if self.polynomial is not None:
            return np.repeat((points.chebyshev(*self.polynomial) * points.w)[None], count, axis=0)
        out = np.empty((count, self.n_linear, points.size))
        at = 0
        made: dict[tuple[int, str], np.ndarray] = {}
        for group in self.groups:
            outer: np.ndarray = points.w
            for factor in group.factors:
                key = (factor.at, factor.shape.text if isinstance(factor, ShapeFactor) else factor.kind)
                if key not in made:
                    made[key] = factor.values(points, theta)
                outer = outer * made[key]
            for product in group.products:
                out[:, at] = outer * points.product(product)
                at += 1
        return out

    def text(
        self, names: Sequence[str], points: Points | None = None, theta: np.ndarray | None = None, letters: tuple[str, str] = ("a", "b")
    ) -> str:
        """The law as a formula; with `points` and `theta`, in the form in which it can be computed safely."""
        if self.polynomial is not None and self.n_linear > SHOWN and points is None:
            written_out = [written(*parts((f,), (name,))) for f, name in zip(self.polynomial[0], names, strict=True)]
            return f"{self.family} in {' and '.join(written_out)}"
        shapes = [f"{letters[1]}{i}" for i in range(self.n_shape)]
        pieces, count = [], 0
        for group in self.groups:
            outer = [factor.text(names, shapes, points, theta) for factor in group.factors]
            terms = []
            for product in group.products:
                terms.append((f"{letters[0]}{count}", *parts(product, names)))
                count += 1
            above, below = [a for a, _ in outer if a], [b for _, b in outer if b]
            if len(terms) == 1:
                name, top, bottom = terms[0]
                pieces.append(written([name, *top, *above], [*bottom, *below]))
            else:
                total = " + ".join(written([name, *top], bottom) for name, top, bottom in terms)
                pieces.append(written([f"({total})", *above], below) if outer else total)
        return " + ".join(pieces)

    def raw(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """Shape parameters (p,) in the user's units."""
        out = np.array(theta, dtype=float)
        for factor in self.factors:
            out[factor.at : factor.at + factor.count] = factor.raw(points, theta)
        return out

    def sizes(self, points: Points, theta: np.ndarray) -> np.ndarray:
        """How large shape parameters (p,) are, to compare their errors with."""
        out = np.abs(theta)
        for factor in self.factors:
            if isinstance(factor, ShapeFactor):
                own = slice(factor.at, factor.at + factor.count)
                out[own] = factor.shape.sizes(points.coords[factor.variable], theta[own])
        return out

    def has_pole(self, points: Points, theta: np.ndarray) -> bool:
        """Whether a denominator (or what stands under a root) changes its sign on these points."""
        for factor in self.factors:
            values = factor.denominator(points, theta[None])
            if values is not None and not (values.min() > 0 or values.max() < 0):
                return True
        return False


def constant(nvars: int) -> Product:
    """The product that is 1."""
    return (ONE,) * nvars


def total_cost(groups: Sequence[Group]) -> float:
    """
    Nats of groups.

    A linear parameter costs one, a shape parameter what a choice among the twenty or so values does that data can tell
    apart. Every function of one variable is paid once, and `AGAIN` for each further product that it stands in. So
    a law costs as much written out as in brackets.
    """
    parameters = float(sum(len(group.products) for group in groups))
    factors: dict[int, float] = {}
    functions: dict[tuple[int, Function], int] = {}
    for group in groups:
        for factor in group.factors:
            each = SHAPE if isinstance(factor, ShapeFactor) else INSIDE
            factors[factor.at] = max(factors.get(factor.at, 0.0), factor.cost + each * factor.count)
        for product in group.products:
            for variable, function in enumerate(product):
                if function != ONE:
                    functions[variable, function] = functions.get((variable, function), 0) + 1
    simple = sum(one_cost(function) + AGAIN * (times - 1) for (_, function), times in functions.items())
    return parameters + sum(factors.values()) + simple
