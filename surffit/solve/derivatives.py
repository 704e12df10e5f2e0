"""First and second derivatives of functions of one variable that come as code: by complex step where it passes, by differences else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..kernels.warned import filtered

Array = np.ndarray

# central differences of eighth order: offsets 1..4
FIRST = (4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0)
SECOND = (8.0 / 5.0, -1.0 / 5.0, 8.0 / 315.0, -1.0 / 560.0)
STEP = 0.02  # of the scale: truncation (0.02**8) and rounding (eps / 0.02) are both about 1e-13
IMAGINARY = 1e-40


def differences(func: Callable[[Array], Array], x: Array, scale: Array) -> tuple[Array, Array, Array]:
    """
    Values, first and second derivatives of an elementwise function.

    Parameters
    ----------
    func : callable
        x (N,) -> (N,).
    x, scale : ndarray, shape (N,)
        Where, and the distance on which the function changes.

    Returns
    -------
    value, first, second : ndarray, shape (N,)
    """
    value = np.asarray(func(x), dtype=float)
    first, second = np.zeros(value.shape), np.zeros(value.shape)
    h = STEP * scale
    h = (x + h) - x  # a step that float64 can take
    h = np.where(h == 0.0, np.spacing(np.abs(x)) + 1e-300, h)
    for k, (a, b) in enumerate(zip(FIRST, SECOND, strict=True), start=1):
        above, below = np.asarray(func(x + k * h), dtype=float), np.asarray(func(x - k * h), dtype=float)
        first += a * (above - below)
        second += b * ((above - value) + (below - value))
    return value, first / h, second / h / h


class Pointwise:
    """
    Derivatives of an elementwise function, by the best way that passes a check at its first use.

    A complex step gives the first derivative without any error of truncation or cancellation; the second is then its
    difference. Functions that don't take complex numbers (scipy.stats) get differences of their values.
    """

    def __init__(self, func: Callable[[Array], Array]) -> None:
        self.func = func
        self._complex: bool | None = None

    def _slope(self, x: Array) -> Array:
        with filtered("ignore"):
            out = np.asarray(self.func(x + 1j * IMAGINARY))
        return np.asarray(np.imag(out) / IMAGINARY)

    def _passes(self, x: Array, first: Array) -> bool:
        try:
            slope = self._slope(x)
        except Exception:  # noqa: BLE001 - a user's function may raise anything when it is handed complex numbers
            return False
        known = np.isfinite(first)
        size = float(np.abs(first[known]).max(initial=0.0))
        return slope.shape == first.shape and bool((np.abs(slope - first)[known] <= 1e-6 * (np.abs(first[known]) + 1e-3 * size)).all())

    def __call__(self, x: Array, scale: Array) -> tuple[Array, Array, Array]:
        """Value, first and second derivative at x, for a function that changes on `scale`."""
        with np.errstate(all="ignore"):
            if self._complex:
                value = np.asarray(self.func(x), dtype=float)
                slope, second, _ = differences(self._slope, x, scale)
                return value, slope, second
            out = differences(self.func, x, scale)
            if self._complex is None:
                self._complex = self._passes(x, out[1])
                if self._complex:
                    return self(x, scale)
            return out
