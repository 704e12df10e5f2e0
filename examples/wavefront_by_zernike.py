"""
A wavefront by Zernike's polynomials
====================================

An interferogram of a mirror with a central hole: which aberrations does it have? Zernike's polynomials for a ring are
orthonormal on it, so each coefficient is the rms of its aberration, and none changes when others are added.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

y, x = np.mgrid[-1:1:121j, -1:1:121j]
r, theta = np.hypot(x, y), np.arctan2(y, x)
pupil = (r <= 1) & (r >= 0.3)
wavefront = 0.11 * (2 * r**2 - 1) + 0.07 * r**2 * np.cos(2 * theta) - 0.05 * (3 * r**3 - 2 * r) * np.sin(theta)
wavefront += np.random.default_rng(5).normal(0, 0.02, x.shape)

result = sf.surfaces.ZernikeSurface(4, obscuration=0.3).fit(wavefront, x=x, y=y, mask=~pupil)
names = result.model.basis.titles
values = np.array([par.value for par in result.params.values()])
errors = np.array([par.stderr for par in result.params.values()])
for name, par, title in zip(result.params, result.params.values(), names, strict=True):
    if abs(par.value) > 5 * par.stderr:
        print(f"{name:4s} {title:32s} {par.value:8.4f} +/- {par.stderr:.4f} waves rms")

# %%
# The wavefront, what fifteen terms leave of it, and the terms.

fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.6), layout="constrained", width_ratios=[1, 1, 1.3])
for ax, values_shown, title in ((axes[0], wavefront, "wavefront"), (axes[1], result.residual_map, "residual")):
    limit = np.nanmax(np.abs(np.where(pupil, values_shown, np.nan)))
    shown = ax.imshow(np.where(pupil, values_shown, np.nan), origin="lower", extent=(-1, 1, -1, 1), cmap="RdBu_r", vmin=-limit, vmax=limit)
    fig.colorbar(shown, ax=ax, label="waves", shrink=0.8)
    ax.set(title=title, xlabel="x [pupil radius]", ylabel="y [pupil radius]")
rows = np.arange(1, len(names))
axes[2].barh(rows, values[1:], xerr=errors[1:], color="#0072B2")
axes[2].set(yticks=rows, yticklabels=names[1:], xlabel="coefficient [waves rms]", title="aberrations")
axes[2].tick_params(axis="y", labelsize=9)
axes[2].invert_yaxis()
plt.show()
