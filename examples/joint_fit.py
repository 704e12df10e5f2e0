"""
Two data sets with a parameter in common
========================================

Two decays with one lifetime between them: fitted together, the lifetime is known better than from either.

The two records have different sampling, different errors, and an amplitude and a background each. `JointModel` shares ``tau``
between them by name; the other parameters stay private and are called ``early_height``, ``late_height`` and so on. They are
linear, so they are eliminated within their own data set, and the fit walks in ``tau`` alone.

Writes joint_fit.json into the current folder.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def decay(t, height, tau, background):
    """Counts per second at time t [s]."""
    return height * np.exp(-t / tau) + background


rng = np.random.default_rng(4)
t_early, sigma_early = np.linspace(0.0, 5.0, 60), 0.05
t_late, sigma_late = np.geomspace(1.0, 40.0, 25), 0.01
early = decay(t_early, 3.0, 4.2, 0.3) + sigma_early * rng.standard_normal(t_early.size)
late = decay(t_late, 1.1, 4.2, 0.05) + sigma_late * rng.standard_normal(t_late.size)

model = sf.SurfaceModel(decay)
joint = sf.JointModel({"early": model, "late": model}, shared=["tau"])
params = joint.make_params(tau={"value": 1.0, "min": 0.0})

result = joint.fit(
    {"early": early, "late": late},
    params,
    t={"early": t_early, "late": t_late},
    sigma={"early": sigma_early, "late": sigma_late},
    scale_covar=False,
)
print(result.fit_report())
print()
print(result.explain())

# %%
# The same records, each alone, tell less:

for key, data, t, sigma in [("early", early, t_early, sigma_early), ("late", late, t_late, sigma_late)]:
    alone = model.fit(data, tau=1.0, t=t, sigma=sigma, scale_covar=False)
    print(f"tau from {key} alone: {alone.params['tau'].value:.3f} +/- {alone.params['tau'].stderr:.3f}")
print(f"tau from both:        {result.params['tau'].value:.3f} +/- {result.params['tau'].stderr:.3f}")

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
for ax, key, data, t, sigma in zip(axes, ("early", "late"), (early, late), (t_early, t_late), (sigma_early, sigma_late), strict=True):
    fine = np.linspace(t.min(), t.max(), 200)
    band = result[key].predict(level=0.95, t=fine)
    ax.errorbar(t, data, sigma, fmt="o", ms=3, color="#0072B2", label="data")
    ax.plot(fine, band["fit"], color="#D55E00", label="joint fit")
    ax.set(xlabel="time [s]", title=f"{key} record")
axes[0].set_ylabel("counts per second")
axes[0].legend()
plt.show()

# %%
# One data set of the fit, under the names of its own model, with a band at new times:

print(result["late"].predict(level=0.95, t=np.array([2.0, 10.0, 30.0])))

# %%
# An expression may tie parameters across data sets:

params["late_background"].expr = "early_background / 6"
tied = joint.fit({"early": early, "late": late}, params, t={"early": t_early, "late": t_late}, sigma={"early": 0.05, "late": 0.01})
print(tied.tidy())

result.save("joint_fit.json")
