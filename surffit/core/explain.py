"""A fit in words: what happened, what is determined, what is not, and what to do."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from ..solve.status import CONVERGED, SENTENCES, Status
from . import costwords
from .conditioning import Conditioning, Direction

if TYPE_CHECKING:
    from .result import SurfaceResult

# estimators that differ by more than this share of an error are worth a sentence
DISAGREE = 0.1
# names beyond which a list shows the first few only
MANY, SHOWN = 24, 6
# scaled condition from which the cause is worth a sentence
ILL = 1e6


def listed(names: list[str] | tuple[str, ...]) -> str:
    """a, b and c; of very many the first few."""
    names = list(names)
    if len(names) > MANY:
        return f"{', '.join(names[:SHOWN])}, ... ({len(names)} in all)"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def combination(terms: Direction) -> str:
    """A direction as a sum: a - 0.5*b."""
    out = ""
    for name, value in sorted(terms.items(), key=lambda term: term[1] < 0):  # a sum begins with a positive term
        size = abs(value)
        text = f"{size:.4g}"
        factor = "" if text == "1" else f"{text}*"
        sign = "-" if value < 0 else "+"
        out += f" {sign} {factor}{name}" if out else f"{'-' if value < 0 else ''}{factor}{name}"
    return out


def reason(result: SurfaceResult) -> str:
    """The sentences of the flags, the names of the parameters in them."""
    outcome = result._outcome
    if outcome is None:
        return result.status.sentence
    solution, bound = outcome.solution, outcome.bound
    status, m = result.status, len(bound.nonlinear)
    dead = {n for n, none in zip(bound.names, solution.no_effect, strict=True) if none}
    named = {
        Status.AT_BOUND: _at_bound([n for n, on in zip(bound.names, solution.held, strict=True) if on], result),
        Status.NO_EFFECT_AT_START: _no_effect(result, [n for n, none in zip(bound.names[:m], solution.no_effect[:m], strict=True) if none]),
        Status.RANK_DEFICIENT: undetermined(
            [n for n, lost in zip(bound.names, result._covariance.undetermined, strict=True) if lost and n not in dead]
        ),
        Status.STALLED: costwords.stalled(result)
        if not outcome.call.plain
        else ""
        if bound.nonlinear
        else "The columns are too alike for double precision: what was found is not the minimum; centre or rescale the coordinates.",
        Status.RUNAWAY: _runaway(
            [n for n, a, b in zip(bound.nonlinear, solution.start, solution.p, strict=False) if abs(b) > 1e3 * abs(a) > 0]
        ),
    }
    # a fit that failed did not converge to anything worth the word
    flags = [flag for flag in Status if flag in status and (status.success or flag not in CONVERGED)]
    if status & (Status.NOT_A_MINIMUM | Status.NO_EFFECT_AT_START) and (status & Status.NOT_A_MINIMUM or not named[Status.RANK_DEFICIENT]):
        # at a symmetric point columns coincide that don't elsewhere; columns of nothing have their own sentence
        flags = [flag for flag in flags if flag is not Status.RANK_DEFICIENT]
    sentences = [named.get(flag) or SENTENCES[flag] for flag in flags]
    if bound.unused:
        one = len(bound.unused) == 1
        sentences.append(
            f"{listed(bound.unused)} {'has' if one else 'have'} no effect on the model; {'its' if one else 'their'} stderr is inf."
        )
    return " ".join(sentences)


def _sampled(result: SurfaceResult, name: str) -> bool:
    """Whether a parameter whose minimum is on a bound has an error all the same: that of samples."""
    stderr = result.params[name].stderr
    return stderr is not None and math.isfinite(stderr)


def _at_bound(names: list[str], result: SurfaceResult) -> str:
    if not names:
        return ""
    if all(_sampled(result, name) for name in names):
        return f"The minimum lies on a bound of {listed(names)}."
    return on_bounds([name for name in names if not _sampled(result, name)])


def on_bounds(names: list[str]) -> str:
    """What it means that parameters ended on bounds."""
    if not names:
        return ""
    one = len(names) == 1
    return (
        f"{listed(names)} ended on {'a bound; its' if one else 'bounds; their'} stderr is nan, "
        f"and the other errors hold with {'it' if one else 'them'} fixed there."
    )


def _no_effect(result: SurfaceResult, names: list[str]) -> str:
    outcome = result._outcome
    if outcome is None:
        return ""
    if not names:
        stepped = outcome.bound.stepped
        return (
            f"The model only jumps with {listed(stepped)}, so no derivative leads to the best value; the start was kept." if stepped else ""
        )
    solution = outcome.solution
    moved = [name for name, a, b in zip(outcome.bound.names, solution.start, solution.p, strict=True) if name in names and a != b]
    one = len(names) == 1
    if moved:
        verb, them = ("has", "it") if one else ("have", "them")
        return f"{listed(names)} {verb} no effect where the fit ended; start where the model feels {them}."
    return (
        f"{listed(names)} had no effect at the start and never moved; start {'it' if one else 'them'} where the model feels "
        f"{'it' if one else 'them'}, or fix {'it' if one else 'them'}."
    )


def undetermined(names: list[str]) -> str:
    """What it means that the data don't tell parameters."""
    if len(names) < 2:
        return f"The data don't determine {names[0]}; its stderr is inf: fix it or drop the term." if names else ""
    return f"The data can't tell {listed(names)} apart; their stderr is inf: fix one of them or drop the term."


