"""What every basis is: functions at coordinates, their derivatives, and names for their coefficients."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ..exceptions import ParameterError, ShapeError, TraceError
from .terms import Domain


class Basis:
    """
    A set of functions of one or more variables: subclass it and override `names`, `columns`, `derivatives` and perhaps `evaluate`.

    The functions of a basis enter a surface with one coefficient each, so that all coefficients are linear. What a basis needs to
    know from data (its domain, its centres) it is given when it is made; after that it never changes.

    Attributes
    ----------
    domain : tuple of (low, high), or None
        The range of each variable that the basis is meant for.
    nvars_known : int or None
        Number of variables, where the basis knows it.
    """

    domain: Domain | None = None

    @property
    def nvars_known(self) -> int | None:
        """Number of variables, where the basis knows it."""
        return None if self.domain is None else len(self.domain)

    def names(self, nvars: int | None = None) -> tuple[str, ...]:
        """
        Names for the coefficients, in the order of `columns`.

        Parameters
        ----------
        nvars : int, optional
            Number of variables, where the basis doesn't know it.
        """
        raise NotImplementedError

    def columns(self, *coords: Any) -> np.ndarray:
        """
        The functions at coordinates.

        Parameters
        ----------
        *coords : array_like
            One array for each variable, broadcastable against each other to n points in all.

        Returns
        -------
        ndarray, shape (n, k)
            In the order of `names`.

        Raises
        ------
        ShapeError
            If there are more or fewer coordinates than the basis has variables.
        """
        return self.derivatives(*coords, orders=(0,) * len(coords))

    def derivatives(self, *coords: Any, orders: int | Sequence[int] = 1) -> np.ndarray:
        """
        Exact partial derivatives of the functions at coordinates.

        Parameters
        ----------
        *coords : array_like
            As for `columns`.
        orders : int or sequence of int
            How often to differentiate with respect to each variable; a number is for one variable.

        Returns
        -------
        ndarray, shape (n, k)

        Raises
        ------
        ParameterError
            If `orders` aren't whole numbers from 0 up, one for each variable.

        Examples
        --------
        >>> from surffit.bases import Chebyshev
        >>> Chebyshev(2, domain=(0.0, 4.0)).derivatives([0.0, 2.0], orders=1).tolist()  # 1, s, 2 s^2 - 1 with s = (x - 2) / 2
        [[0.0, 0.5, -2.0], [0.0, 0.5, 0.0]]
        """
        raise NotImplementedError

    def evaluate(self, coef: Sequence[Any], coords: Sequence[Any]) -> Any:
        """
        The sum of coefficients times functions.

        Parameters
        ----------
        coef : sequence
            One for each function: numbers, or symbols of a graph.
        coords : sequence
            One for each variable: numbers or arrays; symbols too, where the functions have a graph.

        Raises
        ------
        TraceError
            For symbols, if the functions have no graph. (A fit then records them at the coordinates of the data.)
        """
        arrays = [numbers(values, self) for values in coords]
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        columns = self.columns(*arrays)
        if all(isinstance(c, int | float | np.floating | np.integer) for c in coef):
            return (columns @ np.asarray(coef, dtype=float)).reshape(shape)
        out: Any = None
        for c, column in zip(coef, columns.T, strict=True):
            part = c * np.ascontiguousarray(column).reshape(shape)
            out = part if out is None else out + part
        return out

    def penalty(self) -> np.ndarray | None:
        """Rows R, (q, k), whose squared sum ``|R c|**2`` is the roughness of a surface with coefficients c; None where there is none."""
        return None

    def convert(self, coef: Any, other: Basis, covar: Any = None) -> tuple[np.ndarray, np.ndarray | None]:
        """
        Coefficients in another basis of the same functions: for polynomials.

        Raises
        ------
        ParameterError
            Always: these functions are no polynomials. See `PolynomialBasis.convert`.
        """
        refuse_conversion(self, other)


def refuse_conversion(one: Basis, other: Any) -> NoReturn:
    """
    The error for a change of basis that is none.

    Raises
    ------
    ParameterError
    """
    msg = (
        f"{type(one).__name__} can't be converted to {type(other).__name__}: only polynomial bases have functions in common (Horner, "
        "Chebyshev, Legendre, Orthonormal, Zernike); fit the surface's values in the other basis"
    )
    raise ParameterError(msg)


def numbers(values: Any, basis: Basis) -> np.ndarray:
    """
    A coordinate as an array of floats.

    Raises
    ------
    TraceError
        If it is a symbol of a graph.
    """
    from ..trace.graph import Node

    if isinstance(values, Node):
        msg = f"the functions of {type(basis).__name__} have no graph; they are known at coordinates only"
        raise TraceError(msg)
    return np.asarray(values, dtype=float)


def checked_orders(orders: Any, nvars: int) -> tuple[int, ...]:
    """
    Orders of a partial derivative, one for each variable.

    Raises
    ------
    ParameterError
        If they aren't whole numbers from 0 up, one for each variable.
    """
    given = orders if isinstance(orders, tuple | list | np.ndarray) else (orders,)
    try:
        plain = tuple(operator.index(n) for n in given)
    except TypeError:
        plain = (-1,)
    if len(plain) != nvars or min(plain) < 0:
        msg = f"orders={orders!r} for {nvars} variable{'s' if nvars != 1 else ''}; give one whole number from 0 up for each, e.g. "
        raise ParameterError(msg + repr((1,) + (0,) * (nvars - 1)))
    return plain


def require_variables(found: int, expected: int | None) -> int:
    """The number of coordinates, if it is the one expected."""
    if expected is not None and found != expected:
        msg = f"the basis has {expected} variable{'s' if expected != 1 else ''}, but {found} coordinate{'s' if found != 1 else ''} came"
        raise ShapeError(msg)
    if found < 1:
        msg = "a basis needs coordinates; pass one array for each variable"
        raise ParameterError(msg)
    return found
