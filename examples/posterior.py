"""
Errors, intervals and the posterior
===================================

What twelve points say about a decay: errors, intervals, and the whole posterior.

Three answers to one question, from quick to complete: the covariance (how sure, to first order), profile intervals (limits that
follow the curvature) and the posterior (every combination of parameters that the data allow). The amplitude and the background are
linear, so they are integrated out exactly and only the rate is walked.

Writes posterior.png into the current folder if the package corner is installed.
"""

import numpy as np

import surffit as sf


def decay(t, amplitude, rate, background):
    """Counts at time t [s]."""
    return amplitude * np.exp(-rate * t) + background


t = np.linspace(0.0, 3.0, 12)
counts = decay(t, 2.0, 1.5, 0.1) + np.random.default_rng(4).normal(0.0, 0.1, t.size)

model = sf.SurfaceModel(decay)
params = model.make_params(rate={"value": 1.0, "min": 0.05, "max": 6.0})
params.add("lifetime", expr="1/rate")
result = model.fit(counts, params, t=t)
print(result.fit_report(show_correl=False))

# %%
# From quick to complete
# ----------------------

print("Each rung of the ladder, by name:")
for rung in ("jacobian", "hessian", "mcmc"):
    errors = result.covariance(rung, rng=1).stderr
    print(f"  {rung:9s}", "  ".join(f"{name} {error:.4f}" for name, error in errors.items()))

print("\nProfile intervals at 68 and 95 %:")
for name, limits in result.conf_interval(sigmas=[1, 2]).items():
    print(f"  {name:11s}", "  ".join(f"{value:8.4f}" for _, value in limits))

# %%
# The whole posterior
# -------------------

posterior = result.sample(2000, rng=1)
print(posterior)
print(posterior.summary().round(4).to_string())
print(*posterior.notes, sep="\n")

try:
    labels = ["amplitude [counts]", "rate [1/s]", "background [counts]", "lifetime [s]"]
    posterior.corner(labels=labels, title_fmt=".2f").savefig("posterior.png")
    print("\nPicture in posterior.png.")
except sf.exceptions.OptionalDependencyError as err:
    print(f"\nNo picture: {err}.")
