r"""
The hat matrix: how much each point pulls the fit towards itself, and what the fit would say without it.

With weighted derivatives A = QR the fitted values are HA y, H = QQ'; the leverage h_i is the squared length of the i-th row of
Q = A R^{-1}. Rows are made block by block: no matrix of all points by all parameters is held. For a model that is linear in
all free parameters the residual of a point under a fit without it is e_i / (1 - h_i), exactly (D. Allen, Technometrics 16
(1974) 125); else A is the tangent plane at the solution, and this holds to first order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import DataError, DocumentError, ParameterError
from ..solve.covariance import from_factor
from .predict import gradient

if TYPE_CHECKING:
    from .result import SurfaceResult

# numbers in a block of derivatives
BLOCK = 1 << 20
# a point with this leverage is fitted exactly, whatever its value: nothing can be said of it without itself
ALONE = 1.0 - 1e-10


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """
    What a fit predicts for each point when it hasn't seen it.

    Attributes
    ----------
    residual : ndarray, shape of the data
        data - prediction of a fit without the point [data unit]; nan where excluded, inf where no fit without it exists.
    leverage : ndarray, shape of the data
        From 0 to 1, the number of determined parameters in all.
    press : float
        Sum of squares of the weighted residuals (chi-square of the predictions).
    rms : float
        sqrt(press / n), in sigma if the data had errors, else in data units.
    rsquared : float
        Predicted R^2, 1 - press / (weighted sum of squares about the weighted mean).
    exact : bool
        True for models linear in all free parameters; else the tangent plane at the solution stands for the model.
    """

    residual: np.ndarray
    leverage: np.ndarray
    press: float
    rms: float
    rsquared: float
    exact: bool


def judged(result: Any, what: str) -> SurfaceResult:
    """
    The fit behind a result, if the hat matrix says something about it.

    Raises
    ------
    ParameterError
        For joint fits, and fits with a loss or priors.
    DataError
        For complex data.
    DocumentError
        For a loaded fit, which has no data.
    """
    source: Any = getattr(result, "__dict__", {}).get("_fitted_in", result)
    if hasattr(source, "data_sets") or hasattr(source, "joint_names"):
        msg = f"{what} looks at a fit of one data set; this one has several: fit one of them by its own model, or look at augment()"
        raise ParameterError(msg)
    if "_names" not in getattr(source, "__dict__", {}):
        msg = f"{what} needs a SurfaceResult, and this is a {type(result).__name__}; SurfaceModel.from_lmfit(model).fit(...) gives one"
        raise ParameterError(msg)
    if source.__dict__.get("observed") is None:
        msg = f"{what} needs the data, which aren't in the file of a loaded fit; fit the data again"
        raise DocumentError(msg)
    if not source._call.plain:
        why = "priors" if source._call.priors else "smoothing" if source._call.roughness else f"loss={source._call.loss!r}"
        msg = f"{what} is known for least squares; this fit has {why}: fit again without, or judge it by its own residuals"
        raise ParameterError(msg)
    if np.iscomplexobj(source.observed.data):
        msg = f"{what} is for real data; fit real and imaginary part (or amplitude and phase) as two real columns"
        raise DataError(msg)
    fit: SurfaceResult = source
    return fit


def blocks(result: SurfaceResult, columns: int | None = None) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """
    Fitted values and derivatives of the used points, both times 1/sigma, block by block.

    Parameters
    ----------
    result : SurfaceResult
    columns : int, optional
        How many columns a block shall hold; default: as many as there are free parameters.

    Yields
    ------
    where : slice
        Of the used points.
    value : ndarray, shape (rows,)
    J : ndarray, shape (n, rows)
        With respect to the free parameters.
    """
    observed = result.observed
    N = observed.n_used
    weights = None if observed.weights is None else np.abs(observed.select(observed.weights))
    if not observed.elementwise:  # only the model knows which coordinate belongs to which point
        value, J = gradient(result, {})
        rows = np.array([observed.select(row) for row in J]).reshape(len(J), N)
        w = 1.0 if weights is None else weights
        yield slice(0, N), observed.select(value) * w, rows * w
        return
    coords = {name: observed.select(observed.coords[name]) for name in observed.names}
    step = max(1, BLOCK // (columns or max(1, len(result._names))))
    for start in range(0, N, step):
        where = slice(start, min(start + step, N))
        value, J = gradient(result, {name: values[where] for name, values in coords.items()})
        count = where.stop - where.start
        w = 1.0 if weights is None else weights[where]
        yield where, np.broadcast_to(value, (count,)) * w, np.broadcast_to(J if J.ndim == 2 else J[:, None], (len(J), count)) * w


def leverage(result: SurfaceResult) -> np.ndarray:
    """
    Diagonal of the hat matrix for the used points, shape (N,); parameters held on a bound pull nothing.

    Parameters
    ----------
    result : SurfaceResult
        As `judged` gives it.
    """
    outcome = result._outcome
    cov = result._covariance if outcome is None else from_factor(outcome.solution.here, outcome.bound.problem.n, None)
    h = np.empty(result.observed.n_used)
    for where, _, J in blocks(result):
        rows = cov.root.T @ J
        h[where] = np.einsum("ij,ij->j", rows, rows)
    # the sum is the rank: this takes the rows' unit out, and the last rounding
    total = float(h.sum())
    return np.minimum(h * (cov.rank / total), 1.0) if total > 0 else h


def is_linear(result: SurfaceResult) -> bool:
    """Whether the model is linear in all its free parameters, none of them held on a bound."""
    outcome = result._outcome
    if outcome is None:
        return False
    return not outcome.bound.nonlinear and not outcome.bound.stepped and not outcome.solution.held.any()


def leave_one_out(result: Any) -> LeaveOneOut:
    """
    Leave-one-out residuals from the hat matrix; see `SurfaceResult.leave_one_out`.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.arange(5.0)
    >>> out = sf.get_model("linear").fit(np.array([0.1, 0.9, 2.1, 2.9, 4.0]), x=x).leave_one_out()
    >>> out.leverage.round(3).tolist(), out.exact
    ([0.6, 0.3, 0.2, 0.3, 0.6], True)
    """
    fit = judged(result, "leave_one_out()")
    observed = fit.observed
    h = leverage(fit)
    data = observed.select(observed.data)
    left = data - observed.select(fit._eval_shape(fit.params))
    with np.errstate(divide="ignore", invalid="ignore"):
        without = np.where(h < ALONE, left / (1.0 - h), np.inf)
    weights = np.ones_like(data) if observed.weights is None else observed.select(observed.weights)
    press = float(np.sum((without * weights) ** 2))
    centre = float(np.sum(weights**2 * data) / np.sum(weights**2))
    spread = float(np.sum((weights * (data - centre)) ** 2))
    return LeaveOneOut(
        observed.expand(without), observed.expand(h), press, float(np.sqrt(press / data.size)),
        1.0 - press / spread if spread > 0 else np.nan, is_linear(fit),
    )  # fmt: skip
