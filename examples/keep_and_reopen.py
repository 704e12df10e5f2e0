"""
Keep a fit, and open it elsewhere
=================================

A model, a fit and its posterior in files, opened where the function does not exist.

A function travels as the graph of its arithmetic, so the files hold numbers and no code: opening one runs nothing. The chain
of the posterior goes into an .npz beside its document.

Writes decay_model.json, decay_fit.json, decay_posterior.json and its .npz into the current folder.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def decay(t, height, tau, background):
    """Counts per second at time t [s]."""
    return height * np.exp(-t / tau) + background


rng = np.random.default_rng(7)
t = np.linspace(0.0, 12.0, 80)
counts = decay(t, 3.0, 2.5, 0.4) + 0.05 * rng.standard_normal(t.size)

model = sf.SurfaceModel(decay)
model.set_param_hint("tau", min=0.0, value=1.0)
result = model.fit(counts, t=t)

model.save("decay_model.json")
result.save("decay_fit.json")
result.sample(steps=400, rng=1).save("decay_posterior.json")

# %%
# Later, or elsewhere
# -------------------

del decay, model, result  # from here on there are only the files

fit = sf.load("decay_fit.json")
print(fit.fit_report(show_correl=False))
print(fit.predict(level=0.95, t=np.array([0.0, 5.0, 20.0])))

again = sf.load("decay_model.json").fit(counts, t=t)
print(f"\nfitted again with the model from the file: tau = {again.best_values['tau']:.6f}, before: {fit.best_values['tau']:.6f}")

print()
print(sf.load("decay_posterior.json").summary()[["mean", "sd", "q15.87", "q84.13"]])

times = np.linspace(0.0, 12.0, 200)
band = fit.predict(level=0.95, t=times)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(t, counts, "o", ms=4, color="#0072B2", label="data")
ax.plot(times, band["fit"], color="#D55E00", label="fit from the file")
ax.fill_between(times, band["lower"], band["upper"], color="#D55E00", alpha=0.3, label="95 % band")
ax.set(xlabel="time [s]", ylabel="counts per second")
ax.legend()
plt.show()
