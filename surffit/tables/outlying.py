"""Points that don't belong: residuals in units of their own error, judged by fits that haven't seen them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from surffit.core.columns import free_name
from surffit.tables.verbs import augment

__all__ = ["Outliers", "outliers"]

COLUMNS = ["leverage", "loo_resid", "studentised", "cook", "p_value", "p_bonferroni", "outlier"]
SHOWN = 10
# Cook's distance from which one point moves the parameters by about their own error
INFLUENTIAL = 1.0


@dataclass(frozen=True, eq=False)
class Outliers:
    """
    What `outliers` found.

    Attributes
    ----------
    table : DataFrame, one row per data point
        As `augment`, and ``leverage``, ``loo_resid``, ``studentised``, ``cook``, ``p_value``, ``p_bonferroni``, ``outlier``.
    mask : ndarray of bool, shape of the data
        True at the outliers alone; ``mask=`` of a fit takes it.
    columns : dict
        Our columns by name: one that the table had already got the suffix ``_fit``.
    level : float
        Chance that a table without outliers has any flagged.
    exact : bool
        Whether the fit is linear in its parameters, so that leave-one-out is exact.
    """

    table: pd.DataFrame
    mask: np.ndarray
    level: float
    exact: bool
    result: Any
    columns: dict[str, str]

    def __repr__(self) -> str:
        return f"<Outliers: {int(self.mask.sum())} of {len(self.table)} points>"

    @property
    def found(self) -> pd.DataFrame:
        """The rows that were flagged, the worst first."""
        return self.table[self._of("outlier")].sort_values(self.columns["p_value"])

    def _of(self, name: str) -> pd.Series:
        return self.table[self.columns[name]]

    def report(self) -> str:
        """What was found, in words."""
        tested = int(self._of("studentised").notna().sum())
        found = self.found
        tests = f"at the {100 * self.level:g} % level of the whole table (Bonferroni, {tested} tests)"
        if found.empty:
            worst = self._of("studentised").abs().max()
            lines = [f"No point is an outlier {tests}; the largest studentised residual is {worst:.3g}."]
        else:
            what = "1 point is an outlier" if len(found) == 1 else f"{len(found)} points are outliers"
            lines = [f"{what} {tests}:"]
            # what the coordinates are called in the user's own table
            given = getattr(self.result, "table_names", {})
            names = [given.get(name, name) for name in self.result.observed.names]
            for label, row in found.head(SHOWN).iterrows():
                at = ", ".join(f"{name}={row[name]:.6g}" for name in names if name in found.columns)
                size, own, p = (row[self.columns[name]] for name in ("resid", "studentised", "p_bonferroni"))
                lines.append(f"  row {label}{at and f' ({at})'}: residual {size:+.4g}, {own:+.1f} of its own errors, p = {p:.2g}")
            if len(found) > SHOWN:
                lines.append(f"  and {len(found) - SHOWN} more")
        pulling = int((self._of("cook") > INFLUENTIAL).sum())
        if pulling:
            lines.append(
                f"Cook's distance is above {INFLUENTIAL:g} for {pulling}: without such a point the parameters move by their errors."
            )
        alone = int((self._of("leverage") >= 1.0 - 1e-10).sum())
        if alone:
            lines.append(f"{alone} decide a parameter alone (leverage 1): they are fitted exactly whatever they are, and can't be judged.")
        if not self.exact:
            lines.append("The model is not linear in all parameters (or a bound holds one): leave-one-out is that of its tangent plane.")
        if not found.empty:
            lines.append(
                "Outliers can hide others, and rejecting them narrows the scatter: look again after refit(), and say what was left out."
            )
        return "\n".join(lines)

    def refit(self) -> Any:
        """
        Fit again without the outliers, from where the fit ended; the first result stays as it is.

        Returns
        -------
        SurfaceResult
        """
        result, call = self.result, self.result._call
        used = result.observed.used
        mask = self.mask if used is None else self.mask | ~used
        errors = {name: value for name, value in call.errors.items() if value is not None}
        return result.model.fit(
            call.data, result.params, method=call.method, fit_kws=call.fit_kws, scale_covar=call.scale_covar, calc_covar=call.calc_covar,
            max_nfev=call.max_nfev, nan_policy=call.nan_policy, coerce_farray=call.coerce, mask=mask, coords=call.coords, **errors,
        )  # fmt: skip


def outliers(result: Any, level: float = 0.05) -> Outliers:
    r"""
    Test every point against a fit that hasn't seen it.

    Parameters
    ----------
    result : SurfaceResult
        A least-squares fit to real data.
    level : float
        Chance that a table without outliers has any flagged, all tests together.

    Returns
    -------
    Outliers
        With `table`, `mask`, `report()` and `refit()`.

    Raises
    ------
    ParameterError, DataError, DocumentError
        For fits with a loss or priors, joint and loaded ones, complex data, and a level outside 0 to 1.

    Notes
    -----
    With leverage h, weighted residual r, n points, p determined parameters and variance s^2 of a weighted residual:

    - ``loo_resid``: data - prediction without the point, e/(1 - h) [data unit];
    - ``studentised``: externally studentised, r / (s_(i) sqrt(1 - h)), where s_(i) is found without the point:
      s_(i)^2 = ((n - p) s^2 - r^2 / (1 - h)) / (n - p - 1). Student's t with n - p - 1 degrees of freedom if there is no
      outlier. With ``scale_covar=False`` the errors of the data are taken as known: s = 1, and the normal distribution;
    - ``cook``: Cook's distance, r^2 h / ((1 - h)^2 p s^2): by how much of their errors all parameters move without the point;
    - ``p_value`` two-sided, ``p_bonferroni`` = min(1, n p_value).

    Exact for models linear in their parameters; to first order for others. Several outliers can hide each other: `detrend` with
    clipping, or a robust ``loss=``, looks at all at once.

    References
    ----------
    R. D. Cook, S. Weisberg, Residuals and Influence in Regression (Chapman and Hall, 1982), chapters 2 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.arange(12.0)
    >>> data = 1 + 2 * x + 0.1 * np.cos(7 * x)
    >>> data[4] += 3
    >>> found = sf.get_model("linear").fit(data, x=x).outliers()
    >>> found.found.index.tolist()
    [4]
    >>> print(found.report().splitlines()[0])
    1 point is an outlier at the 5 % level of the whole table (Bonferroni, 12 tests):
    """
    from surffit.core.hat import ALONE, judged, leave_one_out
    from surffit.exceptions import DataError

    if not 0 < level < 1:
        msg = f"level is {level!r}; give the chance of a false alarm, between 0 and 1 (0.05 for 5 %)"
        raise DataError(msg)
    fit = judged(result, "outliers()")
    left = leave_one_out(fit)
    observed = fit.observed
    weights = 1.0 if observed.weights is None else np.where(observed.weights > 0, observed.weights, np.nan)
    h, rank = left.leverage, fit.ndata - fit.nfree
    # residuals below this are rounding, and no scatter to judge by
    least = (
        8.0
        * np.finfo(float).eps
        * float(np.nanmax(np.abs(observed.select(observed.data * np.ones(observed.shape) * weights)), initial=0.0))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        resid = left.residual * (1.0 - h) * weights
        own = np.where(h < ALONE, resid / np.sqrt(1.0 - h), np.nan)
        s2 = max(fit.redchi, least**2) if fit.scale_covar else 1.0
        cook = own**2 * h / ((1.0 - h) * rank * s2)
        student, p = _judged(own, fit, observed.n_used - rank - 1, least)
    n = int(np.isfinite(student).sum())
    bonferroni = np.minimum(n * p, 1.0)
    flagged = np.nan_to_num(bonferroni, nan=1.0) < level
    frame = augment(fit)
    values = (h, left.residual, student, cook, p, bonferroni, flagged)
    columns = {name: free_name(name, frame.columns) for name in COLUMNS}
    # `augment` puts its columns last
    columns["resid"] = frame.columns[-2]
    frame = frame.iloc[:, :-1].assign(**{columns[name]: np.ravel(v) for name, v in zip(COLUMNS, values, strict=True)})
    return Outliers(frame, flagged, level, left.exact, fit, columns)


def _judged(own: np.ndarray, fit: Any, freedom: int, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Externally studentised residuals and their two-sided probabilities."""
    from scipy import stats

    if not fit.scale_covar:
        return own, 2.0 * stats.norm.sf(np.abs(own))
    if freedom <= 0:
        return np.full(own.shape, np.nan), np.full(own.shape, np.nan)
    without = (fit.redchi * fit.nfree - own**2) / freedom
    student = own / np.sqrt(np.maximum(without, least**2))
    return student, 2.0 * stats.t.sf(np.abs(student), freedom)