def _runaway(names: list[str]) -> str:
    if not names:
        return ""
    verb = "grows" if len(names) == 1 else "grow"
    return f"Ran away: {listed(names)} {verb} without end while chi-square barely changes; set bounds or start closer."


def explain(result: SurfaceResult) -> str:
    """The whole paragraph, never empty."""
    if result._outcome is None:
        return getattr(result, "_explained", "") or result.reason
    c = result.conditioning
    lines = [("" if result.success else "THE FIT FAILED. ") + result.reason]
    lines += _solution(result, c)
    lines += _undetermined(result, c)
    lines += _weak(result, c)
    lines += _offsets(result, c)
    lines += _bounds(result, c)
    lines += _saddles(c)
    lines += _significance(result, c)
    lines += _errors(result, c) if result._call.plain else costwords.words(result)
    lines += _effort(result, c)
    lines += result._notes
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="  ", break_on_hyphens=False) for line in lines if line)


def _solution(result: SurfaceResult, c: Conditioning) -> list[str]:
    """Which parameters were solved and which were searched, and how conditioned that was."""
    how = {
        "graph": "derivatives are exact (from the function's graph)",
        "complex-step": "the function can't be traced; derivatives are by complex step, checked against differences",
        "differences": "the function can't be traced; derivatives are by finite differences",
    }[c.derivatives]
    outcome = result._outcome
    if c.linear and outcome is not None and not outcome.bound.problem.least_squares:
        what = f"{listed(c.linear)} {'are' if len(c.linear) > 1 else 'is'} linear{costwords.starts(outcome.bound.problem)}"
    elif not c.nonlinear and c.linear:
        what = (
            f"All {len(c.linear)} parameters are linear and were solved exactly"
            if len(c.linear) > 1
            else f"{c.linear[0]} is linear and was solved exactly"
        )
    elif c.linear:
        solved = f"{listed(c.linear)} {'are' if len(c.linear) > 1 else 'is'} linear and solved exactly"
        what = f"{solved}; {listed(c.nonlinear)} {'were' if len(c.nonlinear) > 1 else 'was'} searched"
    elif c.nonlinear:
        what = f"{listed(c.nonlinear)} {'were' if len(c.nonlinear) > 1 else 'was'} searched; no parameter is linear"
    else:
        what = "No parameter has any effect"
    lines = [f"{what}; {how}."]
    if c.n_free and c.rank < c.n_free:
        lost = c.n_free - c.rank
        which = "one direction of the parameters changes" if lost == 1 else f"{lost} directions of the parameters change"
        lines.append(f"Rank {c.rank} of {c.n_free}: {which} nothing here, so the condition number is infinite.")
    elif c.n_free:
        lines.append(
            f"Rank {c.rank} of {c.n_free}. Condition number of the problem: {_number(c.condition_raw)} as it stands, "
            f"{_number(c.condition_scaled)} with columns of unit norm, which is what the solver sees."
        )
    return lines


def _number(value: float) -> str:
    return "infinite" if not np.isfinite(value) else f"{value:.3g}" if value < 1e4 else f"{value:.1e}"


