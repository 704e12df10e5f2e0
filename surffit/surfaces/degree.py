"""Which degree a polynomial surface should have: all of them tried at once, and one chosen by a stated rule."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bases.terms import Degree, checked_degree
from ..core.containers import is_series, users_line
from ..core.data import open_door
from ..exceptions import DataError, DataWarning, ParameterError, TooFewPointsError
from .nested import Polynomials
from .pixels import with_pixels
from .polynomial import PolynomialSurface

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["DegreeChoice", "choose_degree"]

CRITERIA = ("aicc", "bic", "loo", "ftest", "cv")
WORDS = {"aicc": "AICc", "bic": "BIC", "loo": "the leave-one-out error", "ftest": "F-tests", "cv": "cross-validation"}


@dataclass(frozen=True, eq=False)
class DegreeChoice:
    """
    What `choose_degree` found.

    Attributes
    ----------
    degree : int or tuple of int
        The chosen one.
    table : DataFrame
        One row for each degree in the index: ``k`` coefficients, ``chisqr``, ``redchi``, ``aicc``, ``bic``, ``loo`` (root mean
        square of the leave-one-out residuals), ``cv`` (the same by folds, for that criterion), and for total degrees
        ``statistic`` and ``p_value`` of the test that the terms of that very degree are chance.
    result : SurfaceResult
        The fit of the chosen degree.
    criterion : str
    at_limit : bool
        Whether no higher degree was tried, in a variable at least.
    dropped : tuple
        Degrees that the points don't determine.
    """

    degree: Degree
    table: pd.DataFrame
    result: Any
    criterion: str
    at_limit: bool
    dropped: tuple[Degree, ...]

    def __repr__(self) -> str:
        return f"<DegreeChoice: degree {self.degree} by {self.criterion}>"

    def report(self) -> str:
        """The choice in words."""
        row = self.table.loc[self._row]
        count = len(self.table)
        lines = [f"Degree {self.degree} ({int(row['k'])} coefficients) is chosen by {WORDS[self.criterion]} among {count} degrees."]
        if self.criterion in ("aicc", "bic") and count > 1:
            others = self.table[self.criterion].drop(self._row)
            gap = float(others.min() - row[self.criterion])
            close = "a close call: look at both" if gap < 2 else "some evidence against it" if gap < 6 else "clearly behind"
            lines.append(f"The next best is degree {others.idxmin()}, {gap:.1f} higher in {WORDS[self.criterion]}: {close}.")
        if self.at_limit:
            lines.append("It is the highest that was tried: a higher one may be better still, or no polynomial describes these data.")
        if self.dropped:
            lines.append(f"Not tried, since the points don't determine them: degree {', '.join(map(str, self.dropped[:6]))}.")
        lines.append(
            "The errors of the result are those of a degree fixed beforehand. It was chosen from the same data, which they don't know: "
            "they are too small, and its p-values too good. Test the choice on data that took no part in it."
        )
        return "\n".join(lines)

    @property
    def _row(self) -> Any:
        return self.degree if not isinstance(self.degree, tuple) else str(self.degree)

    def plot(self, ax: Axes | None = None) -> Axes:
        """
        The residual, which falls with every term, and the leave-one-out error, which doesn't.

        Parameters
        ----------
        ax : Axes, optional
            Where to; a new figure if not given.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from .degree_plot import draw

        return draw(self, ax)


