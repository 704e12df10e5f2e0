"""
A refractive index with sixteen coefficients
============================================

Sixteen values with their errors, from 66 points and no start values.

The formula is a cubic in temperature whose coefficients are cubics in 1/wavelength**2. Its parameters lie between 1e-9 and
1e13, which is where a fit in raw units gives up: nothing moves, and there are no error bars. Here the function stays as it
is; surffit finds that all sixteen parameters are linear, solves for them in a scaled basis, and says what it found.

Writes refractive_index.png and refractive_index.json into the current folder.
"""

import surffit as sf


def index(x, y, a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, d1, d2, d3, d4):
    """Refractive index at wavelength x [nm] and temperature y [deg C]."""
    a = a1 + a2 * y + a3 * y**2 + a4 * y**3
    b = b1 + b2 * y + b3 * y**2 + b4 * y**3
    c = c1 + c2 * y + c3 * y**2 + c4 * y**3
    d = d1 + d2 * y + d3 * y**2 + d4 * y**3
    return a + b / x**2 + c / x**4 + d / x**6


# %%
# The fit
# -------

table = sf.data.refractive_index()
model = sf.SurfaceModel(index, independent_vars=["x", "y"])
result = sf.fit_table(table, model, data="n", x="wavelength_nm", y="temperature_c")

print(result.fit_report(min_correl=0.99))
print()
print(result.explain())

# %%
# Picture and file
# ----------------

sf.plot.picture(result, "refractive_index.png")
result.save("refractive_index.json")
print()
print("Picture in refractive_index.png, the fit itself in refractive_index.json (surffit.load reads it).")
