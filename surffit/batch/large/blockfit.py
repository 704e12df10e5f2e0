"""One block of a larger fit: arrays in, named maps out. What travels to other threads, processes and machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...core.bound import free_names
from ...core.keywords import has_option
from ...exceptions import DataError, ParameterError
from ..door.given import open_params
from ..door.keywords import as_batch_model, check_options, refuse_ambiguous, sort_variables
from ..door.laid import put_back
from ..plan import OFFERS
from ..task import Options

__all__ = ["INTEGERS", "BlockFit", "Call", "sort_call"]

# maps that hold whole numbers
INTEGERS = {"nobs": np.int32, "nfree": np.int32, "nfev": np.int32, "status": np.uint32}
MAPS = ("chisqr", "redchi", *INTEGERS)


@dataclass(frozen=True, eq=False)
class BlockFit:
    """
    `fit_many` on a block.

    Attributes
    ----------
    model : SurfaceModel
    params : dict or Parameters or None
        What all data sets share.
    fit_axes : tuple of int
    options : dict
        Further words of `fit_many`.
    opts : dict
        Options of the model.
    names : tuple of str
        All parameters.
    free : tuple of str
        Those that vary.
    kinds : dict of str to str
        "varied", "fixed" or the expression, by name of parameter.
    coordinates : tuple of str
        Names of the coordinates.
    """

    model: Any
    params: Any
    fit_axes: tuple[int, ...]
    options: Mapping[str, Any]
    opts: Mapping[str, Any]
    names: tuple[str, ...]
    free: tuple[str, ...]
    kinds: Mapping[str, str]
    coordinates: tuple[str, ...]

    @classmethod
    def of(cls, call: Call, shared: Any, laid: Iterable[str], fit_axes: tuple[int, ...], options: Mapping[str, Any]) -> BlockFit:
        """Find the names of the parameters; nothing is fitted."""
        # any number will do where each data set has its own
        known = dict(shared or {}) if shared is None or not hasattr(shared, "valuesdict") else shared
        for key in laid:
            end, _, name = key.partition(":")
            if end == "value" and name in known:
                known[name] = {**known[name], "value": 1.0}
        template = open_params(call.model, known, {}, ()).params
        kinds = {name: f"= {par.expr}" if par.expr else "varied" if par.vary else "fixed" for name, par in template.items()}
        return cls(call.model, shared, fit_axes, dict(options), call.opts, tuple(template), free_names(template), kinds, tuple(call.coords))

    @property
    def covar(self) -> bool:
        """Whether covariances are kept."""
        return bool(self.options.get("covar"))

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the maps, in their order."""
        return (*(f"{name}{end}" for name in self.names for end in ("", "_stderr")), *MAPS)

    def __call__(self, data: np.ndarray, parts: Mapping[str, np.ndarray], workers: int = 1) -> dict[str, np.ndarray]:
        """
        Fit.

        Parameters
        ----------
        data : ndarray
        parts : dict of str to ndarray
            ``sigma``, ``weights``, ``mask``, ``coord:name``, ``value:name``... with one axis per axis of the data.
        workers : int
            Threads.

        Returns
        -------
        dict of str to ndarray
            `variables`, shape of the map, and ``covar`` (parameters, parameters, *map) if asked for.
        """
        from ..fit import fit_many

        coords = {key.partition(":")[2]: self._coordinate(part) for key, part in parts.items() if key.startswith("coord:")}
        points = {key: parts[key] for key in ("sigma", "weights", "mask") if key in parts}
        params = put_back(self.params, parts, self.fit_axes)
        words: dict[str, Any] = {**points, **self.options, "coords": {**coords, **self.opts}, "workers": workers}
        batch = fit_many(self.model, data, self.fit_axes, params, **words)
        return self._maps(batch)

    def _coordinate(self, part: np.ndarray) -> np.ndarray:
        # those that all data sets share lie along the fit axes alone
        others = tuple(a for a in range(part.ndim) if a not in self.fit_axes)
        return np.squeeze(part, axis=others) if all(part.shape[a] == 1 for a in others) else part

    def _maps(self, batch: Any) -> dict[str, np.ndarray]:
        maps, shape = batch.maps, batch.shape
        found: dict[str, np.ndarray] = {}
        for name in self.names:
            found[name], found[f"{name}_stderr"] = batch._numbers(name)
        found["chisqr"], found["redchi"] = maps.chisqr, batch._redchi()
        found |= {name: getattr(maps, name) for name in INTEGERS}
        found = {name: array.reshape(shape) for name, array in found.items()}
        if self.covar:
            order = [batch.task.free.index(name) for name in self.free]
            found["covar"] = maps.covar[np.ix_(order, order)].reshape(len(order), len(order), *shape)
        return found


