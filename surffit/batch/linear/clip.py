"""
When a point of a linear fit counts as an outlier.

The ratio of a residual to a scatter in which it takes part itself stays below sqrt(n), so that no outlier among ten points can exceed
three. The default therefore compares each residual with the scatter of all others (the externally studentised residual [1]_), which
follows Student's t.

References
----------
.. [1] R. D. Cook, S. Weisberg, Residuals and Influence in Regression, Chapman and Hall 1982, section 2.2.
"""

from __future__ import annotations

import numpy as np

from ..task import Options

__all__ = ["LOOK", "thresholds"]

# as the kernels number them
LOOK = {None: 0, "studentized": 1, "known": 2, "population": 3}


def thresholds(options: Options, n_params: int, longest: int) -> np.ndarray:
    """
    Largest square of a weighted residual that stays, by number of points, shape (longest + 1,).

    In units of chi-square; for ``clip="known"`` as it is. Residuals are divided by sqrt(1 - h), but not for ``clip="population"``. With
    u = w^2 r^2 / (1 - h) and nu = n - P - 1 the studentised residual has t^2 = nu u / (chi2 - u), so that t > T means
    u > chi2 T^2 / (nu + T^2). T is the quantile of Student's t with the probability of `nsigma` under a normal distribution.
    """
    n = np.arange(longest + 1)
    out = np.full(longest + 1, np.inf)
    if options.clip == "known":
        out[:] = options.nsigma**2
    elif options.clip == "population":
        out[1:] = options.nsigma**2 / n[1:]
    elif options.clip == "studentized":
        from scipy.special import ndtr
        from scipy.stats import t

        nu = n - n_params - 1
        square = t.isf(ndtr(-options.nsigma), nu[nu > 0]) ** 2
        # for a few degrees of freedom T is huge and the ratio 1 to rounding: exact in this form
        out[nu > 0] = 1.0 / (1.0 + nu[nu > 0] / square)
    return out