def choose_degree(
    source: Any,
    /,
    data: Any = None,
    *,
    max_degree: Degree = 8,
    criterion: str = "bic",
    basis: str = "chebyshev",
    variables: str | tuple[str, ...] | None = None,
    total: bool = True,
    alpha: float = 0.05,
    folds: int = 10,
    rng: Any = None,
    sigma: Any = None,
    weights: Any = None,
    var: Any = None,
    ivar: Any = None,
    mask: Any = None,
    nan_policy: str = "raise",
    scale_covar: bool = True,
    coords: Mapping[str, Any] | None = None,
    **given: Any,
) -> DegreeChoice:
    r"""
    Choose the degree of a polynomial surface, in any number of variables.

    Parameters
    ----------
    source : array_like or DataFrame
        The data, as `SurfaceModel.fit` takes them; or a table, with ``data`` and the coordinates naming its columns.
    data : str or array_like, optional
        For a table: the column of the data.
    max_degree : int or tuple of int
        The highest that is tried.
    criterion : {"bic", "aicc", "loo", "cv", "ftest"}
        The smallest Bayesian or corrected Akaike criterion; leave-one-out or cross-validated error; or the highest degree whose
        terms are not chance, from `max_degree` down (a surface may have terms of degree 4 and none of 3), each test at
        alpha / number of tests.
    basis : str
        Of the result; see `PolynomialSurface`. The choice doesn't depend on it.
    variables : str or tuple of str, optional
        Order of the coordinates; default: as given, or x and y for an image.
    total : bool
        True: total degrees 0, 1, 2, ...  False: every combination of one degree for each variable.
    alpha : float
        Chance that "ftest" sees a term where there is none.
    folds : int
        Parts of "cv".
    rng : int or numpy Generator, optional
        Deals the points into folds.
    sigma, weights, var, ivar, mask, nan_policy, scale_covar, coords
        As for `SurfaceModel.fit`, or the names of columns. With ``scale_covar=False`` the errors are taken as known.
    **given
        Coordinates: arrays, or names of columns. None at all: pixel indices of an image, x along its columns.

    Returns
    -------
    DegreeChoice
        With `degree`, `table`, `result`, `report()` and `plot()`.

    Raises
    ------
    ParameterError, DataError
        For an unknown criterion, and calls that `SurfaceModel.fit` refuses.

    Warns
    -----
    DataWarning
        If the best is the highest degree tried.

    Notes
    -----
    One QR of the columns of the highest degree gives all chi-squares, one more pass all leverages
    (`SurfaceResult.leave_one_out`). The criteria are those of `compare`. BIC finds the degree if there is one, as points become
    many; AICc and leave-one-out predict best and tend to a degree too high by one.

    Having chosen, the errors of the result are too small: they know nothing of the other degrees. `report()` says so, too.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.uniform(0, 100, (2, 200))
    >>> data = 3 + 0.1 * x - 0.002 * x * y + rng.normal(0, 0.1, 200)
    >>> choice = sf.choose_degree(data, x=x, y=y)
    >>> choice.degree
    2
    >>> choice.table["k"].tolist()
    [1, 3, 6, 10, 15, 21, 28, 36, 45]
    """
    if criterion not in CRITERIA:
        msg = f"criterion={criterion!r}; use one of {', '.join(map(repr, CRITERIA))}"
        raise ParameterError(msg)
    if criterion == "ftest" and not total:
        msg = "criterion='ftest' goes down one total degree after the other; use total=True, or another criterion"
        raise ParameterError(msg)
    highest = checked_degree(max_degree)
    call = {**given, **(coords or {})}
    names = (variables,) if isinstance(variables, str) else tuple(variables) if variables is not None else tuple(call)
    errors: dict[str, Any] = {"sigma": sigma, "weights": weights, "var": var, "ivar": ivar, "mask": mask}
    values, call, errors, names = _arrays(source, data, call, errors, names)
    model = PolynomialSurface(highest, names, basis, total)
    unknown = sorted(set(call) - set(names))
    if unknown:
        msg = f"choose_degree() got {', '.join(unknown)}, which is no argument and not among variables={names}"
        raise ParameterError(msg)
    opened = open_door(values, call, nan_policy=nan_policy, **errors)
    if np.iscomplexobj(opened.data):
        msg = "choose_degree() is for real data; choose for real and imaginary part apart"
        raise DataError(msg)
    fold = _dealt(opened.n_used, folds, rng) if criterion == "cv" else None
    candidates = Polynomials(opened, names, highest, total, fold)
    if not candidates.degrees:
        msg = f"{opened.n_used} usable points are too few to compare degrees; degree 0 needs 3"
        raise TooFewPointsError(msg, n_points=opened.n_used)
    known = not scale_covar and opened.weights is not None
    table = _table(candidates, known, criterion == "cv")
    degree = _chosen(candidates, table, criterion, alpha)
    tried = max(candidates.degrees) if total else tuple(max(d[i] for d in candidates.degrees) for i in range(len(names)))  # type: ignore[index]
    at_limit = degree == tried if total else any(a == b > 0 for a, b in zip(degree, tried, strict=True))  # type: ignore[arg-type]
    at_limit = at_limit and bool(len(candidates.degrees) > 1 or candidates.dependent)
    if at_limit:
        why = "that was tried: pass a larger max_degree"
        if candidates.dropped:
            same = [name for name, values in zip(names, candidates.coords, strict=True) if np.ptp(values) == 0]
            cause = f"{', '.join(same)}: one value only" if same else "coordinates with few values, or that follow from one another"
            why = f"that the points determine{f' ({cause})' if candidates.dependent else ''}"
        msg = f"the best degree by {WORDS[criterion]} is {degree}, the highest {why}; more may be better still, or no polynomial fits"
        warnings.warn(DataWarning(msg, degree=degree), stacklevel=users_line())
    model = PolynomialSurface(degree, names, basis, total)
    result = model.fit(values, nan_policy=nan_policy, scale_covar=scale_covar, coords=call, **errors)
    return DegreeChoice(degree, table, result, criterion, at_limit, tuple(candidates.dropped))


