"""One block of a larger fit: arrays in, named maps out. What travels to other threads, processes and machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.asmodel import as_model, as_params
from ..core.bound import free_names
from ..exceptions import ParameterError
from .laid import put_back

__all__ = ["INTEGERS", "BlockFit", "refuse_whole_map"]

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
    params : Parameters, dict or None
        What all data sets share.
    fit_axes : tuple of int
    options : dict
        Further words of `fit_many`.
    names : tuple of str
        All parameters.
    free : tuple of str
        Those that vary.
    coordinates : tuple of str
        Names of the coordinates.
    kinds : dict of str to str
        "varied", "fixed" or the expression, by name of parameter.
    """

    model: Any
    params: Any
    fit_axes: tuple[int, ...]
    options: Mapping[str, Any]
    names: tuple[str, ...]
    free: tuple[str, ...]
    coordinates: tuple[str, ...]
    kinds: Mapping[str, str]

    @classmethod
    def of(cls, model: Any, params: Any, fit_axes: tuple[int, ...], coordinates: tuple[str, ...], options: Mapping[str, Any]) -> BlockFit:
        """Find the names of the parameters; nothing is fitted."""
        model = as_model(model, coordinates)
        known = as_params(model, params)
        known = model.make_params() if known is None else known
        kinds = {name: f"= {par.expr}" if par.expr else "varied" if par.vary else "fixed" for name, par in known.items()}
        return cls(model, params, fit_axes, dict(options), tuple(known), free_names(known), coordinates, kinds)

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
        from .fit import fit_many

        coords = {key.partition(":")[2]: self._coordinate(part) for key, part in parts.items() if key.startswith("coord:")}
        points: dict[str, Any] = {key: parts[key] for key in ("sigma", "weights", "mask") if key in parts}
        params = put_back(self.params, parts, self.fit_axes)
        batch = fit_many(self.model, data, self.fit_axes, params, coords=coords, workers=workers, **points, **self.options)
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


def refuse_whole_map(options: Mapping[str, Any], where: str) -> None:
    """Starts that look at the whole map don't go with data that are seen chunk by chunk."""
    start = options.get("start")
    if isinstance(start, str) and start in ("coarse", "neighbours"):
        msg = (
            f"start={start!r} looks at neighbouring data sets across the whole map, but {where} sees one chunk at a time; "
            "use start='grid' or give starts as maps in params"
        )
        raise ParameterError(msg, start=start)
