"""The posterior of a fit as people hold it: named chains, their summary, pictures, evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..exceptions import DocumentError, OptionalDependencyError, ParameterError
from ..kernels.warned import filtered

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.025, 0.1587, 0.5, 0.8413, 0.975)


class Evidence(NamedTuple):
    """Natural logarithm of the evidence, and its error."""

    ln_z: float
    error: float


class Posterior:
    """
    Samples of the parameters given the data; made by `SurfaceResult.sample`.

    Attributes
    ----------
    names : tuple of str
        Columns of `chain`: the varied parameters that the data determine, in the order of `var_names`, then `derived`.
    derived : tuple of str
        Parameters tied by an expression, computed from the others in every sample.
    chain : ndarray, shape (steps, walkers, len(names))
        All steps, the first `burn` of which still remember the start.
    log_prob : ndarray, shape (steps, walkers)
        Logarithm of the posterior density up to a constant, linear parameters (and an unknown data error) integrated out.
    acceptance : float
        Share of the proposed steps that were taken; 1 for direct draws.
    tau : ndarray, shape (len(names),)
        Integrated autocorrelation times in steps.
    converged : bool
        Whether there are at least 50 times as many steps as the longest of them, and no walker left for infinity.
    burn, thin : int
        Steps left out at the beginning, and the stride of `to_frame` and the pictures.
    seed : int
        Repeats the run.
    marginalised : tuple of str
        Parameters that were not walked but integrated out exactly and drawn given the others.
    notes : tuple of str
        What is worth knowing about the run, in sentences.
    """

    def __init__(
        self,
        names: Sequence[str],
        chain: np.ndarray,
        log_prob: np.ndarray,
        *,
        acceptance: float,
        tau: np.ndarray,
        converged: bool,
        burn: int,
        thin: int,
        seed: int,
        marginalised: Sequence[str] = (),
        derived: Sequence[str] = (),
        notes: Sequence[str] = (),
        escaped: Sequence[str] = (),
        resume: Callable[[int, Any], Posterior] | None = None,
        nested: Callable[[], Evidence] | None = None,
    ) -> None:
        self.names = tuple(names)
        self.derived = tuple(derived)
        self.chain = np.ascontiguousarray(chain, dtype=float)  # sums in one order, here and where it is loaded
        self.log_prob = np.asarray(log_prob, dtype=float)
        self.acceptance = float(acceptance)
        self.tau = np.asarray(tau, dtype=float)
        self.converged = bool(converged)
        self.burn, self.thin, self.seed = int(burn), int(thin), int(seed)
        self.marginalised = tuple(marginalised)
        self.notes = tuple(notes)
        self._resume = resume
        self._nested = nested
        self._escaped = tuple(escaped)
        self._evidence: Evidence | None = None

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.chain.shape[0])

    @property
    def walkers(self) -> int:
        """Number of walkers."""
        return int(self.chain.shape[1])

    def __repr__(self) -> str:
        """One line: size and whether it converged."""
        how = "converged" if self.converged else f"NOT converged (tau {self._longest():.0f})"
        if self._escaped:
            how = f"NOT proper in {', '.join(self._escaped)}"
        return f"<Posterior of {', '.join(self.names)}: {self.steps} steps x {self.walkers} walkers, {how}>"

    def _longest(self) -> float:
        return float(np.nanmax(self.tau)) if self.tau.size and np.isfinite(self.tau).any() else float("nan")

    def flat(self, name: str | None = None, thin: int = 1) -> np.ndarray:
        """Samples after `burn`, walkers joined: (samples,) of one parameter, else (samples, len(names))."""
        kept = self.chain[self.burn :: whole("thin", thin, 1)].reshape(-1, len(self.names))
        return kept if name is None else kept[:, self._index(name)]

    def _index(self, name: str) -> int:
        if name not in self.names:
            msg = f"{name!r} is not in this posterior; it holds {', '.join(self.names)}"
            raise ParameterError(msg, name=name)
        return self.names.index(name)

    def to_frame(self) -> pd.DataFrame:
        """One row per sample (after `burn`, every `thin`-th step), one column per parameter, and `log_prob`."""
        import pandas as pd

        frame = pd.DataFrame(self.flat(thin=self.thin), columns=list(self.names))
        frame["log_prob"] = self.log_prob[self.burn :: self.thin].reshape(-1)
        return frame

    def covariance(self) -> np.ndarray:
        """Covariance of the samples after `burn`, shape (len(names), len(names))."""
        flat = self.flat()
        size = self._size(flat)
        return np.atleast_2d(np.cov(flat / size, rowvar=False)) * size * size[:, None]

    @staticmethod
    def _size(flat: np.ndarray) -> np.ndarray:
        """A power of two for each column: squares of 1e-200 would be nothing."""
        return np.asarray(np.ldexp(1.0, np.frexp(np.abs(flat).max(axis=0, initial=5e-324))[1]))

    def __getstate__(self) -> dict[str, Any]:
        # samples travel; the model they were drawn from stays
        return {**self.__dict__, "_resume": None, "_nested": None}

    # ---- what it says ------------------------------------------------------------------------------------------------------

    def summary(self) -> pd.DataFrame:
        """
        One row per parameter.

        Returns
        -------
        DataFrame
            mean, sd, the quantiles q2.5, q15.87, q50, q84.13, q97.5, n_eff (samples divided by the autocorrelation time) and
            mc_error (sd / sqrt(n_eff), what the mean of another run would differ by).
        """
        import pandas as pd

        flat = self.flat()
        size = self._size(flat)
        sd = size * (flat / size).std(axis=0, ddof=1) if len(flat) > 1 else np.full(len(self.names), np.nan)
        with np.errstate(all="ignore"):
            n_eff = len(flat) / np.maximum(self.tau, 1.0)
            columns: dict[str, Any] = {"mean": flat.mean(axis=0), "sd": sd}
            for q, row in zip(QUANTILES, np.quantile(flat, QUANTILES, axis=0), strict=True):
                columns[f"q{100 * q:.4g}"] = row
            columns |= {"n_eff": n_eff, "mc_error": sd / np.sqrt(n_eff)}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="term"))

    def corner(self, names: Sequence[str] | None = None, **kws: Any) -> Any:
        """
        Scatter of every pair of parameters and the histogram of each, by the package corner.

        Parameters
        ----------
        names : sequence of str, optional
            Which parameters; default: all.
        **kws
            For `corner.corner`.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        OptionalDependencyError
            Without the package corner.
        """
        try:
            from corner import corner as draw
        except ImportError as err:
            raise _missing("corner", "corner plots need") from err
        shown = list(names) if names is not None else list(self.names)
        flat = self.flat(thin=self.thin)[:, [self._index(name) for name in shown]]
        # a parameter that never moved has no range to draw
        moving = [i for i, column in enumerate(flat.T) if np.ptp(column) > 1e-15 * np.abs(column).max()]
        if not moving:
            msg = f"no sample of {', '.join(shown)} differs from the others; there is nothing to draw"
            raise ParameterError(msg)
        kws = {
            "labels": [shown[i] for i in moving],
            "range": [0.999] * len(moving),
            "quantiles": (0.1587, 0.5, 0.8413),
            "show_titles": True,
            "title_fmt": ".4g",
        } | kws
        return draw(np.ascontiguousarray(flat[:, moving]), **kws)

    def to_arviz(self) -> Any:
        """
        The chain after `burn` as arviz' `InferenceData`, one chain per walker.

        Raises
        ------
        OptionalDependencyError
            Without the package arviz.
        """
        with filtered("ignore"):  # arviz announces its own next version
            try:
                import arviz
            except ImportError as err:
                raise _missing("arviz", "the conversion needs") from err
            draws = {name: self.chain[self.burn :, :, i].T for i, name in enumerate(self.names)}
            stats = {"lp": self.log_prob[self.burn :].T}
            try:
                return arviz.from_dict(posterior=draws, sample_stats=stats)
            except TypeError:  # arviz 1: groups in one dict
                return arviz.from_dict({"posterior": draws, "sample_stats": stats})

    @property
    def evidence(self) -> Evidence:
        """
        Natural logarithm of the evidence and its error, by nested sampling with dynesty (computed when first asked for).

        The prior is uniform within the bounds of a parameter, or the prior that the fit was given.

        Raises
        ------
        OptionalDependencyError
            Without the package dynesty.
        ParameterError
            If a parameter has no proper prior, or the errors of the data are not known.
        """
        if self._evidence is None:
            if self._nested is None:
                raise _loaded("the evidence")
            self._evidence = self._nested()
        return self._evidence

    def more(self, steps: int, progress: Any = False) -> Posterior:
        """
        The same chain, carried on: 500 steps and 500 more are the 1000 steps of one run.

        Parameters
        ----------
        steps : int
        progress : bool or callable
            As for `SurfaceResult.sample`.

        Returns
        -------
        Posterior
            A new one with all steps; this one stays as it is.
        """
        if self._resume is None:
            raise _loaded("carrying on")
        return self._resume(steps, progress)

    def save(self, path: Any) -> None:
        """
        Write the posterior as a document: the numbers to `path`, the chain into an .npz beside it.

        `surffit.load(path)` reads both; they belong together. The .npz has the name of the document with a part of the
        chain's digest in it, and a later save under the same name removes it.

        Parameters
        ----------
        path : path-like
            The file. The pair is exchanged in one step, or left as it was if anything goes wrong.

        Raises
        ------
        OSError
            If a file can't be written.
        """
        from ..io import save

        save(self, path)


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least so much; ParameterError otherwise."""
    try:
        out = int(value)
        fine = not isinstance(value, bool | str) and out == value and out >= least
    except (TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        msg = f"{name}={value!r}; give a {'positive whole number' if least else 'whole number that is not negative'}"
        raise ParameterError(msg)
    return out


def _loaded(what: str) -> DocumentError:
    return DocumentError(f"{what} needs the model and the data, which a loaded posterior doesn't hold; call result.sample() again")


def _missing(package: str, what: str) -> OptionalDependencyError:
    return OptionalDependencyError(f'{what} {package}: pip install "surffit[mc]"', package=package)
