"""Several models of the same data side by side: information criteria, leave-one-out errors, tests between nested ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from surffit.exceptions import DataError, DataWarning

__all__ = ["compare", "corrected"]

CRITERIA = ("aic", "aicc", "bic", "loo")
COLUMNS = ["n", "k", "chisqr", "redchi", "aic", "aicc", "bic", "weight", "loo", "base", "statistic", "p_value"]
# share of a column outside another model's columns below which it lies in them
INSIDE = 1e-8


def compare(results: Any, by: str = "aicc", *, nested: Iterable[tuple[str, str]] = ()) -> pd.DataFrame:
    r"""
    Compare fits of the same data by several models.

    Parameters
    ----------
    results : mapping of str to result, or sequence of results
        `SurfaceResult` or any lmfit ModelResult. A sequence is named by its models.
    by : {"aicc", "aic", "bic", "loo"}
        What the rows are sorted by, the best first.
    nested : iterable of (str, str)
        Pairs (smaller, larger) that you know to be nested; others are found where that can be proved.

    Returns
    -------
    DataFrame, one row per fit, its name in the index
        ``n``; ``k``, parameters that the data determine; ``chisqr``, ``redchi``; ``aic``, ``aicc``, ``bic``; ``weight``, Akaike's by
        `aicc`; ``loo``, the root mean square of the (weighted) leave-one-out residuals; and for each fit whose model holds the
        model of another: ``base``, the largest such other, ``statistic`` and ``p_value`` of the test whether the gain over it is
        chance. ``base`` is "" where none is nested (a test has no meaning there).

    Raises
    ------
    DataError
        For fewer than one fit, names given twice, an unknown criterion or name.

    Warns
    -----
    DataWarning
        If the fits are of different data (points, values or errors): weights and tests are nan then.

    Notes
    -----
    With the errors of the data scaled (``scale_covar=True``), as lmfit: aic = n ln(chisqr/n) + 2 k, bic with k ln n, and
    aicc = aic + 2 K (K + 1) / (n - K - 1) with K = k + 1 since the variance is a parameter, too (C. Hurvich, C.-L. Tsai,
    Biometrika 76 (1989) 297); the test is F = (D chisqr / D k) / redchi of the larger. With known errors (``scale_covar=False``)
    aic = chisqr + 2 k, bic = chisqr + k ln n, K = k, and D chisqr is tested by chi-square with D k degrees of freedom.

    With priors or smoothing k is what the data determine, no whole number.

    Leave-one-out comes from the hat matrix: exact for models linear in their parameters, to first order for others; nan where
    there is none (a loss, priors, complex data).

    Nesting is proved by columns for linear models, and for others if the smaller is the same function with some parameters
    fixed. A peak of height 0 is such a case whose width means nothing: there the p-value is only a rough one.

    Choosing the best of many fits by one of these numbers makes its own error bars too small.

    Examples
    --------
    >>> import numpy as np
    >>> import surffit as sf
    >>> x = np.linspace(0, 3, 30)
    >>> data = 1 + x + 0.1 * np.sin(40 * x)
    >>> fits = {f"degree {d}": sf.surfaces.PolynomialSurface(d, "x").fit(data, x=x) for d in (0, 1, 3)}
    >>> table = compare(fits, by="bic")
    >>> table.index.tolist(), table["base"].tolist()
    (['degree 1', 'degree 3', 'degree 0'], ['degree 0', 'degree 1', ''])
    """
    if by not in CRITERIA:
        msg = f"by={by!r}; sort by one of {', '.join(CRITERIA)}"
        raise DataError(msg)
    fits = _named(results)
    stated = _stated(nested, fits)
    known = [not getattr(fit, "scale_covar", True) for fit in fits.values()]
    rows = [_row(fit, not getattr(fit, "scale_covar", True)) for fit in fits.values()]
    table = pd.DataFrame(rows, index=pd.Index(list(fits), name="model"))
    problem = _different(fits, known)
    if problem:
        from surffit.core.containers import users_line

        msg = f"{problem}: their chi-squares can't be compared; fit the same points with the same errors"
        warnings.warn(DataWarning(msg), stacklevel=users_line())
        table["weight"], table["base"], table["statistic"], table["p_value"] = np.nan, "", np.nan, np.nan
    else:
        with np.errstate(all="ignore"):
            relative = np.exp(-0.5 * (table["aicc"] - table["aicc"].min()))
        table["weight"] = relative / relative.sum()
        table[["base", "statistic", "p_value"]] = [_test(name, fits, stated, known[0]) for name in fits]
    return table[COLUMNS].sort_values(by, kind="stable", na_position="last")


def corrected(aic: float, n: int, k: float) -> float:
    """AICc from AIC for n points and k parameters that were estimated; inf where there are too few points."""
    return aic + 2.0 * k * (k + 1.0) / (n - k - 1.0) if n - k - 1.0 > 0 else np.inf


def _named(results: Any) -> dict[str, Any]:
    if isinstance(results, Mapping):
        fits = {str(name): fit for name, fit in results.items()}
    elif isinstance(results, Sequence):
        names = [str(getattr(getattr(fit, "model", None), "name", f"fit {i}")) for i, fit in enumerate(results)]
        fits = {(name if names.count(name) == 1 else f"{name} #{i}"): fit for i, (name, fit) in enumerate(zip(names, results, strict=True))}
    else:
        msg = f"compare() got a {type(results).__name__}; give a dict of results by name, or a list of them"
        raise DataError(msg)
    wrong = [name for name, fit in fits.items() if not hasattr(fit, "chisqr")]
    if not fits or wrong:
        msg = (
            f"{wrong[0]} is a {type(fits[wrong[0]]).__name__}, not a result"
            if wrong
            else "there are no results to compare; give at least one"
        )
        raise DataError(msg)
    return fits


def _stated(nested: Iterable[tuple[str, str]], fits: Mapping[str, Any]) -> set[tuple[str, str]]:
    pairs = {(str(small), str(large)) for small, large in nested}
    unknown = sorted({name for pair in pairs for name in pair} - set(fits))
    if unknown:
        msg = f"nested names {', '.join(map(repr, unknown))}; the fits are {', '.join(map(repr, fits))}"
        raise DataError(msg)
    return pairs


def _row(fit: Any, known: bool) -> dict[str, Any]:
    n = int(fit.ndata)
    k = n - fit.nfree
    call = _call(fit)
    if call is None or call.loss is None or call.loss == "linear":
        cost = float(fit.chisqr) if known else n * np.log(_chisqr(fit) / n)
    else:  # what the loss makes of it
        cost = float(fit.aic) - 2 * fit.nvarys
    aic, bic = cost + 2 * k, cost + k * np.log(n)
    estimated = k if known else k + 1
    return {
        "n": n, "k": k, "chisqr": float(fit.chisqr), "redchi": float(fit.redchi), "aic": aic, "aicc": corrected(aic, n, estimated),
        "bic": bic, "loo": _loo(fit),
    }  # fmt: skip


def _chisqr(fit: Any) -> float:
    """Chi-square, not below what rounding of the data makes it: what models leave of data that they describe exactly is no evidence."""
    seen = _observed(fit)
    least = 0.0 if seen is None else float(np.sum(np.abs(8.0 * np.finfo(float).eps * seen[0] * seen[1]) ** 2))
    return max(float(fit.chisqr), least)


def _call(fit: Any) -> Any:
    """What was asked of the fit; None for lmfit's own and for loaded ones."""
    return vars(fit).get("_call")


