"""
A background under stars
========================

A sky that is bent, not flat, with stars on it. A plain fit of a polynomial is pulled up by the stars;
`surffit.surfaces.detrend` fits, leaves out what sticks out, and fits again until nothing changes.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(21)
y, x = np.mgrid[:120, :160]
sky = 200 + 0.4 * x - 0.3 * y + 0.004 * (x - 60) ** 2
stars = sum(
    height * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
    for height, x0, y0 in zip(rng.uniform(50, 800, 25), rng.uniform(0, 160, 25), rng.uniform(0, 120, 25), strict=True)
)
image = sky + stars + rng.normal(0, 3, x.shape)

# %%
# Only what is above the sky is clipped, and the neighbours of clipped pixels go with it: the wings of a star are too faint to
# be seen one by one.

flat = sf.surfaces.detrend(image, model=2, clip=(None, 3), grow=2)
print(flat.report())

plain = sf.surfaces.PolynomialSurface(2).fit(image, x=x, y=y)
for name, surface in (("plain fit", plain.best_fit), ("detrend", flat.background)):
    print(f"{name:10s} mean error of the background {np.mean(surface - sky):7.3f} counts, largest {np.abs(surface - sky).max():.3f}")

# %%
# The picture: the image, what took no part in the fit, and the image without its background.

fig, axes = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained", sharey=True)
shown = axes[0].imshow(image, origin="lower", vmin=180, vmax=330)
fig.colorbar(shown, ax=axes[0], label="counts", extend="max")
axes[1].imshow(flat.mask, origin="lower", cmap="gray_r")
shown = axes[2].imshow(flat.residual, origin="lower", vmin=-12, vmax=30)
fig.colorbar(shown, ax=axes[2], label="counts", extend="max")
for ax, title in zip(axes, ("image", "left out (black)", "without the background"), strict=True):
    ax.set(title=title, xlabel="x [pixel]")
axes[0].set_ylabel("y [pixel]")
plt.show()
