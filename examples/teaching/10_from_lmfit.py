"""
From lmfit to surffit in five lines
===================================

A `SurfaceModel` is an `lmfit.Model`, and its result is a `ModelResult`. Parameters, bounds, expressions, composites and reports
stay what they were. What changes is the import, the class, and what the result can say.
"""

import lmfit
import matplotlib.pyplot as plt
import numpy as np


def spot(x, y, height, x0, y0, width, sky):
    """A round spot on a flat sky; x, y and width in pixels."""
    return height * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * width**2)) + sky


y, x = np.mgrid[:40, :50]
image = spot(x, y, 120.0, 27.3, 18.6, 4.2, 10.0) + np.random.default_rng(9).normal(0, 3, x.shape)

# %%
# Before, with lmfit. The data have to be flattened by hand where a model has two coordinates and one wants to plot or weight
# them.

model = lmfit.Model(spot, independent_vars=["x", "y"])
params = model.make_params(height=100, x0=25, y0=20, width=3, sky=0)
params["width"].min = 0
before = model.fit(image.ravel(), params, x=x.ravel(), y=y.ravel())
print(before.params["x0"])

# %%
# After, five lines:

import surffit as sf  # noqa: E402 -- here it can be compared line by line

model = sf.SurfaceModel(spot, independent_vars=["x", "y"])
params = model.make_params(x0=25, y0=20, width={"value": 3, "min": 0})  # height and sky are linear: no start
after = model.fit(image, params, x=x, y=y)
print(after.explain())

# %%
# The values agree to a small part of their errors; the shape of the data is kept, so there is something to look at.

largest = max(abs(after.params[name].value - before.params[name].value) / after.params[name].stderr for name in params)
figure = after.plot(
    title=f"the two answers differ by {largest:.0e} standard errors at most",
    xlabel="x [pixel]",
    ylabel="y [pixel]",
    fig_kws={"figsize": (10, 3.4)},
)
plt.show()

# %%
# How many times each had to call the function:

print(f"lmfit {before.nfev} evaluations, surffit {after.nfev}")
print(f"The number: {largest:.1e} standard errors between the two answers")

# %%
# A model of lmfit's own, or a composite of them, needs no new function:
# ``sf.SurfaceModel.from_lmfit(lmfit.models.GaussianModel() + ...)``. And what you know stays: ``fit_report()``,
# ``params["x0"].stderr``, ``conf_interval()``, ``eval()``, ``best_fit``.
