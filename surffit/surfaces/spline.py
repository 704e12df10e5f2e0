"""Surfaces of B-splines, with smoothing where data are scarce or noisy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bases.bspline import BSpline
from ..bases.terms import Domain
from ..core.data import FitData
from ..core.meshgrid import open_grid
from ..exceptions import ParameterError
from .basis_surface import BasisSurface
from .smoothing import choose, choose_on_grid

WAYS = ("gcv", "loo")


class BSplineSurface(BasisSurface):
    r"""
    A tensor-product spline :math:`\sum_{ij} c_{ij}\,B_i(x)\,B_j(y)`, with smoothing if asked for; all coefficients are linear.

    For local features that no formula describes: a few data points per interval and variable determine it. With many intervals and
    `smoothing` the number of intervals stops to matter: what is minimised is

    .. math:: \sum w^2 (z - f)^2 + \mathrm{smoothing} \int \left(f_{uu}^2 + 2 f_{uv}^2 + f_{vv}^2\right) du\,dv

    with variables u, v that go from 0 to 1 over the range of x and y, and w = 1/sigma (1 without errors).

    Parameters
    ----------
    intervals : int or tuple of int
        Number of equal intervals of the range, or one for each variable.
    variables : str or sequence of str
        Names of the variables.
    degree : int or tuple of int
        Of the pieces; 3 for cubic splines.
    smoothing : None, float, "gcv" or "loo"
        None: least squares. A number: as above. "gcv", "loo": the number with the smallest error of prediction, by generalised
        cross-validation or by leaving out each point in turn (exactly, from the hat matrix); for data with independent errors.
    domain : sequence of (low, high), optional
        The range of each variable. None: taken from the data at each fit.
    knots : sequence of sequence of float, optional
        In place of `intervals` and `domain`: where pieces meet in each variable, the ends of the range included.
    prefix, name, nan_policy, linear
        As for `SurfaceModel`.

    Notes
    -----
    Errors with smoothing are those of the Bayesian view (Wahba 1983): the covariance :math:`s^2 (B'w^2B + \lambda P)^{-1}`, with
    :math:`s^2 = \sum w^2 r^2/(n - \mathrm{edf})` where errors of the data are unknown. Its bands hold the true surface about as often
    as they say, averaged over the points, the bias by smoothing included, as long as the smoothing fits the surface. The effective
    degrees of freedom, edf, are ``result.ndata - result.nfree``.

    References
    ----------
    .. [1] G. Wahba, J. R. Statist. Soc. B 45 (1983) 133, doi:10.1111/j.2517-6161.1983.tb01239.x.
    .. [2] P. Craven, G. Wahba, Numer. Math. 31 (1979) 377, doi:10.1007/BF01404567.

    Raises
    ------
    ParameterError
        For bad intervals, degrees, knots or smoothing, or names that are none.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(0, 10, 300)
    >>> z = np.sin(x) + rng.normal(0, 0.2, 300)
    >>> result = BSplineSurface(30, "x", smoothing="gcv").fit(z, x=x)
    >>> at = np.linspace(0, 10, 5)
    >>> bool(np.abs(result.eval(x=at) - np.sin(at)).max() < 0.2)
    True
    >>> 8 < result.ndata - result.nfree < 16  # of 33 coefficients
    True
    """

    def __init__(
        self,
        intervals: int | tuple[int, ...] = 8,
        variables: str | Sequence[str] = ("x", "y"),
        degree: int | tuple[int, ...] = 3,
        smoothing: float | str | None = None,
        *,
        domain: Any = None,
        knots: Any = None,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        self.smoothing = _checked_smoothing(smoothing)
        self.intervals: Any = _tupled(intervals)
        self.degree: Any = _tupled(degree)
        self.knots = None if knots is None else BSpline(degree=self.degree, knots=knots).knots
        if self.knots is not None and domain is not None:
            msg = "knots and domain were given; the knots begin and end at the ends of the domain, so leave domain out"
            raise ParameterError(msg)
        count = 1 if isinstance(variables, str) else len(variables)
        if self.knots is not None and len(self.knots) != count:
            msg = f"knots are for {len(self.knots)} variables, but there are {count}; give one sequence for each"
            raise ParameterError(msg)
        self.notes: tuple[str, ...] = ()
        self.roughness: Any = None  # names and rows, where a number for the smoothing is known
        shown = f"BSplineSurface({self.intervals if self.knots is None else [len(one) - 1 for one in self.knots]})"
        super().__init__(variables, domain, shown, nan_policy=nan_policy, prefix=prefix, name=name, linear=linear)

    def basis_on(self, domain: Domain | None) -> BSpline | None:
        """The splines on a range."""
        if self.knots is not None:
            return BSpline(degree=self.degree, knots=self.knots)
        return None if domain is None else BSpline(self.intervals, domain, self.degree)

    @property
    def needs_alone(self) -> bool:
        """Whether data must choose the smoothing: they can't beside another model."""
        return isinstance(self.smoothing, str)

    def on_data(self, data: FitData) -> Any:
        """This model on the range of data, with a number for its smoothing: what a fit fits."""
        if self.smoothing is None or self.roughness is not None:
            return super().on_data(data)
        basis: Any = self.basis or self.basis_for(data)
        strength: Any = self.smoothing
        told: tuple[str, ...] = ()
        if isinstance(strength, str):
            strength = self._chosen(data, basis)
            how = "generalised cross-validation" if self.smoothing == "gcv" else "leaving out each point in turn"
            told = (f"Smoothing {strength:.4g} was chosen by {how}.",)

        def make() -> BSplineSurface:
            out: BSplineSurface = self._with(basis)
            out.smoothing, out.notes = strength, told
            out.roughness = (tuple(out.prefix + name for name in out.coefficients), math.sqrt(strength) * basis.penalty())
            return out

        return self._kept(("smooth", basis, strength), make)

    def _chosen(self, data: FitData, basis: BSpline) -> float:
        """The strength of smoothing that suits the data."""
        way = str(self.smoothing)
        if way == "gcv" and data.used is None and data.weights is None and len(self.variables) == 2:
            axes, lines = open_grid(data.shape, [data.coords[name] for name in self.variables])
            if axes is not None and sorted(axes) == [0, 1]:
                z = data.data if axes == [0, 1] else data.data.T
                return choose_on_grid(basis, [line.ravel() for line in lines], z)
        y = data.data if data.used is None else data.data[data.used]
        weights = None if data.weights is None else np.abs(data.select(data.weights))
        return choose(basis, self.points_of(data), np.ravel(y), weights, way)

    def options(self) -> dict[str, Any]:
        """Arguments that make this model again, with the smoothing that was chosen."""
        return {
            "intervals": list(self.intervals) if isinstance(self.intervals, tuple) else self.intervals,
            "degree": list(self.degree) if isinstance(self.degree, tuple) else self.degree,
            "smoothing": self.smoothing,
            "knots": None if self.knots is None else [list(one) for one in self.knots],
        }

    def document_options(self) -> dict[str, Any] | None:
        """What makes this model again, for documents."""
        known = super().document_options() or {}
        return {**known, "domain": None} if self.knots is not None else known

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """A grid, and coefficients like a landscape with a hill: they are near to the surface's values."""
        counts = {1: (101,), 2: (41, 37)}.get(len(self.variables), (13,) * len(self.variables))
        span = self._stand_in.domain if self.knots is not None and self._stand_in.domain else ((0.0, 10.0),) * len(self.variables)
        grids = np.meshgrid(*(np.linspace(low, high, n) for (low, high), n in zip(span, counts, strict=True)), indexing="xy")
        known = self._stand_in.terms()  # type: ignore[attr-defined]
        middle = np.max(known, axis=0) / 2.0
        height = [1.0 + 3.0 * math.exp(-float(np.sum(((np.array(t) - middle) / (0.5 * middle + 0.5)) ** 2))) + 0.05 * t[0] for t in known]
        return dict(zip(self.variables, grids, strict=True)), {self.prefix + n: h for n, h in zip(self.coefficients, height, strict=True)}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _checked_smoothing(smoothing: Any) -> float | str | None:
    if smoothing is None or (isinstance(smoothing, str) and smoothing in WAYS):
        return smoothing
    if isinstance(smoothing, int | float | np.number) and not isinstance(smoothing, bool) and 0.0 < float(smoothing) < math.inf:
        return float(smoothing)
    msg = f'smoothing={smoothing!r}; give None, a number above 0, "gcv" or "loo"'
    raise ParameterError(msg)
