"""Maps that are not there yet as variables of a Dataset: the layout of `BatchResult.to_dataset`, known before the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._version import __version__
from ...core.columns import free_name
from ..answer.dataset import FIELDS, STATUS_ATTRS, variable_names
from .blockfit import INTEGERS, BlockFit

if TYPE_CHECKING:
    from xarray import Dataset

__all__ = ["Place", "attributes", "dataset", "layout"]


@dataclass(frozen=True, eq=False)
class Place:
    """
    Where a map of a fit goes.

    Attributes
    ----------
    name : str
        Of the variable.
    lead : tuple of str
        Dimensions in front of those of the map.
    dtype : dtype
    attrs : dict
    """

    name: str
    lead: tuple[str, ...]
    dtype: Any
    attrs: Mapping[str, Any]


def layout(job: BlockFit, taken: tuple[str, ...]) -> dict[str, Place]:
    """
    The variables by the names that `BlockFit` gives its maps.

    Parameters
    ----------
    job : BlockFit
    taken : tuple of str
        Names of coordinates and dimensions, which variables can't have.
    """
    found: dict[str, Place] = {}
    for name, (value, error) in variable_names(job.names, taken).items():
        notes = {"long_name": name, "parameter": job.kinds[name], "ancillary_variables": error}
        found[name] = Place(value, (), np.dtype(float), notes)
        found[f"{name}_stderr"] = Place(error, (), np.dtype(float), {"long_name": f"standard error of {name}"})
    for name, long_name in FIELDS.items():
        about: dict[str, Any] = dict(STATUS_ATTRS) if name == "status" else {"long_name": long_name}
        found[name] = Place(free_name(name, taken), (), np.dtype(INTEGERS.get(name, float)), about)
    if job.covar:
        lead = tuple(free_name(name, taken) for name in ("parameter", "parameter_2"))
        found["covar"] = Place(free_name("covar", taken), lead, np.dtype(float), {"long_name": "covariance of the varied parameters"})
    return found


def attributes(job: BlockFit) -> dict[str, Any]:
    """Attributes of the whole."""
    scaled = bool(job.options.get("scale_covar", True))
    return {"surffit_model": str(job.model.name), "surffit_scale_covar": int(scaled), "surffit_version": __version__}


def dataset(job: BlockFit, maps: Mapping[str, Any], dims: list[Any], coords: Mapping[Any, Any], attrs: Mapping[Any, Any]) -> Dataset:
    """Maps (lazy ones, too) as a Dataset."""
    import xarray

    coords = dict(coords)
    places = layout(job, (*map(str, dims), *map(str, coords)))
    variables: dict[Any, Any] = {p.name: ((*p.lead, *dims), maps[key], dict(p.attrs)) for key, p in places.items()}
    for name in places["covar"].lead if job.covar else ():
        coords[name] = list(job.free)
    return xarray.Dataset(variables, coords, {**attrs, **attributes(job)})
