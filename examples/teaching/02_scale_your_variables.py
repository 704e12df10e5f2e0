"""
Scale your variables
====================

A spectrum runs from 400 to 700 nm. In nanometres, in metres, or in micrometres it is the same spectrum, and the cubic through
it is the same curve. The numbers that the computer works with are not the same.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

wavelength = np.linspace(400, 700, 61)  # nm
forms = {
    "metres": wavelength * 1e-9,
    "nanometres": wavelength,
    "micrometres": wavelength * 1e-3,
    "centred,\n[-1, 1]": (wavelength - 550) / 150,
}

# %%
# How well can the columns 1, x, x², x³ be told apart? Their condition number tells how much an error of the data, rounding
# included, may grow in the coefficients: with a condition of ten to the k, up to k of the sixteen digits of a float are gone.
#
# Part of it is only units: columns of very different length. Dividing each column by its length ("columns of unit norm")
# removes that part, and surffit always does it. What is left is geometry: seen from zero, the powers of a number between 400
# and 700 look alike.


def condition(columns):
    """Condition number by the triangle of QR: right also where columns differ by more than sixteen decades."""
    R = np.linalg.qr(columns, mode="r")
    return np.linalg.norm(R, 2) * np.linalg.norm(np.linalg.inv(R), 2)


raw, scaled = [], []
for x in forms.values():
    columns = np.vander(x, 4, increasing=True)
    raw.append(condition(columns))
    scaled.append(condition(columns / np.linalg.norm(columns, axis=0)))

at = np.arange(len(forms))
fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for shift, values, colour, label in [(-0.2, raw, "#D55E00", "as they are"), (0.2, scaled, "#0072B2", "columns of unit norm")]:
    bars = ax.bar(at + shift, values, 0.38, color=colour, label=label)
    ax.bar_label(bars, [f"{value:.1e}" for value in values], fontsize=9, padding=2)
ax.set(yscale="log", ylabel="condition number of the columns", xticks=at, xticklabels=list(forms), xlabel="unit of the variable")
ax.set_ylim(1, 30 * max(raw))
ax.legend()
decades = np.log10(max(raw) / scaled[-1])
ax.set_title(f"A shift and a factor: {decades:.0f} decades of condition number")
plt.show()

# %%
# So there are two cures, and they add up: a factor for each column (the formula stays as it is; surffit does it for you), and a
# shift of the variable to the middle of the data (only you can decide, since it changes what the coefficients mean, but
# `explain` says so when it matters).

curve = np.cos(wavelength / 60) + np.random.default_rng(1).normal(0, 0.05, wavelength.size)
for name, x in forms.items():
    result = sf.SurfaceModel.from_expression("a + b*x + c*x**2 + d*x**3", independent_vars=["x"]).fit(curve, x=x)
    c = result.conditioning
    print(f"{name.replace(chr(10), ' '):18s} as it stands {c.condition_raw:8.1e}   what the solver sees {c.condition_scaled:8.1e}")
print(f"The number: {decades:.1f} decades between the worst unit and the centred variable")

# %%
# What to do: subtract the middle of the data and divide by half the range, at the latest from the third power on. Then the
# coefficients are also worth reading: each says how much its term contributes at the edge of the data. `PolynomialSurface` does
# it by itself.
