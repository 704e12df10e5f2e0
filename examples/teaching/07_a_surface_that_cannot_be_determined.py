"""
A surface that can't be determined
==================================

Some questions the data can't answer, however many points there are. A fit should say which, and go on with the rest. Here: the
light of a lamp through a plate, seen with a camera of unknown gain. Twice the gain and half the flux make the same image.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def image(x, y, gain, flux, length, tilt, dark):
    """Counts behind a plate that absorbs along x [mm], with a slope in y."""
    return gain * flux * np.exp(-x / length) + tilt * y + dark


y, x = np.mgrid[0:20:25j, 0:30:31j]
rng = np.random.default_rng(5)
counts = image(x, y, 2.0, 50.0, 12.0, 0.3, 4.0) + rng.normal(0, 0.5, x.shape)

model = sf.SurfaceModel(image, independent_vars=["x", "y"])
result = model.fit(counts, x=x, y=y, gain=1.0, flux=60.0, length=8.0)
print(result.explain())

# %%
# ``gain`` and ``flux`` have the error ``inf``, not a large number: it is not a question of more data. The null direction says
# along which combination they can move without any effect. The length, the tilt and the dark level are determined as if nothing
# were the matter, and so is the surface itself.

print(result.tidy()[["term", "estimate", "std_error"]].to_string(index=False))
print("null direction:", result.conditioning.null_directions)

# %%
# The valley of chi-square over the two has a flat floor, the curve gain × flux = constant. A start decides where on the floor a
# fit ends, and an error bar there would be an accident of rounding.

gain, flux = np.meshgrid(np.linspace(0.5, 4, 300), np.linspace(15, 120, 300))
# the other parameters stay at their best; the image is then a straight line in gain * flux, and chi-square a parabola
rest = model.eval(result.params, x=x, y=y, gain=0.0) - counts
lamp = np.exp(-x / result.best_values["length"])
brightness = gain * flux
chi2 = np.sum(rest**2) + 2 * brightness * np.sum(rest * lamp) + brightness**2 * np.sum(lamp**2)
rise = np.sqrt(np.maximum((chi2 - result.chisqr) / result.redchi, 0))

here = np.array([result.best_values["gain"], result.best_values["flux"]])
null = result.conditioning.null_directions[0]
along = np.array([null["gain"], null["flux"]])
along *= 25 / abs(along[1])

fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
levels = 10.0 ** np.arange(0.5, 3.1, 0.5)
filled = ax.contourf(gain, flux, np.maximum(rise, 1e-3), levels=levels, norm="log", cmap="cividis_r", extend="both")
fig.colorbar(filled, label="distance from the best fit [sigma]", ticks=[10, 100, 1000])
ax.annotate("", here + along, here, arrowprops={"arrowstyle": "->", "color": "#D55E00", "lw": 2.5})
ax.annotate("", here - along, here, arrowprops={"arrowstyle": "->", "color": "#D55E00", "lw": 2.5})
ax.plot(*here, "o", color="white", mec="black")
ax.text(*(here + np.array([0.25, 5])), "null direction", color="white")
ax.set(xlabel="gain [counts/photon]", ylabel="flux [photons]")
ax.set_title(f"{result.conditioning.rank} of {result.conditioning.n_free} directions are determined")
plt.show()

# %%
# The cure is knowledge from elsewhere: a calibrated gain, held fixed. The rest of the answer doesn't change.

params = model.make_params(flux=60.0, length=8.0, gain={"value": 2.0, "vary": False})
known = model.fit(counts, params, x=x, y=y)
for name in ("flux", "length"):
    print(f"{name:7s} {known.params[name].value:8.3f} +/- {known.params[name].stderr:.3f}   (before: +/- {result.params[name].stderr:.3f})")
print(f"The number: {result.conditioning.rank} of {result.conditioning.n_free} directions are determined")

# %%
# What to do: read `explain` when an error is ``inf``. Fix one of the parameters it names with ``vary=False``, tie them by
# ``expr``, or fit their product.
