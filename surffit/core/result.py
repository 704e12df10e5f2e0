"""`SurfaceResult`: an lmfit ModelResult that always says how sure it is, and if it can't, why.

What a report needs is filled in at once; everything else (`best_fit`, `uvars`, `conditioning`, ...) is computed when it is
first asked for, because building it would cost more than a small fit.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lmfit
import numpy as np
from lmfit.minimizer import Minimizer, MinimizerResult
from lmfit.parameter import Parameters

from ..exceptions import DocumentError
from ..solve.status import Status
from . import bands, coststats, uncertainty
from . import explain as words
from . import predict as predicting
from .conditioning import Conditioning, assess
from .containers import Wrap
from .data import FitData
from .parameters import copy_parameters, rebuild
from .result_geometry import Geometry
from .result_inference import Inference
from .result_output import Output

if TYPE_CHECKING:
    from .outcome import Outcome

LMFIT_DEFAULTS: dict[str, Any] = {
    "userargs": (), "kws": {}, "user_options": None, "ci_out": None, "_abort": False, "ier": None, "lmdif_message": None,
    "reduce_fcn": None, "col_deriv": False, "jacfcn": None, "aborted": False, "call_kws": {}, "flatchain": None, "covar_notes": (),
}  # fmt: skip


class SurfaceResult(Inference, Geometry, Output):
    """
    Result of `SurfaceModel.fit`; everything an lmfit `ModelResult` offers, and:

    `nfree` counts the points minus the parameters that the data determine: one that is undetermined, or held on a bound, uses
    up no freedom, so `nvarys` + `nfree` may exceed `ndata`.

    Attributes
    ----------
    status : Status
        How the fit ended, as named flags; `solver_status` is lmfit's own integer where lmfit's solver ran.
    reason : str
        The same in words.
    covar_source : str
        "jacobian", "hessian", "mcmc", or "none" with the reason in `explain()`.
    covar_notes : tuple of str
        Why earlier rungs of this ladder did not serve.
    conditioning : Conditioning
        Rank, condition numbers, null directions, bounds.
    residual_map : container of the data
        data - model, nan where excluded.
    units : dict
        astropy units of data and coordinates, where they had any.
    """

    def __init__(self, model: Any, outcome: Outcome | None = None, **kws: Any) -> None:
        if outcome is None:
            # lmfit's way of making a result by hand
            super().__init__(model, kws.pop("params", Parameters()), **kws)
            return
        self._adopt(model, outcome)

    def _adopt(self, model: Any, outcome: Outcome) -> None:
        """Take over what a fit found."""
        call, data = outcome.call, outcome.data
        Minimizer.__init__(
            self, model._residual, outcome.params, fcn_kws=dict(data.coords), iter_cb=call.iter_cb, scale_covar=call.scale_covar,
            nan_policy=call.nan_policy, calc_covar=call.calc_covar, max_nfev=outcome.limit,
        )  # fmt: skip
        del self.__dict__["message"]  # told on demand
        self.kws = dict(call.fit_kws)
        self.model = model
        self.method = call.method
        self.ci_out = None
        self.user_options = None
        self.observed: FitData = data
        self.data = data.opened.values
        self.weights = data.weights
        self.units = data.units
        self.userargs = (self.data, self.weights)
        self._call = call
        self._started = outcome.started
        self._outcome: Outcome | None = outcome
        self._names = outcome.bound.names
        self._notes = outcome.notes
        self.components = model.components
        self._statistics(outcome)
        if not call.plain:
            coststats.statistics(self, outcome)
        self._values(outcome)
        uncertainty.attach(self, outcome)
        if call.method == "emcee":
            from .emcee_method import apply

            apply(self)
        post = getattr(type(model), "post_fit", None)
        if post is not None and post is not lmfit.Model.post_fit:
            model.post_fit(self)

    # ---- filled at once --------------------------------------------------------------------------------------------------

    def _statistics(self, outcome: Outcome) -> None:
        bound, solution = outcome.bound, outcome.solution
        problem, here = bound.problem, solution.here
        params = outcome.params
        self.var_names = [name for name, par in params.items() if par.vary and not par.expr]
        self.nvarys = len(self.var_names)
        self.ndata = problem.N
        # parameters that the data don't determine, or that a bound holds, use up no freedom
        self.nfree = problem.N - here.f.rank
        chi2 = here.chi2 / problem.unit / problem.unit
        del self.__dict__["residual"]  # made when somebody asks for it
        if here.has_r:
            self.residual = self._make_residual()
        self.chisqr = max(chi2, 1e-250 * self.ndata)
        self.redchi = chi2 / max(1, self.nfree)
        likelihood = self.ndata * float(np.log(self.chisqr / self.ndata))
        self.aic = likelihood + 2 * self.nvarys
        self.bic = likelihood + float(np.log(self.ndata)) * self.nvarys
        self.nfev = problem.nfev
        self.status = solution.status
        self.solver_status = outcome.solver_status
        self.success = solution.status.success
        self.aborted = bool(solution.status & Status.ABORTED)
        self._abort = self.aborted
        self.lmdif_message = outcome.solver_message
        self.ier = outcome.solver_status

    def _values(self, outcome: Outcome) -> None:
        params, bound, solution = outcome.params, outcome.bound, outcome.solution
        for name, value, first in zip(bound.names, solution.p.tolist(), solution.start.tolist(), strict=True):
            par = params[name]
            unset = not np.isfinite(par._val)
            # on the bound itself lmfit's setter keeps the value; a rounding beyond it would be cut
            par.value = value
            par.init_value = first if unset else par.init_value if par.init_value is not None else first
        for name in bound.unused + bound.stepped:
            if not np.isfinite(params[name]._val):
                params[name].value = 0.0
        for par in params.values():
            if par.expr:
                _ = par.value  # evaluating refreshes lmfit's interpreter
        self.params = params
        self.init_vals = [self._first(name) for name in self.var_names]

    def _first(self, name: str) -> float:
        outcome = self._outcome
        if outcome is not None and name in outcome.bound.names:
            bound, solution = outcome.bound, outcome.solution
            i = bound.names.index(name)
            given = bound.start[i]
            return float(given if np.isfinite(given) else solution.start[i])
        return float(self.params[name].value)

    # ---- computed when asked for -----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name == "_call" and "_names" in self.__dict__:
            msg = "a loaded result holds no data, so it can't be fitted or profiled again; fit the data again for that"
            raise DocumentError(msg)
        make = _LAZY.get(name)
        if make is None or "_names" not in self.__dict__:
            if name in LMFIT_DEFAULTS:
                return LMFIT_DEFAULTS[name]
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        value = make(self)
        self.__dict__[name] = value
        return value

    def _wrapped(self, values: np.ndarray) -> Any:
        wrap: Wrap = self.observed.opened.wrap
        return wrap(np.array(values)) if np.shape(values) == self.observed.shape else values

    def _eval_shape(self, params: Parameters) -> Any:
        with np.errstate(all="ignore"):
            out = self.model.eval(params=params, **self.userkws)
        out = np.asarray(out)
        return np.broadcast_to(out, self.observed.shape) if out.shape != self.observed.shape else out

    def _result_object(self) -> MinimizerResult:
        out = MinimizerResult()
        for name in (
            "params", "method", "nfev", "residual", "ndata", "nvarys", "nfree", "chisqr", "redchi", "aic", "bic", "covar", "errorbars",
            "success", "message", "ier", "lmdif_message", "call_kws", "aborted", "var_names", "init_vals", "init_values", "uvars",
        ):  # fmt: skip
            setattr(out, name, getattr(self, name))
        return out

    def _make_residual(self) -> np.ndarray:
        if self._outcome is None:
            msg = "the residual is not part of this result; fit again to have it"
            raise AttributeError(msg)
        problem, here = self._outcome.bound.problem, self._outcome.solution.here
        return here.r / problem.unit if problem.unit != 1.0 else here.r

    def _make_rsquared(self) -> float:
        data = np.asarray(self.observed.select(self.observed.data))
        left = data - self.observed.select(np.asarray(self.best_fit))
        spread = data - data.mean()
        size = float(np.abs(spread).max()) or 1.0  # squares of 1e200 are no numbers
        with np.errstate(all="ignore"):
            return float(1.0 - np.sum(np.abs(left / size) ** 2) / max(float(np.sum(np.abs(spread / size) ** 2)), 1e-300))

    def _make_conditioning(self) -> Conditioning:
        if self._outcome is None:
            msg = "conditioning is not part of a restored result; fit again to have it"
            raise AttributeError(msg)
        with np.errstate(all="ignore"):
            return assess(self._outcome, self._covariance)

    # ---- lmfit's methods -------------------------------------------------------------------------------------------------

    def fit(
        self, data: Any = None, params: Parameters | None = None, weights: Any = None, method: str | None = None,
        nan_policy: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """Fit again, with what is given replaced; the result changes in place, as in lmfit."""
        call = self._call
        errors = dict(call.errors) if weights is None else {"weights": weights}
        fresh = self.model.fit(
            call.data if data is None else data, self.params if params is None else params, method=method or self.method,
            iter_cb=call.iter_cb, scale_covar=self.scale_covar, fit_kws=call.fit_kws, nan_policy=nan_policy or call.nan_policy,
            calc_covar=self.calc_covar, max_nfev=call.max_nfev, coerce_farray=call.coerce, mask=call.mask if data is None else None,
            loss=kwargs.pop("loss", call.loss), priors=kwargs.pop("priors", call.priors),
            coords={**call.coords, **{k: v for k, v in kwargs.items() if k in self.model.independent_vars}}, **_drop_none(errors),
            **{k: v for k, v in kwargs.items() if k not in self.model.independent_vars},
        )  # fmt: skip
        self.__dict__.clear()
        self.__dict__.update(fresh.__dict__)

    def fit_report(
        self, modelpars: Any = None, show_correl: bool = True, min_correl: float = 0.1, sort_pars: Any = False, correl_mode: str = "list"
    ) -> str:
        """lmfit's report; a failed fit says so first, and missing errors say why."""
        text = super().fit_report(
            modelpars=modelpars, show_correl=show_correl, min_correl=min_correl, sort_pars=sort_pars, correl_mode=correl_mode
        )
        head = "" if self.success else f"## FIT FAILED: {self.reason}\n"
        if self._no_errors:
            head += f"## No errors: {self._no_errors}\n"
        return head + text

    def eval(self, params: Parameters | None = None, **kwargs: Any) -> Any:
        """As in lmfit; new coordinates may be lists, times, or Quantities in units that convert to those of the fit."""
        predicting.answerable(self, kwargs)
        known = {name: value for name, value in kwargs.items() if name in self.model.independent_vars}
        if known:
            fresh = bands.coordinates(self, known)
            kwargs = {**kwargs, **{name: fresh[name] for name in known}}
        if params is None and "_fitted_in" in self.__dict__:
            return self._fitted_in.eval(**kwargs)
        return super().eval(params=params, **kwargs)

    def eval_components(self, params: Parameters | None = None, **kwargs: Any) -> dict[str, Any]:
        """As in lmfit."""
        predicting.answerable(self, kwargs)
        source = self.__dict__.get("_fitted_in")
        components: dict[str, Any] = super().eval_components(params=params, **kwargs)
        if params is None and source is not None:  # the names of this model, the digits of the fit
            components = dict(zip(components, source.eval_components(**kwargs).values(), strict=True))
        return components

    def _repr_html_(self, show_correl: bool = True, min_correl: float = 0.1) -> str:
        """lmfit's table; a failed fit says so first, and the model's name (which may come from a file) is text, not markup."""
        from html import escape

        report = MinimizerResult._repr_html_(self, show_correl=show_correl, min_correl=min_correl)
        failed = "" if self.success else f"<p><b>FIT FAILED:</b> {escape(self.reason)}</p>"
        return f"<h2>Fit Result</h2>{failed}<p>Model: {escape(self.model._reprstring(long=True))}</p>{report}"

    def __repr__(self) -> str:
        """One line: the model, how it ended, chi-square."""
        if "_names" not in self.__dict__:
            return super().__repr__()
        how = "ok" if self.success else "FAILED"
        return f"<SurfaceResult {self.model._reprstring(long=False)}: {how}, chisqr={self.chisqr:.6g}, {'|'.join(self.status.names)}>"

    # ---- lmfit's solvers, for those who call them on a result --------------------------------------------------------------

    def minimize(self, method: str = "leastsq", params: Parameters | None = None, **kws: Any) -> MinimizerResult:
        """Minimise again by `method`, in unit scale; the answer is a `MinimizerResult`, as in lmfit."""
        call = self._call
        kws = {name: call.fit_kws[name] for name in ("f_scale",) if name in call.fit_kws} | kws
        params = self.__dict__.pop("_prepared", None) if params is None else params
        fresh = self.model.fit(
            call.data, params if params is not None else self.params, method=method, fit_kws=kws, mask=call.mask,
            nan_policy=call.nan_policy, scale_covar=self.scale_covar, calc_covar=self.calc_covar, coords=call.coords,
            coerce_farray=call.coerce, loss=call.loss, priors=call.priors, **_drop_none(call.errors),
        )  # fmt: skip
        return fresh.result

    def prepare_fit(self, params: Parameters | None = None) -> MinimizerResult:
        """What lmfit's functions (`lmfit.conf_interval`) call before `leastsq()`: it fits from these next; the result stays as it is."""
        out = MinimizerResult()
        out.params = copy_parameters(self.params if params is None else params)
        out.var_names = [name for name, par in out.params.items() if par.vary and not par.expr]
        self._prepared = out.params
        return out

    def leastsq(self, params: Parameters | None = None, max_nfev: int | None = None, **kws: Any) -> MinimizerResult:
        """lmfit's `leastsq`, in unit scale."""
        return self.minimize("leastsq", params, **kws)

    def least_squares(self, params: Parameters | None = None, max_nfev: int | None = None, **kws: Any) -> MinimizerResult:
        """lmfit's `least_squares`, in unit scale."""
        return self.minimize("least_squares", params, **kws)

    show_candidates = MinimizerResult.show_candidates

    # ---- copying ---------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # reports and numbers travel; compiled code and callbacks stay
        if "_names" in self.__dict__ and self._outcome is not None:
            for name in ("conditioning", "residual", "best_fit", "uvars", "init_params", "reason", "message"):
                getattr(self, name)
            self._explained = self.explain()
        state = dict(self.__dict__)
        for name in ("userfcn", "_outcome", "result", "iter_cb"):
            state.pop(name, None)
        state["iter_cb"] = None
        state["_outcome"] = None
        if "observed" in state and state["observed"] is not None:
            state["_picklable"] = True
            state["observed"] = _portable(state["observed"])
        if "_covariance" in state:
            state["_covariance"] = replace(state["_covariance"], here=None, B=None)
        if "_call" in state:
            state["_call"] = copy.copy(state["_call"])
            state["_call"].iter_cb = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "model" in state:
            self.userfcn = state["model"]._residual


