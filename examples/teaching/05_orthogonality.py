"""
Orthogonality and correlated coefficients
=========================================

The coefficients of a polynomial have error bars, and the error bars are huge, though the curve goes through the data like a
ruler. Both are true: the coefficients are known badly one by one, but very well together. The correlations hold the difference.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(3)
x = np.sort(rng.uniform(2.0, 6.0, 40))
y = 1.0 + 0.3 * x + np.cos(x) + rng.normal(0, 0.05, x.size)

results = {
    basis: sf.surfaces.PolynomialSurface(5, variables="x", basis=basis).fit(y, x=x) for basis in ("monomial", "chebyshev", "orthonormal")
}

# %%
# The same polynomial in three bases. Dark squares off the diagonal are pairs of coefficients that can trade against each other
# without a visible change of the curve.

fig, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained", sharey=True)
largest = {}
for ax, (basis, result) in zip(axes, results.items(), strict=True):
    sd = np.sqrt(np.diag(result.covar))
    correlation = result.covar / np.outer(sd, sd)
    largest[basis] = np.max(np.abs(correlation - np.eye(len(sd))))
    picture = ax.imshow(correlation, vmin=-1, vmax=1, cmap="PuOr")
    ax.set(title=f"{basis}\nlargest |r| {largest[basis]:.4g}", xlabel="coefficient", xticks=range(6), yticks=range(6))
axes[0].set_ylabel("coefficient")
fig.colorbar(picture, ax=axes, label="correlation r", shrink=0.85)
plt.show()

# %%
# The curve is the same in all three, and so is its band; only the bookkeeping differs. In the orthonormal basis each
# coefficient can be read, tested and dropped on its own: the others don't change.

for basis, result in results.items():
    band = result.predict(x=np.array([4.0]))
    relative = [abs(par.stderr / par.value) for par in result.params.values()]
    print(f"{basis:12s} relative errors, median {np.median(relative):6.3f}", end="   ")
    print(f"band at x = 4: {band['lower'][0]:.4f} .. {band['upper'][0]:.4f}")
rest = sf.surfaces.PolynomialSurface(4, variables="x", basis="orthonormal").fit(y, x=x)
change = max(abs(rest.best_values[name] - results["orthonormal"].best_values[name]) for name in rest.best_values)
print(f"orthonormal, degree 4 instead of 5: the common coefficients change by {change:.1e}")
print(f"The number: {largest['monomial']:.6f}, the largest correlation of the powers; orthonormal {largest['orthonormal']:.0e}")

# %%
# What to do: don't quote the error bars of powers without their covariance. For errors of the curve use `predict`; to choose a
# degree, use a basis in which the terms are independent.