def _undetermined(result: SurfaceResult, c: Conditioning) -> list[str]:
    lines = []
    if c.unused:
        one = len(c.unused) == 1
        none = "effect on the model at all (structurally)" if c.derivatives == "graph" else "visible effect on the model"
        lines.append(
            f"{listed(c.unused)} {'has' if one else 'have'} no {none}: stderr is inf, the value is the "
            f"start. Fix {'it' if one else 'them'} with vary=False, or remove {'it' if one else 'them'} from the function."
        )
    if c.stepped:
        one = len(c.stepped) == 1
        lines.append(
            f"The model changes with {listed(c.stepped)} only in jumps (a comparison, sign or rounding), or not reproducibly: "
            f"{'it stays' if one else 'they stay'} at the start, stderr is inf. Use a smooth step (e.g. scipy.special.expit), or "
            f"compare fits at several fixed values."
        )
    dead = [name for name in c.no_effect if name not in c.at_bound]
    if dead:
        one = len(dead) == 1
        at = "where the fit ended" if not result.status & Status.NO_EFFECT_AT_START else "at the start"
        verb, them = ("has", "it") if one else ("have", "them")
        others = "; the others were fitted" if c.n_free > len(dead) else ""
        lines.append(
            f"{listed(dead)} {verb} no effect on any data point {at} (zero column): stderr is inf{others}. Start {them} nearer to "
            f"the data, or fix {them}."
        )
    shown = [d for d in c.null_directions if not set(d) <= set(c.no_effect)]
    # at a symmetric point columns coincide that don't elsewhere: the saddle is what there is to say
    if shown and not result.status & Status.NOT_A_MINIMUM:
        names = sorted({name for d in shown for name in d if name not in c.no_effect}, key=result.var_names.index)
        moves = "; ".join(combination(d) for d in shown)
        one = len(names) == 1
        lines.append(
            f"The data don't determine {names[0]}: moving it changes nothing, so its stderr is inf."
            if one
            else f"The data can't tell {listed(names)} apart: moving along {moves} changes nothing, so their stderr is inf."
        )
        cure = f"Fix {names[0] if one else 'one of them'} with vary=False, tie it by expr, or drop the term."
        known = [d for d in c.determined if set(d) <= set(names)]
        if known:
            # where a column depends on the others' values, another point has another combination
            near = "" if set(names) <= set(c.linear) else "Near these values only "
            sums = listed([combination(d) for d in known])
            first = listed(sorted(names, key=result.var_names.index)[: len(shown)])
            verb = "is" if len(known) == 1 else "are"
            cure = f"{near or 'Only '}{sums} {verb} determined. Fix {first} with vary=False, tie it by expr, or drop the term."
        lines.append(cure)
    return lines


def _weak(result: SurfaceResult, c: Conditioning) -> list[str]:
    known: dict[str, float] = {}
    for terms, sigma in c.weak_directions[:3]:
        shown = dict(list(terms.items())[:6])
        what = next(iter(terms)) if len(terms) == 1 else f"the combination {combination(shown)}{' + ...' if len(terms) > 6 else ''}"
        known[what] = max(known.get(what, 0.0), sigma * result._sd_scale)
    return [
        f"Weak: {what} is known only to +/- {error:.3g}; fix one of its parameters, or take data that tell them apart."
        for what, error in known.items()
        if np.isfinite(error)
    ]


def _offsets(result: SurfaceResult, c: Conditioning) -> list[str]:
    """Coordinates whose offset makes columns look alike: the usual cause of a bad condition, with the easiest cure."""
    data = result.observed
    if c.condition_scaled < ILL and c.rank == c.n_free and result.success:
        return []
    lines = []
    for name in data.names if data.elementwise else ():
        values = np.asarray(data.coords[name]).real
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        if high > low and max(abs(low), abs(high)) > 50 * (high - low):
            lines.append(
                f"{name} runs from {low:.10g} to {high:.10g}: seen from zero its columns are nearly alike, and digits are lost. "
                f"Fit {name} - {0.5 * (low + high):.6g} instead."
            )
    return lines


def _bounds(result: SurfaceResult, c: Conditioning) -> list[str]:
    lines = []
    for name, side in c.at_bound.items():
        par = result.params[name]
        bound = par.min if side == "min" else par.max
        gain = c.multipliers.get(name, 0.0)
        if _sampled(result, name):
            lines.append(f"The minimum lies at the {side} = {bound:.6g} of {name}; its value and error are those of the samples.")
            continue
        if bound != par.value and result._call.priors:
            text = f"{name} is on the {side} = {par.value:.6g} of its prior, which calls all beyond impossible: stderr is nan, and the "
            text += "other errors hold with it fixed there."
            lines.append(text + (" The data push against that edge; widen the prior if it isn't physical." if gain > 0 else ""))
            continue
        text = f"{name} is on its {side} = {bound:.6g}: stderr is nan, and the other errors hold with it fixed there."
        if gain > 0:
            text += f" Beyond the bound chi-square would fall by {2 * gain:.3g} per unit of {name}; widen the bound if it isn't physical."
        lines.append(text)
    return lines


