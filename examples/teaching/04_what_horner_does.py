"""
What Horner does and does not do
================================

"Write the polynomial in Horner's form" is good advice for the evaluation of a polynomial. It is often given as a cure for a fit
that fails, and there it does nothing at all. Let us see both.
"""

from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

degree = 9
x = np.linspace(4.0, 8.0, 60)
roots = np.linspace(4.3, 7.7, degree)
powers = np.polynomial.polynomial.polyfromroots(roots)


def by_powers(x, c):
    """c0 + c1*x + c2*x**2 + ...: three operations for each term."""
    return sum(value * x**k for k, value in enumerate(c))


def by_horner(x, c):
    """c0 + x*(c1 + x*(c2 + ...)): two operations for each term."""
    total = np.zeros_like(x)
    for value in c[::-1]:
        total = total * x + value
    return total


# %%
# What it does: fewer operations
# ------------------------------
#
# The exact values come from fractions. Horner's form saves the powers; its error is about that of the sum of powers, because
# both add the same large terms that cancel. A basis on the range of the data has no large terms to begin with.

exact = [sum(Fraction(float(value)) * Fraction(float(at)) ** k for k, value in enumerate(powers)) for at in x]
# the same polynomial to rounding, interpolated in Chebyshev's basis from exact values at its nodes
nodes = 6 + 2 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
at_nodes = [float(sum(Fraction(float(value)) * Fraction(float(at)) ** k for k, value in enumerate(powers))) for at in nodes]
chebyshev = np.polynomial.Chebyshev.fit(nodes, at_nodes, degree, domain=[4, 8])

error = {
    "sum of powers": by_powers(x, powers),
    "Horner": by_horner(x, powers),
    "Chebyshev on [4, 8]": chebyshev(x),
}
error = {name: np.array([abs(float(Fraction(float(a)) - b)) for a, b in zip(values, exact, strict=True)]) for name, values in error.items()}

# %%
# What it doesn't do: change the fit
# ----------------------------------
#
# The coefficients of the two forms are the same numbers, so the derivatives of the model with respect to them are the same
# columns. What makes a fit fail is in these columns, and there Horner's form changes nothing.


def spelled(x, c0, c1, c2, c3, c4, c5):
    return c0 + c1 * x + c2 * x**2 + c3 * x**3 + c4 * x**4 + c5 * x**5


def horner(x, c0, c1, c2, c3, c4, c5):
    return c0 + x * (c1 + x * (c2 + x * (c3 + x * (c4 + x * c5))))


data = np.sin(x) + np.random.default_rng(2).normal(0, 0.01, x.size)
found = {func.__name__: sf.SurfaceModel(func).fit(data, x=x).conditioning.condition_raw for func in (spelled, horner)}
mapped = sf.surfaces.PolynomialSurface(5, variables="x").fit(data, x=x).conditioning.condition_raw
ratio = found["horner"] / found["spelled"]

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for (name, values), (colour, marker) in zip(error.items(), [("#D55E00", "o"), ("#0072B2", "s"), ("#009E73", "^")], strict=True):
    ax.semilogy(x, values, marker, ms=4, color=colour, label=f"{name}, median {np.median(values):.0e}")
ax.set(xlabel="x", ylabel="error of the value", title=f"Same error, and the same fit: condition numbers in the ratio {ratio:.3f}")
ax.legend(fontsize=9)
plt.show()

print(f"condition of the fit: powers {found['spelled']:.2e}, Horner {found['horner']:.2e}, Chebyshev {mapped:.2f}")
print(f"The number: {ratio:.6f}, the condition of the fit in Horner's form over that in powers")

# %%
# What to do: use Horner's form to evaluate (`surffit.bases.Horner` does), and another basis, or a centred variable, to fit.
