"""
When to believe emcee
=====================

A chain always gives an error bar: the scatter of its samples. Whether that is the error of the parameter depends on whether the
walkers have seen the whole posterior by then. To know, one needs an exact answer to compare with: a refractive index with
twelve linear parameters has one.
"""

import emcee
import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

table = sf.data.refractive_index()
x, y, n = (table[name].to_numpy() for name in ("wavelength_nm", "temperature_c", "n"))
names = [f"{letter}{j + 1}" for letter in "abcd" for j in range(3)]
columns = np.stack([y**j / x ** (2 * i) for i in range(4) for j in range(3)], axis=1)

formula = " + ".join(f"{name}*y**{k % 3}/x**{2 * (k // 3)}" for k, name in enumerate(names))
result = sf.SurfaceModel.from_expression(formula, independent_vars=["x", "y"]).fit(n, x=x, y=y)
best = np.array([result.params[name].value for name in names])
exact = np.array([result.params[name].stderr for name in names])
sigma = np.sqrt(result.redchi)


def log_posterior(p):
    return -0.5 * np.sum(((n - p @ columns.T) / sigma) ** 2, axis=-1)


# %%
# First as it is often done: emcee in the raw parameters, the walkers in a small ball around the best fit, each parameter within
# a small share of its value. How wide the posterior is, in units of these values, the ball doesn't know.

walkers, steps = 26, 9000
rng = np.random.default_rng(3)


def chain(log_probability, start):
    """Samples of a run, (steps, walkers, parameters)."""
    sampler = emcee.EnsembleSampler(walkers, start.shape[1], log_probability, vectorize=True)
    sampler.random_state = np.random.RandomState(3).get_state()
    sampler.run_mcmc(start, steps)
    return sampler.get_chain()


raw = chain(log_posterior, best * (1 + 1e-4 * rng.standard_normal((walkers, best.size))))

# %%
# Then in whitened coordinates: the same walkers, the same number of steps, but each coordinate is one standard deviation of the
# covariance that the fit has anyway, and so is the width of the start.

root = exact[:, None] * np.linalg.cholesky(result.covar / np.outer(exact, exact))
whitened = best + chain(lambda q: log_posterior(best + q @ root.T), rng.standard_normal((walkers, best.size))) @ root.T

# %%
# The scatter of the last coefficient as the chains grow; the first half of each is left out as burn-in.

at = np.unique(np.geomspace(50, steps, 50).astype(int))
early = int(at[at <= 500][-1])
fig, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
tau = {}
for samples, name, colour, style in [(raw, "raw parameters", "#D55E00", "-"), (whitened, "whitened", "#0072B2", "--")]:
    last = samples[:, :, -1]
    tau[name] = float(emcee.autocorr.integrated_time(last, quiet=True, tol=0)[0])
    ax.plot(at, [last[k // 2 : k].std() / exact[-1] for k in at], style, color=colour, label=name)
    ax.axvline(50 * tau[name], color=colour, ls=":", lw=1.5, label=f"{name}: 50 autocorrelation times")
off = raw[early // 2 : early, :, -1].std() / exact[-1]
ax.axhline(1, color="black", lw=1)
ax.set(xscale="log", yscale="log", xlabel="steps of each walker", ylabel=f"scatter of {names[-1]} / its exact error")
ax.set_title(f"After {early} steps the raw chain's error bar is {off:.2g} of the exact one")
ax.legend(fontsize=9, loc="lower right")
plt.show()

# %%
# The early raw chain looks quiet and gives a small error bar. That it was too short shows in its length over its
# autocorrelation time, which is the only thing that a chain can say about itself; fifty is a good rule.
# `surffit.SurfaceResult.sample` walks in whitened coordinates, integrates linear parameters out exactly (here that leaves
# nothing to walk), and warns when the chain is too short.

for name, value in tau.items():
    lengths = " and ".join(f"{k} steps are {k / value:.1f}" for k in (early, steps))
    print(f"{name:15s} autocorrelation time {value:4.0f} steps: {lengths} of them")
posterior = result.sample(1000, rng=1)
print(f"sample(): sd of {names[-1]} / exact = {posterior.summary().loc[names[-1], 'sd'] / exact[-1]:.3f}, converged: {posterior.converged}")
print(f"The number: {off:.2g}, the raw chain's error bar after {early} steps over the exact one")

# %%
# What to do: believe a chain after fifty autocorrelation times, not after a round number of steps. Start it with the width of
# the posterior, in coordinates of that width. And look at its error bar beside the covariance's: where they differ, one of the
# two is wrong.
