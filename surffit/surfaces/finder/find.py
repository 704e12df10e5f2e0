"""`find_surface`: which law do these points follow?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...exceptions import ParameterError
from .found import FoundSurfaces
from .hunt import SEED, hunt
from .judge import Judge, ranked
from .registered import entries
from .task import Task


def find_surface(
    df: Any,
    data: Any = None,
    *,
    sigma: Any = None,
    weights: Any = None,
    mask: Any = None,
    nan_policy: str = "raise",
    registered: bool | Sequence[str] = True,
    coords: Mapping[str, Any] | None = None,
    **variables: Any,
) -> FoundSurfaces:
    """
    Search for laws z(x, y), or z(x), that describe a table; thousands are tried, the best are ranked.

    Parameters
    ----------
    df : DataFrame or array_like
        The table (never changed; polars and pyarrow tables too); or the data themselves, with arrays as variables.
    data : str or array_like, shape (rows,), optional
        Column of the data, where `df` is a table.
    sigma, weights : str, array_like or float, optional
        Error of the data, or its inverse; not both. Only their ratios matter for the choice.
    mask : str or array_like of bool, optional
        True excludes a point.
    nan_policy : {"raise", "omit"}
        What to do with rows that hold nan.
    registered : bool or sequence of str
        Whether registered models (`surffit.models`) of as many variables are tried, too; or which.
    coords : mapping, optional
        Variables whose names are keywords of this function.
    **variables : str or array_like
        One or two independent variables, as ``x="wavelength_nm"``; laws are written in these names.

    Returns
    -------
    FoundSurfaces
        ``.table`` of the best laws, ``.best`` and ``[i]`` as ordinary results, ``.plot()``, ``.report()``, ``.predict(...)``.

    Raises
    ------
    DataError
        For data that can't be searched, and for all that the fit's own door refuses.
    ParameterError
        For variables that are none or too many.

    Notes
    -----
    What is tried:

    - sums of products of 13 functions of each variable (powers from -4 to 4 with the half ones, the logarithm) in all
      usual shapes, and the best of them with each further term added;
    - polynomials up to degree 6 of the variables, their logarithms, reciprocals, squares and roots, by total degree, by
      degree in each variable, and as f(x) + g(y);
    - decays, free powers, saturations, Arrhenius terms, profiles, steps and waves in one variable beside simple functions
      of the other, and in both variables as sums and products;
    - reciprocals, roots, squares and exponentials of sums, and rational surfaces;
    - every registered model that can guess its start.

    Linear parameters cost nothing: all sums come from one table of products of columns. Others are searched for on up to
    160, then 600 of the points (chosen with a fixed seed), and all that are shown are fitted to all points.
    A law does not change when a variable is measured in another unit. Its residuals are always those of the data
    themselves, never of their logarithm.

    The order is that of ``score`` = the larger of AICc and its leave-one-out twin ``n ln(mean squared leave-one-out
    residual)``, plus twice the law's cost in nats: one for each parameter and term, and some for each function (1 for x;
    2 for x**2, 1/x, sqrt(x), log(x); 3 to 4 for others; 2 to 4 for functions with a shape parameter). Without such a price
    the best of thousands of useless terms would nearly always beat the law that made the data. Laws that have the same
    number of parameters and the same values at the data are one law. Laws with a pole in the box of the data come last.

    References
    ----------
    Burnham and Anderson, Model Selection and Multimodel Inference (2002), 2.4, 4.3; Chen and Chen, Biometrika 95, 759
    (2008), for the price of a large family.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> t, p = rng.uniform(280, 360, 80), rng.uniform(1, 5, 80)
    >>> v = 8.3 * t / p
    >>> found = find_surface(v + rng.normal(0, v.std() / 50, 80), t=t, p=p, registered=False)
    >>> found.table.loc[0, "formula"]
    'a0*t/p'
    >>> round(found.best.best_values["a0"], 1)
    8.3
    """
    twice = sorted(set(variables) & set(coords or ()))
    if twice:
        msg = f"{', '.join(twice)} stands both as a keyword and in coords; give it once"
        raise ParameterError(msg, names=twice)
    task = Task(df, data, {"sigma": sigma, "weights": weights, "mask": mask}, {**variables, **(coords or {})}, nan_policy)
    points = task.points
    judge = Judge(points.size, float(points.target @ points.target))
    with np.errstate(all="ignore"):  # of thousands of laws some overflow at any data, and are no candidates
        hunted = hunt(points, judge)
    found = hunted.entries
    notes: dict[str, str] = {}
    if registered is not False:
        from ...registry import models

        more, notes, tried = entries(models() if registered is True else _names(registered), points, judge, SEED)
        found = [*found, *more]
        if tried:
            hunted.tried["registered surface" if len(points.raw) == 2 else "registered model"] = tried
    order = ranked(found, judge)
    for entry in order:
        if entry.law is not None:
            entry.formula = entry.law.text(task.names, letters=task.letters())
    return FoundSurfaces(task, order, hunted.tried, notes)


def _names(registered: Any) -> list[str]:
    """Names that exist."""
    from ...exceptions import UnknownModelError
    from ...registry import describe

    names = [registered] if isinstance(registered, str) else list(registered)
    for name in names:
        if not isinstance(name, str):
            msg = f"registered={registered!r}; give True, False or names of models"
            raise UnknownModelError(msg)
        describe(name)
    return names
