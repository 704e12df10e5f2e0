"""`SurfaceResult`: an lmfit ModelResult that always says how sure it is, and if it can't, why.

What a report needs is filled in at once; everything else (`best_fit`, `uvars`, `conditioning`, ...) is computed when it is
first asked for, because building it would cost more than a small fit.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import lmfit
import numpy as np
from lmfit.minimizer import Minimizer, MinimizerResult
from lmfit.model import ModelResult
from lmfit.parameter import Parameters

from ..exceptions import DataError, DocumentError, ParameterError
from ..solve.covariance import Covariance, from_factor
from ..solve.status import Status
from . import explain as words
from . import predict as bands
from .conditioning import Conditioning, assess
from .containers import Wrap
from .data import FitData
from .parameters import copy_parameters, rebuild

if TYPE_CHECKING:
    from .fitting import Outcome

LMFIT_DEFAULTS: dict[str, Any] = {
    "userargs": (), "kws": {}, "user_options": None, "ci_out": None, "_abort": False, "ier": None, "lmdif_message": None,
    "reduce_fcn": None, "col_deriv": False, "jacfcn": None, "aborted": False, "call_kws": {}, "flatchain": None,
}  # fmt: skip


class SurfaceResult(ModelResult):
    """
    Result of `SurfaceModel.fit`; everything an lmfit `ModelResult` offers, and:

    Attributes
    ----------
    status : Status
        How the fit ended, as named flags; `solver_status` is lmfit's own integer where lmfit's solver ran.
    reason : str
        The same in words.
    covar_source : str
        "jacobian", or "none" with the reason in `explain()`.
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
        self._values(outcome)
        self._errors(outcome)
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
        self.residual = here.r / problem.unit if problem.unit != 1.0 else here.r
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
                par.value  # noqa: B018 - evaluating refreshes lmfit's interpreter
        self.params = params
        self.init_vals = [self._first(name) for name in self.var_names]

    def _first(self, name: str) -> float:
        assert self._outcome is not None
        bound, solution = self._outcome.bound, self._outcome.solution
        if name in bound.names:
            i = bound.names.index(name)
            given = bound.start[i]
            return float(given if np.isfinite(given) else solution.start[i])
        return float(self.params[name].value)

    def _errors(self, outcome: Outcome) -> None:
        bound, solution = outcome.bound, outcome.solution
        problem = bound.problem
        self.covar = None
        self.errorbars = False
        self.covar_source = "none"
        for par in self.params.values():
            par.stderr, par.correl = 0.0, None
        self._covariance = cov = from_factor(solution.here, problem.n, solution.B, solution.rate)
        self._no_errors = ""
        if not self.calc_covar:
            self._no_errors = "calc_covar=False: no covariance was asked for."
        elif self.scale_covar and self.nfree <= 0:
            self._no_errors = (
                f"{self.ndata} points for {solution.here.f.rank} parameters leave no residual to judge the errors by; "
                "give sigma and scale_covar=False, or more data."
            )
        elif self.status & Status.NOT_A_MINIMUM:
            self._no_errors = "the point is not a minimum, so chi-square does not rise on all sides of it."
        # in the rows' own unit, where nothing under- or overflows; a fit without residual is sure to the rounding of the data only
        spread = np.sqrt(solution.here.chi2 / max(1, self.nfree))
        per_point = problem.noise / np.sqrt(problem.N)
        self._sd_scale = float(max(spread, per_point)) if self.scale_covar else problem.unit
        if self._no_errors:
            self._sd_scale = np.nan
        n = self.nvarys
        at = {name: i for i, name in enumerate(self.var_names)}
        where = [at[name] for name in bound.names]
        lost = [at[name] for name in bound.unused + bound.stepped]
        stderr, correlation = np.full(n, np.nan), np.full((n, n), np.nan)
        stderr[where] = cov.sd * self._sd_scale
        correlation[np.ix_(where, where)] = cov.correlation
        if not self._no_errors:
            stderr[lost] = np.inf
            safe = np.where(np.isfinite(stderr), stderr, 0.0)
            self.covar = correlation * safe * safe[:, None]
            self.covar[np.diag_indices(n)] = stderr**2
            self.covar_source, self.errorbars = "jacobian", True
        for i, name in enumerate(self.var_names):
            self.params[name].stderr = float(stderr[i])
        if self.covar is not None:
            usable = np.isfinite(stderr) & (stderr > 0)
            correlation = correlation.tolist()
            flags = usable.tolist()
            for i, name in enumerate(self.var_names):
                row = correlation[i]
                self.params[name].correl = {
                    other: row[j] for j, other in enumerate(self.var_names) if j != i and flags[i] and flags[j]
                }  # fmt: skip
        self._constraints = {}
        for name, par in self.params.items():
            if par.expr:
                g = self._constraint_gradient(name)
                par.stderr = float(bands.standard_error(self, g[:, None])[0]) if g is not None else np.nan
                if not self._no_errors and self._leans_on(name, bound.unused + bound.stepped):
                    par.stderr = np.inf

    def _constraint_gradient(self, name: str) -> np.ndarray | None:
        """Gradient of a constrained parameter with respect to the free ones."""
        outcome = self._outcome
        if outcome is None:
            return None
        structure = outcome.bound.structure
        params = self.params
        if structure is not None and name in structure.constraints:
            known = tuple(n for n in params if n not in self._names and n not in structure.constraints)
            program = structure.constraint_program(name, self._names, known)
            with np.errstate(all="ignore"):
                _, columns = program.full(
                    [params[n].value for n in self._names], [], [params[n].value for n in known], (0.0,) * len(program.coordinates)
                )
            g = np.array([0.0 if c is None else float(np.real(c)) for c in columns])
        else:
            g = self._constraint_differences(name)
        self._constraints[name] = g
        return g

    def _leans_on(self, name: str, lost: tuple[str, ...]) -> bool:
        """Whether a constrained parameter changes with one that the data say nothing about."""
        if not lost:
            return False
        scratch = copy_parameters(self.params)
        before = float(scratch[name].value)
        for other in lost:
            scratch[other].value = scratch[other].value + 0.5 * (abs(scratch[other].value) or 1.0)
        scratch.update_constraints()
        return float(scratch[name].value) != before

    def _constraint_differences(self, name: str) -> np.ndarray:
        """The same by central differences of lmfit's evaluation, for expressions that only lmfit understands."""
        scratch = copy_parameters(self.params)
        g = np.zeros(len(self._names))
        for j, free in enumerate(self._names):
            value, error = self.params[free].value, self.params[free].stderr or 0.0
            h = 1e-4 * error if np.isfinite(error) and error > 0 else 1e-6 * (abs(value) or 1.0)
            sides = []
            for moved in (value + h, value - h):
                scratch[free].value = moved
                scratch.update_constraints()
                sides.append(float(scratch[name].value))
            scratch[free].value = value
            scratch.update_constraints()
            g[j] = (sides[0] - sides[1]) / (2 * h)
        return g

    # ---- computed when asked for -----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
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

    def _make_uvars(self) -> dict[str, Any]:
        from uncertainties import correlated_values, ufloat

        out: dict[str, Any] = {}
        sure = [i for i, name in enumerate(self.var_names) if np.isfinite(self.params[name].stderr) and self.params[name].stderr > 0]
        if self.covar is not None and sure:
            values = correlated_values([self.params[self.var_names[i]].value for i in sure], self.covar[np.ix_(sure, sure)])
            out = {self.var_names[i]: value for i, value in zip(sure, values, strict=True)}
        for name, par in self.params.items():
            if name in out:
                continue
            g = self._constraints.get(name)
            if g is not None and np.isfinite(par.stderr) and par.stderr > 0:
                terms = [gj * (out[n] - out[n].nominal_value) for gj, n in zip(g, self._names, strict=True) if gj and n in out]
                out[name] = sum(terms, start=ufloat(par.value, 0.0) if not terms else par.value)
            elif par.stderr and np.isnan(par.stderr):
                out[name] = ufloat(par.value, np.nan)
            else:
                with np.errstate(all="ignore"):
                    out[name] = _exact(par.value) if not par.stderr else ufloat(par.value, par.stderr)
        return {name: out[name] for name in self.params}

    def _make_rsquared(self) -> float:
        data = np.asarray(self.observed.select(self.observed.data))
        left = data - self.observed.select(np.asarray(self.best_fit))
        spread = data - data.mean()
        return float(1.0 - np.sum(np.abs(left) ** 2) / max(float(np.sum(np.abs(spread) ** 2)), 1e-300))

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

    def eval_uncertainty(self, params: Any = None, sigma: float = 1, dscale: float = 0.01, **kwargs: Any) -> np.ndarray:
        """
        Uncertainty of the model at given coordinates, from exact derivatives.

        As in lmfit (`dely`, `dely_comps` and `dely_predicted` are set), but `dely_predicted` uses the error of a new data
        point, sigma (times the residual's factor if `scale_covar`), not the bare reduced chi-square.

        Parameters
        ----------
        params : Parameters, optional
            Where to evaluate; default: the best fit.
        sigma : float
            Number of standard deviations, or a probability below 1.
        dscale : float
            Accepted for lmfit's sake; exact derivatives need no step.
        **kwargs
            Coordinates; default: those of the fit.

        Returns
        -------
        ndarray, shape of the model's values
        """
        from scipy.special import erf
        from scipy.stats import t as student

        prob = sigma if sigma < 1 else float(erf(sigma / np.sqrt(2)))
        times = float(student.ppf((prob + 1) / 2, self.nfree)) if self.nfree > 0 else np.nan
        if not self.scale_covar:
            times = float(np.sqrt(2)) * _erfinv(prob)
        held = self.params
        if params is not None:
            self.params = params
        try:
            _, J = bands.gradient(self, kwargs)
            sd = bands.standard_error(self, J)
            self.dely = times * sd
            self.dely_comps = {}
            if len(self.model.components) > 1:
                for part in self.model.components:
                    label = part.prefix if len(part.prefix) > 1 else part._name
                    self.dely_comps[label] = times * bands.standard_error(self, bands.gradient(self, kwargs, part)[1])
        finally:
            self.params = held
        new = self._new_point_error(np.shape(sd), bool(kwargs))
        self.dely_predicted = times * (
            np.sqrt(sd**2 + new**2) if not np.iscomplexobj(sd) else np.sqrt(sd.real**2 + new**2) + 1j * np.sqrt(sd.imag**2 + new**2)
        )
        return self.dely

    def _new_point_error(self, shape: tuple[int, ...], moved: bool) -> np.ndarray | float:
        """Error of one more data point, in data units."""
        factor = float(np.sqrt(self.redchi)) if self.scale_covar else 1.0
        sigma = self.observed.sigma if self.observed is not None else None
        if sigma is None:
            return factor
        if shape == sigma.shape and not moved:
            return factor * sigma
        used = sigma[np.isfinite(sigma)]
        if used.size and np.ptp(used) <= 1e-9 * used.max():
            return factor * float(used.flat[0])
        # which error a new point would have is not known: the typical one of the data
        return factor * float(np.median(used)) if used.size else np.nan

    def predict(self, level: float = 0.95, kind: str = "confidence", *, sigma_new: Any = None, **coords: Any) -> Any:
        """
        The fitted model with its band.

        Parameters
        ----------
        level : float
            Probability between 0 and 1 that the band covers.
        kind : {"confidence", "prediction"}
            Where the model lies, or where a new data point will.
        sigma_new : array_like, optional
            Error of the new points, for "prediction" with unequal errors; default: that of the data.
        **coords
            New coordinates; default: those of the fit.

        Returns
        -------
        DataFrame with fit, lower, upper for 1-D coordinates, else a dict of three arrays.

        Raises
        ------
        DataError
            For a level outside (0, 1), or coordinates in other units.
        """
        from scipy.stats import norm, t as student  # noqa: I001 - beside its only use

        if not 0 < level < 1:
            msg = f"level = {level!r} is outside 0 to 1; for 95 % pass level=0.95"
            raise DataError(msg)
        if kind not in ("confidence", "prediction"):
            msg = f'kind={kind!r}; use "confidence" (where the model lies) or "prediction" (where a new point will)'
            raise DataError(msg)
        unknown = [name for name in coords if name not in self.model.independent_vars]
        if unknown:
            msg = f"predict() got {', '.join(unknown)}; the coordinates of {self.model.name} are {', '.join(self.model.independent_vars)}"
            raise DataError(msg)
        value, J = bands.gradient(self, coords)
        sd = bands.standard_error(self, J)
        if kind == "prediction":
            new = self._new_point_error(sd.shape, bool(coords)) if sigma_new is None else np.asarray(sigma_new, dtype=float)
            if sigma_new is not None and self.scale_covar:
                new = new * np.sqrt(self.redchi)
            sd = np.sqrt(sd**2 + new**2) if not np.iscomplexobj(sd) else np.sqrt(sd.real**2 + new**2) + 1j * np.sqrt(sd.imag**2 + new**2)
        tail = (1 + level) / 2
        times = float(norm.ppf(tail)) if not self.scale_covar else float(student.ppf(tail, self.nfree)) if self.nfree > 0 else np.nan
        shape = self.observed.shape if self.observed is not None and not coords else value.shape
        columns = {"fit": value, "lower": value - times * sd, "upper": value + times * sd}
        columns = {name: np.array(np.broadcast_to(column, np.broadcast_shapes(shape, column.shape))) for name, column in columns.items()}
        unit = self.units.get("data")
        if unit is not None:
            return {name: column * unit for name, column in columns.items()}
        if columns["fit"].ndim == 1:
            import pandas as pd

            index = self.observed.index if self.observed is not None and not coords else None
            for given in coords.values():
                index = given.index if hasattr(given, "reindex") and len(given) == len(columns["fit"]) else index
            return pd.DataFrame(columns, index=index)
        return columns

    def conf_interval(self, **kwargs: Any) -> Any:
        """Confidence intervals by profiling chi-square with our solver; same answer format as lmfit's."""
        from .profile import conf_interval

        self.ci_out = conf_interval(self, **kwargs)
        return self.ci_out

    def explain(self) -> str:
        """What the data say about the parameters and what they don't, in words."""
        return words.explain(self)

    def covariance(self, estimator: str = "jacobian", rng: Any = None) -> Any:
        """
        The covariance by one estimator.

        Parameters
        ----------
        estimator : {"jacobian"}
            How to get it.
        rng : optional
            Not used by "jacobian".

        Returns
        -------
        NamedCovariance
            With `.matrix` and `.names`.
        """
        if estimator != "jacobian":
            msg = f'estimator={estimator!r} is not available in this version; use "jacobian"'
            raise ParameterError(msg)
        if self.covar is None:
            msg = f"there is no covariance: {self._no_errors}"
            raise ParameterError(msg)
        return NamedCovariance(self.covar.copy(), tuple(self.var_names), "jacobian")

    # ---- tables, pictures, documents -------------------------------------------------------------------------------------

    def tidy(self, level: float | None = None) -> Any:
        """One row per parameter; see `surffit.tables.tidy`."""
        from ..tables import tidy

        return tidy(self, level=level)

    def glance(self) -> Any:
        """One row for the fit; see `surffit.tables.glance`."""
        from ..tables import glance

        return glance(self)

    def augment(self) -> Any:
        """The data with fitted values and residuals; see `surffit.tables.augment`."""
        from ..tables import augment

        return augment(self)

    def plot(self, *args: Any, **kws: Any) -> Any:
        """Data, model and residual; see `surffit.plot.plot`."""
        from .. import plot

        return plot.plot(self, *args, **kws)

    def plot_surface(self, ax: Any = None, **kws: Any) -> Any:
        """The fitted surface with the data; see `surffit.plot.plot_surface`."""
        from .. import plot

        return plot.plot_surface(self, ax=ax, **kws)

    def plot_residuals(self, *args: Any, **kws: Any) -> Any:
        """The residuals; see `surffit.plot.plot_residuals`."""
        from .. import plot

        return plot.plot_residuals(self, *args, **kws)

    def plot_fit(self, *args: Any, **kws: Any) -> Any:
        """lmfit's plot of a 1-D fit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return super().plot_fit(*args, **kws)

    def save(self, path: Any) -> None:
        """Write the fit as a document; see `surffit.io.save`."""
        from ..io import save

        save(self, path)

    def load(self, *args: Any, **kws: Any) -> NoReturn:
        """Refused: lmfit's loader runs code from the file."""
        msg = "result.load() and loads() would run code from the file; use surffit.load(path) for files of result.save(path)"
        raise DocumentError(msg)

    loads = load

    def dumps(self, **kws: Any) -> str:
        """The fit's document as JSON text (as `save` writes it)."""
        from ..io import document

        return json.dumps(document(self), allow_nan=False, **kws)

    def dump(self, fp: Any, **kws: Any) -> int:
        """Write `dumps()` to an open file."""
        return int(fp.write(self.dumps(**kws)))

    # ---- lmfit's solvers, for those who call them on a result --------------------------------------------------------------

    def minimize(self, method: str = "leastsq", params: Parameters | None = None, **kws: Any) -> MinimizerResult:
        """Minimise again by `method`, in unit scale; the answer is a `MinimizerResult`, as in lmfit."""
        call = self._call
        fresh = self.model.fit(
            call.data, params if params is not None else self.params, method=method, fit_kws=kws, mask=call.mask, nan_policy=call.nan_policy,
            scale_covar=self.scale_covar, calc_covar=self.calc_covar, coords=call.coords, coerce_farray=call.coerce, **_drop_none(call.errors),
        )  # fmt: skip
        return fresh.result

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
            for name in ("conditioning", "best_fit", "uvars", "init_params", "reason", "message"):
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


