"""
Find a law behind a table
=========================

There is a table and no formula. `surffit.find_surface` tries every registered surface and thousands of laws that are made of
simple functions of each variable, and ranks them by how well they predict points that they have not seen.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import surffit as sf

rng = np.random.default_rng(3)
temperature, pressure = rng.uniform(280, 360, 120), rng.uniform(1, 5, 120)
volume = 0.0831 * temperature / pressure - 0.3  # an ideal gas, and a correction
volume += rng.normal(0, volume.std() / 60, volume.size)

table = pd.DataFrame({"temperature_K": temperature, "pressure_bar": pressure, "volume_L": volume})
known = ["plane", "power_law2d", "van_der_waals"]  # registered surfaces to try as well; True, the default, tries all of them
found = sf.find_surface(table, data="volume_L", T="temperature_K", p="pressure_bar", registered=known)
print(found.report())

# %%
# Data and the best laws above, what they leave below.

found.plot(2)
plt.show()

# %%
# A law of the table is an ordinary result. Its error bars know nothing of the thousands of laws that lost: the report says what
# that means.

best = found.best
print(best.tidy()[["term", "estimate", "std_error"]].to_string(index=False))
print(best.predict(T=np.array([300.0]), p=np.array([2.0])))
