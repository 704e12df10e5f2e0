"""What the ready surfaces have in common: a function, hints, typical values, and a guess from data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.guessing import finite_points
from ..core.model import SurfaceModel
from ..exceptions import ParameterError, ShapeError
from .nearest import nearest

if TYPE_CHECKING:
    import lmfit


_OPTIONS = """Parameters
----------
independent_vars : list of str, optional
    Names of the coordinates; default: those of the function.
prefix : str
    Put before the parameters' names.
nan_policy : {"raise", "omit"}
    What to do with non-finite data.
name : str, optional
    Name of the model; default: the function's.
linear : sequence of str, optional
    None: jointly linear parameters are found and eliminated. Names: these are, checked. ``()``: no elimination."""


class Surface(SurfaceModel):
    """
    A ready surface. A subclass states its `function`, its `hints` and what is `typical`, and overrides `starts`.

    Parameters
    ----------
    independent_vars : list of str, optional
        Names of the coordinates; default: those of the function.
    prefix, nan_policy, name, linear
        As for `SurfaceModel`.
    """

    surffit_api = 1

    function: ClassVar[Callable[..., Any]]
    """The model function, a static method: coordinates, then parameters; numpy operations that can be traced."""
    variables: ClassVar[tuple[str, ...]] = ("x", "y")
    """The function's coordinates."""
    units: ClassVar[Mapping[str, str]] = {}
    """Units of the coordinates of an example, where they are not any: ``{"temperature": "K"}``."""
    hints: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Bounds of parameters: ``{name: {"min": 0}}``."""
    typical: ClassVar[Mapping[str, float]]
    """Values of all parameters for an example, on `extent`."""
    extent: ClassVar[Mapping[str, tuple[float, float, int]]] = {"x": (0.0, 40.0, 41), "y": (0.0, 30.0, 31)}
    """First and last value and number of points of each coordinate of an example."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = _documented(cls)

    def __init__(
        self,
        independent_vars: Sequence[str] | None = None,
        prefix: str = "",
        nan_policy: str = "raise",
        name: str | None = None,
        *,
        linear: Sequence[str] | None = None,
    ) -> None:
        given = list(independent_vars) if independent_vars is not None else list(self.variables)
        super().__init__(self._function(), given, None, nan_policy, prefix, name, linear=linear)
        for parameter, hint in self.hints.items():
            self.set_param_hint(parameter, **hint)

    def _function(self) -> Callable[..., Any]:
        """What is fitted: `function`, or what a class with options makes of it."""
        return type(self).function

    def starts(self, z: np.ndarray, *coords: np.ndarray) -> dict[str, float] | list[dict[str, float]]:
        """
        Starts of the parameters that are searched, from data.

        Parameters
        ----------
        z : ndarray, shape (n,)
            Data: finite, in any order.
        *coords : ndarray, shape (n,)
            The coordinates, in the order of `variables`.

        Returns
        -------
        dict or list of dict
            Parameter (without prefix) to start, or several such to choose from: `guess` takes the one that is nearest to the data
            with the linear parameters solved. Linear ones may be left out.
        """
        return {}

    def guess(self, data: Any, *coords: Any, **kws: Any) -> lmfit.Parameters:
        """
        Starts from data.

        Parameters
        ----------
        data : array_like
            Any shape; points that are not finite are left out.
        *coords : array_like
            The coordinates, broadcastable to the shape of `data`; by position or by name.
        **kws
            Coordinates by name, and values (or Parameters) that override the guess.

        Returns
        -------
        lmfit.Parameters

        Raises
        ------
        ShapeError
            If a coordinate is missing or does not fit the data.
        TooFewPointsError
            If no point is finite.
        ParameterError
            For a keyword that is neither a coordinate nor a parameter.
        """
        names = list(self.independent_vars)
        given = {**dict(zip(names, coords, strict=False)), **{n: kws.pop(n) for n in names if n in kws}}
        known = {self._full(name): value for name, value in kws.items()}
        z, points = _points(self, data, given)
        params = self.make_params()
        with np.errstate(all="ignore"):
            found = self.starts(z, *points)
            listed = [found] if isinstance(found, Mapping) else list(found)
            fixed = {name: float(getattr(value, "value", value)) for name, value in known.items() if not isinstance(value, Mapping)}
            options = [{**{self.prefix + n: v for n, v in one.items()}, **fixed} for one in listed] or [fixed]
            best = nearest(self, params, options, z, points)
        for name, value in best.items():
            params[name].value = value
        for name, value in known.items():
            if isinstance(value, Mapping):
                params[name].set(**value)
            else:
                params[name].value = value
        return params

    guess.sees_to_points = True  # type: ignore[attr-defined]

    def _full(self, name: str) -> str:
        """The name of a parameter with its prefix, from one with or without it."""
        for full in (self.prefix + name, name):
            if full in self.param_names:
                return full
        msg = f"guess() of {self.name} got {name!r}, which is neither a coordinate ({', '.join(self.independent_vars)}) nor a parameter"
        raise ParameterError(f"{msg} ({', '.join(self.param_names)})", name=name)

    def example(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """
        Typical coordinates and values.

        Returns
        -------
        coords : dict of str to ndarray, shape (ny, nx)
        values : dict of str to float
            With the model's prefix.
        """
        axes = [np.linspace(*self.extent[name]) for name in self.variables]
        grids = np.meshgrid(*axes, indexing="xy")
        return dict(zip(self.independent_vars, grids, strict=True)), {self.prefix + n: float(v) for n, v in self.typical.items()}


def _documented(cls: type[Surface]) -> str | None:
    """The docstring of a subclass with what all subclasses have in common: the options, and where the formula stands."""
    text, function = cls.__dict__.get("__doc__"), cls.__dict__.get("function")
    if text is None or function is None or "Parameters\n" in text:
        return text
    summary, *examples = inspect.cleandoc(text).partition("\nExamples\n")
    func = function.__func__ if isinstance(function, staticmethod) else function
    names = ", ".join(name for name in inspect.signature(func).parameters if name not in cls.variables)
    notes = f"Parameters of the model: {names}. Formula, units and source: `{func.__module__}.{func.__qualname__}`."
    return f"{summary.rstrip()}\n\n{_OPTIONS}\n\nNotes\n-----\n{notes}\n\n{''.join(examples).lstrip()}".rstrip() + "\n"


def _points(model: Surface, data: Any, given: dict[str, Any]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Finite data and their coordinates as flat arrays."""
    missing = [name for name in model.independent_vars if name not in given]
    if missing:
        msg = f"guess() of {model.name} needs the coordinate{'s' if len(missing) > 1 else ''} {', '.join(missing)}; pass {missing[0]}=..."
        raise ShapeError(msg, missing=tuple(missing))
    values, points = finite_points(model.name, data, {name: given[name] for name in model.independent_vars})
    return values.ravel(), [array.ravel() for array in points.values()]