class NamedCovariance:
    """A covariance matrix with its parameters' names and its source."""

    def __init__(self, matrix: np.ndarray, names: tuple[str, ...], source: str) -> None:
        self.matrix, self.names, self.source = matrix, names, source

    def __repr__(self) -> str:
        return f"NamedCovariance({', '.join(self.names)}; from the {self.source})"


def _portable(data: FitData) -> FitData:
    """The data without the closure that re-wraps them: pickle can't carry it."""
    return replace(data, opened=replace(data.opened, wrap=_identity))


def _identity(out: np.ndarray) -> np.ndarray:
    return out


def _drop_none(errors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in errors.items() if value is not None}


def _erfinv(prob: float) -> float:
    from scipy.special import erfinv

    return float(erfinv(prob))


def _exact(value: float) -> Any:
    """A ufloat without error; the package warns about those, which is not the user's concern here."""
    import warnings

    from uncertainties import ufloat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ufloat(value, 0.0)


def restore(
    model: Any, params: Parameters, *, covar: np.ndarray | None, covar_names: list[str], stats: Mapping[str, Any], data: Any = None,
    coords: Mapping[str, Any] | None = None,
) -> SurfaceResult:  # fmt: skip
    """
    Rebuild a result from its numbers, without fitting: reports, `eval` and `predict` at given coordinates work.

    Parameters
    ----------
    model : SurfaceModel or None
        None: the numbers only.
    params : Parameters
        Values and errors.
    covar : ndarray or None
        Covariance of `covar_names`.
    stats : mapping
        Attributes by name (chisqr, redchi, nfev, status, ...); `explain` is the saved text.
    """
    if model is None:
        model = _no_model(covar_names)
    result = SurfaceResult.__new__(SurfaceResult)
    Minimizer.__init__(result, model._residual, params, fcn_kws=dict(coords or {}))
    fields = dict(stats)
    text = fields.pop("explain", "")
    n = len(covar_names)
    block = np.zeros((n, n)) if covar is None else np.where(np.isfinite(covar), covar, 0.0)
    values, vectors = np.linalg.eigh(block) if n else (np.zeros(0), np.zeros((0, 0)))
    lost = np.zeros(n, dtype=bool) if covar is None else np.isinf(covar.diagonal())
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    # the directions themselves were not saved, so any effect of an undetermined parameter counts as undetermined
    null = np.eye(n)[lost]
    result.__dict__.update(
        model=model, data=data, weights=None, ci_out=None, user_options=None, observed=None, units={}, userargs=(data, None),
        _names=tuple(covar_names), _notes=[], _started=[], _outcome=None, _explained=text, components=model.components, covar=covar,
        var_names=list(covar_names), nvarys=n, errorbars=covar is not None, _sd_scale=1.0 if covar is not None else np.nan, _constraints={},
        _no_errors="" if covar is not None else "the document holds no covariance.", residual=None, init_vals=[], method="separable",
        _covariance=Covariance(np.sqrt(block.diagonal()), block, lost, null, root, int(n - lost.sum())),
        init_params=params, init_values={}, best_fit=None, init_fit=None, call_kws={}, aborted=False, _abort=False, solver_status=None,
        rsquared=None,
    )  # fmt: skip
    for name, value in fields.items():
        result.__dict__[name] = Status(value) if name == "status" and isinstance(value, int) else value
    for i, name in enumerate(covar_names):
        if covar is not None and name in params and params[name].stderr:
            scale = params[name].stderr
            params[name].correl = {
                other: float(covar[i, j] / (scale * params[other].stderr))
                for j, other in enumerate(covar_names)
                if j != i and np.isfinite(covar[i, j]) and params[other].stderr
            }
    return result


def _no_model(names: list[str]) -> Any:
    """Stands in where a document has no model: it holds names, and evaluating asks for the model."""
    from .model import SurfaceModel

    def missing_model(x: Any, **parameters: Any) -> Any:
        msg = "the document holds no model, so it can't be evaluated; load it with surffit.load(path, model=...)"
        raise DocumentError(msg)

    return SurfaceModel(missing_model, independent_vars=["x"], name="unknown model")


_LAZY: dict[str, Any] = {
    "best_fit": lambda r: r._wrapped(r._eval_shape(r.params)),
    "init_fit": lambda r: r._wrapped(r._eval_shape(r.init_params)),
    "residual_map": lambda r: r._wrapped(r.observed.expand(r.observed.select(r.observed.data - np.asarray(r._eval_shape(r.params))))),
    "init_params": lambda r: _initial(r),
    "init_values": lambda r: r.model._make_all_args(r.init_params),
    "best_values": lambda r: r.model._make_all_args(r.params),
    "uvars": lambda r: r._make_uvars(),
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


