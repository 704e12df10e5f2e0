"""Surfaces of sines, of radial functions and of Zernike's polynomials; all coefficients are linear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bases import Fourier, RadialBasis, Zernike
from ..bases.terms import Degree, Domain, checked_degree
from ..core.data import FitData
from ..exceptions import ParameterError
from .basis_surface import BasisSurface

FARTHEST = 20_000  # points among which centres are looked for


class FourierSurface(BasisSurface):
    r"""
    A Fourier series in one or more variables: :math:`\sum c_{kl}\,g_k(\theta_x)\,g_l(\theta_y)` with g = 1, cosines and sines.

    For what repeats itself: hours of a day, angles, fringes. Coefficients are in the data's unit, angles
    :math:`\theta = 2\pi (x - \mathrm{low})/(\mathrm{high} - \mathrm{low})` go once round in a period.

    Parameters
    ----------
    order : int or tuple of int
        Highest harmonic, or one for each variable: 2 order + 1 functions each.
    variables : str or sequence of str
        Names of the variables.
    domain : sequence of (low, high), optional
        One period of each variable. None: the range of the data and a step more (range / (number of values - 1)), which is right
        for a whole period on a grid; for anything else give the period.
    prefix, name, nan_policy, linear
        As for `SurfaceModel`.

    Notes
    -----
    Coefficients are named by their factors, e.g. ``fc1_s2`` for cos(theta_x) sin(2 theta_y); see `surffit.bases.Fourier`.

    Raises
    ------
    ParameterError
        For a bad order or period, or names that are none.

    Examples
    --------
    >>> import numpy as np
    >>> hour = np.arange(24.0)
    >>> temperature = 15.0 + 4.0 * np.sin(2 * np.pi * (hour - 9) / 24)
    >>> result = FourierSurface(1, "hour").fit(temperature, hour=hour)
    >>> [round(value, 6) for value in result.best_values.values()]
    [15.0, -2.828427, -2.828427]
    >>> result.model.basis.domain
    ((0.0, 24.0),)
    """

    def __init__(
        self,
        order: Degree = 2,
        variables: str | Sequence[str] = ("x", "y"),
        *,
        domain: Any = None,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        self.order = checked_degree(order)
        shown = f"FourierSurface({self.order})"
        super().__init__(variables, domain, shown, nan_policy=nan_policy, prefix=prefix, name=name, linear=linear)

    def basis_on(self, domain: Domain | None) -> Fourier | None:
        """The series of one period."""
        return None if domain is None else Fourier(self.order, domain)

    def basis_for(self, data: FitData) -> Fourier | None:
        """The series of a period that the data's values fill."""
        periods = []
        for name in self.variables:
            known = np.unique(data.values(name))
            if known.size < 2:
                msg = f"{name} has one value only, so it has no period; give FourierSurface a domain="
                raise ParameterError(msg)
            low, high = float(known[0]), float(known[-1])
            periods.append((low, high + (high - low) / (known.size - 1)))
        return self.basis_on(tuple(periods))

    def options(self) -> dict[str, Any]:
        """Arguments that make this model again."""
        return {"order": self.order if isinstance(self.order, int) else list(self.order)}

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Two periods of a grid, with amplitudes that fall with the harmonic."""
        return _example(self, (0.0, 24.0), [1.0 / (1.0 + sum(term)) ** 2 for term in self._stand_in.terms()])  # type: ignore[attr-defined]


class RadialBasisSurface(BasisSurface):
    r"""
    A surface of radial functions around centres, and a polynomial: :math:`\sum_i w_i\,\varphi(\epsilon r_i) + \sum_{kl} c_{kl}\,s^k t^l`.

    For scattered points and shapes without a formula. Distances :math:`r_i` to the centres are taken in variables s, t that the range
    maps onto [-1, 1]; see `surffit.bases.RadialBasis`.

    Parameters
    ----------
    centres : int or array_like, shape (c, number of variables)
        Where the functions sit; a number: so many of the data points, each the farthest from those before it.
    variables : str or sequence of str
        Names of the variables.
    kernel : str
        "thin_plate_spline", "gaussian", "multiquadric" and others: see `surffit.bases.RadialBasis`.
    epsilon : float, optional
        One over the width of the functions in mapped variables.
    degree : int, optional
        Of the polynomial; -1 for none. None: as the kernel needs it.
    domain : sequence of (low, high), optional
        The range of each variable. None: that of the data.
    prefix, name, nan_policy, linear
        As for `SurfaceModel`.

    Raises
    ------
    ParameterError
        For an unknown kernel, bad centres, more centres than there are different points, or names that are none.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.random.default_rng(1).uniform(0, 10, (2, 200))
    >>> result = RadialBasisSurface(30).fit(np.sin(x / 3) * y, x=x, y=y)
    >>> round(float(np.std(result.residual)), 2)  # of values up to 10
    0.06
    """

    def __init__(
        self,
        centres: Any = 16,
        variables: str | Sequence[str] = ("x", "y"),
        kernel: str = "thin_plate_spline",
        *,
        epsilon: float | None = None,
        degree: int | None = None,
        domain: Any = None,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        counted = bool(np.ndim(centres) == 0 and isinstance(centres, int | np.integer) and not isinstance(centres, bool))
        if counted and centres < 1:
            msg = f"centres={centres!r}; give a number of centres from 1 up, or their coordinates, one row each"
            raise ParameterError(msg)
        self.kernel, self.epsilon, self.degree = kernel, epsilon, degree
        known = None if counted else RadialBasis(centres, kernel, epsilon, degree)
        columns, variable = 0 if known is None else known.nvars_known, 1 if isinstance(variables, str) else len(variables)
        if columns and columns != variable:
            msg = f"centres have {columns} columns, but there are {variable} variables; give one column for each"
            raise ParameterError(msg)
        self.centres: Any = int(centres) if known is None else known.centres
        shown = f"RadialBasisSurface({centres if known is None else len(known.names())}, {kernel})"
        super().__init__(variables, domain, shown, nan_policy=nan_policy, prefix=prefix, name=name, linear=linear)

    def basis_on(self, domain: Domain | None) -> RadialBasis | None:
        """The functions on a range; None where the centres are to be taken from data."""
        if isinstance(self.centres, int) or domain is None:
            return None
        return RadialBasis(self.centres, self.kernel, self.epsilon, self.degree, domain)

    def stand_in(self) -> RadialBasis:
        """So many functions, anywhere."""
        if not isinstance(self.centres, int):
            return RadialBasis(self.centres, self.kernel, self.epsilon, self.degree)
        nowhere = np.zeros((self.centres, len(self.variables)))
        return RadialBasis(nowhere, self.kernel, self.epsilon, self.degree, ((-1.0, 1.0),) * len(self.variables))

    def basis_for(self, data: FitData) -> RadialBasis | None:
        """The functions on the data's range, around data points."""
        domain = self.domain or self.range_of(data)
        if not isinstance(self.centres, int):
            return self.basis_on(domain)
        points = np.stack(self.points_of(data), axis=1)
        return RadialBasis(_spread(points, domain, self.centres), self.kernel, self.epsilon, self.degree, domain)

    def options(self) -> dict[str, Any]:
        """Arguments that make this model again, with the centres that it has."""
        centres = self.centres if self.basis is None else self.basis.centres
        epsilon = self.epsilon if self.basis is None else self.basis.epsilon
        return {
            "centres": centres if isinstance(centres, int) else [list(centre) for centre in centres],
            "kernel": self.kernel,
            "epsilon": None if epsilon is None else float(epsilon),
            "degree": self.degree,
        }

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """A grid, with weights of either sign."""
        return _example(self, (0.0, 10.0), [(-1.0) ** i * (1.0 + i % 3) for i in range(len(self.coefficients))])


