"""What models made of a basis share: all coefficients are linear, and the basis may take its range from the data of a fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bases.basis import Basis
from ..bases.terms import Domain, checked_domain, domain_of
from ..core.data import FitData
from ..core.model import SurfaceModel
from ..exceptions import ParameterError
from ..trace.graph import Node

if TYPE_CHECKING:
    import lmfit

# bases for different ranges that a model keeps, with what was traced for them
KEPT = 16


class BasisSurface(SurfaceModel):
    r"""
    A surface :math:`\sum_t c_t f_t(x, y)` in the functions of a basis; subclass it and override `basis_on` and `options`.

    A subclass sets its own attributes and then calls this constructor.

    Parameters
    ----------
    variables : str or sequence of str
        Names of the variables.
    domain : sequence of (low, high), optional
        The range of each variable. None: taken from the data at each fit.
    shown : str
        The model's name where the user gives none.
    prefix, name, nan_policy, linear
        As for `SurfaceModel`.

    Attributes
    ----------
    basis : Basis or None
        What the coefficients mean; None until the range is known.
    coefficients : tuple of str
        Names of the parameters without prefix, in the order of the basis.

    Notes
    -----
    The range is taken from the points that are used (not masked, weight above 0) and belongs to the fit: ``result.model`` is this
    model with that range, and evaluates the result anywhere. The model itself stays as it is and can't be evaluated without
    a range.
    """

    surffit_api = 1
    basis: Any

    def __init__(
        self,
        variables: str | Sequence[str],
        domain: Any,
        shown: str,
        *,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        linear: Sequence[str] | None = None,
    ) -> None:
        self.variables = (variables,) if isinstance(variables, str) else tuple(variables)
        for variable in self.variables:
            if not isinstance(variable, str) or not variable.isidentifier() or self.variables.count(variable) > 1:
                msg = f"variables={variables!r}; give different names, e.g. ('x', 'y')"
                raise ParameterError(msg)
        self.domain: Domain | None = checked_domain(domain)
        if self.domain is not None and len(self.domain) != len(self.variables):
            msg = f"domain={domain!r} with variables {', '.join(self.variables)}: give one pair for each variable"
            raise ParameterError(msg)
        self.basis = self.basis_on(self.domain)
        # any range tells the names, and a tracer what is linear; numbers need the right one
        self._stand_in: Basis = self.basis or self.stand_in()
        self.coefficients: tuple[str, ...] = self._stand_in.names(len(self.variables))
        super().__init__(self._function(), list(self.variables), None, nan_policy, prefix, name or shown, linear=linear)

    # ---- what a subclass says ---------------------------------------------------------------------------------------------

    def basis_on(self, domain: Domain | None) -> Basis | None:
        """The basis on a range; None where the range is needed and not known."""
        raise NotImplementedError

    def stand_in(self) -> Any:
        """A basis with the same number of functions and the same names as any that data give."""
        return self.basis_on(((-1.0, 1.0),) * len(self.variables))

    def basis_for(self, data: FitData) -> Basis | None:
        """The basis for data: the default asks for the range of the used points only."""
        return self.basis_on(self.range_of(data))

    def options(self) -> dict[str, Any]:
        """Arguments that make this model again, `variables` and `domain` aside: plain numbers, texts and lists."""
        raise NotImplementedError

    # ---- what follows -----------------------------------------------------------------------------------------------------

    def _function(self) -> Callable[..., Any]:
        return _Surface(self.basis, self._stand_in, self.variables, self.coefficients, type(self).__name__)

    @property
    def linear(self) -> tuple[str, ...]:
        """Names of the parameters that are solved exactly: stated, or all that vary."""
        if self._stated_linear is not None:
            return super().linear
        fixed = {name for name, hint in self.param_hints.items() if hint.get("vary") is False or hint.get("expr")}
        return tuple(name for name in self.param_names if name.removeprefix(self.prefix) not in fixed)

    def on_data(self, data: FitData) -> Any:
        """
        This model on the range (or the points) of data: what a fit fits.

        Parameters
        ----------
        data : FitData
            Checked data.

        Returns
        -------
        BasisSurface
            A copy; the model itself if it has its range already.
        """
        if self.basis is not None:
            return self
        basis = self.basis_for(data)
        return self._kept(("basis", basis), lambda: self._with(basis))

    def range_of(self, data: FitData) -> Domain:
        """Smallest and largest value of each variable at the points that a fit uses."""
        return domain_of([data.values(name) for name in self.variables])

    def points_of(self, data: FitData) -> list[np.ndarray]:
        """Coordinates of these points, each (n,)."""
        arrays = np.broadcast_arrays(*(data.select(data.coords[name]) for name in self.variables))
        return [np.ravel(array) for array in arrays]

    def _with(self, basis: Basis | None) -> Any:
        """A copy that evaluates with a basis."""
        out = self.copy()
        out.basis = basis
        out.func = out._function()
        return out

    def _kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What was made for a key, from the last time or new."""
        known: Any = self._structures.get(key)
        if known is None:
            known = make()
            while len(self._structures) >= KEPT:
                self._structures.pop(next(iter(self._structures)), None)
            self._structures[key] = known
        return known

    def guess(self, data: Any, *coords: Any, **kws: Any) -> lmfit.Parameters:
        """
        The best coefficients for data, by least squares: linear parameters need no other guess.

        Parameters
        ----------
        data : array_like
        *coords, **kws : array_like
            The coordinates, by position or by name; other keywords override values.

        Returns
        -------
        lmfit.Parameters
        """
        given = {**dict(zip(self.variables, coords, strict=False)), **{n: kws.pop(n) for n in self.variables if n in kws}}
        result = self.fit(data, nan_policy="omit", calc_covar=False, coords=given)
        params = self.make_params(**{name: par.value for name, par in result.params.items()})
        for name, value in kws.items():
            params[name if name in params else self.prefix + name].set(**({"value": value} if np.isscalar(value) else dict(value)))
        return params

    def document_options(self) -> dict[str, Any] | None:
        """What makes this model again, for documents."""
        domain = self.domain if self.basis is None else self.basis.domain
        return {
            **self.options(),
            "variables": list(self.variables),
            "domain": None if domain is None else [[float(low), float(high)] for low, high in domain],
        }

    def copy(self, **kwargs: Any) -> Any:
        """An independent copy; `kwargs` may change `prefix` and `name`."""
        return super().copy(**kwargs)


