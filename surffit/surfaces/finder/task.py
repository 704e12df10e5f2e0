"""What is searched: a table's columns or arrays through the usual door, and the honest fit of one law to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.containers import users_line
from ...core.data import open_door
from ...core.model import SurfaceModel
from ...exceptions import DataError, DataWarning, ParameterError, ShapeError, TooFewPointsError
from ..polynomial import PolynomialSurface
from .judge import Entry
from .points import Points

FEWEST = 6  # points
KEYWORDS = ("data", "sigma", "weights", "mask", "nan_policy", "coords", "registered")


class Task:
    """
    The data of one search.

    Attributes
    ----------
    names : tuple of str
        The variables.
    label : str
        The table's name for the data.
    labels : dict of str to str
        Its names for the variables.
    points : Points
        All usable points.
    offset : float
        What the errors of the data, as they were given, add to every criterion: the points have weights of mean square 1.
    notes : list of str
        What was done to the data on the way.
    """

    def __init__(self, df: Any, data: Any, errors: Mapping[str, Any], variables: Mapping[str, Any], nan_policy: str) -> None:
        self.names = _checked_names(variables)
        self.nan_policy = nan_policy
        self.errors = {name: value for name, value in errors.items() if value is not None}
        self.table: Any = None
        self.labels: dict[str, str] = {}
        self.label = "data"
        self.variables = dict(variables)
        coords, values, given = self._columns(df, data)
        door = open_door(values, coords, nan_policy=nan_policy, **given)
        if np.iscomplexobj(door.data):
            msg = "the data are complex; search for the law of their real and imaginary parts, or of their modulus, one at a time"
            raise DataError(msg)
        self.notes = list(door.notes)
        arrays = [np.array(door.select(np.asarray(door.coords[name], dtype=float))) for name in self.names]
        z = np.array(door.select(door.data))
        w = np.ones(z.size) if door.weights is None else np.abs(door.select(door.weights))
        if z.size < FEWEST:
            msg = f"{z.size} usable points are too few to compare laws by; give at least {FEWEST}"
            raise TooFewPointsError(msg, n_points=z.size)
        for name, array in zip(self.names, arrays, strict=True):
            if array.min() == array.max():
                msg = f"{name} is {array[0]:g} at all points, so nothing can be learnt about it; leave it out"
                raise DataError(msg, name=name)
        self.points = Points(arrays, z, w / np.sqrt(np.mean(w**2)))
        self.offset = z.size * float(np.log(np.mean(w**2)))
        with np.errstate(over="ignore"):
            square = float(self.points.target @ self.points.target)
        if not np.isfinite(square):
            msg = f"the data reach {np.abs(z).max():.3g}, whose squares float64 can't hold; divide them by a larger unit"
            raise DataError(msg)
        self._notice(np.vstack([*arrays, z]))

    def _columns(self, df: Any, data: Any) -> tuple[dict[str, Any], Any, dict[str, Any]]:
        """Coordinates, data and errors, from a table or as they were given."""
        if data is not None and hasattr(df, "__arrow_c_stream__"):
            # polars and pyarrow tables; only here, as pandas costs more than all the rest
            from ...tables.foreign import as_frame

            df = as_frame(df)
        if not hasattr(df, "columns"):
            if data is not None:
                msg = f"df is {type(df).__name__}, so data= has no column to name; give find_surface(table, data='z', ...) or (z, x=x, y=y)"
                raise DataError(msg)
            if isinstance(df, str):
                msg = f"df is the text {df!r}; give a DataFrame (pandas.read_csv reads a file) or the data as an array"
                raise DataError(msg)
            for name, value in {**self.variables, **self.errors}.items():
                if isinstance(value, str):
                    msg = f"{name}={value!r} names a column, but there is no table; give an array, or a DataFrame first"
                    raise DataError(msg)
            self.arrays = df
            coords = {name: value if np.ndim(value) else np.full(np.shape(df), value) for name, value in self.variables.items()}
            for name, value in coords.items():
                try:
                    np.broadcast_shapes(np.shape(value), np.shape(df))
                except ValueError as err:
                    msg = f"{name} has shape {np.shape(value)}, which does not fit the data's {np.shape(df)}"
                    raise ShapeError(msg, name=name) from err
            self.labels = {name: name for name in self.names}
            return coords, df, self.errors
        if data is None:
            msg = f"data= is missing; name the column that is to be described, one of {', '.join(map(repr, df.columns[:8]))}"
            raise DataError(msg)
        # only here, as pandas costs more than all the rest
        from ...tables.columns import gather

        self.table, self.data = df, data
        stand_in = SurfaceModel.from_expression(" + ".join(["level__", *self.names]), independent_vars=list(self.names))
        columns = gather(df, stand_in, data, self.errors, self.variables)
        given = {name: value for name, value in self.variables.items() if isinstance(value, str)}
        self.labels = {**{name: name for name in self.names}, **given}
        self.label = str(columns.names.get("data", "data")) if "data" not in given else str(data)
        return columns.coords, columns.data, columns.errors

    def _notice(self, rows: np.ndarray) -> None:
        """Say what makes every criterion too sure, and what no data can tell."""
        n = rows.shape[1]
        copies = n - len(np.unique(rows, axis=1).T)
        if 2 * copies > n:
            msg = f"{copies} of {n} rows are exact copies of others: no independent points, so that every error and criterion is too good"
            self.notes.append(msg)
            warnings.warn(DataWarning(msg, copies=copies), stacklevel=users_line())
        if len(self.names) == 2 and np.linalg.matrix_rank(rows[:2] - rows[:2].mean(axis=1, keepdims=True), rtol=1e-12) < 2:
            self.notes.append(f"{' and '.join(self.names)} lie on one line, so that the data can't tell which of them a law depends on")

    # ---- a law, fitted as any model is --------------------------------------------------------------------------------

    def letters(self) -> tuple[str, str]:
        """Letters of the linear and the shape parameters that no variable begins with."""
        free = [c for c in ("a", "b", "c", "p", "q", "k", "h", "m") if not any(n[0] == c and n[1:].isdigit() for n in self.names)]
        return free[0], free[1]

    def model(self, entry: Entry) -> tuple[SurfaceModel, dict[str, float]]:
        """The entry's law as a model, and starts of its shape parameters."""
        law, letters = entry.law, self.letters()
        if law.polynomial is not None:
            functions, exponents = law.polynomial
            highest = tuple(max(e[v] for e in exponents) for v in range(len(self.names)))
            if all(f == (1.0, 0) for f in functions):
                for total in (True, False):
                    degree = highest[0] if len(highest) == 1 or (total and len(set(highest)) == 1) else highest
                    surface = PolynomialSurface(degree, self.names, total=total)
                    if len(surface.param_names) == len(exponents):
                        return surface, {}
        text = law.text(self.names, self.points, entry.theta, letters)
        starts = {f"{letters[1]}{i}": float(v) for i, v in enumerate(law.raw(self.points, entry.theta))}
        return SurfaceModel.from_expression(text, independent_vars=list(self.names)), starts

    def fit(self, entry: Entry) -> Any:
        """A SurfaceResult of the entry's law on the user's own data."""
        if entry.name:
            from ...registry import get_model

            model = get_model(entry.name)
            params = model.make_params()
            for name, value in zip([n for n, p in params.items() if not p.expr], entry.theta, strict=True):
                params[name].set(value=float(value))
            variables = dict(zip(own_variables(model), self.variables.values(), strict=True))
        else:
            model, starts = self.model(entry)
            params = model.make_params(**starts) if starts else None
            variables = self.variables
        if self.table is None:
            return model.fit(self.arrays, params, coords=variables, nan_policy=self.nan_policy, **self.errors)
        from ...tables import fit_table

        return fit_table(self.table, model, self.data, params=params, coords=variables, nan_policy=self.nan_policy, **self.errors)


def own_variables(model: Any) -> list[str]:
    """A model's variables that must be given."""
    from ...core.keywords import has_option

    return [name for name in model.independent_vars if not has_option(model, name)]


def _checked_names(variables: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(variables)
    if 1 <= len(names) <= 2:
        for name in names:
            if not name.isidentifier() or name.startswith("__"):
                msg = f"{name!r} can't be the name of a variable; choose one such as x"
                raise ParameterError(msg, name=name)
        return names
    if not names:
        msg = "no variable is given; pass x= and y=, the columns (or arrays) that the data depend on"
        raise ParameterError(msg)
    from difflib import get_close_matches

    for name in names:
        close = get_close_matches(name, KEYWORDS, n=1)
        if close:
            msg = f"{name!r} is no keyword of find_surface and would be variable number {len(names)}; did you mean {close[0]!r}?"
            raise ParameterError(msg, name=name)
    msg = f"{len(names)} variables ({', '.join(names)}); a search takes one or two"
    raise ParameterError(msg, names=names)