def _portable(data: Any) -> Any:
    """The data without the closure that re-wraps them: pickle can't carry it."""
    if hasattr(data, "portable"):  # several data sets
        return data.portable(_portable)
    return replace(data, opened=replace(data.opened, wrap=_identity))


def _identity(out: np.ndarray) -> np.ndarray:
    return out


def _drop_none(errors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in errors.items() if value is not None}


_LAZY: dict[str, Any] = {
    "best_fit": lambda r: r._wrapped(r._eval_shape(r.params)),
    "init_fit": lambda r: r._wrapped(r._eval_shape(r.init_params)),
    "residual_map": lambda r: r._wrapped(r.observed.expand(r.observed.select(r.observed.data - np.asarray(r._eval_shape(r.params))))),
    "init_params": lambda r: _initial(r),
    "init_values": lambda r: r.model._make_all_args(r.init_params),
    "best_values": lambda r: r.model._make_all_args(r.params),
    "residual": lambda r: r._make_residual(),
    "uvars": lambda r: uncertainty.ufloats(r),
    "rsquared": lambda r: r._make_rsquared(),
    "reason": lambda r: words.reason(r),
    "message": lambda r: r._outcome.solver_message or r.reason,
    "conditioning": lambda r: r._make_conditioning(),
    "result": lambda r: r._result_object(),
    "call_kws": lambda r: dict(r.kws),
    "userfcn": lambda r: r.model._residual,
}


def _initial(result: SurfaceResult) -> Parameters:
    """The parameters as the fit began, linear ones as first solved."""
    if not result._started:
        return copy_parameters(result.params)
    out = rebuild(result.params, result._started)
    for name, value in zip(result.var_names, result.init_vals, strict=True):
        if not np.isfinite(out[name]._val):
            out[name].value = value
    return out
