"""From a result to its posterior: what is sampled, by which names, and what is worth saying about the run."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ConvergenceWarning, DocumentError, ParameterError
from ..solve.loss_covariance import cost_scale
from ..solve.posterior import ILL, LEAST_ACCEPTED, STEPS_PER_TAU, Division, NoStartError, Run, Target, default_walkers, divide
from ..solve.priors import PriorProblem
from ..solve.status import Status
from ..trace.graph import evaluate as walk_graph
from .explain import listed
from .outcome import refuse_mapped
from .parameters import copy_parameters
from .posterior import Evidence, Posterior, whole
from .progress import Progress

if TYPE_CHECKING:
    from .result import SurfaceResult


def drawn_seed(rng: Any) -> int:
    """One integer that repeats the run: the given one, one drawn from the given generator, or a new one."""
    if isinstance(rng, bool):
        msg = f"rng={rng!r}; give an integer, a numpy Generator, or None"
        raise ParameterError(msg)
    if isinstance(rng, int | np.integer):
        if rng < 0:
            msg = f"rng={rng!r}; give an integer that isn't negative, a numpy Generator, or None"
            raise ParameterError(msg)
        return int(rng)
    try:
        return int(np.random.default_rng(rng).integers(2**63))
    except (TypeError, ValueError) as err:
        msg = f"rng={rng!r}; give an integer, a numpy Generator, or None"
        raise ParameterError(msg) from err


def row_sigma(result: SurfaceResult) -> float | None:
    """Standard deviation of a row in the rows' unit, where it is known; None: to be integrated out."""
    outcome = _outcome(result)
    problem = outcome.bound.problem
    if isinstance(problem, PriorProblem) and problem.base.least_squares and result.scale_covar and problem.ndata > problem.n:
        if problem.smooth:
            msg = "smoothing= weighs by the data's errors, which must be known for sampling: fit with sigma= and scale_covar=False"
            raise ParameterError(msg)
        return None  # priors keep their size, and the data's error is integrated out beside them
    if not problem.least_squares or problem.ndata < problem.N:
        # a likelihood that states its own scale, or rows (priors) that don't scale with the error of the data
        return row_scale(result)
    return None if result.scale_covar else float(problem.unit)


def _outcome(result: SurfaceResult) -> Any:
    if result._outcome is None:
        refuse_mapped(result)
        msg = "a loaded result holds no data and no model code, so it can't be sampled; fit the data again for that"
        raise DocumentError(msg)
    return result._outcome


def make_target(result: SurfaceResult, sigma: float | None, marginalise: bool = True) -> Target:
    """The density of a result's parameters around its minimum."""
    outcome = _outcome(result)
    problem, here, cov = outcome.bound.problem, outcome.solution.here, result._covariance
    if sigma is None and result.nfree <= 0:
        msg = (
            f"{result.ndata} points for {here.f.rank} parameters say nothing about the errors of the data, so there is no posterior; "
            "give sigma and scale_covar=False, or more data"
        )
        raise ParameterError(msg)
    sd = cov.sd * (result._sd_scale if np.isfinite(result._sd_scale) else outcome.solution.sigma)
    return Target(problem, here.p, divide(problem, here, cov.null, sd, marginalise, sigma is not None, row_scale(result)), sigma)


def row_scale(result: SurfaceResult) -> float:
    """Standard deviation of a row as the fit sees it, in the rows' unit: what errors with unit variance are multiplied by."""
    outcome = result._outcome
    if outcome is not None and not outcome.call.plain:
        return cost_scale(outcome.bound.problem, outcome.solution.p)
    return float(result._sd_scale if np.isfinite(result._sd_scale) else _outcome(result).solution.sigma)


