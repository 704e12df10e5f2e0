"""What a result tells about its uncertainty: bands, intervals, covariances, posteriors, and all of it in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from lmfit.model import ModelResult

from . import bands
from . import explain as words

if TYPE_CHECKING:
    from .hat import LeaveOneOut
    from .posterior import Posterior
    from .result import SurfaceResult


class Inference(ModelResult):
    """The part of `SurfaceResult` that says how sure it is."""

    def eval_uncertainty(self, params: Any = None, sigma: float = 1, dscale: float = 0.01, **kwargs: Any) -> np.ndarray:
        """
        Uncertainty of the model at given coordinates, from exact derivatives.

        As in lmfit (`dely`, `dely_comps` and `dely_predicted` are set), but `dely_predicted` uses the error of a new data
        point, sigma (times the residual's factor if `scale_covar`), not the bare reduced chi-square.

        Parameters
        ----------
        params : Parameters, optional
            Where to evaluate; default: the best fit.
        sigma : float
            Number of standard deviations, or a probability below 1.
        dscale : float
            Accepted for lmfit's sake; exact derivatives need no step.
        **kwargs
            Coordinates; default: those of the fit.

        Returns
        -------
        ndarray, shape of the model's values
        """
        source = self.__dict__.get("_fitted_in")
        if source is None or params is not None:
            return bands.uncertainty(self, params, sigma, kwargs)
        source.eval_uncertainty(None, sigma, dscale, **kwargs)
        self.dely, self.dely_comps, self.dely_predicted = source.dely, source.dely_comps, source.dely_predicted
        return np.asarray(self.dely)

    def predict(self, level: float = 0.95, kind: str = "confidence", *, sigma_new: Any = None, **coords: Any) -> Any:
        """
        The fitted model with its band.

        Parameters
        ----------
        level : float
            Probability between 0 and 1 that the band covers.
        kind : {"confidence", "prediction"}
            Where the model lies, or where a new data point will.
        sigma_new : array_like, optional
            Error of the new points, for "prediction" only; not negative, of a shape that broadcasts to the prediction. Default:
            that of the data (at new coordinates their median). If the fit had errors (sigma, weights, var, ivar), it is an error
            in the same sense as those: with ``scale_covar=True`` both are multiplied by the same factor, the square root of the
            reduced chi-square. If it had none, or its loss is a likelihood, it is the error itself and nothing multiplies it;
            so too for a loaded fit whose file doesn't tell (files of early versions), which has no default.
        **coords
            New coordinates; default: those of the fit.

        Returns
        -------
        DataFrame with fit, lower, upper for 1-D coordinates, else a dict of three arrays.

        Raises
        ------
        DataError
            For a level outside (0, 1), coordinates in other units, or a sigma_new that is negative, nan, of another shape, or
            given for a confidence band.
        DocumentError
            For a loaded fit: without coordinates (the data aren't in its file), a model or a covariance.
        """
        # in the basis of the fit, which keeps the digits that powers of a coordinate may lose
        return bands.predict(self.__dict__.get("_fitted_in", self), level, kind, sigma_new, coords)

    def conf_interval(
        self, p_names: Any = None, sigmas: Any = None, trace: bool = False, maxiter: int = 200, verbose: bool = False,
        prob_func: Any = None, min_rel_change: float = 1e-5,
    ) -> Any:  # fmt: skip
        """
        Confidence intervals by profiling: one parameter held, all others fitted again, by our solver.

        Parameters
        ----------
        p_names : list of str, optional
            Default: all that were varied and are determined, those on a bound too.
        sigmas : sequence of float, optional
            Levels: numbers of sigma, or probabilities below 1; default 1, 2, 3.
        trace : bool
            Also return the points visited, as lmfit does.
        maxiter : int
            Limit of the search for one limit.
        verbose, min_rel_change
            Accepted for lmfit's sake.
        prob_func : callable, optional
            ``prob_func(best_fit, new_fit)`` as in lmfit; default: the F-test with scaled errors, chi-square with known ones.

        Returns
        -------
        dict
            name: list of (probability, value) from the lowest to the highest limit, the best value with probability 0 in the
            middle. A limit beyond a bound, or one that the data don't give, is infinite.

        Warns
        -----
        ConvergenceWarning
            If a lower minimum was met on the way.
        CovarianceWarning
            If a limit lies beyond a bound.
        """
        from .profile import conf_interval

        self.ci_out = conf_interval(self, p_names, sigmas, trace, maxiter, verbose, prob_func, min_rel_change)
        return self.ci_out

    def conf_interval2d(
        self, x_name: str, y_name: str, nx: int = 10, ny: int = 10, limits: Any = None, prob_func: Any = None, nsigma: float = 5,
        chi2_out: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """
        Confidence regions of two parameters, as `lmfit.conf_interval2d` gives them.

        Parameters
        ----------
        x_name, y_name : str
        nx, ny : int
            Number of grid points.
        limits : tuple, optional
            ``((x_upper, x_lower), (y_upper, y_lower))``, or one number in place of `nsigma`.
        prob_func : callable, optional
            ``prob_func(best_fit, new_fit)``: what the grid shall hold.
        nsigma : float
            Half width in standard errors, cut at the bounds.
        chi2_out : bool
            Whether the grid shall hold chi-square.

        Returns
        -------
        x : ndarray, shape (nx,)
        y : ndarray, shape (ny,)
        grid : ndarray, shape (ny, nx)
            Numbers of sigma, sqrt(rise of chi-square / variance), unless told otherwise.
        """
        from .profile import conf_interval2d

        return conf_interval2d(self, x_name, y_name, nx, ny, limits, prob_func, nsigma, chi2_out)

    def leave_one_out(self) -> LeaveOneOut:
        """
        What the fit predicts for each point when it hasn't seen it, from the hat matrix: no fit is repeated.

        Exact for models that are linear in all free parameters, to first order (the tangent plane) for others.

        Returns
        -------
        LeaveOneOut
            With `residual` and `leverage` (shape of the data), `press`, `rms`, `rsquared` and `exact`.

        Raises
        ------
        ParameterError, DataError, DocumentError
            For fits with a loss or priors, joint and loaded ones, and complex data.
        """
        from .hat import leave_one_out

        return leave_one_out(self)

    def explain(self) -> str:
        """What the data say about the parameters and what they don't, in words."""
        return words.explain(self)

    def covariance(self, estimator: str = "jacobian", rng: Any = None) -> Any:
        """
        The covariance by one estimator.

        Parameters
        ----------
        estimator : {"jacobian", "hessian", "mcmc"}
            The QR factor of the derivatives (expected information); numerical second derivatives of what was minimised, in
            whitened coordinates (observed information); or a posterior chain around the minimum. All three scale the errors
            alike (`scale_covar`).
        rng : int or numpy Generator, optional
            Of the chain; the seed stands in the notes.

        Returns
        -------
        NamedCovariance
            With `.matrix`, `.names`, `.source`, `.notes` and `.stderr` (a dict).

        Raises
        ------
        ParameterError
            If this estimator gives none here; the sentence says why.
        ChainTooShortError
            If the chain did not converge; it is on the error.
        """
        from .rungs import by_name

        return by_name(self, estimator, rng)

    def sample(self, steps: int = 2000, walkers: int | None = None, rng: Any = None, progress: Any = False) -> Posterior:
        """
        Draw the posterior: emcee around the minimum, linear parameters integrated out exactly.

        The prior is flat within the bounds, and 1/sigma for the error of the data where that is scaled (`scale_covar=True`),
        also beside priors that were given; a robust loss, and fewer data than parameters, take its scale as the fit found it.
        Without bounds or priors a posterior may not be proper, where the data say nothing far out: the chain is stopped where that
        shows, and the posterior says so and is never `converged`.

        Parameters
        ----------
        steps : int
            Steps of every walker.
        walkers : int, optional
            Default: twice as many as parameters that are walked, at least 16.
        rng : int or numpy Generator, optional
            The same integer gives the same samples; the seed stands in the answer.
        progress : bool or callable
            True: a bar by tqdm; a callable gets (done, total, text).

        Returns
        -------
        Posterior
            With `to_frame`, `summary`, `corner`, `to_arviz`, `evidence` and `more`.

        Raises
        ------
        ParameterError
            If there is nothing to sample, or too few walkers.

        Warns
        -----
        ConvergenceWarning
            If the chain is shorter than 50 autocorrelation times, or the posterior isn't proper.
        """
        from .sampling import sample

        return sample(self, steps, walkers, rng, progress)

    def to_basis(self, basis: str) -> SurfaceResult:
        """
        The same fit of a polynomial surface with its coefficients in another basis.

        Parameters
        ----------
        basis : {"monomial", "chebyshev", "legendre", "orthonormal"}
            For every `PolynomialSurface` in the model.

        Returns
        -------
        SurfaceResult
            Coefficients and covariance mapped exactly (in double-double); fit, residual and statistics are those of this one.
            `explain()` tells both. What the data don't determine stays so: inf for coefficients that depend on it.

        Raises
        ------
        ParameterError
            If the model has no polynomial surface, or another parameter is tied to a coefficient.
        """
        from .rebase import to_basis

        return to_basis(self, basis)