@dataclass(frozen=True, eq=False)
class Call:
    """
    What was asked for, sorted.

    Attributes
    ----------
    model : SurfaceModel
    coords, opts : dict
        Coordinates; options of the model.
    params : object
        Parameters, with starts that were given by keyword.
    """

    model: Any
    coords: Mapping[str, Any]
    opts: Mapping[str, Any]
    params: Any


def sort_call(
    model: Any, like: Any, given: Mapping[str, Any], params: Any, errors: Mapping[str, Any], options: Mapping[str, Any], where: str
) -> Call:
    """
    Look at a call before any data are read.

    Parameters
    ----------
    model : object
        As in `fit_many`.
    like : DataArray or None
        The data, where they have names.
    given : mapping
        What was given by name: coordinates, options of the model, starts.
    params : object
    errors : mapping
        ``sigma`` and ``weights``.
    options : mapping
        Further words of `fit_many`.
    where : str
        For errors: what it is that sees one chunk at a time.

    Raises
    ------
    ParameterError, DataError
        For calls that can't be right.
    """
    there = [value for value in errors.values() if value is not None]
    if len(there) > 1:
        msg = "sigma and weights were both given; the data error needs one of them (weights = 1/sigma)"
        raise DataError(msg)
    known = {field.name for field in fields(Options)}
    words = {name: value for name, value in options.items() if name in known}
    words["clip"] = "studentized" if options.get("clip") is True else options.get("clip") or None
    check_options(Options(**words), options.get("nan_policy", "flag"), options.get("on_error", "flag"), bool(there))
    engine = options.get("engine", "auto")
    if engine != "auto" and engine not in OFFERS:
        msg = f"engine={engine!r} is unknown; use 'auto' or one of {', '.join(map(repr, OFFERS))}"
        raise ParameterError(msg)
    start = options.get("start")
    if isinstance(start, str) and start in ("coarse", "neighbours"):
        msg = (
            f"start={start!r} looks at neighbouring data sets across the whole map, but {where} sees one chunk at a time; "
            "give starts as maps in params, or candidates by name: start={'name': [...]}"
        )
        raise ParameterError(msg, start=start)
    if isinstance(start, Mapping) and any(np.ndim(value) > 1 for value in start.values()):
        msg = f"start holds maps, but {where} sees one chunk at a time; give starts as maps in params"
        raise ParameterError(msg)
    if hasattr(params, "maps") and hasattr(params, "task"):
        msg = f"params is a batch, but {where} sees one chunk at a time; give its values as maps: params=dict(batch.values)"
        raise ParameterError(msg)
    if hasattr(params, "data_vars"):
        params = {str(name): params[name] for name in params.data_vars}
    model = as_batch_model(model, given, like, params)
    refuse_ambiguous(model, errors)
    view: Any = SimpleNamespace(dims=None if like is None else tuple(like.dims), data=like)
    coords, opts, starts = sort_variables(model, given, view)
    for name, value in opts.items():
        if isinstance(value, str) and name in model.independent_vars and not has_option(model, name):
            found = "none" if like is None else ", ".join(map(str, like.coords)) or "none"
            msg = f"{name}={value!r} names no coordinate of the data, which have {found}"
            raise DataError(msg)
    return Call(model, coords, opts, {**(params or {}), **starts} if starts else params)
