"""
The top of a hill, with its error
=================================

Where is the maximum of a fitted surface, how high is it, and how sure is that? The position is no parameter of the model; its
error follows from the covariance of all parameters together. So do those of slopes, curvatures and integrals.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(2)
temperature, pressure = rng.uniform(20, 90, 60), rng.uniform(1, 9, 60)
u, v = (temperature - 62) / 20, (pressure - 4.5) / 2
yields = 80 - 9 * u**2 - 6 * v**2 + 4 * u * v + rng.normal(0, 6, u.size)

result = sf.surfaces.PolynomialSurface(2, variables=("temperature", "pressure")).fit(yields, temperature=temperature, pressure=pressure)
top = result.extrema("maximum")
print(top.T.to_string(header=False))

# %%
# The cross is the maximum with its errors of one sigma; the contours are the fitted surface.

t, p = np.meshgrid(np.linspace(20, 90, 80), np.linspace(1, 9, 80))
fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
lines = ax.contourf(t, p, result.eval(temperature=t, pressure=p), levels=12)
fig.colorbar(lines, label="yield [%]")
ax.plot(temperature, pressure, "o", ms=4, color="white", mec="black", label="measured")
best = top.iloc[0]
ax.errorbar(
    best.temperature, best.pressure, best.pressure_stderr, best.temperature_stderr, color="#D55E00", lw=2.5, label="maximum ± one sigma"
)
ax.set(xlabel="temperature [deg C]", ylabel="pressure [bar]")
ax.set_title(f"yield {best.value:.1f} ± {best.value_stderr:.1f} % at {best.temperature:.1f} ± {best.temperature_stderr:.1f} deg C")
ax.legend(loc="lower left")
plt.show()

# %%
# How steep is it where one works today, and what is the mean over the tolerances?

print(result.gradient(temperature=50.0, pressure=4.0).T.to_string(header=False))
box = result.integral(temperature=(58, 66), pressure=(4, 5)).iloc[0]
print(f"mean yield within the tolerances: {box.value / 8:.2f} +/- {box.stderr / 8:.2f} %")
