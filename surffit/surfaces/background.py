"""A smooth background under everything else: fitted, clipped, fitted again, until the same points stay."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bases.terms import Degree
from ..core.containers import users_line
from ..core.data import FitData, open_door
from ..core.keywords import has_option
from ..core.model import SurfaceModel
from ..core.widened import widen
from ..exceptions import ConvergenceWarning, DataError, ParameterError
from .pixels import with_pixels
from .polynomial import PolynomialSurface
from .truncation import Truncation, truncation

__all__ = ["Detrended", "detrend"]

# by how much of its own errors the points that still change sides may move the fit
NEGLIGIBLE = 0.05
# the same for points that change sides for ever
CIRCLING = 0.5
# the smallest limit, in standard deviations: below, half of the noise would go
NARROWEST = 1.0


@dataclass(frozen=True, eq=False)
class Detrended:
    """
    A background, and the data without it.

    Attributes
    ----------
    background : container of the data
        The fitted surface at every point, excluded ones too.
    residual : container of the data
        data - background at every point, excluded ones too.
    mask : ndarray of bool, shape of the data
        True = took no part in the fit: `masked` or `clipped`.
    masked : ndarray of bool
        By the user's mask, weight 0, or not finite.
    clipped : ndarray of bool
        By clipping (and growing).
    result : SurfaceResult
        The last fit. Its errors are corrected for the clipping; `result.redchi` is that of the points that are left.
    noise : float
        Standard deviation of the noise [data unit, or sigma where errors were given], corrected for the clipping.
    shift : float
        By how much unequal limits push the background, in `noise` (below 0: down). Not corrected.
    iterations : int
        Number of fits.
    converged : bool
        Whether further clipping would change nothing that matters.
    reason : str
        Why it stopped.
    """

    background: Any
    residual: Any
    mask: np.ndarray
    masked: np.ndarray
    clipped: np.ndarray
    result: Any
    noise: float
    shift: float
    clip: tuple[float, float]
    iterations: int
    converged: bool
    reason: str

    def __repr__(self) -> str:
        how = "converged" if self.converged else "NOT CONVERGED"
        return f"<Detrended: {how}, {int(self.clipped.sum())} of {self.clipped.size} points clipped in {self.iterations} fits>"

    def report(self) -> str:
        """What was done, in words."""
        clipped, usable = int(self.clipped.sum()), int((~self.masked).sum())
        fits = "1 fit" if self.iterations == 1 else f"{self.iterations} fits"
        head = "" if self.converged else "NOT CONVERGED. "
        lines = [f"{head}{self.reason[0].upper()}{self.reason[1:]} after {fits} of {self.result.model.name}."]
        if self.masked.any():
            lines.append(f"{int(self.masked.sum())} of {self.mask.size} points were masked or not finite.")
        unit = "sigma" if self.result.weights is not None else "data units"
        lines.append(f"Noise: {self.noise:.4g} {unit}.")
        low, high = self.clip
        if math.isfinite(low) or math.isfinite(high):
            t = truncation(low, high)
            share, noise = 100 * clipped / usable, 100 * (1 - t.kept)
            outside = f"{clipped} of {usable} points ({share:.2g} %) were clipped, outside {_limits(low, high)} sigma"
            lines.insert(1, f"{outside}; of Gaussian noise alone it would be {noise:.2g} %.")
            lines.append(_note(t, self.result.scale_covar))
        if abs(self.shift) > 1e-3:
            way = "down" if self.shift < 0 else "up"
            lines.append(
                f"Unequal limits push the background {way} by {abs(self.shift):.3f} of the noise ({abs(self.shift) * self.noise:.3g})."
            )
        return "\n".join(lines)


def _limits(low: float, high: float) -> str:
    return f"-{low:g} to +{high:g}"


def _note(t: Truncation, scaled: bool) -> str:
    factor = t.noise**2 if scaled else t.noise
    return (
        f"Clipping takes the tails of the noise too, so a fit of what is left believes too much in itself: its errors were multiplied by "
        f"{factor:.4g}"
        + (f", its noise by {t.noise:.4g}" if scaled else "")
        + " (Gaussian noise). conf_interval() and sample() don't know of it."
    )


def detrend(
    data: Any,
    model: Degree | Any = 1,
    *,
    clip: float | tuple[float | None, float | None] | None = 3.0,
    max_iter: int = 20,
    grow: int = 0,
    params: Any = None,
    sigma: Any = None,
    weights: Any = None,
    var: Any = None,
    ivar: Any = None,
    mask: Any = None,
    nan_policy: str = "omit",
    scale_covar: bool = True,
    coords: Mapping[str, Any] | None = None,
    **given: Any,
) -> Detrended:
    r"""
    Subtract a smooth background, leaving out what sticks out of it.

    Fit, leave out the points whose residual is beyond `clip` times the noise, fit again, until the same points stay. Points that
    were left out come back if they fit later.

    Parameters
    ----------
    data : array_like
        Any container that `SurfaceModel.fit` takes; any shape.
    model : int, tuple of int or model
        Degree of a Chebyshev `PolynomialSurface` (a tuple: of each variable), or any model.
    clip : float, (low, high) or None
        Limits in standard deviations of the noise, from 1 up; None in place of a number: no limit on that side; None: no clipping.
        ``(None, 3)`` clips what is above only.
    max_iter : int
        Most fits.
    grow : int
        Also leave out the neighbours of clipped points, to this distance in pixels (images and lines only).
    params : Parameters, optional
        Starts, bounds and constraints of the model.
    sigma, weights, var, ivar, mask, nan_policy, scale_covar
        As for `SurfaceModel.fit`; points that are not finite are left out by default. With ``scale_covar=False`` and errors of the
        data these are the noise; else it is found with the fit.
    coords : mapping, optional
        Coordinates whose names are keywords of this function.
    **given
        Coordinates, options of the model, and starts by name. Without coordinates an image (ny, nx) has pixel indices, x along its
        columns; a line has its places 0, 1, 2, ... (a Series too: ``x=series.index`` takes its own).

    Returns
    -------
    Detrended
        With `background`, `residual`, `mask`, `result`, `noise`, `report()`.

    Raises
    ------
    ParameterError, DataError
        For impossible limits, coordinates that are missing, and what `SurfaceModel.fit` refuses.

    Warns
    -----
    ConvergenceWarning
        If what is clipped doesn't come to rest, or would be most of the points.

    Notes
    -----
    The noise is 1.4826 times the median absolute deviation of the (weighted) residual: half of the points may be anything. Limits
    at k of it cut the noise, too; within limits a and b, u standard normal,

    .. math:: Z = \int_{-a}^{b} \varphi(u)\,du, \qquad B = \int_{-a}^{b} u^2 \varphi(u)\,du,

    what is left has the standard deviation sqrt(B/Z) and its median absolute deviation is smaller than 0.6745, so that the scale is
    corrected by what a Gaussian would show within the same limits. The errors of `result` are multiplied by Z/B (sqrt(Z/B) if sigma
    is known): sqrt(Z/B) since the scatter that scales them is too small, and again since the limits move with the fit. For 3
    sigma that is 2.7 %, for 2 sigma 29 %. Limits that differ push the background: `shift`.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> rng = np.random.default_rng(1)
    >>> y, x = np.mgrid[:40, :50]
    >>> image = 100 + 0.5 * x - 0.2 * y + rng.normal(0, 1, x.shape)
    >>> image[10:14, 20:24] += 50  # a star
    >>> flat = sf.surfaces.detrend(image, model=1, clip=3)
    >>> bool(flat.clipped[10:14, 20:24].all()), flat.converged
    (True, True)
    >>> float(round(flat.residual[10:14, 20:24].mean()))
    50.0
    """
    low, high = _checked_clip(clip)
    if not isinstance(max_iter, int | np.integer) or max_iter < 1 or not isinstance(grow, int | np.integer) or grow < 0:
        msg = f"max_iter={max_iter!r}, grow={grow!r}; give whole numbers, max_iter from 1 and grow from 0"
        raise ParameterError(msg)
    fitted, variables = _as_model(model, data, {**given, **(coords or {})})
    known = with_pixels(data, variables, {k: v for k, v in {**given, **(coords or {})}.items() if k in fitted.independent_vars})
    starts = {name: value for name, value in given.items() if name not in fitted.independent_vars}
    errors = {k: v for k, v in {"sigma": sigma, "weights": weights, "var": var, "ivar": ivar}.items() if v is not None}
    opened = open_door(data, known, mask=mask, nan_policy=nan_policy, **errors)
    if np.iscomplexobj(opened.data):
        msg = "detrend() is for real data; detrend real and imaginary part apart"
        raise DataError(msg)
    if grow and opened.data.ndim != len(opened.names):
        msg = f"grow={grow} needs neighbours: an image or a line, not data of shape {opened.shape} scattered over {', '.join(opened.names)}"
        raise DataError(msg)
    masked = np.zeros(opened.shape, dtype=bool) if opened.used is None else ~opened.used
    exact = not scale_covar and opened.weights is not None
    clipping = _Clipping(opened, masked, low, high, int(grow), exact)
    converged, reason = False, f"the limit of {max_iter} fits was reached"
    for iteration in range(1, int(max_iter) + 1):
        result = fitted.fit(
            data, params, mask=masked | clipping.clipped, nan_policy=nan_policy, scale_covar=scale_covar, coords=known, **errors, **starts
        )
        if clip is None:
            converged, reason = True, "nothing was to be clipped"
            break
        verdict = clipping.look(result, last=iteration == max_iter)
        if verdict:
            converged, reason = verdict
            break
        params, starts = result.params, {}
    if not converged:
        msg = f"detrend() did not converge: {reason}; report() says more"
        warnings.warn(ConvergenceWarning(msg, reason=reason), stacklevel=users_line())
    t = truncation(low, high)
    if clip is not None and clipping.clipped.any():
        widen(result, t.noise**2 if result.scale_covar else t.noise, t.noise, _note(t, result.scale_covar))
    else:  # limits that nothing has met took nothing away
        t = truncation(math.inf, math.inf)
    noise = 1.0 if exact else math.sqrt(result.redchi) * t.noise
    values = opened.opened.values - result._eval_shape(result.params)
    return Detrended(
        result.best_fit, opened.opened.wrap(values), masked | clipping.clipped, masked, clipping.clipped, result, noise, t.shift,
        (low, high), iteration, converged, reason,
    )  # fmt: skip


def _checked_clip(clip: Any) -> tuple[float, float]:
    pair = clip if isinstance(clip, tuple | list) else (clip, clip)
    try:
        low, high = (math.inf if side is None else float(side) for side in pair)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (low >= NARROWEST and high >= NARROWEST):
        msg = f"clip={clip!r}; give a limit in standard deviations from {NARROWEST:g} up, e.g. 3, or (low, high) such as (None, 3), or None"
        raise ParameterError(msg)
    return low, high


def _as_model(model: Any, data: Any, given: Mapping[str, Any]) -> tuple[SurfaceModel, tuple[str, ...]]:
    """The model, and the names of its coordinates."""
    if isinstance(model, int | np.integer | tuple | list) and not isinstance(model, bool):
        shape = np.shape(getattr(data, "data", data) if hasattr(data, "uncertainty") else data)
        alone = [name for name, value in given.items() if np.ndim(value) == 0]
        if alone and math.prod(shape) > 1:
            each = ", ".join(f"{name}={given[name]!r}" for name in alone)
            msg = f"detrend() got {each}, which is no argument of it, and a coordinate has a value for every point"
            raise ParameterError(msg, names=alone)
        names = tuple(given) or (("x",) if len(shape) == 1 else ("x", "y"))
        degree: Any = tuple(model) if isinstance(model, list) else model
        return PolynomialSurface(degree, names), names
    if isinstance(model, SurfaceModel):
        surface = model
    elif hasattr(model, "independent_vars"):
        surface = SurfaceModel.from_lmfit(model)
    else:
        msg = f"model={model!r}; give a degree, or a model such as SurfaceModel(function, independent_vars=['x', 'y'])"
        raise ParameterError(msg)
    return surface, tuple(name for name in surface.independent_vars if not has_option(surface, name))


class _Clipping:
    """Which points are out, and what the next look makes of them."""

    def __init__(self, data: FitData, masked: np.ndarray, low: float, high: float, grow: int, exact: bool) -> None:
        self.data, self.masked, self.grow, self.exact = data, masked, grow, exact
        self.low, self.high = low, high
        self.clipped = np.zeros(data.shape, dtype=bool)
        self.seen: set[bytes] = set()
        self.weights = 1.0 if data.weights is None else np.abs(data.weights)

    def look(self, result: Any, last: bool) -> tuple[bool, str] | None:
        """Clip anew by a fit; None to go on, else whether it converged and why it stops (what is clipped is what was fitted)."""
        with np.errstate(all="ignore"):
            z = (self.data.data - result._eval_shape(result.params)) * self.weights
        kept = z[~(self.masked | self.clipped)]
        first = not self.seen
        centre = float(np.median(kept))
        noise = 1.0 if self.exact else self._scale(kept, centre, result, first)
        # the first fit may be pulled off by what is to be clipped; most of the points tell where it should be
        z -= centre if first else 0.0
        beyond = ~self.masked & ((z < -self.low * noise) | (z > self.high * noise))
        count, usable = int(beyond.sum()), int((~self.masked).sum())
        if self.grow and beyond.any():
            from scipy.ndimage import binary_dilation

            beyond = binary_dilation(beyond, np.ones((3,) * beyond.ndim), iterations=self.grow) & ~self.masked
        changed = int((beyond != self.clipped).sum())
        longest = max(k for k in (self.low, self.high, NARROWEST) if math.isfinite(k))
        if changed * longest <= NEGLIGIBLE * math.sqrt(usable):
            return True, "the same points stayed" if not changed else f"all but {changed} points stayed"
        if 2 * count > usable:
            return False, f"more than half of the points ({count} of {usable}) would be clipped: this model is no background of theirs"
        key = np.packbits(beyond).tobytes()
        if key in self.seen:
            circle = f"clipping goes in a circle, in which {changed} point{'s change' if changed > 1 else ' changes'} sides"
            if changed * longest <= CIRCLING * math.sqrt(usable):
                return True, f"{circle}, which moves the fit by less than half of its error"
            return False, f"{circle}; try other limits"
        self.seen.add(key)
        if not last:
            self.clipped = beyond
        return None

    def _scale(self, kept: np.ndarray, centre: float, result: Any, first: bool) -> float:
        """The noise, by the median absolute deviation of what the limits have left."""
        t = truncation(math.inf, math.inf) if first else truncation(self.low, self.high)
        free = max(result.nfree, 1) / kept.size
        least = 8.0 * np.finfo(float).eps * float(np.abs(self.data.data * self.weights).max(initial=0.0))
        return max(float(np.median(np.abs(kept - centre))) / t.deviation / math.sqrt(free), least)
