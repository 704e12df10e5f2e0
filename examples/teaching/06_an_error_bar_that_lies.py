"""
An error bar that lies
======================

"A lifetime of 5 ± 3 hours": so it could be 2 as well as 8? The symmetric error bar comes from the curvature at the best value,
and claims that the data see the same on both sides. Where a decay was watched for less than a lifetime, they don't.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def decay(t, height, tau, sky):
    """Height above the sky after t hours."""
    return height * np.exp(-t / tau) + sky


truth = dict(height=1.0, tau=4.0, sky=0.2)
t = np.linspace(0, 3, 25)
sigma = 0.03
model = sf.SurfaceModel(decay)
params = model.make_params(tau={"value": 2.0, "min": 0.05, "max": 1e4})

# %%
# One measurement says nothing about an error bar. So we take many, each with its own noise, and count how often the interval
# holds the truth: two in three is what one sigma promises, and the misses should fall on both sides alike. The profile interval
# asks the data instead of the curvature: how far can `tau` go, with the other parameters adjusted, until the fit is worse by
# one sigma?

rng = np.random.default_rng(12)
runs = 200
results = []
best, bars, profile = np.empty(runs), np.empty((runs, 2)), np.empty((runs, 2))
with warnings.catch_warnings():
    warnings.simplefilter("ignore", sf.exceptions.CovarianceWarning)  # some upper limits don't exist, which is an answer
    for i in range(runs):
        result = model.fit(decay(t, **truth) + rng.normal(0, sigma, t.size), params, t=t, sigma=sigma, scale_covar=False)
        results.append(result)
        best[i] = result.params["tau"].value
        bars[i] = best[i] + np.array([-1, 1]) * result.params["tau"].stderr
        limits = result.conf_interval(["tau"], sigmas=[1])["tau"]
        profile[i] = limits[0][1], limits[-1][1]


def misses(intervals):
    """Shares of the runs whose interval lies below the truth, and above it."""
    return np.mean(intervals[:, 1] < truth["tau"]), np.mean(intervals[:, 0] > truth["tau"])


shown = np.argsort(best)[::4]
fig, axes = plt.subplots(1, 2, figsize=(8.4, 4.4), layout="constrained", sharex=True, sharey=True)
for ax, intervals, name in [(axes[0], bars, "value ± stderr"), (axes[1], profile, "profile interval")]:
    rank = np.arange(shown.size)
    ends = np.minimum(intervals[shown], 40)
    hit = (intervals[shown, 0] <= truth["tau"]) & (intervals[shown, 1] >= truth["tau"])
    for chosen, colour, label in [(hit, "#0072B2", "holds the truth"), (~hit, "#D55E00", "misses it")]:
        ax.hlines(rank[chosen], ends[chosen, 0], ends[chosen, 1], color=colour, label=label)
    ax.plot(best[shown], rank, "k.", ms=3)
    ax.axvline(truth["tau"], color="black", lw=1)
    below, above = misses(intervals)
    ax.set(xlabel="lifetime tau [h]", title=f"{name}\ntoo low {100 * below:.0f} %, too high {100 * above:.0f} %")
axes[0].set(ylabel="measurement, sorted by its best value", xlim=(0, 20))
axes[0].legend(fontsize=9, loc="lower right")
plt.show()

# %%
# One fit from the middle of them, as it would be quoted:

typical = results[np.argsort(best)[runs // 2]]
(_, lower), _, (_, upper) = typical.conf_interval(["tau"], sigmas=[1])["tau"]
print(f"tau = {typical.params['tau'].value:.2f} +/- {typical.params['tau'].stderr:.2f}, profile interval {lower:.2f} to {upper:.2f}")
for name, intervals in {"value ± stderr": bars, "profile interval": profile}.items():
    low, high = (100 * share for share in misses(intervals))
    print(f"{name:16s} holds the truth in {100 - low - high:.0f} %, is too low in {low:.0f} %, too high in {high:.0f} %")
low, high = misses(bars)
print(f"The number: {100 * low:.0f} % of the symmetric bars lie too low, {100 * high:.0f} % too high")

# %%
# What to do: where an error is not small beside its value, ask ``conf_interval``, and quote its limits if they aren't symmetric
# (``explain`` says so by itself where the Hessian and the Jacobian disagree). Or fit another parameter: the rate 1/tau is much
# nearer to symmetric here.
