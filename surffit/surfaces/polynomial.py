"""Polynomials of one or more variables as models, in a basis that keeps the digits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..bases import Chebyshev, Horner, Legendre, Orthonormal, PolynomialBasis
from ..bases.terms import Degree, Domain, checked_degree, checked_domain, domain_of, terms
from ..core.data import FitData
from ..core.model import SurfaceModel
from ..exceptions import ParameterError
from ..kernels.dd import DD
from ..trace.graph import Node

BASES = ("chebyshev", "legendre", "monomial", "orthonormal")
# bases for different domains that a model keeps, with what was traced for them
KEPT = 16


class PolynomialSurface(SurfaceModel):
    r"""
    A polynomial of any number of variables, :math:`\sum_{ij} c_{ij}\,\phi_i(x)\,\phi_j(y)`; all coefficients are linear.

    Parameters
    ----------
    degree : int or tuple of int
        Highest degree, or one for each variable.
    variables : str or sequence of str
        Names of the variables.
    basis : {"chebyshev", "legendre", "monomial", "orthonormal"}
        In which the coefficients are. The first two are polynomials on the range of the data, "orthonormal" ones are
        orthonormal on the (weighted) data points themselves. Monomials are what people read, but hopeless to fit at high
        degrees: fit in another basis and use `SurfaceResult.to_basis`.
    total : bool
        Whether the sum of the degrees is limited, too (by the highest of them), or only each one.
    domain : sequence of (low, high), optional
        The range of each variable, for "chebyshev" and "legendre". None: taken from the data at each fit.
    prefix, name, nan_policy, linear
        As for `SurfaceModel`.

    Notes
    -----
    Coefficients are named ``c{i}_{j}`` for degree i in the first and j in the second variable, ``c{i}`` in one variable.

    The range is taken from the points that are used (not masked, weight above 0) and belongs to the fit: ``result.model`` is this
    model with that range, and evaluates the result anywhere. The model itself stays as it is and can't be evaluated without
    a range.

    Raises
    ------
    ParameterError
        For an unknown basis, a bad degree, or names that are none.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:4, :5]
    >>> result = PolynomialSurface(1).fit(1.0 + 2.0 * x + 3.0 * y, x=x, y=y)
    >>> monomials = result.to_basis("monomial")
    >>> {name: round(value, 12) for name, value in monomials.best_values.items()}
    {'c0_0': 1.0, 'c1_0': 2.0, 'c0_1': 3.0}
    """

    surffit_api = 1

    def __init__(
        self,
        degree: Degree = 2,
        variables: str | Sequence[str] = ("x", "y"),
        basis: str = "chebyshev",
        total: bool = True,
        *,
        domain: Any = None,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        self.degree = checked_degree(degree)
        self.variables = (variables,) if isinstance(variables, str) else tuple(variables)
        self.basis_name = _checked_basis(basis)
        self.total = bool(total)
        self.domain: Domain | None = checked_domain(domain)
        if self.domain is not None and (basis in ("monomial", "orthonormal") or len(self.domain) != len(self.variables)):
            why = f"the {basis} basis has none of its own" if basis in ("monomial", "orthonormal") else "give one pair for each variable"
            msg = f"domain={domain!r} with variables {', '.join(self.variables)}: {why}"
            raise ParameterError(msg)
        for variable in self.variables:
            if not isinstance(variable, str) or not variable.isidentifier() or self.variables.count(variable) > 1:
                msg = f"variables={variables!r}; give different names, e.g. ('x', 'y')"
                raise ParameterError(msg)
        # what evaluates; None until the range is known
        self.basis: PolynomialBasis | None = self._basis_on(self.domain)
        self.coefficients = tuple("c" + "_".join(map(str, term)) for term in terms(self.degree, len(self.variables), self.total))
        func = self._function()
        shown = f"PolynomialSurface({self.degree}, {self.basis_name})"
        super().__init__(func, list(self.variables), None, nan_policy, prefix, name or shown, linear=linear)

    def _basis_on(self, domain: Domain | None) -> PolynomialBasis | None:
        """The basis on a range; None where the range is needed and not known."""
        if self.basis_name == "monomial":
            return Horner(self.degree, nvars=len(self.variables), total=self.total)
        if domain is None or self.basis_name == "orthonormal":
            return None
        kind = Chebyshev if self.basis_name == "chebyshev" else Legendre
        return kind(self.degree, domain, total=self.total)

    def _function(self) -> Callable[..., Any]:
        return _Polynomial(self.basis, self.degree, self.variables, self.total, self.coefficients)

    # ---- the range of the data -------------------------------------------------------------------------------------------

    def on_data(self, data: FitData) -> Any:
        """
        This model on the range (or the points) of data: what a fit fits.

        Parameters
        ----------
        data : FitData
            Checked data.

        Returns
        -------
        PolynomialSurface
            A copy; the model itself if it has its range already.
        """
        if self.basis is not None:
            return self
        if self.basis_name == "orthonormal":
            weights = None if data.weights is None else np.abs(data.select(data.weights))
            coords = (data.select(data.coords[name]) for name in self.variables)
            basis: PolynomialBasis | None = Orthonormal(self.degree, *coords, weights=weights, total=self.total)
        else:
            basis = self._basis_on(domain_of([data.values(name) for name in self.variables]))
        key = ("basis", basis)
        known: Any = self._structures.get(key)
        if known is None:
            known = self.copy()
            known.basis = basis
            known.func = known._function()
            while len(self._structures) >= KEPT:
                self._structures.pop(next(iter(self._structures)))
            self._structures[key] = known
        return known

    def rebased(self, basis: str, data: FitData) -> tuple[PolynomialSurface, DD]:
        """
        The same polynomials in another basis.

        Parameters
        ----------
        basis : str
            As for the class.
        data : FitData
            What the other basis takes its range or points from.

        Returns
        -------
        model : PolynomialSurface
        matrix : tuple of ndarray
            Its coefficients from ours, in double-double; both in the order of `coefficients`.
        """
        if self.basis is None:
            msg = f"{self.name} has no range yet, so its coefficients mean nothing; convert the result of a fit"
            raise ParameterError(msg)
        other = PolynomialSurface(
            self.degree, self.variables, _checked_basis(basis), self.total, nan_policy=self.nan_policy, prefix=self.prefix,
            domain=self.domain if basis in ("chebyshev", "legendre") else None,
        ).on_data(data)  # fmt: skip
        if other.basis is None:
            msg = f"the {basis} basis got no range from the data"
            raise ParameterError(msg)
        return other, self.basis.transition(other.basis, len(self.variables))

    def document_options(self) -> dict[str, Any] | None:
        """What makes this model again, for documents; None for polynomials orthonormal on points that a document doesn't hold."""
        if self.basis_name == "orthonormal" and self.basis is not None:
            return None
        domain = self.domain if self.basis is None or self.basis_name == "monomial" else self.basis.domain
        return {
            "degree": self.degree if isinstance(self.degree, int) else list(self.degree),
            "variables": list(self.variables),
            "basis": self.basis_name,
            "total": self.total,
            "domain": None if domain is None else [[float(low), float(high)] for low, high in domain],
        }

    def copy(self, **kwargs: Any) -> PolynomialSurface:
        """An independent copy; `kwargs` may change `prefix` and `name`."""
        out = super().copy(**kwargs)
        assert isinstance(out, PolynomialSurface)  # noqa: S101 - for the type checker: copies keep their class
        return out