def sample(result: SurfaceResult, steps: int, walkers: int | None, rng: Any, progress: Any, stacklevel: int = 4) -> Posterior:
    """Draw the posterior of a fit; see `SurfaceResult.sample`."""
    steps = _count("steps", steps)
    outcome = _outcome(result)
    if not outcome.bound.names:
        msg = "no parameter has an effect that could be sampled"
        raise ParameterError(msg)
    target = make_target(result, row_sigma(result))
    if not target.division.walked.size + target.division.marginal.size:
        msg = f"nothing to sample: {_still(result, target.division)}"
        raise ParameterError(msg)
    d = target.division.walked.size
    walkers = default_walkers(d) if walkers is None else _count("walkers", walkers)
    if d and walkers < 2 * d + 2:
        msg = f"walkers={walkers} are too few for {d} walked parameters; use at least {2 * d + 2}"
        raise ParameterError(msg, walkers=walkers)
    run = Run(target, walkers, drawn_seed(rng), row_scale(result))
    _extend(run, steps, progress)
    return dress(result, run, stacklevel)


def _count(name: str, value: Any) -> int:
    return whole(name, value, 1)


def _extend(run: Run, steps: int, progress: Any) -> None:
    with Progress(progress, steps, unit="step") as report:
        try:
            run.extend(steps, lambda done: report(done, "steps"))
        except NoStartError as err:
            raise ParameterError(f"{err}; look at the fit's explain()") from err


def dress(result: SurfaceResult, run: Run, stacklevel: int = 4) -> Posterior:
    """Names, derived parameters and words onto a run."""
    outcome = _outcome(result)
    names, division, undetermined = outcome.bound.names, run.target.division, result._covariance.undetermined
    samples = run.samples()
    order = np.concatenate([division.walked, division.marginal])
    place = {names[j]: i for i, j in enumerate(order) if not undetermined[j]}
    shown = [name for name in result.var_names if name in place]
    chain = samples.chain[:, :, [place[name] for name in shown]]
    tau = samples.tau[[place[name] for name in shown]]
    derived = [name for name, par in result.params.items() if par.expr and np.isfinite(par.stderr if par.stderr is not None else 0.0)]
    if derived:
        values = dict(zip(names, outcome.solution.p, strict=True)) | {names[j]: samples.chain[:, :, i] for i, j in enumerate(order)}
        columns = [_tied(result, name, values, chain.shape[:2]) for name in derived]
        chain = np.concatenate([chain, np.stack(columns, axis=2)], axis=2)
        tau = np.concatenate([tau, _tau_of(columns, run)])
    longest = float(samples.tau.max(initial=1.0)) if np.isfinite(samples.tau).all() else np.nan
    notes = _notes(result, run, samples, longest)
    escaped = [names[j] for j in samples.escaped]
    if escaped:
        warnings.warn(ConvergenceWarning(improper(escaped), names=tuple(escaped), steps=len(chain)), stacklevel=stacklevel)
    elif not samples.converged:
        warnings.warn(ConvergenceWarning(_too_short(len(chain), longest), tau=samples.tau, steps=len(chain)), stacklevel=stacklevel)
    if samples.acceptance < LEAST_ACCEPTED and not escaped:
        warnings.warn(ConvergenceWarning(_few_taken(samples.acceptance), acceptance=samples.acceptance), stacklevel=stacklevel)

    def resume(steps: int, progress: Any) -> Posterior:
        if escaped:
            raise ParameterError(improper(escaped), names=tuple(escaped))
        further = run.copy()
        _extend(further, _count("steps", steps), progress)
        return dress(result, further)

    def nested() -> Evidence:
        from .evidence import evidence

        return evidence(result, run.seed)

    return Posterior(
        [*shown, *derived], chain, samples.log_prob, acceptance=samples.acceptance, tau=tau, converged=samples.converged,
        burn=samples.burn, thin=max(1, int(longest / 2)) if np.isfinite(longest) else 1, seed=run.seed,
        escaped=escaped,
        marginalised=[n for n in shown if names.index(n) in division.marginal], derived=derived, notes=notes, resume=resume, nested=nested,
    )  # fmt: skip


def _tau_of(columns: list[np.ndarray], run: Run) -> np.ndarray:
    from ..solve.posterior import autocorrelation

    return autocorrelation(np.stack(columns, axis=2)) if run.target.division.walked.size else np.ones(len(columns))


