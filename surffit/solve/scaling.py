"""Parameters of order one for solvers that know nothing of scale, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# bounds further away than this many units are dropped: a sine transform across them would cost every digit
FAR = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class UnitScale:
    """p = start + unit * z: z is 0 at the start and changes the model by its noise when it changes by about one."""

    start: np.ndarray
    unit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def outward(self, z: np.ndarray) -> np.ndarray:
        """Parameters for unit coordinates z, inside the original bounds."""
        return self.start + self.unit * z


def unit_scale(start: np.ndarray, J: np.ndarray, spread: float, lower: np.ndarray, upper: np.ndarray) -> UnitScale:
    """
    Unit coordinates at a start.

    Parameters
    ----------
    start : ndarray, shape (n,)
    J : ndarray, shape (n, N)
        Derivatives there.
    spread : float
        Norm of what the model has to explain; one unit of z moves the model by this much.
    lower, upper : ndarray, shape (n,)
        Bounds, mapped along; those more than 1e6 units away are dropped (check the answer against them).
    """
    norms = np.sqrt(np.einsum("ij,ij->i", J, J))
    fallback = np.maximum(np.abs(start), 1.0)
    unit = np.where(norms > 0, spread / np.where(norms > 0, norms, 1.0), fallback)
    low, high = (lower - start) / unit, (upper - start) / unit
    return UnitScale(start, unit, np.where(low < -FAR, -np.inf, low), np.where(high > FAR, np.inf, high))
