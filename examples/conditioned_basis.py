"""
A polynomial of degree ten
==========================

The same polynomial of degree ten, fitted as powers of x and in Chebyshev's polynomials on the range of x. The powers are nearly alike
on the data: the condition number says how many digits that costs. The Chebyshev coefficients are mapped to powers exactly.
"""

import matplotlib.pyplot as plt
import numpy as np

from surffit.surfaces import PolynomialSurface

x = np.linspace(-9, -3, 82)
truth = np.array([-1467.0, -2772.0, -2316.0, -1128.0, -354.5, -75.12, -10.88, -1.062, -0.06702, -0.002468, -4.03e-5])
y = np.polynomial.polynomial.polyval(x, truth) + np.random.default_rng(1).normal(0, 0.003, x.size)

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for basis, colour in (("monomial", "#D55E00"), ("chebyshev", "#0072B2")):
    result = PolynomialSurface(10, variables="x", basis=basis).fit(y, x=x)
    print(f"{basis:10s} condition of the columns {result.conditioning.condition_scaled:.1e}")
    powers = result.to_basis("monomial")
    for name in ("c0", "c5", "c10"):
        par = powers.params[name]
        print(f"    {name:3s} = {par.value:.12g} +/- {par.stderr:.6g}")
    size = np.abs(np.array(list(result.best_values.values())))
    ax.semilogy(size, "o-", color=colour, label=f"{basis}: condition of the columns {result.conditioning.condition_scaled:.1e}")

ax.set(xlabel="degree of the term", ylabel="size of the coefficient", title="The same polynomial in two bases")
ax.set_ylim(top=1e7)
ax.legend(loc="upper right")
plt.show()
