"""The ladder of covariances by name, and what a fit says about the rung it ended on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import ChainTooShortError, DocumentError, ParameterError
from ..solve.covariance import Covariance, from_factor
from ..solve.hessian import NoCurvatureError
from ..solve.ladder import ChainError, Climb, climb, hessian, mcmc
from ..solve.posterior import NoStartError
from ..solve.status import Status
from .outcome import refuse_mapped
from .sampling import drawn_seed, improper, row_scale

if TYPE_CHECKING:
    from .outcome import Outcome
    from .result import SurfaceResult

ESTIMATORS = ("jacobian", "hessian", "mcmc")
SEED = 20240229  # of the chain that a fit falls back on where it was given no rng: fits are deterministic


class NamedCovariance:
    """
    A covariance matrix with its parameters' names and its source.

    Attributes
    ----------
    matrix : ndarray, shape (n, n)
        inf on the diagonal for undetermined parameters, nan for those held on a bound; nan off it for both.
    names : tuple of str
    source : str
        "jacobian", "hessian" or "mcmc".
    notes : tuple of str
        What is worth knowing about how it was had.
    """

    def __init__(
        self, matrix: np.ndarray, names: tuple[str, ...], source: str, notes: tuple[str, ...] = (), errors: np.ndarray | None = None
    ) -> None:
        self.matrix, self.names, self.source, self.notes = matrix, names, source, notes
        self._errors = errors  # squares of 1e-200 would be nothing

    @property
    def stderr(self) -> dict[str, float]:
        """Standard errors by name."""
        errors = np.sqrt(self.matrix.diagonal()) if self._errors is None else self._errors
        return {name: float(v) for name, v in zip(self.names, errors, strict=True)}

    def __repr__(self) -> str:
        """One line: the names and the source."""
        return f"NamedCovariance({', '.join(self.names)}; from the {self.source})"


def laid_out(result: SurfaceResult, outcome: Outcome, cov: Covariance) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors (n,) and correlations (n, n) of all varied parameters, in the order of `var_names`."""
    bound, n = outcome.bound, result.nvarys
    at = {name: i for i, name in enumerate(result.var_names)}
    where = [at[name] for name in bound.names]
    stderr, correlation = np.full(n, np.nan), np.full((n, n), np.nan)
    stderr[where] = cov.sd * result._sd_scale
    correlation[np.ix_(where, where)] = cov.correlation
    stderr[[at[name] for name in bound.unused + bound.stepped]] = np.inf
    return stderr, correlation


def matrix_of(stderr: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Covariance matrix; nan off the diagonal where there is no correlation."""
    safe = np.where(np.isfinite(stderr), stderr, 0.0)
    matrix = correlation * safe * safe[:, None]
    matrix.flat[:: len(stderr) + 1] = stderr**2
    return np.asarray(matrix)


def ladder(outcome: Outcome, first: Covariance, sigma: float) -> Climb:
    """The rung that a fit ends on."""
    rng = outcome.call.fit_kws.get("rng") if outcome.call.method in ("separable", "emcee") else None
    seed = SEED if rng is None else drawn_seed(rng)
    return climb(outcome.bound.problem, outcome.solution, first, sigma, seed)


def settle_status(status: Status, cov: Covariance) -> Status:
    """Flags of a point whose covariance a higher rung has found: what the derivatives missed is no longer missing."""
    flags = Status.RANK_DEFICIENT | Status.NO_EFFECT_AT_START | Status.STALLED
    status &= ~flags
    if cov.undetermined.any():
        status |= Status.RANK_DEFICIENT
    return status | Status.CONVERGED_FTOL


def by_name(result: SurfaceResult, estimator: str, rng: Any) -> NamedCovariance:
    """One rung by name; see `SurfaceResult.covariance`."""
    if estimator not in ESTIMATORS:
        msg = f"estimator={estimator!r}; use {', '.join(repr(e) for e in ESTIMATORS[:-1])} or {ESTIMATORS[-1]!r}"
        raise ParameterError(msg)
    names = tuple(result.var_names)
    if estimator == result.covar_source and result.covar is not None and (rng is None or estimator != "mcmc"):
        kept = None if result.method == "emcee" else np.array([result.params[name].stderr for name in names], dtype=float)
        return NamedCovariance(result.covar.copy(), names, estimator, tuple(result.covar_notes), kept)
    outcome = result._outcome
    if outcome is None:
        refuse_mapped(result)
        held = f"only the covariance from the {result.covar_source}" if result.covar is not None else "no covariance"
        msg = f"a loaded result holds {held}, and neither data nor model code to find another; fit the data again for that"
        raise DocumentError(msg)
    if not np.isfinite(result._sd_scale):
        msg = f"there is no covariance: {result._no_errors}"
        raise ParameterError(msg)
    problem, solution, sigma = outcome.bound.problem, outcome.solution, row_scale(result)
    first = from_factor(solution.here, problem.n, solution.B)
    # derivatives that could not stand can't whiten either
    trust = result.covar_source == "jacobian" or not problem.least_squares
    notes: tuple[str, ...] = ()
    try:
        with np.errstate(all="ignore"):
            if estimator == "jacobian":
                cov = first
            elif estimator == "hessian":
                cov = hessian(problem, solution, first, sigma, trust)
            else:
                seed = drawn_seed(rng)
                cov, samples = mcmc(problem, solution, first, sigma, seed, trust)
                notes = (f"{len(samples.chain)} steps, autocorrelation time {samples.tau.max():.3g}, seed {seed}.",)
    except ChainError as err:
        why = improper([outcome.bound.names[j] for j in err.samples.escaped]) if err.samples.escaped.size else str(err)
        raise ChainTooShortError(f"no covariance from mcmc: {why}", chain=err.samples.chain, tau=err.samples.tau) from err
    except (NoCurvatureError, NoStartError) as err:
        msg = f"no covariance from the {estimator}: {err}"
        raise ParameterError(msg) from err
    stderr, correlation = laid_out(result, outcome, cov)
    errors = stderr / result._sd_scale * sigma
    return NamedCovariance(matrix_of(errors, correlation), names, estimator, notes, errors)