def _saddles(c: Conditioning) -> list[str]:
    lines = [
        f"The start led to a saddle point, where chi-square falls both ways along {combination(terms)}; the fit left it in one of the "
        "two equal directions. Start away from the symmetric point to choose."
        for terms in c.escaped
    ]
    if c.saddle:
        lines.append(
            f"Chi-square falls along {combination(c.saddle)}: this is a saddle point, not a minimum. Start away from the symmetric point."
        )
    return lines


def _significance(result: SurfaceResult, c: Conditioning) -> list[str]:
    """Terms that the data don't ask for, and those that never moved."""
    if result.covar is None or not result.success:
        return []
    weak = []
    for name in result.var_names:
        par = result.params[name]
        if name in c.linear and np.isfinite(par.stderr) and par.stderr > 0 and abs(par.value) < par.stderr:
            weak.append(name)
    if not weak:
        return []
    text = f"Within one sigma of zero, each taken alone: {listed(weak)}."
    if len(weak) > 1 and result.nfree > 0:
        from scipy.stats import f as fisher

        # |R^-T v|^2 with A' = QR and covariance AA': no covariance block is inverted
        rows = result._covariance.root[[result._names.index(name) for name in weak]] * result._sd_scale
        scale = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        values = np.array([result.params[name].value for name in weak]) / scale
        R = np.asarray(np.linalg.qr((rows / scale[:, None]).T, mode="r"))
        if not np.abs(R.diagonal()).min() > 1e-12:
            return [text]
        z = np.linalg.solve(R.T, values)
        stat = float(z @ z) / len(weak)
        stat /= 1.0 if result.scale_covar or not result._call.plain else max(result.redchi, 1e-300)
        p = float(fisher.sf(stat, len(weak), result.nfree))
        test = f"(F = {stat:.3g}, p = {p:.2g})"
        if p > 0.05:
            text += f" Dropping all {len(weak)} at once would not make the fit noticeably worse {test}."
        else:
            text += f" Together they do matter: dropping all {len(weak)} at once would make the fit worse {test}; drop one at a time."
    return [text]


def _errors(result: SurfaceResult, c: Conditioning) -> list[str]:
    if result.covar is None:
        return [f"No errors: {result._no_errors}"]
    scaled = "scaled by the reduced chi-square" if result.scale_covar else "taken from the given data errors as they are"
    exact = "exact " if c.derivatives == "graph" else ""
    where = "at the minimum" if result.success else "where the fit ended"
    how = {
        "hessian": f"numerical second derivatives of what was minimised, {where}",
        "mcmc": "a posterior chain around the minimum",
    }.get(result.covar_source, f"the {exact}Jacobian {where} by QR")
    lines = [*result.covar_notes, f"Errors come from {how}, {scaled}."]
    observed = result._covariance.observed()
    if observed is not None and result.success:
        with np.errstate(all="ignore"):
            ratio = observed / result._covariance.sd
        worst = int(np.nanargmax(np.abs(np.log(ratio)))) if np.isfinite(ratio).any() else 0
        if np.isfinite(ratio[worst]) and abs(ratio[worst] - 1.0) > DISAGREE:
            lines.append(
                f"The model is curved on the scale of the errors: from the full Hessian the error of {result._names[worst]} would be "
                f"{100 * (ratio[worst] - 1):+.0f} %. Use conf_interval() for limits that follow the curvature."
            )
    return lines


def _effort(result: SurfaceResult, c: Conditioning) -> list[str]:
    lines = []
    if c.engine == "rows":
        lines.append("The columns are large: they were factored in blocks of rows, never as a whole.")
    if c.engine in ("grid", "grid rows") and result._outcome is not None:
        how = "from its factors along the rows and the columns" if c.engine == "grid" else "in blocks of rows, for its uneven weights"
        lines.append(f"The data are a rectangular grid, on which the model is a sum of products: it was solved {how}, never as a whole.")
    if c.restarts:
        times = {1: "once", 2: "twice"}.get(c.restarts, f"{c.restarts} times")
        lines.append(f"The first walk ended badly; the fit was started again {times} in the full space, and the lower chi-square kept.")
    if c.patched:
        lines.append(f"{c.patched} derivative values were not finite where the model is, and were recomputed numerically.")
    outcome = result._outcome
    if outcome is not None:
        ignored = [
            name
            for name, start in zip(outcome.bound.linear, outcome.bound.start[len(outcome.bound.nonlinear) :], strict=True)
            if np.isfinite(start) and start != 0.0 and name not in c.undetermined
        ]
        if ignored and result.method == "separable" and outcome.bound.problem.least_squares:
            one = len(ignored) == 1
            were, are = ("was", "it is") if one else ("were", "they are")
            lines.append(f"The start{'' if one else 's'} of {listed(ignored)} {were} not needed: {are} linear.")
    return lines
