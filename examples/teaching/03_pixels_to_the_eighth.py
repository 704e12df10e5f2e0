"""
x**8 on pixel coordinates
=========================

A background of degree eight on a camera image: columns 1, x, y, x², ... up to the eighth powers of pixel numbers that go to
2047. Many programs do just that. How many digits are left?
"""

import matplotlib.pyplot as plt
import numpy as np

from surffit.bases import Chebyshev, Horner, Legendre

y, x = (values.ravel() for values in np.meshgrid(np.linspace(0, 2047, 48), np.linspace(0, 2047, 48), indexing="ij"))
domain = ((0.0, 2047.0), (0.0, 2047.0))
u, v = x / 1023.5 - 1, y / 1023.5 - 1


def condition(columns, unit_norm=True):
    """Condition number, for columns of unit norm if asked for."""
    R = np.linalg.qr(columns / np.linalg.norm(columns, axis=0) if unit_norm else columns, mode="r")
    return np.linalg.norm(R, 2) * np.linalg.norm(np.linalg.inv(R), 2)  # right also where columns differ by many decades


degrees = np.arange(1, 9)
ways = {
    "powers of pixels": [condition(Horner(d, nvars=2).columns(x, y), unit_norm=False) for d in degrees],
    "the same, columns of unit norm": [condition(Horner(d, nvars=2).columns(x, y)) for d in degrees],
    "powers on [-1, 1]": [condition(Horner(d, nvars=2).columns(u, v)) for d in degrees],
    "Chebyshev": [condition(Chebyshev(d, domain).columns(x, y)) for d in degrees],
    "Legendre": [condition(Legendre(d, domain).columns(x, y)) for d in degrees],
}

# %%
# Beyond the black line every digit of a float may be gone: the solution is noise, whatever the solver says.

limit = 1 / np.finfo(float).eps
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
styles = [("#D55E00", "o-"), ("#E69F00", "s-"), ("#56B4E9", "^-"), ("#0072B2", "D-"), ("#009E73", "v--")]
for (label, values), (colour, style) in zip(ways.items(), styles, strict=True):
    ax.semilogy(degrees, values, style, color=colour, label=label)
ax.axhline(limit, color="black", lw=1)
ax.text(1, 2 * limit, "all digits gone", fontsize=9)
worst, best = ways["powers of pixels"][-1], ways["Chebyshev"][-1]
ax.set(
    xlabel="total degree",
    ylabel="condition number of the columns",
    title=f"Degree {degrees[-1]}: {worst:.0e} in powers, {best:.1f} in Chebyshev's basis",
)
ax.legend(fontsize=9)
plt.show()

# %%
# Scaling buys most of it, the basis buys the rest. No solver can do better than the columns it gets: it has to be done before.

for label, values in ways.items():
    left = max(0.0, -np.log10(np.finfo(float).eps) - np.log10(values[-1]))
    print(f"{label:32s} condition {values[-1]:8.1e}, digits left: {left:4.1f}")
print(f"The number: {np.log10(worst / best):.0f} decades of condition number between powers of pixels and Chebyshev's polynomials")

# %%
# What to do: `PolynomialSurface(8)` takes Chebyshev's polynomials on the range of the data. If someone needs the powers,
# `to_basis` gives them afterwards, computed in twice the usual precision.
