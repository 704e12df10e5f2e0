"""Response surfaces of designed experiments: second order in any number of coded factors."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ...exceptions import ParameterError
from ..family import Surface


class ResponseSurface(Surface):
    r"""
    Quadratic response surface with interactions, for any number of factors; every parameter is linear.

    .. math:: y = b_0 + \sum_i b_i u_i + \sum_i b_{ii} u_i^2 + \sum_{i<j} b_{ij} u_i u_j, \qquad u_i = (x_i - m_i) / h_i

    Parameters
    ----------
    independent_vars : list of str, optional
        The factors' names, for lmfit's order of arguments; the same as `factors`.
    prefix, nan_policy, name, linear
        As for `SurfaceModel`.
    factors : sequence of str
        Names of the factors. Coefficients are called by their numbers: ``b0``, ``b1``, ``b11``, ``b12``; from ten factors on with an
        underscore, ``b1_10``.
    coding : mapping of str to (float, float), optional
        Centre m and half width h of a factor in its own unit: the levels -1 and +1 of the design are m - h and m + h. Factors that it
        doesn't name are coded already.

    Raises
    ------
    ParameterError
        For names that are none, or a coding that is none.

    Notes
    -----
    In coded variables the coefficients have the unit of the response and can be compared; without coding those of far-off factors are
    strongly correlated. The design must have three levels of each factor: where it doesn't, the fit says which coefficients are open.
    Formula from [1]_.

    References
    ----------
    .. [1] G. E. P. Box, K. B. Wilson, J. R. Stat. Soc. B 13 (1951) 1, doi:10.1111/j.2517-6161.1951.tb00067.x.

    Examples
    --------
    >>> import numpy as np
    >>> temperature, time = np.meshgrid([150.0, 170.0, 190.0], [10.0, 20.0, 30.0])
    >>> model = ResponseSurface(factors=["temperature", "time"], coding={"temperature": (170, 20), "time": (20, 10)})
    >>> result = model.fit(80.0 - 0.01 * (temperature - 170) ** 2 + 0.5 * (time - 20), temperature=temperature, time=time)
    >>> {name: float(round(value, 9)) + 0.0 for name, value in result.best_values.items()}
    {'b0': 80.0, 'b1': 0.0, 'b2': 5.0, 'b11': -4.0, 'b22': 0.0, 'b12': 0.0}
    """

    extent: ClassVar = {"x": (-1.0, 1.0, 15), "y": (-1.0, 1.0, 13)}

    def __init__(
        self,
        independent_vars: Sequence[str] | None = None,
        prefix: str = "",
        nan_policy: str = "raise",
        name: str | None = None,
        *,
        factors: Sequence[str] = ("x", "y"),
        coding: Mapping[str, Sequence[float]] | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        self.factors = tuple(independent_vars if independent_vars is not None else (factors,) if isinstance(factors, str) else factors)
        if (
            not self.factors
            or len(set(self.factors)) < len(self.factors)
            or not all(isinstance(f, str) and f.isidentifier() for f in self.factors)
        ):
            msg = f"factors={factors!r}; give different names, e.g. ('temperature', 'time')"
            raise ParameterError(msg)
        self.coding = {factor: _checked(factor, self.factors, pair) for factor, pair in (coding or {}).items()}
        self.variables = self.factors  # type: ignore[misc]
        levels = {factor: self.coding.get(factor, (0.0, 1.0)) for factor in self.factors}
        counts = (15, 13) if len(self.factors) == 2 else (31,) if len(self.factors) == 1 else (3,) * len(self.factors)
        self.extent = {f: (m - h, m + h, n) for (f, (m, h)), n in zip(levels.items(), counts, strict=True)}  # type: ignore[misc]
        response = _Response(self.factors, tuple(levels.values()))
        self._response = response
        self.typical = {n: 10.0 if n == "b0" else 2.0 / (k + 1) * (-1) ** k for k, n in enumerate(response.names)}  # type: ignore[misc]
        super().__init__(None, prefix, nan_policy, name or "response_surface", linear=linear)

    def _function(self) -> Callable[..., Any]:
        return self._response

    def document_options(self) -> dict[str, Any]:
        """What makes this model again, for documents."""
        return {"factors": list(self.factors), "coding": {factor: list(pair) for factor, pair in self.coding.items()}}


def _checked(factor: str, factors: tuple[str, ...], pair: Any) -> tuple[float, float]:
    try:
        centre, half = map(float, pair)
    except (TypeError, ValueError):
        centre = half = np.nan
    if factor not in factors or not np.isfinite(centre) or not (np.isfinite(half) and half > 0):
        msg = f"coding has {factor}: {pair!r}; give (centre, half width > 0) for factors among {', '.join(factors)}"
        raise ParameterError(msg, factor=factor)
    return centre, half


class _Response:
    """The model's function: factors, then coefficients, by name. It pickles."""

    def __init__(self, factors: tuple[str, ...], levels: tuple[tuple[float, float], ...]) -> None:
        self.factors, self.levels = factors, levels
        k = range(len(factors))
        between = "_" if len(factors) > 9 else ""
        self.terms: list[tuple[int, ...]] = [(), *((i,) for i in k), *((i, i) for i in k), *itertools.combinations(k, 2)]
        self.names = tuple("b" + (between.join(str(i + 1) for i in term) or "0") for term in self.terms)
        self.__name__ = "response_surface"
        self.__doc__ = f"Quadratic response surface of {', '.join(factors)}."
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in (*factors, *self.names)])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self.__signature__.bind(*args, **kwargs).arguments
        coded = [(given[factor] - m) / h for factor, (m, h) in zip(self.factors, self.levels, strict=True)]
        total: Any = given["b0"]
        for name, term in zip(self.names[1:], self.terms[1:], strict=True):
            column = given[name]
            for i in term:
                column = column * coded[i]
            total = total + column
        return total