def _arrays(
    source: Any, data: Any, call: dict[str, Any], errors: dict[str, Any], names: tuple[str, ...]
) -> tuple[Any, dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Values, coordinates and errors, looked up in the table where there is one."""
    alone = [name for name, value in call.items() if np.ndim(value) == 0 and (data is None or not isinstance(value, str))]
    if data is None and is_series(source) and source.ndim == 2 and any(isinstance(value, str) for value in call.values()):
        msg = "the first argument is a table; name the column of the data, too: choose_degree(df, data='n', ...)"
        raise DataError(msg)
    if alone and np.size(source) > 1:
        each = ", ".join(f"{name}={call[name]!r}" for name in alone)
        msg = f"choose_degree() got {each}, which is no argument of it, and a coordinate has a value for every point"
        raise ParameterError(msg, names=alone)
    if data is None:
        shape = np.shape(source)
        names = names or (("x",) if len(shape) == 1 else ("x", "y"))
        return source, with_pixels(source, names, call), {k: v for k, v in errors.items() if v is not None}, names
    if not (is_series(source) and source.ndim == 2):
        msg = f"data= names a column, but the first argument is {type(source).__name__}; give a DataFrame first, or the data alone"
        raise DataError(msg)
    from ..tables.columns import gather

    if not names:
        msg = "give the coordinates, e.g. choose_degree(df, data='n', x='wavelength_nm')"
        raise DataError(msg)
    columns = gather(source, PolynomialSurface(0, names), data, errors, call)
    return columns.data, columns.coords, dict(columns.errors), names


def _dealt(n: int, folds: int, rng: Any) -> np.ndarray:
    """Which fold each point is in, of nearly equal sizes."""
    if not isinstance(folds, int | np.integer) or not 2 <= folds <= n:
        msg = f"folds={folds!r}; give a whole number from 2 to the number of points, {n}"
        raise ParameterError(msg)
    return np.asarray(np.random.default_rng(rng).permutation(n) % folds)


def _table(candidates: Polynomials, known: bool, crossed: bool) -> pd.DataFrame:
    """One row for each degree."""
    import pandas as pd
    from scipy import stats

    from ..tables.comparison import corrected

    n, press = candidates.n, candidates.press()
    rows = []
    before: dict[str, float] | None = None
    # of data that a polynomial describes exactly what is left is rounding, and no criterion
    least = np.finfo(float).eps ** 2 * float(candidates.R[:, -1] @ candidates.R[:, -1])
    for degree in candidates.degrees:
        k, chisqr = candidates.columns(degree).size, max(candidates.chisqr(degree), least)
        cost = chisqr if known else n * float(np.log(chisqr / n)) if chisqr > 0 else -np.inf
        row = {"k": k, "chisqr": chisqr, "redchi": chisqr / (n - k), "aicc": corrected(cost + 2 * k, n, k if known else k + 1)}
        row |= {"bic": cost + k * float(np.log(n)), "loo": float(np.sqrt(press[degree] / n))}
        if crossed:
            row["cv"] = float(np.sqrt(candidates.crossed(degree) / n))
        if candidates.total:
            row |= {"statistic": np.nan, "p_value": np.nan}
            if before is not None:
                more, gain = k - before["k"], max(before["chisqr"] - chisqr, 0.0)
                statistic = gain if known else gain / more / row["redchi"] if chisqr > 0 else np.nan
                row["statistic"] = statistic
                row["p_value"] = float(stats.chi2.sf(statistic, more) if known else stats.f.sf(statistic, more, n - k))
        rows.append(row)
        before = row
    labels = [str(d) if isinstance(d, tuple) else d for d in candidates.degrees]
    return pd.DataFrame(rows, index=pd.Index(labels, name="degree"))


def _chosen(candidates: Polynomials, table: pd.DataFrame, criterion: str, alpha: float) -> Degree:
    if criterion != "ftest":
        return candidates.degrees[int(np.argmin(table[criterion].to_numpy()))]
    p = table["p_value"].to_numpy()[1:]
    meant = np.flatnonzero(p < alpha / max(p.size, 1))
    return candidates.degrees[int(meant[-1]) + 1 if meant.size else 0]
