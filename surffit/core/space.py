r"""
A fitted model as a function of its coordinates: partial derivatives at any point, and what the parameters do to them.

The function is traced with every coordinate x as x + s, s a parameter that is 0: derivatives with respect to s are those along
x, by the same exact rules, and can be differentiated by the model's parameters in turn. What can't be traced gets central
differences of fourth order, with steps much shorter than the distance between data points (the data couldn't tell anything
shorter), of the model and of its derivatives by the parameters alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import DataError, DocumentError, ParameterError
from ..trace.derive import derivative
from ..trace.emit import Program, compile_program
from ..trace.graph import Node
from .keywords import has_option
from .predict import coordinates, gradient, standard_error, with_band
from .structure import Structure, same, trace_model

if TYPE_CHECKING:
    from .result import SurfaceResult

Partial = tuple[str, ...]
# step of the differences in distances between data points: between rounding, eps / step^2, and what fourth order leaves, step^4
STEP = 0.05
# offsets and weights of first and second derivatives of fourth order
FIRST = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
SECOND = {-2: -1 / 12, -1: 4 / 3, 0: -5 / 2, 1: 4 / 3, 2: -1 / 12}


class Space:
    """
    The fitted model of a result over its coordinates.

    Parameters
    ----------
    result : SurfaceResult
    what : str
        What is asked for, in errors.

    Attributes
    ----------
    result : SurfaceResult
        The one whose numbers are used: for coefficients mapped to another basis the fit itself.
    variables : tuple of str
        The coordinates, in the model's order.
    exact : bool
        Whether derivatives come from the function's graph; known after the first use.
    """

    def __init__(self, result: Any, what: str) -> None:
        source: Any = getattr(result, "__dict__", {}).get("_fitted_in", result)
        if "_names" not in getattr(source, "__dict__", {}):
            msg = f"{what} needs a fit, and this is a {type(result).__name__} without one; call it on what SurfaceModel.fit returns"
            raise ParameterError(msg)
        if hasattr(source, "data_sets"):
            key = next(iter(source.model.keys))
            msg = f"{what} looks at one surface; this fit has several: ask one of them, e.g. result[{key!r}]"
            raise ParameterError(msg)
        self.result: SurfaceResult = source._banded() if hasattr(source, "_banded") else source
        with_band(self.result, dict.fromkeys(self.result.model.independent_vars, 0.0))
        observed = self.result.__dict__.get("observed")
        model = self.result.model
        names = model.independent_vars
        self.variables: tuple[str, ...] = tuple(n for n in names if (n in observed.names if observed else not has_option(model, n)))
        if not self.variables or (observed is not None and not observed.elementwise):
            msg = f"{what} needs coordinates of the points; those of {model.name} are nothing that a derivative can follow"
            raise DataError(msg)
        if observed is not None and np.iscomplexobj(observed.data):
            msg = f"{what} is for real models; look at real and imaginary part apart"
            raise DataError(msg)
        self.exact = False
        self._shifts = {name: f"shift of {name}" for name in self.variables}
        self._programs: dict[Partial, Program | None] = {}
        self._structure: Structure | None = None
        self._nodes: dict[Partial, Node | None] = {}
        self._traced = False
        self._spacing: dict[str, tuple[float, float]] | None = None

    # ---- where ----------------------------------------------------------------------------------------------------------

    def ranges(self, what: str) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of each coordinate among the used points."""
        observed = self.result.__dict__.get("observed")
        if observed is None:
            example = f"{self.variables[0]}=(0, 1)"
            msg = f"{what} needs the range of each coordinate, which isn't in the file of a loaded fit: pass it, e.g. {example}"
            raise DocumentError(msg)
        out = {}
        for name in self.variables:
            values = np.asarray(observed.coords[name], dtype=float)
            values = values if observed.used is None else observed.select(values)
            out[name] = (float(values.min()), float(values.max()))
        return out

    def steps(self) -> dict[str, float]:
        """Length of a step along each coordinate: a fraction of the mean distance of the points."""
        try:
            ranges = self.ranges("a difference")
        except DocumentError:
            return dict.fromkeys(self.variables, 1e-3)
        count = max(2.0, self.result.observed.n_used ** (1.0 / len(self.variables)))
        return {name: STEP * ((high - low) or abs(high) or 1.0) / count for name, (low, high) in ranges.items()}

    def spacing(self) -> dict[str, tuple[float, float]]:
        """Mean distance of neighbouring points along each coordinate, and how many there are along it; none for loaded fits."""
        if self._spacing is None:
            try:
                ranges = self.ranges("a distance")
            except DocumentError:
                ranges = {}
            n = self.result.observed.n_used if ranges else 0
            different = {name: np.unique(np.asarray(self.result.observed.coords[name], dtype=float)).size for name in ranges}
            grid = math.prod(different.values()) <= 2 * n  # else scattered
            self._spacing = {}
            for name, (low, high) in ranges.items():
                count = max(1.0, different[name] - 1.0 if grid else n ** (1.0 / len(ranges)))
                self._spacing[name] = ((high - low) / count or np.inf, count)
        return self._spacing

    def points(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """
        All coordinates and options at new points, in the units of the fit; those of the fit where none are given.

        Raises
        ------
        DataError
            If one is unknown.
        """
        unknown = [name for name in given if name not in self.result.model.independent_vars]
        if unknown:
            named = ", ".join(self.result.model.independent_vars)
            msg = f"{', '.join(unknown)}: unknown; the coordinates of {self.result.model.name} are {named}"
            raise DataError(msg)
        coords = coordinates(self.result, given)
        missing = [name for name in self.variables if name not in coords]
        if missing:
            example = ", ".join(f"{name}=..." for name in missing)
            msg = f"the data of a loaded fit aren't in its file; give the coordinates to look at: {example}"
            raise DocumentError(msg, missing=missing)
        out = {name: np.asarray(v, dtype=float) if name in self.variables else v for name, v in coords.items()}
        try:
            np.broadcast_shapes(*(out[name].shape for name in self.variables))
        except ValueError as err:
            each = ", ".join(f"{name} {out[name].shape}" for name in self.variables)
            rest = [name for name in self.variables if name not in given]
            cure = (
                f"give {', '.join(rest)}, too, which else {'is that' if len(rest) == 1 else 'are those'} of the fit"
                if rest
                else "give arrays of one shape"
            )
            msg = f"the coordinates don't broadcast together: {each}; {cure}"
            raise DataError(msg) from err
        return out

    def converted(self, name: str, values: Any) -> np.ndarray:
        """Values of one coordinate in the unit of the fit."""
        return np.asarray(coordinates(self.result, {name: values})[name], dtype=float)

    # ---- derivatives ----------------------------------------------------------------------------------------------------

    def at(self, coords: Mapping[str, Any], partials: tuple[Partial, ...], errors: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
        """
        Partial derivatives of the model, and their derivatives by the free parameters.

        Parameters
        ----------
        coords : mapping
            As `points` gives them; they broadcast to a shape S.
        partials : tuple of tuple of str
            Each names the coordinates to differentiate by; () is the model itself.
        errors : bool
            False: without the derivatives by the parameters, n = 0.

        Returns
        -------
        list of (ndarray of shape S, ndarray of shape (n, *S))
        """
        shape = np.broadcast_shapes(*(np.shape(coords[name]) for name in self.variables))
        if not self._traced:
            self._traced = True
            self._trace(coords)
        if not self.exact:
            return [self._differences(dict(coords), partial, shape, errors) for partial in partials]
        return [self._by_graph(coords, partial, shape, errors) for partial in partials]

    def error(self, J: np.ndarray) -> np.ndarray:
        """Standard error of quantities with the gradients J, (n, *S), by the full covariance; inf where it isn't determined."""
        return standard_error(self.result, J)

    def _trace(self, coords: Mapping[str, Any]) -> None:
        result = self.result
        try:
            with np.errstate(all="ignore"):
                structure = trace_model(result.model, result.params, coords, self.variables, concrete=False, shifts=self._shifts)
        except Exception:  # noqa: BLE001 - a user's function may raise anything when it is handed symbols
            return
        self._structure, self._nodes = structure, {(): structure.node}
        self.exact = True
        shape = np.broadcast_shapes(*(np.shape(coords[name]) for name in self.variables))
        plain = np.asarray(result.model.eval(params=result.params, **coords))
        # the graph must say what the function says
        self.exact = same(self._by_graph(coords, (), shape, False)[0], np.broadcast_to(plain, shape))

    def _node(self, partial: Partial) -> Node | None:
        """The graph of a derivative; None where it is zero by structure."""
        partial = tuple(sorted(partial))  # mixed derivatives are symmetric
        if partial not in self._nodes:
            below = self._node(partial[:-1])
            assert self._structure is not None  # noqa: S101 - for the type checker
            self._nodes[partial] = None if below is None else derivative(self._structure.builder, below, self._shifts[partial[-1]])
        return self._nodes[partial]

    def _by_graph(self, coords: Mapping[str, Any], partial: Partial, shape: tuple[int, ...], errors: bool) -> tuple[np.ndarray, np.ndarray]:
        names, params = self.result._names, self.result.params
        value, J = np.zeros(shape), np.zeros((len(names) if errors else 0, *shape))
        node = self._node(partial)
        if node is None or self._structure is None:
            return value, J
        builder = self._structure.builder
        known = tuple(name for name in builder.parameters if name not in names)
        if partial not in self._programs:
            self._programs[partial] = compile_program(builder, node, nonlinear=names, linear=(), known=known)
        program = self._programs[partial]
        assert program is not None  # noqa: S101 - for the type checker
        numbers = [0.0 if name not in params else params[name].value for name in known]
        call: Any = ([params[n].value for n in names], [], numbers, [coords[name] for name in program.coordinates])
        with np.errstate(all="ignore"):
            if not errors:
                value[...] = program.value(*call)
                return value, J
            found, columns = program.full(*call)
        value[...] = found
        for i, column in enumerate(columns):
            if column is not None:
                J[i, ...] = column
        return value, J

    def _differences(self, coords: dict[str, Any], partial: Partial, shape: tuple[int, ...], errors: bool) -> tuple[np.ndarray, np.ndarray]:
        if not partial:
            whole = {name: np.broadcast_to(v, shape) if name in self.variables else v for name, v in coords.items()}
            if not errors:
                found = np.asarray(self.result.model.eval(params=self.result.params, **whole))
                return np.broadcast_to(found, shape).astype(float), np.zeros((0, *shape))
            value, J = gradient(self.result, whole)
            return np.broadcast_to(value, shape).astype(float), np.broadcast_to(J, (len(J), *shape)).astype(float)
        name = partial[0]
        twice = partial.count(name) == 2
        rest = tuple(n for n in partial if n != name) if twice else partial[1:]
        h = self.steps()[name]
        value, J = np.zeros(shape), np.zeros((len(self.result._names) if errors else 0, *shape))
        for offset, weight in (SECOND if twice else FIRST).items():
            one, two = self._differences({**coords, name: coords[name] + offset * h}, rest, shape, errors)
            value, J = value + weight * one, J + weight * two
        power = 2 if twice else 1
        return value / h**power, J / h**power
