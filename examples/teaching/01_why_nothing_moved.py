"""
Why nothing moved
=================

A fit ends with "Fit succeeded", but there are no error bars, and some values are exactly where they started. The formula is
right, and so are the data. What happened is a matter of the last digit of a floating-point number.

The example is real: the refractive index of a material over wavelength x [nm] and temperature y [deg C], with sixteen
coefficients, and start values as they were once published.
"""

import lmfit
import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def index(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    a = a1 + a2 * y + a3 * y**2 + a4 * y**3
    b = b1 + b2 * y + b3 * y**2 + b4 * y**3
    c = c1 + c2 * y + c3 * y**2 + c4 * y**3
    d = d1 + d2 * y + d3 * y**2 + d4 * y**3
    return a + b / x**2 + c / x**4 + d / x**6


start = dict(a1=1.3208, a2=-1.2325e-5, a3=-1.8674e-6, a4=5.0233e-9, b1=5208.2413, b2=-0.5179, b3=-2.284e-2, b4=6.9608e-5)
start |= dict(c1=-2.5551e8, c2=-18341.336, c3=-917.2319, c4=2.7729, d1=9.3495, d2=1.7855e-3, d3=3.6733e-5, d4=-1.2932e-7)

table = sf.data.refractive_index()
x, y, n = (table[name].to_numpy() for name in ("wavelength_nm", "temperature_c", "n"))

theirs = lmfit.Model(index, independent_vars=["x", "y"]).fit(n, x=x, y=y, **start)
print("lmfit:", theirs.message)
print("success:", theirs.success, "  covariance:", theirs.covar)
print("never moved:", ", ".join(name for name in start if theirs.params[name].value == start[name]))

# %%
# The step that changes nothing
# -----------------------------
#
# lmfit's default solver is MINPACK's ``leastsq``. It has no derivatives, so it makes them: it changes one parameter by a small
# step and looks how the model changes. The step is ``sqrt(epsfcn) * abs(p)``, a small part of the parameter's value. Let us
# take that very step with each parameter and count in the natural unit: the spacing of floating-point numbers near the value of
# the model. A change below half of that spacing is rounded away.

epsfcn = 1e-10  # lmfit's default
here = index(x, y, **start)
seen, true = {}, {}
for name, value in start.items():
    step = np.sqrt(epsfcn) * abs(value)
    seen[name] = np.max(np.abs(index(x, y, **{**start, name: value + step}) - here) / np.spacing(here))
    # the model is linear in every parameter, so its change is the step times its column
    column = index(x, y, **{**dict.fromkeys(start, 0.0), name: 1.0})
    true[name] = np.max(np.abs(step * column) / np.spacing(here))

lost = [name for name in start if seen[name] == 0]
colours = ["#D55E00" if name in lost else "#0072B2" for name in start]
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
ax.bar(list(start), list(true.values()), color=colours)
ax.axhline(0.5, color="black", lw=1)
ax.text(13.5, 0.9, "half a spacing:\nless is rounded away", ha="center", va="bottom", fontsize=9)
ax.set(yscale="log", ylabel="change of the model by one step\n[spacings of floating-point numbers]", xlabel="parameter")
ax.set_title(f"{len(lost)} of {len(start)} steps change nothing ({', '.join(lost)})")
plt.show()

# %%
# A column of zeros
# -----------------
#
# Where a step changes nothing, the derivative is zero, and a zero column makes the Jacobian singular: no direction in which to
# go, no covariance. Nothing is wrong with the model: the terms in ``d`` are divided by the sixth power of a wavelength in
# nanometres, and the published start has them many decades too small, so that a small part of them is far too small to be seen.
#
# Horner's form does not help, nor does a tighter tolerance: the step is the same. What helps is a derivative that needs no
# step. surffit calls the function once with symbols, and takes exact derivatives from the formula that comes out.

ours = sf.SurfaceModel(index, independent_vars=["x", "y"]).fit(n, x=x, y=y, **start)
print(ours.reason)
for name in lost:
    print(f"{name}: start {start[name]:.4g}, found {ours.params[name].value:.4g} +/- {ours.params[name].stderr:.2g}")
print(f"chi-square of lmfit's answer, in units of the least possible: {theirs.chisqr / ours.chisqr:.2f}")
print(f"The number: {len(lost)} of {len(start)} steps were lost in rounding")

# %%
# What to do: never trust "success" without an error bar. Use exact derivatives, or give each parameter a start of the right
# size, or write the formula in variables of order one, which is the :doc:`next lesson <02_scale_your_variables>`.
