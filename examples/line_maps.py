"""
Maps of an emission line
========================

A data cube: a spectrum in every pixel, with an emission line of a rotating galaxy. One call fits them all, and gives maps of the
velocity, the width and the flux of the line, with the error of each pixel beside them.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

REST = 6562.8  # Angstrom
LIGHT = 299792.458  # km/s


def emission(wave, flux, velocity, dispersion, level):
    """A Gaussian line of a given flux at a velocity, both in km/s, on a level continuum."""
    u = LIGHT * (wave / REST - 1.0)
    return flux * np.exp(-0.5 * ((u - velocity) / dispersion) ** 2) / (dispersion * np.sqrt(2.0 * np.pi)) + level


# %%
# An inclined disc: it turns, its centre is bright and hot. A satellite trail crosses one corner, and some spectra are missing.

rng = np.random.default_rng(17)
wave = np.linspace(REST - 14.0, REST + 14.0, 60)
y, x = np.mgrid[:64, :80]
u, v = (x - 40.0) / 22.0, (y - 32.0) / 12.0
radius = np.hypot(u, v)
truth = {
    "flux": 9e3 * np.exp(-radius) + 300.0,
    "velocity": 220.0 * u / np.sqrt(0.2 + radius**2),
    "dispersion": 45.0 + 50.0 * np.exp(-2.0 * radius),
    "level": 4.0 * np.exp(-radius),
}
cube = emission(wave[:, None, None], **truth)
sigma = np.sqrt(0.5 + 0.05 * cube)
cube = rng.normal(cube, sigma)
cube[:, np.abs(y - 1.2 * x + 66.0) < 1.5] += rng.uniform(0.0, 300.0, (60, 1))
cube[:, 50:54, 10:16] = np.nan

# %%
# The function is the model. `flux` and `level` are linear, so they need no start; the velocity starts at the brightest channel of each
# spectrum. Because `sigma` is known, `scale_covar=False`.

start = {
    "velocity": LIGHT * (wave[np.nan_to_num(cube).argmax(axis=0)] / REST - 1.0),
    "dispersion": {"value": 70.0, "min": 10.0, "max": 300.0},
}
batch = sf.fit_many(emission, cube, axis=0, params=start, sigma=sigma, scale_covar=False, wave=wave)
print(batch.summary())
print(f"engine: {batch.engine}")

# %%
# Pixels where chi-square is too large are not what the model says they are: the trail shows up. The others are trusted where the
# flux is significant.

redchi = np.asarray(batch.redchi)
good = batch.success & (redchi < 1.6) & (batch.values["flux"] > 5.0 * batch.stderr["flux"])
fig, axes = plt.subplots(2, 2, figsize=(9.4, 6.6), layout="constrained", sharex=True, sharey=True)
for ax, (values, label, limits, cmap) in zip(
    axes.flat,
    [
        (np.where(good, batch.values["velocity"], np.nan), "velocity [km/s]", (-230, 230), "RdBu_r"),
        (np.where(good, batch.stderr["velocity"], np.nan), "its error [km/s]", (0, 8), "cividis"),
        (np.where(good, batch.values["dispersion"], np.nan), "dispersion [km/s]", (30, 100), "viridis"),
        (redchi, "reduced chi-square", (0.5, 2.0), "magma"),
    ],
    strict=True,
):
    shown = ax.imshow(values, origin="lower", vmin=limits[0], vmax=limits[1], cmap=cmap)
    fig.colorbar(shown, ax=ax, label=label, shrink=0.85)
for ax in axes[-1]:
    ax.set_xlabel("x [pixel]")
for ax in axes[:, 0]:
    ax.set_ylabel("y [pixel]")
plt.show()

# %%
# Are the errors right? The pulls, (value - truth) / error, say so. And any one spectrum can be opened as an ordinary result.

pulls = ((batch.values["velocity"] - truth["velocity"]) / batch.stderr["velocity"])[good]
print(f"{good.sum()} trusted spectra; the pulls of the velocity have a standard deviation of {pulls.std():.2f}")
one = batch.to_lmfit((30, 52))
print(one.fit_report(show_correl=False))
