"""`SurfaceModel`: an lmfit Model whose fit just works, and its composites."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import lmfit
import numpy as np
from lmfit.model import CompositeModel

from ..exceptions import ParameterError
from ..trace.expression import graph_of
from ..trace.function import GraphFunction
from .data import NAN_POLICIES
from .documented import Documented
from .example import Exemplified
from .fitting import fit
from .guessing import Guessing, unstarted
from .keywords import errors_or_starts, has_option, sort_keywords
from .outcome import FitCall
from .parameters import check_parameters, complete, untouched, with_starts
from .result import SurfaceResult
from .structure import Structure, own_eval, trace_model

# keywords of `fit` that a parameter of the same name would shadow
RESERVED = (
    "data", "params", "weights", "method", "mask", "coords", "iter_cb", "scale_covar", "verbose", "fit_kws", "nan_policy", "calc_covar",
    "max_nfev", "coerce_farray",
)  # fmt: skip


class SurfaceModel(Documented, Exemplified, Guessing, lmfit.Model):
    """
    A plain function of named arguments as a model: traced, its linear parameters solved exactly.

    Parameters
    ----------
    func : callable
        Model function, e.g. ``func(x, y, a1, a2, ...)``; numpy operations on its arguments. Anything else works too,
        with numerical derivatives.
    independent_vars : list of str, optional
        Arguments that are coordinates, or options. Default: the first argument.
    param_names : list of str, optional
        Arguments that are parameters. Default: all others.
    nan_policy : {"raise", "omit"}
        What to do with non-finite data.
    prefix : str
        Put before the parameters' names.
    name : str, optional
        Name of the model; default: the function's.
    linear : sequence of str, optional
        None: jointly linear parameters are found and eliminated. Names: these are, checked. ``()``: no elimination.
    **opts
        Options passed to the function, as in lmfit.

    Raises
    ------
    ParameterError
        If a parameter has the name of a keyword of `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> def plane(x, y, a, b, c):
    ...     return a + b * x + c * y
    >>> model = SurfaceModel(plane, independent_vars=["x", "y"])
    >>> model.linear
    ('a', 'b', 'c')
    >>> y, x = np.mgrid[:3, :4]
    >>> result = model.fit(1.0 + 2.0 * x + 3.0 * y, x=x, y=y)  # linear parameters need no start
    >>> [float(round(v, 9)) for v in result.best_values.values()]
    [1.0, 2.0, 3.0]
    """

    # lmfit forbids coordinates called data and weights; here they go into coords={...}
    _forbidden_args = ("params",)

    def __init__(
        self,
        func: Callable[..., Any],
        independent_vars: list[str] | None = None,
        param_names: list[str] | None = None,
        nan_policy: str = "raise",
        prefix: str = "",
        name: str | None = None,
        *,
        linear: Sequence[str] | None = None,
        **opts: Any,
    ) -> None:
        _check_nan_policy(nan_policy)
        if isinstance(linear, str):
            linear = (linear,)
        self._stated_linear: tuple[str, ...] | None = None if linear is None else tuple(linear)
        self._structures: dict[Any, Any] = {}
        if not hasattr(func, "__name__") and not hasattr(func, "argnames"):
            func = _Named(func)
        independent = list(independent_vars) if independent_vars is not None else None
        super().__init__(func, independent, param_names, nan_policy, prefix, name, **opts)
        refuse_reserved(self)

    # ---- what is known before any data -------------------------------------------------------------------------------

    def _traced(self) -> Structure | None:
        """The model with every coordinate a symbol; None if it can't be traced so."""
        with untouched(self):
            params = self.make_params()
        names = tuple(v for v in self.independent_vars if not has_option(self, v))
        key = ("model", tuple(params), tuple((n, p.expr) for n, p in params.items()), names)
        if key not in self._structures:
            try:
                self._structures[key] = trace_model(self, params, dict.fromkeys(names), names, concrete=False)
            except Exception:  # noqa: BLE001 - a user's function may raise anything when it is handed symbols
                return None
        return self._structures[key]

    @property
    def linear(self) -> tuple[str, ...]:
        """Names of the parameters that are solved exactly: stated, or found in the function's graph."""
        if self._stated_linear is not None:
            return tuple(self.prefix + n if self.prefix and not n.startswith(self.prefix) else n for n in self._stated_linear)
        key = ("linear", tuple(self.param_names), tuple((n, h.get("vary"), h.get("expr")) for n, h in self.param_hints.items()))
        if not isinstance(self, CompositeModel) and key in self._structures:
            return cast(tuple[str, ...], self._structures[key])
        structure = self._traced()
        if structure is None:
            return ()
        with untouched(self):
            params = self.make_params()
        varying = tuple(n for n in structure.parameters if params[n].vary)
        names = tuple(structure.linear(varying, varying).names)
        self._structures[key] = names
        return names

    @property
    def graph(self) -> Any:
        """The model as a `surffit.trace` graph with full parameter names, or None if it can't be traced."""
        structure = self._traced()
        return None if structure is None else structure.graph

    def describe(self) -> str:
        """One paragraph: parameters, which are linear, and how derivatives are had."""
        structure = self._traced()
        names = list(self.param_names)
        lines = [f"{self.name}: {len(names)} parameter{'s' if len(names) != 1 else ''} ({', '.join(names)})"]
        lines[0] += f" of {', '.join(self.independent_vars)}."
        if structure is None:
            lines.append("The function can't be traced without data; derivatives and linear parameters are then found numerically.")
        else:
            lin = self.linear
            lines.append(f"Solved exactly (linear): {', '.join(lin) if lin else 'none'}.")
            pairs = structure.linear(tuple(n for n in structure.parameters), ()).conflicts
            if pairs:
                lines.append("Linear one at a time only: " + ", ".join(f"{a} with {b}" for a, b in pairs) + ".")
            lines.append("Derivatives are exact, from the function's graph.")
        return " ".join(lines)

    # ---- construction --------------------------------------------------------------------------------------------------

    @classmethod
    def from_expression(cls, text: str, independent_vars: Sequence[str], **kwargs: Any) -> SurfaceModel:
        """
        A model from a formula, through a whitelist of operators and functions; nothing is evaluated as code.

        Parameters
        ----------
        text : str
            E.g. ``"a1 + a2*y + (b1 + b2*y)/x**2"``.
        independent_vars : sequence of str
            Names in the formula that are coordinates; all others are parameters, in order of appearance.
        **kwargs
            As for the class: `prefix`, `name`, `linear`, `nan_policy`.

        Raises
        ------
        ExpressionError
            If the formula holds anything outside the whitelist.

        Examples
        --------
        >>> SurfaceModel.from_expression("a + b/x**2", independent_vars=["x"]).param_names
        ['a', 'b']
        """
        names = [independent_vars] if isinstance(independent_vars, str) else list(independent_vars)
        func = GraphFunction(graph_of(text, names), name=kwargs.get("name") or "expression", independent_vars=names)
        kwargs.setdefault("name", text)
        return SurfaceModel(func, names, **kwargs)

    @classmethod
    def from_lmfit(cls, model: lmfit.Model) -> SurfaceModel:
        """
        Any lmfit model or composite as a SurfaceModel; hints, prefix, `guess` and options come along.

        Python hands ``GaussianModel() + surface`` to lmfit, which makes its own composite: this takes it.

        Examples
        --------
        >>> from lmfit.models import GaussianModel, LinearModel
        >>> SurfaceModel.from_lmfit(GaussianModel() + LinearModel()).linear
        ('amplitude', 'slope', 'intercept')
        """
        if isinstance(model, SurfaceModel):
            return model
        if hasattr(model, "parts"):
            msg = "a JointModel is fitted by its own fit(), with data by key; it can't be wrapped, composed or fitted to one table"
            raise ParameterError(msg)
        from .composite import SurfaceComposite
        from .wrapped import LmfitModel

        if isinstance(model, CompositeModel):
            out: SurfaceModel = SurfaceComposite(cls.from_lmfit(model.left), cls.from_lmfit(model.right), model.op)
            out.param_hints = {name: dict(hint) for name, hint in model.param_hints.items()}
            return out
        if isinstance(model, lmfit.Model):
            return LmfitModel(model)
        msg = f"{model!r} is not an lmfit model; wrap a function with SurfaceModel(func, independent_vars=[...])"
        raise ParameterError(msg)

    def copy(self, **kwargs: Any) -> SurfaceModel:
        """An independent copy; `kwargs` may change `prefix` and `name`."""
        import copy

        out = copy.copy(self)
        out._structures = {}
        out.param_hints = {name: dict(hint) for name, hint in self.param_hints.items()}
        out.opts = dict(self.opts)
        out.independent_vars = list(self.independent_vars)
        out._param_names = list(self._param_names)
        for name, value in kwargs.items():
            if name not in ("prefix", "name"):
                msg = f"copy() changes prefix or name, not {name!r}"
                raise ParameterError(msg)
            setattr(out, name, value)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_structures": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> SurfaceModel:
        return self.copy()

    # ---- arithmetic ------------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> SurfaceModel:
        return _compose(self, other, operator.add)

    def __sub__(self, other: Any) -> SurfaceModel:
        return _compose(self, other, operator.sub)

    def __mul__(self, other: Any) -> SurfaceModel:
        return _compose(self, other, operator.mul)

    def __truediv__(self, other: Any) -> SurfaceModel:
        return _compose(self, other, operator.truediv)

    def __radd__(self, other: Any) -> SurfaceModel:
        return _compose(other, self, operator.add)

    def __rsub__(self, other: Any) -> SurfaceModel:
        return _compose(other, self, operator.sub)

    def __rmul__(self, other: Any) -> SurfaceModel:
        return _compose(other, self, operator.mul)

    def __rtruediv__(self, other: Any) -> SurfaceModel:
        return _compose(other, self, operator.truediv)

    # ---- evaluating ------------------------------------------------------------------------------------------------------

    def make_funcargs(self, params: Any = None, kwargs: Any = None, strip: bool = True) -> dict[str, Any]:
        """As in lmfit, but arrays are copies: some functions write into their arguments."""
        out = super().make_funcargs(params, kwargs, strip)
        if own_eval(self) or isinstance(self.func, GraphFunction):
            return out
        return {name: value.copy() if type(value) is np.ndarray else value for name, value in out.items()}

    # ---- fitting ---------------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        params: lmfit.Parameters | None = None,
        weights: Any = None,
        method: str = "separable",
        iter_cb: Callable[..., Any] | None = None,
        scale_covar: bool = True,
        verbose: bool = False,
        fit_kws: dict[str, Any] | None = None,
        nan_policy: str | None = None,
        calc_covar: bool = True,
        max_nfev: int | None = None,
        coerce_farray: bool = True,
        *,
        sigma: Any = None,
        var: Any = None,
        ivar: Any = None,
        mask: Any = None,
        loss: Any = "linear",
        priors: Any = None,
        coords: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> SurfaceResult:
        """
        Fit the model to data.

        Parameters
        ----------
        data : array_like, any shape
            Data; ndarray, masked array, pandas Series, xarray DataArray, astropy Quantity or NDData.
        params : lmfit.Parameters, optional
            Starts, bounds, constraints; never changed. Linear parameters need no start.
        weights : array_like, optional
            1/sigma (not squared); 0 excludes a point.
        method : str
            "separable" (ours), or any of lmfit's methods, run by lmfit in unit-scaled parameters.
        iter_cb : callable, optional
            ``iter_cb(params, iter, resid, *args, **kws)`` after every step; a true answer stops the fit.
        scale_covar : bool
            Scale the covariance by the reduced chi-square, as in lmfit. Pass False if sigma is really known.
        verbose, calc_covar, max_nfev
            As in lmfit.
        fit_kws : dict, optional
            For "separable": `rng`, `on_interrupt` ("raise" or "return"), `polish`, `restart`, `refine`, `jac` (None, "graph",
            "complex-step", "differences"). For lmfit's methods: what they take.
        nan_policy : {"raise", "omit"}, optional
            Overrides the model's, for this fit only.
        coerce_farray : bool
            False hands the coordinates to the function as they are.
        sigma, var, ivar : array_like, optional
            Data error in place of `weights`.
        mask : array_like of bool, optional
            True = excluded.
        loss : {"linear", "soft_l1", "huber", "cauchy", "arctan", "poisson"} or callable
            What is minimised. "linear": chi-square. The next four are scipy's robust losses, sum of f^2 rho((r/f)^2) over the weighted
            residuals r, with ``fit_kws={"f_scale": 1.0}`` in standard deviations: those of the given errors with
            `scale_covar=False` (then f is scipy's `f_scale`), else the residual's own (median absolute value / 0.6745), found with
            the fit. "poisson": data are counts, the C-statistic 2 sum(m - n + n ln(n/m)). A function ``rho(z)`` is a robust loss (as
            scipy's: rho, or rho and its two derivatives as rows), a function ``loss(data, model)`` gives -2 ln L per point.
            The covariance fits the loss: of an M-estimator for robust ones, the inverse observed information for likelihoods.
            Both hold the dispersion, so that `scale_covar` scales nothing there.
        priors : dict, optional
            Prior knowledge by parameter name: ``(mean, sigma)``, a frozen scipy.stats distribution (anything with ``logpdf``), or
            a function ``logp(value)``; under a tuple of names a joint ``logp(a, b)``. They enter fit and covariance. With
            `scale_covar=True` the data's variance is found with the fit, so that a prior weighs what it says.
        coords : dict, optional
            Coordinates whose names are keywords of this function.
        **kwargs
            Coordinates, options of the model function, and starts by name.

        Returns
        -------
        SurfaceResult

        Raises
        ------
        DataError, ParameterError, LinearityError
            For calls that can't be right; a fit that goes badly returns a result that says so.
        """
        policy = nan_policy if nan_policy is not None else self.nan_policy
        _check_nan_policy(policy)
        errors = {"weights": weights, "sigma": sigma, "var": var, "ivar": ivar}
        starts = errors_or_starts(self, errors, data)
        with untouched(self):
            given = complete(self, params, verbose)
            known, found = sort_keywords(self, kwargs, coords, given)
            starts |= found
        with_starts(given, starts)
        check_parameters(given)
        request = FitCall(
            data=data, coords=known, errors=errors, mask=mask, nan_policy=policy, method=method, iter_cb=iter_cb, scale_covar=scale_covar,
            calc_covar=calc_covar, max_nfev=max_nfev, fit_kws=dict(fit_kws or {}), coerce=coerce_farray, loss=loss,
            priors=priors, unstarted=unstarted(self, starts) if params is None else (),
        )  # fmt: skip
        with np.errstate(all="ignore"):
            outcome = fit(self, given, request)
            return SurfaceResult(outcome.model, outcome)


class _Named:
    """A callable without a name (partial, instance), given one that lmfit can show."""

    def __init__(self, func: Any) -> None:
        import inspect

        if not callable(func):
            msg = f"{func!r} is not callable; SurfaceModel needs a function such as f(x, y, a, b)"
            raise ParameterError(msg)
        self.func = func
        inner = getattr(func, "func", None)
        self.__name__ = getattr(inner, "__name__", type(func).__name__)
        self.__signature__ = inspect.signature(func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)


def _compose(left: Any, right: Any, op: Callable[..., Any]) -> Any:
    if not (isinstance(left, lmfit.Model) and isinstance(right, lmfit.Model)):
        return NotImplemented
    from .composite import SurfaceComposite

    return SurfaceComposite(SurfaceModel.from_lmfit(left), SurfaceModel.from_lmfit(right), op)


def _check_nan_policy(policy: str) -> None:
    if policy not in NAN_POLICIES:
        msg = f'nan_policy={policy!r} is not available; use "raise", or "omit" to exclude non-finite points'
        raise ParameterError(msg)


def refuse_reserved(model: lmfit.Model) -> None:
    for name in model.param_names:
        if name in RESERVED:
            msg = f"{model.name} has a parameter named {name!r}, which is a keyword of fit(); rename the argument or use a prefix"
            raise ParameterError(msg, name=name)
