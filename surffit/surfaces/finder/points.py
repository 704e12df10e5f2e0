"""The points of a search, and the values of simple functions at them, each made once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# a function of one variable is (p, l): the variable to the power p times its logarithm to the power l
Function = tuple[float, int]
# a product of one function of each variable
Product = tuple[Function, ...]

ONE: Function = (0.0, 0)
LOG: Function = (0.0, 1)


class Points:
    """
    Coordinates, data and weights of a search.

    Parameters
    ----------
    coords : sequence of ndarray, each shape (n,)
        One or two variables.
    z : ndarray, shape (n,)
        Data.
    w : ndarray, shape (n,)
        Weights 1/sigma, only their ratios matter.
    scales : sequence of float, optional
        The unit in which powers of each variable are evaluated; default: the largest absolute value.

    Notes
    -----
    Scales keep ``x**4`` of a variable like 1e-90 in range. They change no law: the span of a power does not depend on the
    unit, and a logarithm only stands in laws that also hold what a change of unit adds to it.
    """

    def __init__(self, coords: Sequence[np.ndarray], z: np.ndarray, w: np.ndarray, scales: Sequence[float] | None = None) -> None:
        self.raw = tuple(np.asarray(c, dtype=float) for c in coords)
        self.scales = tuple(scales) if scales is not None else tuple(float(np.abs(c).max()) or 1.0 for c in self.raw)
        self.coords = tuple(c / s for c, s in zip(self.raw, self.scales, strict=True))
        self.z = z
        self.w = w
        self.target = z * w
        self.size = int(z.size)
        self._made: dict[Product, np.ndarray] = {}

    def part(self, rows: np.ndarray) -> Points:
        """Some of the points, on the same scales."""
        return Points([c[rows] for c in self.raw], self.z[rows], self.w[rows], self.scales)

    def function(self, variable: int, function: Function) -> np.ndarray:
        """Values (n,) of a function of one variable; powers in units of the scale, logarithms of the variable as it is."""
        power, logs = function
        if not power and not logs:
            return np.ones(self.size)
        values = self.coords[variable] ** power if power != 1.0 else self.coords[variable]
        return values * np.log(self.raw[variable]) ** logs if logs else values

    def product(self, product: Product) -> np.ndarray:
        """Values (n,) of a product, kept."""
        if product not in self._made:
            values = np.ones(self.size)
            for variable, function in enumerate(product):
                if function != ONE:
                    values = values * self.function(variable, function)
            self._made[product] = values
        return self._made[product]

    def scale_of(self, product: Product) -> float:
        """What the product's value is to be multiplied with to be in the user's units."""
        scale = 1.0
        for variable, (power, _) in enumerate(product):
            scale *= self.scales[variable] ** power
        return scale

    def chebyshev(self, functions: Sequence[Function], exponents: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Chebyshev polynomials (terms, n) of functions of the variables, each mapped to [-1, 1]."""
        out = np.ones((len(exponents), self.size))
        for variable, function in enumerate(functions):
            values = self.function(variable, function)
            low, high = values.min(), values.max()
            mapped = (2.0 * values - low - high) / (high - low) if high > low else np.zeros(self.size)
            table = np.polynomial.chebyshev.chebvander(mapped, max(e[variable] for e in exponents)).T
            out *= table[[e[variable] for e in exponents]]
        return out
