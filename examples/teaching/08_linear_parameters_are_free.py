"""
Linear parameters are free
==========================

Most models are linear in most of their parameters: heights, backgrounds, slopes. For any value of the others the best linear
ones follow from a small system of equations, exactly. So they need no start, and a fit has to search in the others only. That
is called variable projection; surffit finds out by itself which parameters are linear.
"""

import warnings

import lmfit
import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def two_decays(t, fast, slow, a, b, dark):
    """Two decays with their rates [1/s], heights and a dark level."""
    return a * np.exp(-fast * t) + b * np.exp(-slow * t) + dark


t = np.linspace(0, 10, 80)
truth = dict(fast=2.0, slow=0.35, a=5.0, b=3.0, dark=0.5)
data = two_decays(t, **truth) + np.random.default_rng(8).normal(0, 0.03, t.size)

model = sf.SurfaceModel(two_decays)
print("linear:", ", ".join(model.linear))

# %%
# The same starts for both programs: rates over two decades, heights that are off by as much as one doesn't know better. lmfit
# searches in five dimensions, surffit in two. A start is good if the end is the lowest chi-square known, within a thousandth.

rng = np.random.default_rng(1)
starts = [
    dict(fast=f, slow=s, a=a, b=b, dark=d)
    for f, s, a, b, d in zip(
        10 ** rng.uniform(-1, 1.3, 120), 10 ** rng.uniform(-1.5, 1, 120), *(10 ** rng.uniform(-1, 2, (3, 120))), strict=True
    )
]
plain = lmfit.Model(two_decays)
ends = {"lmfit": [], "surffit": []}
calls = {"lmfit": [], "surffit": []}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # bad starts are the subject here
    for start in starts:
        for name, fit in (("lmfit", plain.fit), ("surffit", model.fit)):
            try:
                result = fit(data, t=t, **start)
            except ValueError:  # lmfit raises where a trial isn't finite
                ends[name].append(np.inf)
                continue
            ends[name].append(result.chisqr)
            calls[name].append(result.nfev)
best = min(map(min, ends.values()))
good = {name: np.array(values) < 1.001 * best for name, values in ends.items()}

# %%
# What a start looks like to the search: chi-square over the two rates alone, with the three linear parameters at their best
# everywhere.

grid = np.geomspace(0.02, 30, 60)
landscape = np.empty((grid.size, grid.size))
for i, slow in enumerate(grid):
    for j, fast in enumerate(grid):
        columns = np.stack([np.exp(-fast * t), np.exp(-slow * t), np.ones_like(t)], axis=1)
        landscape[i, j] = np.sum((data - columns @ np.linalg.lstsq(columns, data, rcond=None)[0]) ** 2)

fig, axes = plt.subplots(1, 2, figsize=(9, 4.3), layout="constrained", sharey=True)
for ax, name in zip(axes, ends, strict=True):
    filled = ax.contourf(grid, grid, landscape / best, levels=np.geomspace(1, 3000, 12), norm="log", cmap="cividis", extend="max")
    for chosen, mark, colour, label in [(good[name], "o", "white", "reaches the minimum"), (~good[name], "X", "#D55E00", "does not")]:
        points = [(start["fast"], start["slow"]) for start, is_it in zip(starts, chosen, strict=True) if is_it]
        if points:
            ax.plot(*np.transpose(points), mark, ms=6, color=colour, mec="black", mew=0.6, ls="", label=label)
    ax.set(xscale="log", yscale="log", xlabel="start of fast [1/s]", title=f"{name}: {100 * np.mean(good[name]):.0f} % of the starts")
axes[0].set_ylabel("start of slow [1/s]")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
fig.colorbar(filled, ax=axes, label="chi-square / least, linear ones at their best", ticks=[1, 10, 100, 1000], format="%g")
plt.show()

share = {name: f"{100 * np.mean(is_it):.0f} %" for name, is_it in good.items()}
for name in ends:
    print(f"{name:8s} reaches the minimum from {share[name]} of the starts, median of {np.median(calls[name]):.0f} evaluations")
print(f"The number: {share['surffit']} of the starts against {share['lmfit']}")

# %%
# What to do: nothing, it happens by itself. It helps to write a model so that it has linear parameters: a height rather than
# its logarithm, ``a + b*x`` rather than ``b*(x - x0)``.
