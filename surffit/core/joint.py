"""`JointModel`: several data sets fitted together, with parameters that are common to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import lmfit
import numpy as np
from lmfit.parameter import Parameters

from ..exceptions import DataError, ParameterError
from .data import NAN_POLICIES, open_door
from .documented import Documented
from .fitting import fit
from .joint_data import JointData, per_key, quoted
from .joint_names import Names, as_parts, copy_as
from .joint_result import JointResult
from .keywords import has_option
from .model import RESERVED, SurfaceModel
from .outcome import FitCall
from .parameters import check_parameters, complete, untouched, with_starts
from .structure import Structure, evaluate, leaves

ERRORS = ("weights", "sigma", "var", "ivar")


class JointModel(Documented, lmfit.Model):
    """
    Several data sets, each with a model of its own, fitted together.

    Parameters named in `shared` are one parameter for all models that have them and keep their names; every other one belongs
    to its data set and is called ``key_name``. Expressions may tie any of them.

    Parameters
    ----------
    models : dict of str to lmfit.Model, or sequence of lmfit.Model
        A model for each data set; any SurfaceModel, lmfit model or composite, the same one as often as you like. The keys are
        identifiers; the models of a sequence are called d0, d1, ...
    shared : sequence of str
        Names (prefixes included) of the parameters that are common to all models that have them.
    name : str, optional
        Name of the model.

    Attributes
    ----------
    parts : dict of str to SurfaceModel
    shared : tuple of str

    Raises
    ------
    ParameterError
        If keys, shared names or models can't be right, or two parameters would have one name.

    Examples
    --------
    >>> import numpy as np
    >>> def decay(t, height, tau):
    ...     return height * np.exp(-t / tau)
    >>> model = SurfaceModel(decay)
    >>> joint = JointModel({"r": model, "w": model}, shared=["tau"])
    >>> joint.param_names
    ['r_height', 'tau', 'w_height']
    >>> t, s = np.linspace(0, 3, 20), np.linspace(0, 8, 30)
    >>> result = joint.fit({"r": 2 * np.exp(-t / 1.5), "w": 5 * np.exp(-s / 1.5)}, tau=1.0, t={"r": t, "w": s})
    >>> [float(round(v, 9)) for v in result.best_values.values()]
    [2.0, 1.5, 5.0]
    >>> float(round(result["w"].params["height"].value, 9))
    5.0
    """

    def __init__(
        self, models: Mapping[str, lmfit.Model] | Sequence[lmfit.Model], shared: Sequence[str] = (), *, name: str | None = None
    ) -> None:
        parts = as_parts(models)
        # a model that serves several data sets is wrapped once, and traced once
        wrapped = {id(model): SurfaceModel.from_lmfit(model) for model in parts.values()}
        self.parts: dict[str, SurfaceModel] = {key: wrapped[id(model)] for key, model in parts.items()}
        self.shared = (shared,) if isinstance(shared, str) else tuple(shared)
        self._structures: dict[Any, Structure] = {}
        self._stated_linear: tuple[str, ...] | None = None
        own = {id(part): part_parameters(part) for part in self.parts.values()}
        self.names = Names({key: list(own[id(part)]) for key, part in self.parts.items()}, self.shared)
        super().__init__(
            _joint,
            [],
            [],
            name=name or f"joint({', '.join(self.parts)})" if len(self.parts) < 7 else f"joint of {len(self.parts)} data sets",
        )
        self.independent_vars = list(dict.fromkeys(v for part in self.parts.values() for v in part.independent_vars))
        self._param_names = list(dict.fromkeys(n for key, part in self.parts.items() for n in self._asked(key, part)))
        self._refuse_names()

    def _asked(self, key: str, part: SurfaceModel) -> list[str]:
        """Joint names of the parameters that a part's function takes."""
        return [self.names.joint[key][own] for own in part.param_names if own in self.names.joint[key]]

    def _refuse_names(self) -> None:
        for name in self.names.all:
            if name in RESERVED:
                msg = f"a parameter would be called {name!r}, which is a keyword of fit(); rename its key or argument"
                raise ParameterError(msg, name=name)
            if name in self.independent_vars:
                msg = f"a parameter would be called {name!r}, which is also a coordinate; rename one of them"
                raise ParameterError(msg, name=name)

    # ---- what an lmfit Model offers --------------------------------------------------------------------------------------

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the data sets."""
        return tuple(self.parts)

    @property
    def components(self) -> list[Any]:
        """The models of the data sets."""
        return list(self.parts.values())

    @property
    def linear(self) -> tuple[str, ...]:
        """Joint names of the parameters that each part by itself solves exactly and no part searches."""
        affine: dict[str, None] = {}
        bent: set[str] = set()
        for key, part in self.parts.items():
            names = self.names.joint[key]
            affine |= dict.fromkeys(names[name] for name in part.linear)
            bent |= {names[name] for name in part.param_names if name not in part.linear}
        return tuple(name for name in affine if name not in bent)

    def _reprstring(self, long: bool = True) -> str:
        if len(self.parts) > 6:
            return f"JointModel({len(self.parts)} data sets, shared: {', '.join(self.shared) or 'none'})"
        inside = ", ".join(f"{key}: {part._reprstring(long=long)}" for key, part in self.parts.items())
        return f"JointModel({inside}; shared: {', '.join(self.shared) or 'none'})"

    def make_params(self, verbose: bool = False, **kwargs: Any) -> Parameters:
        """
        Parameters under their joint names, with the hints of every part.

        Parameters
        ----------
        verbose : bool
            As in lmfit.
        **kwargs
            Values, or dicts of attributes, by joint name.

        Raises
        ------
        ParameterError
            If a name is none of the parameters, or parts disagree about a shared one.
        """
        params = Parameters()
        found: dict[str, Any] = {}
        made: dict[int, Parameters] = {}
        for key, part in self.parts.items():
            if id(part) not in made:
                made[id(part)] = part_parameters(part)
            names = self.names.joint[key]
            for own, par in made[id(part)].items():
                new = copy_as(par, names[own], names)
                found[names[own]] = new if names[own] not in found else _agreed(found[names[own]], new)
        for name, par in found.items():
            par._delay_asteval = True
            params.add(par)
            if verbose:
                print(f' - Adding parameter "{name}"')
        for name, hint in self.param_hints.items():
            if name not in params:
                params.add(lmfit.Parameter(name))
                params[name]._delay_asteval = True
            for item in self._hint_names:
                if item in hint:
                    setattr(params[name], item, hint[item])
        for name, value in kwargs.items():
            if name not in params:
                raise _unknown(name, list(params), "a parameter")
            if isinstance(value, dict):
                params[name].set(**value)
            else:
                params[name].set(value=float(value))
        for par in params.values():
            par._delay_asteval = False
        return params

    def guess(self, data: Any, **kwargs: Any) -> Parameters:
        """
        Starts from the data, by the `guess` of each part that has one.

        Parameters
        ----------
        data : dict
            By key.
        **kwargs
            Coordinates, as for `fit`.

        Raises
        ------
        NotImplementedError
            If no part has a `guess`.
        """
        sets = self._data(data)
        coords = {name: per_key(name, value, self.keys, self._takers(name)) for name, value in kwargs.items()}
        found = {
            key: _guessed(part, sets[key], {name: values[key] for name, values in coords.items() if key in values})
            for key, part in self.parts.items()
        }
        if all(one is None for one in found.values()):
            msg = f"guess() is not known for any model of {self.name}; give starts by make_params(...)"
            raise NotImplementedError(msg)
        return self._merged(found)

    def _merged(self, found: Mapping[str, Parameters | None]) -> Parameters:
        """Guessed starts of the parts under joint names; of a shared parameter the median."""
        params = self.make_params()
        values: dict[str, list[float]] = {}
        for key, guessed in found.items():
            for own, par in (guessed or {}).items():
                joint = self.names.joint[key].get(own)
                if joint is not None and not params[joint].expr and np.isfinite(par.value):
                    values.setdefault(joint, []).append(float(par.value))
        for name, given in values.items():
            params[name].value = float(np.median(given))
        return params

    def eval(self, params: Parameters | None = None, **kwargs: Any) -> dict[str, Any]:
        """
        Every part's values.

        Parameters
        ----------
        params : Parameters, optional
            Joint names.
        **kwargs
            Coordinates (a dict by key, or one for all), and values of parameters by joint name, which win over `params`.

        Returns
        -------
        dict
            By key.
        """
        given = complete(self, params, verbose=False)
        coords, starts = self._sorted(kwargs, {})
        with_starts(given, starts)
        given.update_constraints()
        values = {name: par.value for name, par in given.items()}
        return {
            key: evaluate(part, {own: values[joint] for own, joint in self.names.joint[key].items()}, coords[key])
            for key, part in self.parts.items()
        }

    def eval_components(self, params: Parameters | None = None, **kwargs: Any) -> dict[str, Any]:
        """The same as `eval`: the components of a joint model are its parts."""
        return self.eval(params, **kwargs)

    def _residual(self, params: Parameters, data: Any, weights: Any, **kwargs: Any) -> np.ndarray:
        """Weighted residuals, one data set after the other."""
        values = self.eval(params, **kwargs)
        rows = []
        for key, value in values.items():
            left = np.asarray(data[key]) - np.asarray(value)
            w = None if weights is None else weights[key]
            left = (left if w is None else left * w).ravel()
            rows.append(left.view(float) if np.iscomplexobj(left) else left)
        return np.concatenate(rows)

    def _make_all_args(self, params: Parameters | None = None, **kwargs: Any) -> dict[str, Any]:
        return {} if params is None else {name: par.value for name, par in params.items() if name in self.names.all}

    def _compose(self, other: Any) -> NoReturn:
        msg = "a JointModel can't be added or multiplied; compose the models of its data sets"
        raise ParameterError(msg)

    __add__ = __sub__ = __mul__ = __truediv__ = __radd__ = __rsub__ = __rmul__ = __rtruediv__ = _compose

    def copy(self, **kwargs: Any) -> JointModel:
        """An independent copy; `name` may change."""
        unknown = [key for key in kwargs if key != "name"]
        if unknown:
            msg = f"copy() of a JointModel changes name, not {unknown[0]!r}"
            raise ParameterError(msg)
        copies = {id(part): part.copy() for part in self.parts.values()}
        out = JointModel({key: copies[id(part)] for key, part in self.parts.items()}, self.shared, name=kwargs.get("name", self._name))
        out.param_hints = {name: dict(hint) for name, hint in self.param_hints.items()}
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_structures": {}}

    # ---- fitting ---------------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        params: Parameters | None = None,
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
    ) -> JointResult:
        """
        Fit all data sets together.

        Everything but the data is given by a dict whose keys are exactly those of the data sets, or once for all. In the dict,
        None leaves it out for that data set.

        Parameters
        ----------
        data : dict
            A data set per key, each in any shape and container that `SurfaceModel.fit` takes.
        params : lmfit.Parameters, optional
            Starts, bounds, constraints by joint names (`make_params`); never changed. Linear parameters need no start.
        weights : array_like or dict, optional
            1/sigma (not squared); 0 excludes a point.
        method, iter_cb, scale_covar, verbose, fit_kws, calc_covar, max_nfev, coerce_farray
            As for one data set (`SurfaceModel.fit`). `scale_covar` scales by the reduced chi-square of all data sets together.
        nan_policy : {"raise", "omit"}, optional
            Overrides those of the models, for this fit only.
        sigma, var, ivar : array_like or dict, optional
            Data error in place of `weights`; never a start.
        mask : array_like or dict of bool, optional
            True = excluded.
        loss, priors
            As for one data set.
        coords : dict, optional
            Coordinates whose names are keywords of this function.
        **kwargs
            Coordinates, options of the model functions, and starts by joint name.

        Returns
        -------
        JointResult
            ``result["key"]`` is the share of one data set in it.

        Raises
        ------
        DataError, ParameterError, LinearityError
            For calls that can't be right; a fit that goes badly returns a result that says so.
        """
        if nan_policy is not None and nan_policy not in NAN_POLICIES:
            msg = f'nan_policy={nan_policy!r} is not available; use "raise", or "omit" to exclude non-finite points'
            raise ParameterError(msg)
        self._data(data)
        errors = {"weights": weights, "sigma": sigma, "var": var, "ivar": ivar}
        with untouched(self):
            given = complete(self, params, verbose)
        _, starts = self._sorted(kwargs, coords or {}, given)
        with_starts(given, starts)
        check_parameters(given)
        options = {name: kwargs[name] for name in kwargs if name not in starts} | dict(coords or {})
        request = FitCall(
            data=data, coords=options, errors=errors, mask=mask, nan_policy=nan_policy, method=method, iter_cb=iter_cb,
            scale_covar=scale_covar, calc_covar=calc_covar, max_nfev=max_nfev, fit_kws=dict(fit_kws or {}), coerce=coerce_farray,
            loss=loss, priors=priors,
        )  # fmt: skip
        with np.errstate(all="ignore"):
            outcome = fit(self, given, request)
            return JointResult(outcome.model, outcome)

    def _open(self, request: FitCall) -> JointData:
        """Every data set through the one door."""
        sets = self._data(request.data)
        coords, _ = self._sorted({}, request.coords)
        errors = {name: per_key(name, value, self.keys, self.keys) for name, value in request.errors.items() if value is not None}
        masks = per_key("mask", request.mask, self.keys, self.keys)
        opened = {}
        for key, part in self.parts.items():
            policy = request.nan_policy or part.nan_policy
            try:
                opened[key] = open_door(
                    sets[key], coords[key], mask=masks[key], nan_policy=policy, coerce=request.coerce,
                    **{name: values[key] for name, values in errors.items()},
                )  # fmt: skip
            except DataError as err:
                err.args = (f"data set {key!r}: {err}",)
                raise
        by_name: dict[str, dict[str, Any]] = {}
        for key, data in opened.items():
            for name, value in data.coords.items():
                by_name.setdefault(name, {})[key] = value
        units = {key: data.units for key, data in opened.items() if data.units}
        return JointData(opened, by_name, units=units)

    def _data(self, data: Any) -> Mapping[str, Any]:
        if not isinstance(data, Mapping):
            msg = f"data is a {type(data).__name__}; give one data set per key: {{{', '.join(f'{key!r}: ...' for key in self.keys[:3])}}}"
            raise DataError(msg)
        return per_key("data", data, self.keys, self.keys)

    def _takers(self, name: str) -> list[str]:
        """Data sets whose model takes an argument."""
        out = []
        for key, part in self.parts.items():
            own = self.names.joint[key]
            option = any(name in leaf._func_allargs or leaf._func_haskeywords for leaf in leaves(part)) and name not in own
            if name in part.independent_vars or option:
                out.append(key)
        return out

    def _sorted(
        self, kwargs: Mapping[str, Any], coords: Mapping[str, Any], params: Parameters | None = None
    ) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Keywords become coordinates and options by key and name, or starts by joint name."""
        out: dict[str, dict[str, Any]] = {key: {} for key in self.keys}
        starts = {}
        for name in coords:
            if name in kwargs:
                msg = f"coordinate {name!r} was given twice, as a keyword and in coords"
                raise ParameterError(msg, name=name)
        for name, value in {**kwargs, **coords}.items():
            if name not in self.independent_vars and (name in self.names.all or (params is not None and name in params)):
                starts[name] = value
                continue
            takers = self._takers(name)
            if not takers:
                raise _unknown(name, [*self.independent_vars, *self.names.all, *ERRORS, "mask", "method"], "a coordinate or parameter")
            for key, given in per_key(name, value, self.keys, takers).items():
                out[key][name] = given
        for key, part in self.parts.items():
            missing = [v for v in part.independent_vars if v not in out[key] and not has_option(part, v)]
            if missing:
                one = missing[0]
                msg = f"coordinate {one} of data set {key!r} is missing; pass fit(data, {one}={{{key!r}: ...}}), or one {one} for all"
                raise ParameterError(msg, names=tuple(missing))
        return out, starts


