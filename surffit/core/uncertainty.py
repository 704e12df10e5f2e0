"""What a fit knows of its errors: covariance, standard errors, correlations, constrained parameters, ufloats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.warned import filtered
from ..solve.covariance import Covariance, from_factor
from ..solve.status import Status
from ..trace.emit import Program, compile_program
from ..trace.graph import Builder
from . import coststats
from .parameters import copy_parameters
from .predict import standard_error
from .rungs import ladder, laid_out, matrix_of, settle_status
from .structure import Constraints, Structure

if TYPE_CHECKING:
    from .outcome import Outcome
    from .result import SurfaceResult


def attach(result: SurfaceResult, outcome: Outcome) -> None:
    """Covariance, standard errors and correlations onto a result and its parameters."""
    bound, solution = outcome.bound, outcome.solution
    problem = bound.problem
    result.covar = None
    result.errorbars = False
    result.covar_source = "none"
    for par in result.params.values():
        par.stderr, par.correl = 0.0, None
    source, lacks = "jacobian", ""
    if outcome.call.plain:
        cov = from_factor(solution.here, problem.n, solution.B)
    else:
        cov, source, lacks = coststats.covariance(outcome)
    result._covariance = cov
    result._no_errors = ""
    if not result.calc_covar:
        result._no_errors = "calc_covar=False: no covariance was asked for."
    elif result.scale_covar and result.nfree <= 0:
        result._no_errors = (
            f"{result.ndata} points for {solution.here.f.rank} parameters leave no residual to judge the errors by; "
            "give sigma and scale_covar=False, or more data."
        )
    elif result.status & Status.NOT_A_MINIMUM:
        result._no_errors = "the point is not a minimum, so chi-square does not rise on all sides of it."
    elif lacks:
        result._no_errors = lacks
    # in the rows' own unit, where nothing under- or overflows; a fit without residual is sure to the rounding of the data only
    spread = math.sqrt(max(solution.here.chi2, 0.0) / max(1, result.nfree))
    per_point = problem.noise / math.sqrt(problem.N)
    result._sd_scale = float(max(spread, per_point)) if result.scale_covar else problem.unit
    if cov.scale is not None:
        result._sd_scale = 1.0
    if result._no_errors:
        result._sd_scale = np.nan
    result.covar_notes = ()
    if result._no_errors:
        source = "none"
    elif outcome.call.plain:
        cov, source = _climb(result, outcome)
    stderr, correlation = laid_out(result, outcome, cov)
    if source != "none":
        result.covar = matrix_of(stderr, correlation)
        result.covar_source, result.errorbars = source, True
    else:
        stderr[:] = np.nan
    errors, rows = stderr.tolist(), correlation.tolist()
    sure = [i for i, error in enumerate(errors) if 0.0 < error < math.inf]
    known, whole = [result.var_names[i] for i in sure], len(sure) == len(errors)
    for i, name in enumerate(result.var_names):
        par = result.params[name]
        par.stderr = errors[i]
        if result.covar is not None:
            par.correl = {}
            if 0.0 < errors[i] < math.inf:
                row = rows[i]
                par.correl = dict(zip(known, row if whole else [row[j] for j in sure], strict=True))
                del par.correl[name]
    result._constraints = {}
    for name, par in result.params.items():
        if par.expr:
            g = constraint_gradient(result, name)
            par.stderr = float(standard_error(result, g[:, None])[0]) if g is not None else np.nan
            if not result._no_errors and _leans_on(result, name, bound.unused + bound.stepped):
                par.stderr = np.inf
            elif g is not None and (np.abs(g[solution.held]) > 0).any():
                par.stderr = np.nan  # as that of the parameter on its bound


def _climb(result: SurfaceResult, outcome: Outcome) -> tuple[Covariance, str]:
    """The first rung of the ladder that stands: its covariance with unit variance, and its name."""
    climbed = ladder(outcome, result._covariance, result._sd_scale)
    result.covar_notes = climbed.notes
    cov = climbed.covariance
    if cov is None:
        result._no_errors, result._sd_scale = " ".join(climbed.notes), np.nan
        return result._covariance, "none"
    if climbed.source == "jacobian":
        return result._covariance, "jacobian"
    # what a higher rung determines uses up freedom, and flags of what the derivatives missed go
    problem, here = outcome.bound.problem, outcome.solution.here
    result._covariance = cov
    result.nfree = problem.ndata - cov.rank
    result.redchi = here.chi2 / problem.unit / problem.unit / max(1, result.nfree)
    if result.scale_covar:
        result._sd_scale = float(max(math.sqrt(here.chi2 / max(1, result.nfree)), problem.noise / math.sqrt(problem.N)))
    if result.status & (Status.STALLED | Status.NO_EFFECT_AT_START | Status.RANK_DEFICIENT):
        result.status = settle_status(result.status, cov)
        result.success = result.status.success
    return cov, climbed.source


def constraint_gradient(result: SurfaceResult, name: str) -> np.ndarray | None:
    """Gradient of a constrained parameter with respect to the free ones."""
    outcome = result._outcome
    if outcome is None:
        return None
    params = result.params
    program, known = _constraint_program(result, name, outcome.bound.structure)
    if program is not None:
        with np.errstate(all="ignore"):
            _, columns = program.full(
                [params[n].value for n in result._names], [], [params[n].value for n in known], (0.0,) * len(program.coordinates)
            )
        g = np.array([0.0 if c is None else float(np.real(c)) for c in columns])
    else:
        g = _constraint_differences(result, name)
    result._constraints[name] = g
    return g


def _constraint_program(result: SurfaceResult, name: str, structure: Structure | None) -> tuple[Program | None, tuple[str, ...]]:
    """Exact derivatives of one constraint and the parameters it takes as known; None for what only lmfit understands."""
    if structure is not None:
        tied = structure.constraints
    else:  # a function that can't be traced may have constraints that can
        builder = Builder()
        tied = Constraints(result.params, builder).tied()
    known = tuple(n for n in result.params if n not in result._names and n not in tied)
    if name not in tied:
        return None, known
    if structure is not None:
        return structure.constraint_program(name, result._names, known), known
    return compile_program(builder, tied[name], nonlinear=result._names, linear=(), known=known), known


def _leans_on(result: SurfaceResult, name: str, lost: tuple[str, ...]) -> bool:
    """Whether a constrained parameter changes with one that the data say nothing about."""
    if not lost:
        return False
    scratch = copy_parameters(result.params)
    before = float(scratch[name].value)
    for other in lost:
        scratch[other].value = scratch[other].value + 0.5 * (abs(scratch[other].value) or 1.0)
    scratch.update_constraints()
    return float(scratch[name].value) != before


def _constraint_differences(result: SurfaceResult, name: str) -> np.ndarray:
    """The same by central differences of lmfit's evaluation, for expressions that only lmfit understands."""
    scratch = copy_parameters(result.params)
    g = np.zeros(len(result._names))
    for j, free in enumerate(result._names):
        value, error = result.params[free].value, result.params[free].stderr or 0.0
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


