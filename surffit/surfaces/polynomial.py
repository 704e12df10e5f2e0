"""Polynomials of one or more variables as models, in a basis that keeps the digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bases import Basis, Chebyshev, Horner, Legendre, Orthonormal
from ..bases.terms import Degree, Domain, checked_degree, terms
from ..core.data import FitData
from ..exceptions import ParameterError
from ..kernels.dd import DD
from .basis_surface import BasisSurface

BASES = ("chebyshev", "legendre", "monomial", "orthonormal")


class PolynomialSurface(BasisSurface):
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
        self.basis_name = _checked_basis(basis)
        self.total = bool(total)
        if domain is not None and basis in ("monomial", "orthonormal"):
            msg = f"domain={domain!r}: the {basis} basis has none of its own; leave it out, or take 'chebyshev' or 'legendre'"
            raise ParameterError(msg)
        shown = f"PolynomialSurface({self.degree}, {self.basis_name})"
        super().__init__(variables, domain, shown, nan_policy=nan_policy, prefix=prefix, name=name, linear=linear)

    def basis_on(self, domain: Domain | None) -> Basis | None:
        """The basis on a range; None where the range (or the points) are needed and not known."""
        if self.basis_name == "monomial":
            return Horner(self.degree, nvars=len(self.variables), total=self.total)
        if domain is None or self.basis_name == "orthonormal":
            return None
        kind = Chebyshev if self.basis_name == "chebyshev" else Legendre
        return kind(self.degree, domain, total=self.total)

    def stand_in(self) -> Basis:
        """Monomials: they have a graph and the same names."""
        terms(self.degree, len(self.variables), self.total)  # for its complaint about the number of variables
        return Horner(self.degree, nvars=len(self.variables), total=self.total)

    def basis_for(self, data: FitData) -> Basis | None:
        """The basis on the data's range, or orthonormal on its points."""
        if self.basis_name != "orthonormal":
            return super().basis_for(data)
        weights = None if data.weights is None else np.abs(data.select(data.weights))
        points = [data.select(data.coords[name]) for name in self.variables]
        return Orthonormal(self.degree, *points, weights=weights, total=self.total)

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

    def options(self) -> dict[str, Any]:
        """Arguments that make this model again."""
        degree = self.degree if isinstance(self.degree, int) else list(self.degree)
        return {"degree": degree, "basis": self.basis_name, "total": self.total}

    def document_options(self) -> dict[str, Any] | None:
        """What makes this model again; None for polynomials orthonormal on points that a document doesn't hold."""
        return None if self.basis_name == "orthonormal" and self.basis is not None else super().document_options()

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Typical coordinates and values: coefficients that fall with the degree."""
        counts = {1: (101,), 2: (25, 31)}.get(len(self.variables), (7,) * len(self.variables))
        grids = np.meshgrid(*(np.linspace(0.0, 10.0, n) for n in counts), indexing="ij")
        known = terms(self.degree, len(self.variables), self.total)
        values = [(-1.0) ** i / (1.0 + sum(term)) ** 2 * (10.0 ** -sum(term) if self.basis_name == "monomial" else 1.0)
                  for i, term in enumerate(known)]  # fmt: skip
        return dict(zip(self.variables, grids, strict=True)), {self.prefix + n: v for n, v in zip(self.coefficients, values, strict=True)}


def _checked_basis(basis: Any) -> str:
    if basis not in BASES:
        msg = f"basis={basis!r}; use one of {', '.join(map(repr, BASES))}"
        raise ParameterError(msg)
    return str(basis)
