"""
All surfaces at a glance
========================

Every registered surface of two variables, drawn from its own typical values (``model.example()``). `surffit.get_model` makes
any of them by the name over its picture.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf


def drawn(name):
    """Coordinates and heights of a surface on a grid, or None: for curves, and models that need options."""
    described = sf.registry.describe(name)
    if described["package"] != "surffit" or described["object"].startswith("lmfit."):
        return None
    try:
        model = sf.get_model(name)
    except TypeError:
        return None
    if len(model.independent_vars) != 2:
        return None
    coords, values = model.example()
    x, y = (np.asarray(coords[variable], dtype=float) for variable in model.independent_vars)
    params = model.make_params(**values)
    try:
        height = model.eval(params, **coords)
    except sf.exceptions.ParameterError:  # polynomials and their like take their range from the data of a fit
        height = model.fit(np.zeros(x.shape), **coords).model.eval(params, **coords)
    units = getattr(model, "units", {})
    return [f"{name} [{units.get(name, 'any')}]" for name in model.independent_vars], x, y, height


surfaces = {name: found for name in sf.models() if (found := drawn(name)) is not None}
print(f"{len(surfaces)} surfaces: {', '.join(surfaces)}")

# %%
# Colours run from the lowest to the highest value of each. Where a unit is "any", parameters come out in the unit that the
# coordinates have.

columns = 4
rows = -(-len(surfaces) // columns)
fig, axes = plt.subplots(rows, columns, figsize=(2.2 * columns, 2.2 * rows), layout="constrained", squeeze=False)
for ax in axes.flat[len(surfaces) :]:
    ax.set_axis_off()
for ax, (name, (labels, x, y, height)) in zip(axes.flat, surfaces.items(), strict=False):
    if x.ndim == 2:
        ax.pcolormesh(x, y, height, shading="gouraud")
    else:  # points that aren't a grid
        ax.tripcolor(x, y, height, shading="gouraud")
    ax.set_title(name, fontsize=9)
    ax.set_xlabel(labels[0], fontsize=8, labelpad=1)
    ax.set_ylabel(labels[1], fontsize=8, labelpad=3)
    ax.tick_params(labelsize=7)
    ax.locator_params(nbins=4)
plt.show()