def ufloats(result: SurfaceResult) -> dict[str, Any]:
    """lmfit's `uvars`: every parameter as a correlated ufloat, undetermined ones without error."""
    from uncertainties import correlated_values_norm, ufloat

    out: dict[str, Any] = {}
    sure = [i for i, name in enumerate(result.var_names) if np.isfinite(result.params[name].stderr) and result.params[name].stderr > 0]
    if result.covar is not None and sure:
        # by correlations: variances of 1e-200 or 1e200 are no numbers
        pars = [result.params[result.var_names[i]] for i in sure]
        correlation = [[1.0 if one is two else one.correl[two.name] for two in pars] for one in pars]
        values = correlated_values_norm([(par.value, par.stderr) for par in pars], correlation)
        out = {result.var_names[i]: value for i, value in zip(sure, values, strict=True)}
    for name, par in result.params.items():
        if name in out:
            continue
        g = result._constraints.get(name)
        if g is not None and np.isfinite(par.stderr) and par.stderr > 0:
            terms = [gj * (out[n] - out[n].nominal_value) for gj, n in zip(g, result._names, strict=True) if gj and n in out]
            out[name] = sum(terms, start=ufloat(par.value, 0.0) if not terms else par.value)
        elif par.stderr and np.isnan(par.stderr):
            out[name] = ufloat(par.value, np.nan)
        else:
            with np.errstate(all="ignore"):
                out[name] = _exact(par.value) if not par.stderr else ufloat(par.value, par.stderr)
    for value in out.values():
        _ = value.derivatives  # expanded at the first use, which two threads had better not share
    return {name: out[name] for name in result.params}


def _exact(value: float) -> Any:
    """A ufloat without error; the package warns about those, which is not the user's concern here."""
    from uncertainties import ufloat

    with filtered("ignore"):
        return ufloat(value, 0.0)
