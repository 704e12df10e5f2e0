"""Optical wavefronts by the aberrations that people name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ...exceptions import ParameterError
from ..family import Surface

TERMS = (
    "piston", "tilt_x", "tilt_y", "defocus", "astigmatism_45", "astigmatism_0", "coma_y", "coma_x", "trefoil_y", "trefoil_x", "spherical",
)  # fmt: skip


def wavefront(
    x: Any,
    y: Any,
    piston: float,
    tilt_x: float,
    tilt_y: float,
    defocus: float,
    astigmatism_45: float,
    astigmatism_0: float,
    coma_y: float,
    coma_x: float,
    trefoil_y: float,
    trefoil_x: float,
    spherical: float,
    centre_x: float = 0.0,
    centre_y: float = 0.0,
    radius: float = 1.0,
) -> Any:
    r"""
    Wavefront as a sum of the first eleven Zernike polynomials, each of root mean square 1 over the pupil.

    .. math:: W = \sum_{j=1}^{11} a_j Z_j(\rho, \theta), \qquad \rho e^{i\theta} = [(x - x_c) + i (y - y_c)] / R

    in Noll's order and normalisation, e.g. :math:`Z_4 = \sqrt3 (2\rho^2 - 1)`, :math:`Z_{11} = \sqrt5 (6\rho^4 - 6\rho^2 + 1)`.

    Parameters
    ----------
    x, y : array_like
        Coordinates [length].
    piston, tilt_x, tilt_y, defocus : float
        Coefficients of Z1 to Z4 [data unit, root mean square]. Linear.
    astigmatism_45, astigmatism_0 : float
        Coefficients of Z5 and Z6. Linear.
    coma_y, coma_x : float
        Coefficients of Z7 and Z8. Linear.
    trefoil_y, trefoil_x : float
        Coefficients of Z9 and Z10. Linear.
    spherical : float
        Coefficient of Z11. Linear.
    centre_x, centre_y : float
        Centre of the pupil [length].
    radius : float
        Its radius [length].

    Returns
    -------
    ndarray, shape of ``x + y``
        Wavefront [data unit].

    Notes
    -----
    Points outside the pupil are evaluated, too; mask them in a fit. More terms, annular pupils: the Zernike basis. Formulas from [1]_.

    References
    ----------
    .. [1] R. J. Noll, J. Opt. Soc. Am. 66 (1976) 207, doi:10.1364/JOSA.66.000207.

    Examples
    --------
    >>> only_defocus = dict.fromkeys(TERMS, 0.0) | {"defocus": 1.0}
    >>> float(wavefront(1.0, 0.0, **only_defocus).round(6))  # at the rim
    1.732051
    """
    u, v = (x - centre_x) / radius, (y - centre_y) / radius
    u2, v2 = u * u, v * v
    r2 = u2 + v2
    return (
        piston
        + 2.0 * (tilt_x * u + tilt_y * v)
        + np.sqrt(3.0) * defocus * (2.0 * r2 - 1.0)
        + np.sqrt(6.0) * (astigmatism_45 * 2.0 * u * v + astigmatism_0 * (u2 - v2))
        + np.sqrt(8.0) * (3.0 * r2 - 2.0) * (coma_y * v + coma_x * u)
        + np.sqrt(8.0) * (trefoil_y * v * (3.0 * u2 - v2) + trefoil_x * u * (u2 - 3.0 * v2))
        + np.sqrt(5.0) * spherical * (6.0 * r2 * r2 - 6.0 * r2 + 1.0)
    )


class Wavefront(Surface):
    """
    A wavefront by named aberrations, `wavefront`, over a pupil that is known; every coefficient is linear.

    Parameters
    ----------
    centre : (float, float)
        Centre of the pupil [length].
    radius : float
        Its radius [length]. The default is for coordinates in pupil radii.
    prefix, nan_policy, name, linear
        As for `SurfaceModel`.

    Raises
    ------
    ParameterError
        For a radius that isn't positive.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:41, :41]
    >>> model = Wavefront(centre=(20, 20), radius=20)
    >>> pupil = np.hypot(x - 20, y - 20) <= 20
    >>> result = model.fit(0.05 * (x - 20) + 1.0, x=x, y=y, mask=~pupil)
    >>> round(result.best_values["tilt_x"], 9), round(result.best_values["piston"], 9)
    (0.5, 1.0)
    """

    function = staticmethod(wavefront)
    typical: ClassVar = dict(zip(TERMS, (0.1, 0.5, -0.4, 0.3, 0.08, -0.06, 0.05, 0.04, -0.03, 0.02, 0.06), strict=True))
    extent: ClassVar = {"x": (-0.7, 0.7, 31), "y": (-0.7, 0.7, 31)}

    def __init__(
        self,
        independent_vars: Sequence[str] | None = None,
        prefix: str = "",
        nan_policy: str = "raise",
        name: str | None = None,
        *,
        centre: tuple[float, float] = (0.0, 0.0),
        radius: float = 1.0,
        linear: Sequence[str] | None = None,
    ) -> None:
        if not (np.isfinite(radius) and radius > 0 and np.isfinite(centre).all() and len(centre) == 2):
            msg = f"centre={centre!r} and radius={radius!r} are no pupil; give two numbers and a positive one, in the unit of x and y"
            raise ParameterError(msg)
        self.centre, self.radius = (float(centre[0]), float(centre[1])), float(radius)
        super().__init__(independent_vars, prefix, nan_policy, name or "wavefront", linear=linear)

    def _function(self) -> Callable[..., Any]:
        return _OnPupil(self.centre, self.radius)

    def document_options(self) -> dict[str, Any]:
        """What makes this model again, for documents."""
        return {"centre": list(self.centre), "radius": self.radius}


class _OnPupil:
    """`wavefront` on a pupil; it pickles."""

    def __init__(self, centre: tuple[float, float], radius: float) -> None:
        self.centre, self.radius = centre, radius
        self.__name__ = "wavefront"
        self.__doc__ = f"Wavefront by named aberrations on a pupil of radius {radius:g} about {centre}; see `wavefront`."
        known = inspect.signature(wavefront).parameters
        self.__signature__ = inspect.Signature([p for p in known.values() if p.default is p.empty])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pupil = {"centre_x": self.centre[0], "centre_y": self.centre[1], "radius": self.radius}
        return wavefront(*args, **{**kwargs, **pupil})
