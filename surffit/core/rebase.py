r"""
A fit in another basis: the same surface, its coefficients and their covariance mapped exactly.

New coefficients are M times the old ones, with M in double-double. The root of the covariance, and the directions that the data
leave open, are mapped by the same M: so an error bar in monomials has the digits of the basis in which the fit was solved, and
a coefficient is undetermined in the new basis exactly if it depends on an open direction.
"""

from __future__ import annotations

import textwrap
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bases.polynomial import apply
from ..exceptions import ConditionWarning, ParameterError
from ..kernels.dd import DD
from .parameters import copy_parameters
from .predict import gradient, standard_error
from .settle import replaced
from .structure import leaves

if TYPE_CHECKING:
    from .result import SurfaceResult

# of the terms that make a direction's share in a coefficient: what is left of less is their rounding
NOTHING = 1e-9
# of the surface's standard error: a difference that matters
SEEN = 1e-2
# of the surface: what sums in double precision lose without harm, where the fit itself leaves no residual
ROUNDING = 1e-9
# what is computed from parameters or model on demand, and must not be taken over from the fit as it was
STALE = (
    "best_values",
    "init_fit",
    "init_params",
    "init_values",
    "uvars",
    "result",
    "userfcn",
    "ci_out",
    "dely",
    "dely_comps",
    "dely_predicted",
)


@dataclass(frozen=True)
class Change:
    """One polynomial of the model: full names of its coefficients, and the matrix to the new ones."""

    names: tuple[str, ...]
    matrix: DD


def to_basis(result: SurfaceResult, basis: str) -> SurfaceResult:
    """The same fit with its polynomial surfaces in another basis; see `SurfaceResult.to_basis`."""
    result = result.__dict__.get("_fitted_in", result)  # there and back again is the fit as it was
    model, changes = _changed_model(result, basis)
    converted = {name for change in changes for name in change.names}
    _refuse_ties(result, converted)
    old = list(result._names)
    jacobian = _coefficient_gradients(result, converted)
    cov = result._covariance
    held = np.isnan(cov.sd)
    kept = [name for name in old if name not in converted]
    values: dict[str, float] = {}
    fixed, on_bound, rows, roots, nulls, lost = set(), set(), [], [], [], []
    for name in kept:
        i = old.index(name)
        rows.append(name)
        roots.append(cov.root[i])
        nulls.append(cov.null[:, i])
        lost.append(bool(cov.undetermined[i]))
        if held[i]:
            on_bound.add(name)
    for change in changes:
        coef = np.array([result.params[name].value for name in change.names])
        G = np.array([jacobian[name] for name in change.names])
        new = apply(change.matrix, coef[:, None])[:, 0]
        root = apply(change.matrix, G @ cov.root)
        null = apply(change.matrix, G @ cov.null.T)
        size = np.abs(change.matrix[0]) @ np.abs(G @ cov.null.T)
        null[np.abs(null) <= NOTHING * size] = 0.0
        reach = np.abs(change.matrix[0]) @ (G != 0.0)
        for i, name in enumerate(change.names):
            values[name] = float(new[i])
            if not (reach[i] > 0.0).any():
                fixed.add(name)
                continue
            rows.append(name)
            roots.append(root[i])
            nulls.append(null[i])
            lost.append(bool((null[i] != 0.0).any()))
            if not (reach[i][~held] > 0.0).any():
                on_bound.add(name)
    return _assembled(result, basis, model, values, fixed, rows, np.array(roots), np.array(nulls).T, np.array(lost), on_bound)


def _changed_model(result: SurfaceResult, basis: str) -> tuple[Any, list[Change]]:
    changes = []

    def other(leaf: Any) -> Any:
        if not hasattr(leaf, "rebased"):
            return leaf
        new, matrix = leaf.rebased(basis, result.observed)
        changes.append(Change(tuple(leaf.prefix + name for name in leaf.coefficients), matrix))
        return new

    if hasattr(result.model, "parts"):
        first = next(iter(result.model.parts))
        msg = f"to_basis() is for one data set; convert that part of the joint fit, e.g. result[{first!r}].to_basis({basis!r})"
        raise ParameterError(msg)
    if not any(hasattr(leaf, "rebased") for leaf in leaves(result.model)):
        msg = (
            f"{result.model.name} has no polynomial surface, so there is no basis to change; to_basis() is for fits of PolynomialSurface "
            "(a loaded fit keeps the formula only)"
        )
        raise ParameterError(msg)
    return replaced(result.model, other), changes


def _refuse_ties(result: SurfaceResult, converted: set[str]) -> None:
    """A constraint elsewhere that names a coefficient would mean another one afterwards."""
    from ..trace.expression import names as names_in

    for name, par in result.params.items():
        if par.expr and name not in converted:
            try:
                uses = converted.intersection(names_in(par.expr))
            except ValueError:
                uses = {other for other in converted if other in par.expr}
            if uses:
                first = sorted(uses)[0]
                msg = f"{name} is tied to {first} ({par.expr}), which means another coefficient in another basis; fit without that tie"
                raise ParameterError(msg, name=name)


def _coefficient_gradients(result: SurfaceResult, converted: set[str]) -> dict[str, np.ndarray]:
    """Each coefficient's derivatives with respect to the parameters that were searched or solved."""
    out = {}
    for name in converted:
        par = result.params[name]
        gradient = np.zeros(len(result._names))
        if name in result._names:
            gradient[result._names.index(name)] = 1.0
        elif par.expr:
            gradient = np.asarray(result._constraints.get(name, gradient), dtype=float)
        out[name] = gradient
    return out