def _tied(result: SurfaceResult, name: str, values: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """A constrained parameter in every sample."""
    structure = _outcome(result).bound.structure
    params = result.params
    if structure is not None and name in structure.constraints:
        # by walking: emitted programs take parameters for single numbers
        graph = structure.builder.graph(structure.constraints[name])
        with np.errstate(all="ignore"):
            out = walk_graph(graph, {n: values[n] if n in values else params[n].value for n in graph.parameters}, {})
        return np.array(np.broadcast_to(np.real(out), shape), dtype=float)
    # an expression that only lmfit understands: one sample at a time
    scratch = copy_parameters(params)
    out = np.empty(shape)
    for at in np.ndindex(*shape):
        for free, value in values.items():
            scratch[free].value = float(value if np.ndim(value) == 0 else value[at])
        scratch.update_constraints()
        out[at] = scratch[name].value
    return out


def _too_short(steps: int, longest: float) -> str:
    if not np.isfinite(longest):
        return f"the chain of {steps} steps did not move enough to tell its autocorrelation time; it has not converged: take more steps"
    return (
        f"the chain has not converged: {steps} steps are fewer than {STEPS_PER_TAU} autocorrelation times of {longest:.3g} steps; "
        f"take {int(np.ceil(1.2 * STEPS_PER_TAU * longest))} steps"
    )


def improper(names: list[str]) -> str:
    """What is to be said where walkers left for infinity along these parameters."""
    it = "it" if len(names) == 1 else "them"
    return (
        f"the posterior isn't proper in {listed(names)}: with a flat prior far too much of it lies at infinity, where the data say "
        f"nothing; give {it} bounds or a prior"
    )


def _few_taken(acceptance: float) -> str:
    return (
        f"only {100 * acceptance:.2g} % of the steps were accepted: the posterior is far from an ellipse; take more steps "
        "and more walkers, or set bounds that cut off its tails"
    )


def _still(result: SurfaceResult, division: Division) -> str:
    """What is not sampled, and why."""
    outcome = _outcome(result)
    bound, lost = outcome.bound, result._covariance.undetermined
    held = [bound.names[j] for j in division.still if outcome.solution.held[j]]
    open_ = [n for n, is_lost in zip(bound.names, lost, strict=True) if is_lost] + list(bound.unused) + list(bound.stepped)
    parts = []
    if open_:
        one = len(open_) == 1
        parts.append(
            f"The data don't determine {listed(open_)}, and without a prior {'it has' if one else 'they have'} no posterior: "
            f"{'it was' if one else 'they were'} not sampled. Give a prior, or fix {'it' if one else 'one of them'}."
        )
    if held:
        one = len(held) == 1
        parts.append(f"{listed(held)} {'is' if one else 'are'} held on {'its bound' if one else 'their bounds'}, as in the fit.")
    return " ".join(parts)


def _notes(result: SurfaceResult, run: Run, samples: Any, longest: float) -> list[str]:
    division, target = run.target.division, run.target
    names = _outcome(result).bound.names
    notes = []
    if not division.walked.size:
        notes.append("All sampled parameters are linear: the draws are exact and independent.")
    elif division.marginal.size:
        notes.append(f"{listed([names[j] for j in division.marginal])} integrated out exactly, and drawn given the others.")
    if target.sigma is None:
        notes.append("The error of the data was integrated out with the prior 1/sigma (scale_covar=True).")
    elif result.scale_covar:
        notes.append("The scale of the errors was taken as known, as the fit found it.")
    still = _still(result, division)
    if still:
        notes.append(still)
    if samples.escaped.size:
        said = improper([names[j] for j in samples.escaped])
        notes.append(f"{said[0].upper()}{said[1:]}.")
    elif not samples.converged:
        notes.append(f"{_too_short(len(samples.chain), longest)}.".capitalize())
    if samples.acceptance < LEAST_ACCEPTED:
        notes.append(f"{_few_taken(samples.acceptance)}.".capitalize())
    if target.worst > ILL:
        notes.append(
            "On its way the chain met places where the linear parameters can't be told apart (two equal rates?): with flat priors the "
            "posterior may not be proper there. Give priors to linear parameters, or bounds that keep the others apart."
        )
    if not result.success or result.status & Status.NOT_A_MINIMUM:
        notes.append(f"The fit that the walkers started from did not end well: {result.reason}")
    return notes
