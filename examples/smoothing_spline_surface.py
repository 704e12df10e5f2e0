"""
A smoothing spline through scattered points
===========================================

Where there is no formula: a spline surface with more intervals than needed, and a smoothing that is chosen so that left-out
points are predicted best. The band says how well the surface is known, wide where the points are few.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(7)
x, y = rng.uniform(0, 10, (2, 400))
far = (x - 8) ** 2 + (y - 2) ** 2 > 3  # a corner that nobody measured
x, y = x[far], y[far]


def terrain(x, y):
    return 2 * np.sin(0.9 * x) * np.cos(0.6 * y) + 0.2 * x


z = terrain(x, y) + rng.normal(0, 0.3, x.size)
result = sf.surfaces.BSplineSurface(12, smoothing="gcv").fit(z, x=x, y=y)
print(f"{len(result.params)} coefficients, of which the data and the smoothing leave {result.ndata - result.nfree:.1f} free")

# %%
# Left the surface, right the half width of its 95 % band, with the points on it.

gx, gy = np.meshgrid(np.linspace(0, 10, 70), np.linspace(0, 10, 70))
band = result.predict(level=0.95, x=gx, y=gy)
width = (band["upper"] - band["lower"]) / 2
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained", sharey=True)
for ax, values, title, cmap in ((axes[0], band["fit"], "surface", "viridis"), (axes[1], width, "half width of the band", "cividis")):
    shown = ax.pcolormesh(gx, gy, values, cmap=cmap, shading="nearest")
    ax.plot(x, y, ".", ms=3, color="white", mec="black", mew=0.3)
    ax.set(xlabel="x [km]", title=title)
    fig.colorbar(shown, ax=ax, label="height [m]")
axes[0].set_ylabel("y [km]")
plt.show()

inside = np.abs(band["fit"] - terrain(gx, gy)) <= width
print(f"the true surface lies within the band at {100 * inside.mean():.0f} % of the points of the picture")