def part_parameters(part: SurfaceModel) -> Parameters:
    """A part's own parameters, the model left as it is."""
    with untouched(part):
        return part.make_params()


def _guessed(part: SurfaceModel, data: Any, coords: Mapping[str, Any]) -> Parameters | None:
    if type(part).guess is lmfit.Model.guess:
        return None
    try:
        return part.guess(data, **coords)
    except NotImplementedError:
        return None


def _agreed(one: Any, two: Any) -> Any:
    """A shared parameter as two parts want it: the first start there is, bounds that hold for both."""
    if one._expr != two._expr:
        msg = f"the shared parameter {one.name} is tied by {one._expr!r} in one model and by {two._expr!r} in another; make them agree"
        raise ParameterError(msg, name=one.name)
    low, high = max(one.min, two.min), min(one.max, two.max)
    if low >= high:
        msg = (
            f"the shared parameter {one.name} has bounds [{one.min:g}, {one.max:g}] in one model and [{two.min:g}, {two.max:g}] in another"
        )
        raise ParameterError(msg + "; make them overlap", name=one.name)
    value = one._val if np.isfinite(one._val) else two._val
    one.min, one.max = low, high
    one._val = float(np.clip(value, low, high)) if np.isfinite(value) else value
    one._vary = one._vary and two._vary
    return one


def _unknown(name: str, known: Sequence[str], what: str) -> ParameterError:
    close = [n for n in known if n.endswith(f"_{name}")][:1] or get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {quoted(list(known))}"
    msg = f"{name!r} is not {what} of the joint model; {hint}"
    return ParameterError(msg, name=name)


def _joint() -> None:
    """Stands where a joint model has no function of its own; its parts do."""
