"""One data set's share of a joint fit, under the names of its own model."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from lmfit.minimizer import Minimizer
from lmfit.parameter import Parameters

from ..exceptions import ParameterError
from ..solve.around import innermost
from ..solve.covariance import Covariance
from . import bands, coststats
from .joint_names import copy_as, names_in
from .outcome import FitCall
from .parameters import copy_parameters
from .result import SurfaceResult

if TYPE_CHECKING:
    from .joint_result import JointResult


class PartResult(SurfaceResult):
    """
    What a joint fit says about one data set.

    Values, errors and the covariance are those of the joint fit, under the model's own names. `chisqr`, `redchi`, `ndata`,
    `nfree`, `residual` are of this data set alone; `nfree` counts its points minus its share of the parameters (the trace of
    its part of the hat matrix), so that the `nfree` of all data sets add up to that of the joint fit.
    """

    key: str
    joint_names: dict[str, str]
    dely: Any
    dely_comps: Any
    dely_predicted: Any

    def own_parameters(self, params: Parameters) -> Parameters:
        """Joint Parameters as the model of this data set takes them."""
        params = copy_parameters(params)
        params.update_constraints()
        own = copy_parameters(self.params)
        for name, joint in self.joint_names.items():
            if not own[name]._expr:
                own[name].value = params[joint].value
        own.update_constraints()
        return own

    def _banded(self) -> PartResult:
        """The same with the freedom and scatter of the joint fit, from which the errors come."""
        out = copy.copy(self.__dict__)
        whole = PartResult.__new__(PartResult)
        whole.__dict__.update(out)
        whole.__dict__.update(nfree=self._joint_nfree, redchi=self._joint_redchi)
        return whole

    def predict(self, level: float = 0.95, kind: str = "confidence", *, sigma_new: Any = None, **coords: Any) -> Any:
        """The model of this data set with its band; see `SurfaceResult.predict`."""
        return bands.predict(self._banded(), level, kind, sigma_new, coords)

    def eval_uncertainty(self, params: Any = None, sigma: float = 1, dscale: float = 0.01, **kwargs: Any) -> np.ndarray:
        """Uncertainty of the model of this data set; see `SurfaceResult.eval_uncertainty`."""
        whole = self._banded()
        out = bands.uncertainty(whole, params, sigma, kwargs)
        self.dely, self.dely_comps, self.dely_predicted = whole.dely, whole.dely_comps, whole.dely_predicted
        return out

    def tidy(self, level: float | None = None) -> Any:
        """One row per parameter of this data set's model; see `surffit.tables.tidy`."""
        from ..tables import tidy

        return tidy(self._banded(), level=level)

    def augment(self) -> Any:
        """The data set with fitted values and residuals; see `surffit.tables.augment`."""
        from ..tables import augment

        return augment(self._banded())

    def _refused(self, what: str) -> NoReturn:
        name = next(iter(self.joint_names.values()))
        msg = f"{what} is a matter of all data sets together; call it on the joint result, with joint names such as {name!r}"
        raise ParameterError(msg)

    def conf_interval(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: chi-square of one data set does not tell; use the joint result's."""
        self._refused("conf_interval()")

    def conf_interval2d(self, *args: Any, **kwargs: Any) -> Any:
        """Refused; see `conf_interval`."""
        self._refused("conf_interval2d()")

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Refused: fit the joint model again, or the model of this data set by itself."""
        self._refused("fit()")

    def minimize(self, *args: Any, **kwargs: Any) -> Any:
        """Refused; see `fit`."""
        self._refused("minimize()")

    def sample(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: the posterior is that of the joint fit."""
        self._refused("sample()")

    def covariance(self, estimator: str = "jacobian", rng: Any = None) -> Any:
        """The share of the joint covariance; other estimators are the joint result's."""
        if estimator != self.covar_source:
            self._refused(f"covariance({estimator!r})")
        return super().covariance(estimator)


def gradients(result: JointResult, names: dict[str, str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Own parameters that the fit moved, and their gradients (own, n) with respect to the joint free ones."""
    place = {name: i for i, name in enumerate(result._names)}
    moved, rows = [], []
    for own, joint in names.items():
        if joint in place:
            row = np.zeros(len(place))
            row[place[joint]] = 1.0
        else:
            tied = result._constraints.get(joint)
            if tied is None or not np.any(tied):
                continue
            row = tied
        moved.append(own)
        rows.append(row)
    return tuple(moved), np.array(rows).reshape(len(rows), len(place))


def leverages(result: JointResult) -> list[float]:
    """Trace of each data set's part of the hat matrix; together the rank."""
    outcome = result._outcome
    if outcome is None:
        return []
    problem: Any = outcome.bound.problem
    root, p = result._covariance.root, outcome.solution.p
    if not outcome.call.plain:
        # a loss weights the rows, a prior adds some that belong to no data set
        rows = coststats.leverage_rows(problem, p, root)
        inner: Any = innermost(problem)
        return [float(np.sum(rows[:, block.rows] ** 2)) for block in inner.blocks]
    out = []
    for block in problem.blocks:
        full = block.problem.full(p[block.index])
        if full is None:
            out.append(np.nan)
            continue
        J = full[1]
        norms = np.sqrt(np.einsum("ij,ij->i", J, J))
        rows = root[block.index] * norms[:, None]
        core = rows @ rows.T
        unit = J / np.where(norms > 0, norms, 1.0)[:, None]
        out.append(float(np.sum((unit @ unit.T) * core)))
    return out


def share(result: JointResult, key: str) -> PartResult:
    """The share of one data set in a joint fit."""
    model = result.model.parts[key]
    names = {own: joint for own, joint in result.model.names.joint[key].items() if joint in result.params}
    observed: Any = result.observed
    data = observed.parts[key]
    part = PartResult.__new__(PartResult)
    params = _parameters(result, names)
    init = _parameters(result, names, initial=True)
    Minimizer.__init__(
        part, model._residual, params, fcn_kws=dict(data.coords), nan_policy=model.nan_policy, scale_covar=result.scale_covar
    )
    moved, G = gradients(result, {own: joint for own, joint in names.items() if not params[own]._expr})
    covariance = _covariance(result._covariance, G)
    stderr = np.array([_error(result, names[name]) for name in moved])
    covar = None
    if result.covar is not None:
        safe = np.where(np.isfinite(stderr), stderr, 0.0)
        covar = covariance.correlation * safe * safe[:, None]
        covar.flat[:: len(moved) + 1] = stderr**2
        _correlate(params, moved, covariance.correlation, stderr)
    rows = result._rows_of(key)
    residual = result.residual[rows]
    chisqr = float(result._costs[rows].sum())
    ndata = residual.size
    nfree = float(ndata - result._leverage(key))
    likelihood = ndata * float(np.log(max(chisqr, 1e-250 * ndata) / ndata))
    own_of = {joint: own for own, joint in names.items()}
    call = result._call
    part.__dict__.pop("message", None)
    part.__dict__.update(
        key=key, joint_names=names, model=model, params=params, init_params=init, method=result.method, observed=data,
        data=data.opened.values,
        weights=data.weights, units=data.units, userargs=(data.opened.values, data.weights), ci_out=None, user_options=None, _started=[],
        _outcome=None, _names=moved, _notes=[], components=model.components, covar=covar, var_names=list(moved), nvarys=len(moved),
        nfree=nfree, ndata=ndata, residual=residual, chisqr=chisqr, redchi=chisqr / nfree if nfree > 1e-9 else np.nan,
        aic=likelihood + 2 * len(moved), bic=likelihood + float(np.log(ndata)) * len(moved), nfev=result.nfev, status=result.status,
        reason=result.reason, message=result.message, solver_status=result.solver_status, success=result.success, aborted=result.aborted,
        _abort=result.aborted, lmdif_message=result.lmdif_message, ier=result.ier, errorbars=covar is not None,
        covar_source=result.covar_source, _sd_scale=result._sd_scale, _covariance=covariance, _no_errors=result._no_errors, _constraints={},
        init_vals=[init[name].value for name in moved], _joint_nfree=result.nfree, _joint_redchi=result.redchi,
        linear=tuple(own_of[n] for n in result._linear if n in own_of), calc_covar=result.calc_covar, covar_notes=result.covar_notes,
        at_bound={own_of[n]: side for n, side in result._at_bound.items() if n in own_of},
        _explained=f"This is the data set {key!r} of a joint fit of {len(result)}; the joint result's explain() tells the whole.\n"
        f"{result.reason}",
        _call=FitCall(call.data[key], dict(data.coords), {}, None, call.nan_policy, result.method, None, result.scale_covar),
    )  # fmt: skip
    part.kws = {}
    if "_scatter" in result.__dict__:  # how a point scatters is what the common loss says
        part._scatter = result._scatter
    return part


def _parameters(result: JointResult, names: dict[str, str], initial: bool = False) -> Parameters:
    """The joint parameters under the part's own names; expressions stay where they speak of the part's own parameters only."""
    source = result.init_params if initial else result.params
    own_of = {joint: own for own, joint in names.items()}
    out = Parameters()
    for own, joint in names.items():
        par = source[joint]
        value, error = float(par.value), par.stderr
        inner = bool(par._expr) and all(name in own_of or name not in source for name in names_in(par._expr))
        new = copy_as(par, own, own_of)
        if par._expr and not inner:
            # tied to another data set: from here a number with an error
            new._expr, new._vary = None, True
        new._val = value
        new.stderr = None if initial else error
        new._delay_asteval = True
        out.add(new)
    for par in out.values():
        par._delay_asteval = False
    return out


def _error(result: JointResult, joint: str) -> float:
    error = result.params[joint].stderr
    return np.nan if error is None else float(error)


def _covariance(whole: Covariance, G: np.ndarray) -> Covariance:
    """The covariance of own parameters with the gradients G (own, n)."""
    root = G @ whole.root
    sd = np.sqrt(np.einsum("ij,ij->i", root, root))
    null = whole.null @ G.T
    lost = whole.undetermined @ (G != 0).T > 0 if G.size else np.zeros(len(G), dtype=bool)
    held = np.isnan(whole.sd) @ (G != 0).T > 0 if G.size else np.zeros(len(G), dtype=bool)
    unit = root / np.where(sd > 0, sd, 1.0)[:, None]
    correlation = unit @ unit.T
    silent = lost | held
    correlation[silent, :] = correlation[:, silent] = np.nan
    correlation.flat[:: len(G) + 1] = 1.0
    sd = np.where(lost, np.inf, np.where(held, np.nan, sd))
    return Covariance(sd, correlation, lost, null, root, int(np.count_nonzero(~silent)))


def _correlate(params: Parameters, names: tuple[str, ...], correlation: np.ndarray, stderr: np.ndarray) -> None:
    sure = [i for i in range(len(names)) if 0.0 < stderr[i] < np.inf]
    for i, name in enumerate(names):
        params[name].correl = {names[j]: float(correlation[i, j]) for j in sure if j != i} if i in sure else {}