class ZernikeSurface(BasisSurface):
    r"""
    A wavefront in Zernike's polynomials, :math:`\sum_j z_j Z_j(x, y)`, on a disc or a ring.

    The polynomials are orthonormal on the pupil, so that a coefficient is the rms of its aberration, in the data's unit (waves,
    nanometres); see `surffit.bases.Zernike`.

    Parameters
    ----------
    order : int
        Highest radial order n; (n + 1)(n + 2)/2 coefficients.
    variables : sequence of str
        Names of the two cartesian coordinates.
    indexing : {"noll", "osa"}
        Noll's index, from 1, or that of OSA and ANSI, from 0: coefficients are called ``z{j}``.
    obscuration : float
        Radius of the central hole over that of the disc.
    domain : sequence of (low, high), optional
        The square around the disc. None: around the smallest disc in the middle of the data's range that holds all points (masked
        ones don't count).
    prefix, name, nan_policy, linear
        As for `SurfaceModel`.

    Raises
    ------
    ParameterError
        For a bad order or hole, or names that are none.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[-1:1:41j, -1:1:41j]
    >>> pupil = np.hypot(x, y) <= 1.0
    >>> wavefront = 0.3 * np.sqrt(3) * (2 * (x**2 + y**2) - 1)  # 0.3 waves rms of defocus
    >>> result = ZernikeSurface(4).fit(wavefront, x=x, y=y, mask=~pupil)
    >>> result.model.basis.titles[3], round(result.params["z4"].value, 9)
    ('defocus', 0.3)
    """

    def __init__(
        self,
        order: int = 4,
        variables: Sequence[str] = ("x", "y"),
        indexing: str = "noll",
        obscuration: float = 0.0,
        *,
        domain: Any = None,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        checked = Zernike(order, indexing, obscuration)
        self.order, self.indexing, self.obscuration = checked.order, indexing, checked.obscuration
        if isinstance(variables, str) or len(variables) != 2:
            msg = f"variables={variables!r}; a wavefront has two coordinates, e.g. ('x', 'y')"
            raise ParameterError(msg)
        shown = f"ZernikeSurface({self.order}, {indexing})"
        super().__init__(variables, domain, shown, nan_policy=nan_policy, prefix=prefix, name=name, linear=linear)

    def basis_on(self, domain: Domain | None) -> Zernike | None:
        """The polynomials on the disc in a square."""
        return None if domain is None else Zernike(self.order, self.indexing, self.obscuration, domain)

    def basis_for(self, data: FitData) -> Zernike | None:
        """The polynomials on the disc that holds all points."""
        coords = self.points_of(data)
        middles = [0.5 * float(c.min()) + 0.5 * float(c.max()) for c in coords]
        radius = float(np.sqrt(np.max(sum((c - middle) ** 2 for c, middle in zip(coords, middles, strict=True)))))
        if not radius > 0.0:
            msg = f"{' and '.join(self.variables)} have one value only, so there is no disc; give ZernikeSurface a domain="
            raise ParameterError(msg)
        return self.basis_on(tuple((middle - radius, middle + radius) for middle in middles))

    def options(self) -> dict[str, Any]:
        """Arguments that make this model again."""
        return {"order": self.order, "indexing": self.indexing, "obscuration": self.obscuration}

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Points all over a disc of radius 5, with aberrations that fall with the order."""
        radius, angle = (g.ravel() for g in np.meshgrid(np.sqrt(np.linspace(0.01, 1.0, 25)), np.arange(40) * 0.157 + 0.1))
        values = [0.5 * (-1.0) ** i / (1.0 + n) for i, (n, _) in enumerate(self._stand_in.orders)]  # type: ignore[attr-defined]
        coords = dict(zip(self.variables, (5.0 * radius * np.cos(angle), 5.0 * radius * np.sin(angle)), strict=True))
        return coords, {self.prefix + name: value for name, value in zip(self.coefficients, values, strict=True)}


def _example(model: BasisSurface, span: tuple[float, float], values: list[float]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """A grid over a range, and a value for each coefficient."""
    counts = {1: (101,), 2: (31, 25)}.get(len(model.variables), (13,) * len(model.variables))
    grids = np.meshgrid(*(np.linspace(*span, n) for n in counts), indexing="xy")
    return dict(zip(model.variables, grids, strict=True)), {model.prefix + n: v for n, v in zip(model.coefficients, values, strict=True)}


def _spread(points: np.ndarray, domain: Domain, count: int) -> np.ndarray:
    """Some of the points, (count, nvars): the first nearest to the middle, then always the farthest from those before."""
    if len(points) > FARTHEST:
        points = points[:: -(-len(points) // FARTHEST)]
    scaled = np.stack([(p - low) / ((high - low) or 1.0) for p, (low, high) in zip(points.T, domain, strict=True)], axis=1)
    chosen = [int(np.argmin(((scaled - 0.5) ** 2).sum(axis=1)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(nearest)))
        if not nearest[chosen[-1]] > 0.0:
            msg = f"centres={count}, but there are only {len(chosen) - 1} different points; take fewer"
            raise ParameterError(msg)
    return points[chosen]
