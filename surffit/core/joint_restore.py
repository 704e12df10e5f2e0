"""Joint results rebuilt from their numbers, without fitting: what a saved document becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lmfit.parameter import Parameters

from .joint_names import names_in
from .joint_part import PartResult, _correlate, _covariance, _error, _parameters, gradients
from .joint_result import JointResult
from .restore import restore

__all__ = ["restore_joint", "restore_part"]


def restore_joint(
    model: Any, params: Parameters, *, covar: np.ndarray | None, covar_names: list[str], stats: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Any]], constraints: Mapping[str, Mapping[str, float]],
) -> JointResult:  # fmt: skip
    """
    Rebuild a joint result: reports, tables, `eval` and `predict` at given coordinates work, for every data set.

    Parameters
    ----------
    model : JointModel
    params, covar, covar_names, stats
        As for `surffit.core.restore.restore`, under joint names.
    sets : mapping
        key: ``names`` (own name: joint name), ``ndata``, ``nfree``, ``chisqr``, ``redchi``, ``aic``, ``bic``.
    constraints : mapping
        Tied parameter: its derivatives by the name of the varied ones.
    """
    result: JointResult = restore(model, params, covar=covar, covar_names=covar_names, stats=stats, kind=JointResult)
    for name, slopes in constraints.items():
        result._constraints[name] = np.array([slopes.get(other, 0.0) for other in covar_names])
    counted = ("ndata", "nfree", "chisqr", "redchi")
    result._sets = {key: {name: facts[name] for name in counted} for key, facts in sets.items()}
    result._shares = {key: _share(result, key, facts) for key, facts in sets.items()}
    return result


def _share(result: JointResult, key: str, facts: Mapping[str, Any]) -> PartResult:
    """One data set's share of a rebuilt joint result."""
    names: dict[str, str] = dict(facts["names"])
    params = _parameters(result, names)
    moved, slopes = gradients(result, names)
    free = [i for i, name in enumerate(moved) if not params[name]._expr]
    moved, slopes = tuple(moved[i] for i in free), slopes[free]
    own_of = {joint: own for own, joint in names.items()}
    shared = {
        name: getattr(result, name)
        for name in ("method", "status", "reason", "message", "success", "aborted", "nfev", "scale_covar", "covar_source", "solver_status")
    }
    stats = {
        **shared,
        **{name: value for name, value in facts.items() if name != "names"},
        "linear": tuple(own_of[name] for name in getattr(result, "linear", ()) if name in own_of),
        "at_bound": tuple(own_of[name] for name in getattr(result, "at_bound", ()) if name in own_of),
        "explain": f"This is the data set {key!r} of a joint fit of {len(result)}; explain() of the joint result tells the whole.",
    }
    part: PartResult = restore(result.model.parts[key], params, covar=None, covar_names=list(moved), stats=stats, kind=PartResult)
    covariance = _covariance(result._covariance, slopes)
    if result.covar is not None:
        stderr = np.array([_error(result, names[name]) for name in moved])
        safe = np.where(np.isfinite(stderr), stderr, 0.0)
        with np.errstate(all="ignore"):
            part.covar = covariance.correlation * safe * safe[:, None]
            part.covar.flat[:: len(moved) + 1] = stderr**2
        _correlate(params, moved, covariance.correlation, stderr)
    if "_scatter" in result.__dict__:
        part._scatter = result._scatter
    part.__dict__.update(
        key=key, joint_names=names, errorbars=part.covar is not None, _no_errors=result._no_errors, _sd_scale=result._sd_scale,
        _covariance=covariance, _joint_nfree=result.nfree, _joint_redchi=result.redchi,
    )  # fmt: skip
    return part


def restore_part(
    model: Any, params: Parameters, *, covar: np.ndarray | None, covar_names: list[str], stats: Mapping[str, Any], part: Mapping[str, Any]
) -> PartResult:
    """
    Rebuild one data set's share that was saved by itself.

    Parameters
    ----------
    model, params, covar, covar_names, stats
        As for `surffit.core.restore.restore`.
    part : mapping
        ``key``, ``names`` (own name: joint name), and the joint fit's ``nfree`` and ``redchi``.
    """
    result: PartResult = restore(model, params, covar=covar, covar_names=covar_names, stats=stats, kind=PartResult)
    result.__dict__.update(key=part["key"], joint_names=dict(part["names"]), _joint_nfree=part["nfree"], _joint_redchi=part["redchi"])
    return result


def tied_slopes(result: JointResult) -> dict[str, dict[str, float]]:
    """Derivatives of the parameters that are tied by an expression, by name, zeros left out."""
    out = {}
    for name, row in result._constraints.items():
        if name in result.params and names_in(result.params[name].expr or ""):
            out[name] = {other: float(slope) for other, slope in zip(result._names, row, strict=True) if slope != 0 and np.isfinite(slope)}
    return out