class _Polynomial:
    """The model's function: coordinates, then coefficients, by name. It pickles."""

    def __init__(
        self, basis: PolynomialBasis | None, degree: Degree, variables: tuple[str, ...], total: bool, coefficients: tuple[str, ...]
    ) -> None:
        self.basis = basis
        self.variables, self.coefficients = variables, coefficients
        # any basis tells a tracer what is linear; numbers need the right one
        self._any = basis or Horner(degree, nvars=len(variables), total=total)
        self.__name__ = "polynomial"
        where = "" if basis is None else f", as {basis}"
        self.__doc__ = f"Polynomial of degree {degree} in {', '.join(variables)}{where}."
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in (*variables, *coefficients)])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self.__signature__.bind(*args, **kwargs).arguments
        coords = [given[name] for name in self.variables]
        if self.basis is None:
            self.refuse_numbers(coords)
        value = self._any.evaluate([given[name] for name in self.coefficients], coords)
        # a constant has no shape of its own
        return value if len(self.coefficients) > 1 else value + 0.0 * sum(coords)

    def refuse_numbers(self, coords: Sequence[Any]) -> None:
        """Numbers need the range; symbols don't (a method, since a traced function sees symbols as arrays)."""
        if not any(isinstance(c, Node) for c in coords):
            msg = (
                "the polynomial's range is taken from the data at a fit, so it can't be evaluated before one; use result.eval(...) "
                "or result.model, or give PolynomialSurface a domain="
            )
            raise ParameterError(msg)


def _checked_basis(basis: Any) -> str:
    if basis not in BASES:
        msg = f"basis={basis!r}; use one of {', '.join(map(repr, BASES))}"
        raise ParameterError(msg)
    return str(basis)