def _assembled(
    result: SurfaceResult, basis: str, model: Any, values: dict[str, float], fixed: set[str], names: list[str], root: np.ndarray,
    null: np.ndarray, lost: np.ndarray, on_bound: set[str],
) -> SurfaceResult:  # fmt: skip
    """The new result: numbers of the fit that don't depend on the basis stay, the others are replaced."""
    for name in ("message", "reason", "conditioning", "rsquared", "best_fit", "residual_map"):
        getattr(result, name, None)  # one part of a joint fit has no conditioning of its own
    out = type(result).__new__(type(result))
    out.__dict__.update({name: value for name, value in result.__dict__.items() if name not in STALE})
    n = len(names)
    sd = np.sqrt(np.einsum("ij,ij->i", root, root))
    unit = root / np.where(sd > 0, sd, 1.0)[:, None]
    correlation = unit @ unit.T
    held = np.array([name in on_bound for name in names], dtype=bool)
    sd = np.where(held, np.nan, np.where(lost, np.inf, sd))
    unsure = held | lost
    correlation[unsure, :] = correlation[:, unsure] = np.nan
    correlation.flat[:: n + 1] = 1.0
    params = copy_parameters(result.params)
    for name, value in values.items():
        par = params[name]
        # bounds and ties of one coefficient are none of any single coefficient in another basis
        par._expr, par.min, par.max, par.vary, par.init_value = None, -np.inf, np.inf, name not in fixed, value
        par.value = value
        par.stderr, par.correl = 0.0, None
    out.model, out.params, out.components, out.userfcn = model, params, model.components, model._residual
    out._names = tuple(names)
    out._covariance = replace(
        result._covariance, sd=sd, correlation=correlation, undetermined=lost.copy(), null=null, root=root, here=None, B=None
    )
    unfelt = [name for name in result.var_names if name not in result._names]  # inf, as they were
    out.var_names = [name for name, par in params.items() if par.vary and not par.expr]
    out.init_vals = [params[name].value for name in out.var_names]
    out._started = []
    _with_errors(result, out, sd * result._sd_scale, correlation, unfelt)
    out._constraints = {}
    for name, slopes in result._constraints.items():
        if name not in values:
            out._constraints[name] = np.array(
                [slopes[result._names.index(n)] if n in result._names and n not in values else 0.0 for n in names]
            )
    out._outcome, out._mapped, out._fitted_in = None, basis, result
    was = getattr(next(leaf for leaf in leaves(result.model) if hasattr(leaf, "rebased")), "basis_name", "")
    head = f"Coefficients are in the {basis} basis: those of the fit in the {was} basis, mapped exactly, with their covariance."
    loose = [name for name, flag in zip(names, lost, strict=True) if flag and name in values]
    if loose:
        head += f" The data don't determine {', '.join(loose)} of them."
    freed = [name for name in values if np.isfinite([result.params[name].min, result.params[name].max]).any() or result.params[name].expr]
    if freed:
        head += f" Bounds and ties ({', '.join(freed)}) held in the fit; they are none of single coefficients here."
    head += _digits_lost(result, out)
    out._notes = [*result._notes, head]
    told = textwrap.fill(head, 100, subsequent_indent="  ", break_on_hyphens=False)
    out._explained = f"{told}\nThe fit as it was solved:\n{result.explain()}"
    return out


def _digits_lost(result: SurfaceResult, out: SurfaceResult) -> str:
    """Words, and a warning, where the new coefficients as double numbers no longer give the surface that was fitted."""
    with np.errstate(all="ignore"):
        there = np.asarray(out.model.eval(params=out.params, **result.userkws))
        off = np.abs(there - np.asarray(result.eval()))
        error = standard_error(result, gradient(result, {})[1])
    off, error = off[np.isfinite(off)], error[np.isfinite(error)]
    if (
        not off.size
        or not error.size
        or off.max() <= max(SEEN * np.median(error), ROUNDING * np.abs(there[np.isfinite(there)]).max(initial=0.0))
    ):
        return ""
    size = np.abs(there[np.isfinite(there)]).max(initial=0.0)
    digits = max(0.0, -float(np.log10(off.max() / size))) if size > 0.0 else 0.0
    text = (
        f" Sums of these coefficients in double precision are off by up to {off.max():.2g} (error of the fitted surface: "
        f"{np.median(error):.2g}), about {digits:.0f} of 16 digits are left: predict(), eval() and plots of this result use the "
        "basis of the fit, and so should you."
    )
    warnings.warn(ConditionWarning(text.strip(), off=float(off.max()), error=float(np.median(error)), digits=digits), stacklevel=5)
    return text


def _with_errors(result: SurfaceResult, out: SurfaceResult, stderr: np.ndarray, correlation: np.ndarray, unfelt: list[str]) -> None:
    """Covariance, standard errors and correlations of the new parameters, in the order of `var_names`."""
    k = len(out.var_names)
    at = {name: i for i, name in enumerate(out.var_names)}
    where = [at[name] for name in out._names]
    errors, table = np.full(k, np.nan), np.full((k, k), np.nan)
    errors[where] = stderr
    table[np.ix_(where, where)] = correlation
    errors[[at[name] for name in unfelt]] = np.inf
    if result.covar is None:
        errors[:] = np.nan
        out.covar = None
    else:
        safe = np.where(np.isfinite(errors), errors, 0.0)
        out.covar = table * safe * safe[:, None]
        out.covar.flat[:: k + 1] = errors**2
    sure = [i for i in range(k) if 0.0 < errors[i] < np.inf]
    for i, name in enumerate(out.var_names):
        par = out.params[name]
        par.stderr = float(errors[i])
        par.correl = None
        if out.covar is not None:
            par.correl = {out.var_names[j]: float(table[i, j]) for j in sure if j != i} if i in sure else {}
