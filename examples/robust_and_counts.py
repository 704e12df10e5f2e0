"""
Outliers, counts and prior knowledge
====================================

What to minimise when the errors are not Gaussian.

A line with a few wild points, by three losses; a decay seen through a handful of counts per bin, where chi-square is biased
and Poisson's own likelihood is not; and a parameter that the data alone can't tell, with what is known of it beforehand.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(1)

# %%
# A line with outliers
# --------------------


def line(x, slope, offset):
    return offset + slope * x


x = np.linspace(0, 10, 60)
y = line(x, 2.0, 1.0) + rng.normal(0, 0.3, x.size)
y[::7] += rng.uniform(5, 15, y[::7].size)  # every seventh point is wrong, and always upwards
model = sf.SurfaceModel(line)
print("A line, slope 2 and offset 1, with 15 % wild points:")
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(x, y, "o", ms=4, color="black", label="data")
for loss, style in (("linear", "-"), ("soft_l1", "--"), ("cauchy", ":")):
    result = model.fit(y, x=x, loss=loss)
    slope, offset = (result.params[name] for name in ("slope", "offset"))
    print(f"  {loss:8} slope {slope.value:6.3f} +/- {slope.stderr:.3f}   offset {offset.value:6.3f} +/- {offset.stderr:.3f}")
    ax.plot(x, result.best_fit, style, lw=2, label=f'loss="{loss}"')
ax.set(xlabel="time [s]", ylabel="height [m]", title="Three losses on a line with wild points")
ax.legend()
plt.show()
print(result.explain())

# %%
# Counts
# ------


def decay(t, n0, rate, dark):
    return n0 * np.exp(-rate * t) + dark


t = np.linspace(0, 20, 200)
truth = {"n0": 5.0, "rate": 0.8, "dark": 0.7}
model = sf.SurfaceModel(decay)
chi2, cash = [], []
for _ in range(200):
    counts = rng.poisson(decay(t, **truth))
    chi2.append(model.fit(counts, sigma=np.sqrt(np.maximum(counts, 1)), t=t, rate=1.0).best_values["dark"])
    cash.append(model.fit(counts, t=t, rate=1.0, loss="poisson").best_values["dark"])
print(f"A dark rate of {truth['dark']} counts per bin, mean of 200 fits:")
for name, found in (("chi-square, sigma = sqrt(n)", chi2), ("poisson", cash)):
    print(f"  {name:28} {np.mean(found):.3f} +/- {np.std(found) / np.sqrt(len(found)):.3f}")

# %%
# Prior knowledge
# ---------------

short = t < 2.5  # too short to tell a slow decay from a dark rate
counts = rng.poisson(10 * decay(t[short], **truth))
print("The same decay, cut short:")
for name, priors in (("without prior", None), ("dark = 7 +/- 1 beforehand", {"dark": (7.0, 1.0)})):
    result = model.fit(counts, t=t[short], rate=1.0, loss="poisson", priors=priors)
    rate = result.params["rate"]
    print(f"  {name:28} rate {rate.value:.3f} +/- {rate.stderr:.3f}")
