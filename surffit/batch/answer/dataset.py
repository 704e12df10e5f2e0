"""A batch as an xarray Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._version import __version__
from ...core.columns import free_name
from ...exceptions import DataError
from ...solve.status import Status

if TYPE_CHECKING:
    from xarray import Dataset

    from .result import BatchResult

__all__ = ["FIELDS", "STATUS_ATTRS", "to_dataset", "variable_names"]

FIELDS = {
    "chisqr": "sum of the squared weighted residuals",
    "redchi": "chi-square per degree of freedom",
    "nobs": "number of points used",
    "nfree": "degrees of freedom",
    "nfev": "evaluations of the model",
    "status": "how the fit ended",
}
# as the CF conventions want it: several flags may stand together
STATUS_ATTRS = {
    "long_name": FIELDS["status"],
    "flag_masks": np.array([int(flag) for flag in Status], dtype=np.uint32),
    "flag_meanings": " ".join(str(flag.name) for flag in Status),
}


def variable_names(names: tuple[str, ...], taken: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Names of the variables of value and error by parameter, none of them one of `taken` (coordinates) or of our own."""
    used = {*taken, *FIELDS, "covar", "parameter", "parameter_2"}
    found = {}
    for name in names:
        value = free_name(name, used)
        used.add(value)
        error = free_name(f"{name}_stderr", used)
        used.add(error)
        found[name] = (value, error)
    return found


def to_dataset(batch: BatchResult) -> Dataset:
    """See `BatchResult.to_dataset`."""
    try:
        import xarray as xr
    except ImportError as err:
        msg = "to_dataset() makes an xarray Dataset; install it with: pip install 'surffit[parallel]'"
        raise DataError(msg) from err
    labels, maps, task = batch.labels, batch.maps, batch.task
    dims, template = labels.dims, labels.template
    coords = {} if template is None else dict(template.coords)
    taken = (*dims, *map(str, coords))
    variables: dict[str, Any] = {}
    for name, (value_name, error_name) in variable_names(batch.param_names, taken).items():
        value, error = batch._numbers(name)
        kind = "fixed" if name in task.known else f"= {task.params[name].expr}" if name in task.tied else "varied"
        notes = {"long_name": name, "parameter": kind, "ancillary_variables": error_name}
        variables[value_name] = (dims, value.reshape(batch.shape), notes)
        variables[error_name] = (dims, error.reshape(batch.shape), {"long_name": f"standard error of {name}"})
    numbers = {"chisqr": maps.chisqr, "redchi": batch._redchi(), "nobs": maps.nobs, "nfree": maps.nfree, "nfev": maps.nfev}
    for name, long_name in FIELDS.items():
        clear = free_name(name, taken)
        if name == "status":
            variables[clear] = (dims, maps.status.reshape(batch.shape), dict(STATUS_ATTRS))
        else:
            variables[clear] = (dims, numbers[name].reshape(batch.shape), {"long_name": long_name})
    if maps.covar is not None:
        one, two = (free_name(name, taken) for name in ("parameter", "parameter_2"))
        variables[free_name("covar", taken)] = ((one, two, *dims), batch.covar, {"long_name": "covariance of the varied parameters"})
        coords |= {one: list(task.free), two: list(task.free)}
    attrs: dict[str, Any] = {
        **({} if template is None else template.attrs),
        "surffit_model": str(batch.model.name),
        "surffit_engine": batch.engine,
        "surffit_scale_covar": int(task.options.scale_covar),
        "surffit_complete": int(batch.complete),
        "surffit_version": __version__,
    }
    return xr.Dataset(variables, coords=coords, attrs=attrs)