def _loo(fit: Any) -> float:
    from surffit.core.hat import leave_one_out
    from surffit.exceptions import SurffitError

    try:
        return leave_one_out(fit).rms
    except SurffitError:
        return np.nan


def _different(fits: Mapping[str, Any], known: list[bool]) -> str:
    """Why these fits can't be compared; empty if they can."""
    names = list(fits)
    if len(set(known)) > 1:
        return f"{names[known.index(True)]} takes the errors of the data as known, {names[known.index(False)]} doesn't"
    losses = ["linear" if _call(fit) is None else str(_call(fit).loss or "linear") for fit in fits.values()]
    if len(set(losses)) > 1:
        return f"the fits have different losses ({', '.join(sorted(set(losses)))})"
    sizes = [int(fit.ndata) for fit in fits.values()]
    if len(set(sizes)) > 1:
        return f"the fits are of different data ({', '.join(f'{name}: {n} points' for name, n in zip(names, sizes, strict=True))})"
    first = _observed(fits[names[0]])
    for name in names[1:]:
        other = _observed(fits[name])
        if first is not None and other is not None and not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True)):
            return f"{name} and {names[0]} are fits of different data or errors"
    return ""


def _observed(fit: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Data and weights of the used points."""
    observed = getattr(fit, "observed", None)
    if observed is None or not hasattr(observed, "select"):
        return None
    data = observed.select(observed.data)
    weights = np.ones(data.shape) if observed.weights is None else observed.select(observed.weights)
    return data, weights


def _test(name: str, fits: Mapping[str, Any], stated: set[tuple[str, str]], known: bool) -> tuple[str, float, float]:
    """The largest model nested in this one, and the test of the gain over it."""
    from scipy import stats

    large = fits[name]
    k = large.ndata - large.nfree
    smaller = [other for other, fit in fits.items() if other != name and fit.ndata - fit.nfree < k]
    inside = [other for other in smaller if (other, name) in stated or is_nested(fits[other], large)]
    if not inside:
        return "", np.nan, np.nan
    base = max(inside, key=lambda other: fits[other].ndata - fits[other].nfree)
    small = fits[base]
    more = large.nfree and small.nfree - large.nfree
    left = _chisqr(large)
    gain = max(_chisqr(small) - left, 0.0)
    if known:
        return base, gain, float(stats.chi2.sf(gain, more))
    if large.nfree <= 0:
        return base, np.nan, np.nan
    statistic = gain / more / (left / large.nfree) if left > 0 else np.inf
    return base, statistic, float(stats.f.sf(statistic, more, large.nfree))


def is_nested(small: Any, large: Any) -> bool:
    """Whether the larger model can be the smaller one, as far as that can be proved."""
    from surffit.core.hat import is_linear, judged
    from surffit.core.structure import signature
    from surffit.exceptions import SurffitError

    try:
        small, large = judged(small, "a test"), judged(large, "a test")
    except SurffitError:
        return False
    if is_linear(small) and is_linear(large):
        return _within(small, large)
    same = signature(small.model) == signature(large.model) and set(small.var_names) < set(large.var_names)
    # what only the smaller one holds must be possible in the larger one
    return same and all(
        par.vary or (not par.expr and par.value == large.params[name].value) or name in large.var_names
        for name, par in small.params.items()
    )


def _within(small: Any, large: Any) -> bool:
    """Whether the columns of a linear model, and what is left of its fit, are combinations of another's."""
    from surffit.core.hat import blocks
    from surffit.solve.linear import factor

    count = len(large._names) + len(small._names) + 1
    triangle: np.ndarray = np.zeros((0, count))
    size = 0.0
    for (_, value, J), (_, other, K) in zip(blocks(large, count), blocks(small, count), strict=True):
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, np.vstack([J, K, other - value]).T]), mode="r"))
        size += float(value @ value)
    columns = np.ascontiguousarray(triangle.T)
    p = len(large._names)
    f = factor(columns[:p])
    if f is None:
        return False
    sizes = np.sqrt(np.einsum("ij,ij->i", columns[p:], columns[p:]))
    sizes[-1] = max(sizes[-1], size**0.5)  # the difference of two nearly equal fits is their rounding
    rest = f.complement(columns[p:])
    return bool((np.sqrt(np.einsum("ij,ij->i", rest, rest)) <= INSIDE * sizes).all())
