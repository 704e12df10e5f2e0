"""What a result tells about the shape of the fitted surface, each number with its error from the full covariance."""

from __future__ import annotations

from typing import Any

from lmfit.model import ModelResult


class Geometry(ModelResult):
    """The part of `SurfaceResult` that looks at the fitted surface."""

    def gradient(self, level: float = 0.95, **coords: Any) -> Any:
        r"""
        First derivatives of the fitted model along its coordinates.

        Parameters
        ----------
        level : float
            Probability that ``_lower`` to ``_upper`` covers, for each number alone.
        **coords
            Where; default: the coordinates of the fit.

        Returns
        -------
        DataFrame with a row for each point (a dict of arrays for coordinates of more dimensions)
            The coordinates, ``d_x`` for each coordinate x, and for two or more ``slope``, the length of the gradient; each with
            ``_stderr``, ``_lower``, ``_upper``. In data units per unit of the coordinate, as numbers; times are in seconds.

        Raises
        ------
        DataError, ParameterError, DocumentError
            For unknown coordinates, complex data, joint fits (ask a part), and loaded fits without coordinates.

        Notes
        -----
        Exact, by the function's own graph, for functions that can be traced; else by differences of fourth order. The error of
        ``slope`` is nan where the surface is level.

        Examples
        --------
        >>> import numpy as np
        >>> import surffit as sf
        >>> y, x = np.mgrid[:6, :6].astype(float)
        >>> result = sf.surfaces.PolynomialSurface(2).fit(x**2 + 3 * y, x=x, y=y)
        >>> result.gradient(x=2.0, y=1.0)[["d_x", "d_y", "slope"]].round(6).values.tolist()
        [[4.0, 3.0, 5.0]]
        """
        from .geometry import slopes

        return slopes(self, level, coords)

    def curvature(self, level: float = 0.95, **coords: Any) -> Any:
        r"""
        Second derivatives of the fitted model, and the curvatures of its graph.

        Parameters
        ----------
        level, **coords
            As for `gradient`.

        Returns
        -------
        DataFrame (a dict of arrays for coordinates of more dimensions)
            The coordinates; ``d_x_x``, ``d_x_y``, ... (the Hessian); ``mean`` and ``gaussian`` curvature, in two variables
            ``principal_1`` >= ``principal_2``, in one ``curvature``; each with ``_stderr``, ``_lower``, ``_upper``.

        Raises
        ------
        DataError, ParameterError, DocumentError
            As for `gradient`.

        Notes
        -----
        With gradient g and Hessian H the shape operator of the graph z = f(x, y) is (I + gg')^{-1} H / sqrt(1 + g'g): its
        eigenvalues are the principal curvatures, half its trace the mean, its determinant the Gaussian one. These mean something
        where data and coordinates are lengths in the same unit; the Hessian always does. Errors of the principal curvatures
        are nan where both are equal.

        Examples
        --------
        >>> import numpy as np
        >>> import surffit as sf
        >>> y, x = np.mgrid[-3:4, -3:4].astype(float)
        >>> result = sf.surfaces.PolynomialSurface(2).fit(x**2 - y**2, x=x, y=y)
        >>> result.curvature(x=0.0, y=0.0)[["mean", "gaussian"]].round(6).abs().values.tolist()
        [[0.0, 4.0]]
        """
        from .geometry import curvatures

        return curvatures(self, level, coords)

    def extrema(self, kind: str | None = None, level: float = 0.95, **where: Any) -> Any:
        r"""
        Minima, maxima and saddles of the fitted model.

        Parameters
        ----------
        kind : {None, "minimum", "maximum", "saddle"}
            None: all.
        level : float
            Probability that ``_lower`` to ``_upper`` covers.
        **where
            For each coordinate the range (low, high) that is searched (default: that of the data), or a number to hold it at.

        Returns
        -------
        DataFrame, one row for each, the highest first
            ``kind``; the coordinates searched and ``value``, each with ``_stderr``, ``_lower``, ``_upper``; ``certainty``: the
            smallest second derivative along a principal axis over its error. Below about 3 the noise may have made the extremum
            or its kind, and the errors of its position are too small.

        Raises
        ------
        DataError, ParameterError, DocumentError
            As for `gradient`, and for ranges that are none.

        Warns
        -----
        DataWarning
            If the surface is level along lines, which have no position.

        Notes
        -----
        Only points with zero gradient: a highest point on the edge of the range is none. Newton's method starts at about 2000 points
        of a grid; what is narrower than its cells may be missed, unless a range around it is given. Scattered data may not reach
        the corners of their range.

        Examples
        --------
        >>> import numpy as np
        >>> import surffit as sf
        >>> rng = np.random.default_rng(1)
        >>> x, y = rng.uniform(-3, 3, (2, 300))
        >>> data = 2 - (x - 0.5) ** 2 - 2 * (y + 0.2) ** 2 + rng.normal(0, 0.1, 300)
        >>> top = sf.surfaces.PolynomialSurface(2).fit(data, x=x, y=y).extrema("maximum")
        >>> top[["x", "y", "value"]].round(1).values.tolist(), bool(top.x_stderr[0] < 0.01)
        ([[0.5, -0.2, 2.0]], True)
        """
        from .extrema import extrema

        return extrema(self, kind, level, where)

    def integral(self, level: float = 0.95, **where: Any) -> Any:
        r"""
        The integral of the fitted model over a box or a region.

        Parameters
        ----------
        level : float
            Probability that ``lower`` to ``upper`` covers.
        **where
            For each coordinate the limits (low, high), or a number (or several, one row each) to hold it at; default: the range of
            the data. Limits may be functions of the coordinates that are given before, in their order:
            ``x=(-1, 1), y=(lambda x: -np.sqrt(1 - x**2), lambda x: np.sqrt(1 - x**2))`` is a disc.

        Returns
        -------
        DataFrame
            What is held, ``value``, ``stderr``, ``lower``, ``upper`` [data unit times the units of the coordinates].

        Raises
        ------
        DataError, ParameterError, DocumentError
            As for `gradient`, for limits that are none, and where the model is not finite.

        Warns
        -----
        ConvergenceWarning
            If the integral still changes when cells are halved, or its error has no limit: the model has a pole there.

        Notes
        -----
        Gauss-Legendre in cells that are halved until the integral changes by less than 1e-11 of itself, and a look with nodes as close
        as the data points finds nothing more (a million nodes at most). Its error is sqrt(G'CG), G the integral of the model's
        derivatives by the parameters. Beyond the data it extrapolates.

        Examples
        --------
        >>> import numpy as np
        >>> import surffit as sf
        >>> y, x = np.mgrid[-3:4, -3:4].astype(float)
        >>> result = sf.surfaces.PolynomialSurface(2).fit(1 + x**2 + y, x=x, y=y)
        >>> result.integral(x=(0, 3), y=(0, 2)).value.round(6).tolist()
        [30.0]
        """
        from .integral import integral

        return integral(self, level, where)
