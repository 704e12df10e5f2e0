"""
A tilted peak on a sloping sky
==============================

A spot on an image, wider in one direction than in the other, on a background with a slope. The ready surface guesses its start
from the image, and the sum with a plane does, too.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(11)
y, x = np.mgrid[:60, :80]
peak = sf.get_model("gaussian2d_rotated")
plane = sf.SurfaceModel.from_expression("sky + gx*x + gy*y", independent_vars=["x", "y"])
model = peak + plane
print(model.describe())

# %%
# What a model's parameters mean stands in its docstring; `example` gives typical values.

coords, values = peak.example()
print({name: round(value, 3) for name, value in values.items()})

# %%
# An image, a guess, and the fit. Nothing but the image goes into the guess.

truth = model.make_params(**values, sky=3.0, gx=0.02, gy=-0.01)
image = model.eval(truth, x=x, y=y)
image = image + rng.normal(0, 0.05 * np.ptp(image), x.shape)

start = peak.guess(image, x=x, y=y)
params = model.make_params(**{name: par.value for name, par in start.items()})
result = model.fit(image, params, x=x, y=y)
print(result.fit_report(show_correl=False))
result.plot(xlabel="x [pixel]", ylabel="y [pixel]", title="a tilted peak on a plane", fig_kws={"figsize": (10, 3.4)})
plt.show()
