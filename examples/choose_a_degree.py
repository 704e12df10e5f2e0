"""
Which degree?
=============

Every further degree lowers the residual, whether it is there or not. The error at points that the fit has not seen falls only
as long as the terms are real. `surffit.choose_degree` looks at all degrees in one pass.
"""

import matplotlib.pyplot as plt
import numpy as np

import surffit as sf

rng = np.random.default_rng(4)
x, y = rng.uniform(0, 50, (2, 150))
height = 12 + 0.2 * x - 0.1 * y + 0.004 * (x - 20) * (y - 30) + 0.0004 * (x - 25) ** 3 + rng.normal(0, 0.5, x.size)

choice = sf.choose_degree(height, x=x, y=y)
print(choice.report())
print(choice.table[["k", "redchi", "bic", "loo"]].round(3))

# %%
# The residual goes on falling to the right; the leave-one-out residual turns up.

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
choice.plot(ax)
ax.set_ylabel("root mean square [m]")
plt.show()

# %%
# The fit of the chosen degree is an ordinary result.

print(choice.result.explain())