class _Surface:
    """The model's function: coordinates, then coefficients, by name. It pickles."""

    def __init__(self, basis: Basis | None, stand_in: Basis, variables: tuple[str, ...], coefficients: tuple[str, ...], kind: str) -> None:
        self.basis = basis
        self.variables, self.coefficients, self.kind = variables, coefficients, kind
        self._any = basis or stand_in
        self.__name__ = kind
        where = "" if basis is None else f", as {type(basis).__name__} on {basis.domain}"
        self.__doc__ = f"Function of a {kind} of {', '.join(variables)} with {len(coefficients)} coefficients{where}."
        parameter = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(n, parameter) for n in (*variables, *coefficients)])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = self.__signature__.bind(*args, **kwargs).arguments
        coords = [given[name] for name in self.variables]
        if self.basis is None:
            self.refuse_numbers(coords)
        value = self._any.evaluate([given[name] for name in self.coefficients], coords)
        # a constant has no shape of its own, nor has a product in which some variables don't occur
        return value if len(self.coefficients) > 1 else value + 0.0 * sum(coords)

    def refuse_numbers(self, coords: Sequence[Any]) -> None:
        """Numbers need the range; symbols don't (a method, since a traced function sees symbols as arrays)."""
        if not any(isinstance(c, Node) for c in coords):
            msg = (
                "the surface's range is taken from the data at a fit, so it can't be evaluated before one; use result.eval(...) "
                f"or result.model, or give {self.kind} a domain="
            )
            raise ParameterError(msg)
