"""How a fit ended: one flag type for single fits, batches and the shell.

Each member carries a sentence that says what happened and what to do about it. `CONVERGED_*` flags say which rule
stopped the walk; several flags may stand together (a converged fit can also be rank-deficient).
"""

from __future__ import annotations

import enum


class Status(enum.IntFlag):
    """Named flags of a fit; `Status.sentence` explains each, `Status.success` judges the whole.

    Examples
    --------
    >>> status = Status.CONVERGED_GRADIENT | Status.RANK_DEFICIENT
    >>> status.success
    True
    >>> status.names
    ('CONVERGED_GRADIENT', 'RANK_DEFICIENT')
    """

    CONVERGED_FTOL = 1 << 0
    CONVERGED_XTOL = 1 << 1
    CONVERGED_GRADIENT = 1 << 2
    MAX_NFEV = 1 << 3
    STALLED = 1 << 4
    RUNAWAY = 1 << 5
    NOT_A_MINIMUM = 1 << 6
    NONFINITE_START = 1 << 7
    NONFINITE_DATA = 1 << 8
    FEW_POINTS = 1 << 9
    NO_DATA = 1 << 10
    RANK_DEFICIENT = 1 << 11
    AT_BOUND = 1 << 12
    NO_EFFECT_AT_START = 1 << 13
    ABORTED = 1 << 14
    CLIPPED = 1 << 15
    QR_FALLBACK = 1 << 16
    CHUNK_FAILED = 1 << 17

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the flags that are set, in the order of their definition."""
        return tuple(flag.name for flag in Status if flag in self and flag.name)

    @property
    def success(self) -> bool:
        """Whether a minimum was reached; a rank-deficient minimum or one on a bound is a success."""
        return bool(self & CONVERGED) and not self & FAILED

    @property
    def sentence(self) -> str:
        """What happened and what to do, one sentence per flag."""
        return " ".join(SENTENCES[flag] for flag in Status if flag in self)


CONVERGED = Status.CONVERGED_FTOL | Status.CONVERGED_XTOL | Status.CONVERGED_GRADIENT
FAILED = (
    Status.MAX_NFEV
    | Status.STALLED
    | Status.RUNAWAY
    | Status.NOT_A_MINIMUM
    | Status.NONFINITE_START
    | Status.NONFINITE_DATA
    | Status.FEW_POINTS
    | Status.NO_DATA
    | Status.NO_EFFECT_AT_START
    | Status.ABORTED
    | Status.CHUNK_FAILED
)

SENTENCES: dict[Status, str] = {
    Status.CONVERGED_FTOL: "Converged: chi-square can't be lowered any further.",
    Status.CONVERGED_XTOL: "Converged: the steps have shrunk to rounding.",
    Status.CONVERGED_GRADIENT: "Converged: the gradient vanishes to a small fraction of the errors.",
    Status.MAX_NFEV: "Stopped at the limit of function evaluations; raise max_nfev or start closer.",
    Status.STALLED: "Stalled: no step lowers chi-square although the gradient hasn't vanished; start closer, or smooth the model.",
    Status.RUNAWAY: "Ran away: parameters grow without end while chi-square barely changes; set bounds or start closer.",
    Status.NOT_A_MINIMUM: "Not a minimum: the point is a saddle or a maximum in some direction; start away from the symmetric point.",
    Status.NONFINITE_START: "The model isn't finite at the start; change the start values or set bounds.",
    Status.NONFINITE_DATA: 'The data hold non-finite values; mask them, or pass nan_policy="omit".',
    Status.FEW_POINTS: "There are fewer usable points than varying parameters; fix some with vary=False or unmask data.",
    Status.NO_DATA: "There is no usable point; unmask data or give positive weights.",
    Status.RANK_DEFICIENT: "The data can't tell some parameters apart; their stderr is inf: fix one of them or drop the term.",
    Status.AT_BOUND: "Parameters ended on a bound; their stderr is nan, and the other errors hold with them fixed there.",
    Status.NO_EFFECT_AT_START: "Parameters had no effect at the start, so they never moved; start where the model feels them.",
    Status.ABORTED: "Stopped by the caller; the values are the best so far.",
    Status.CLIPPED: "Some points were clipped as outliers.",
    Status.QR_FALLBACK: "The fast solver was too ill-conditioned here; QR took over.",
    Status.CHUNK_FAILED: "This chunk of the data failed and was left out.",
}
