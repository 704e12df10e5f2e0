"""A model with its example: what the checks work on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from surffit.core.data import open_door
from surffit.core.keywords import has_option
from surffit.core.model import SurfaceModel
from surffit.core.parameters import untouched
from surffit.core.settle import settled
from surffit.core.structure import evaluate
from surffit.core.wrapped import LmfitModel

SIGNAL_TO_NOISE = 30.0
SCATTERED = 160  # points of the scattered data set

Coords = dict[str, np.ndarray]


class Case:
    """
    One model, typical coordinates and values, and the surface they make.

    Parameters
    ----------
    model : SurfaceModel
    example : (mapping, mapping), optional
        Coordinates and values; default: those of ``model.example()``.
    rng : int
        Seed of the noise.
    """

    def __init__(self, model: SurfaceModel, example: tuple[Mapping[str, Any], Mapping[str, float]] | None, rng: int) -> None:
        self.model = model
        self.seed = rng
        coords, values = model.example() if example is None else example
        self.variables = [name for name in model.independent_vars if not has_option(model, name)]
        arrays = np.broadcast_arrays(*(np.asarray(coords[name], dtype=float) for name in self.variables))
        self.coords: Coords = {name: array.copy() for name, array in zip(self.variables, arrays, strict=True)}
        self.shape = arrays[0].shape
        self.values = {name: float(value) for name, value in values.items()}
        with untouched(model):
            self.params = model.make_params()
        self.tied = tuple(name for name in model.param_names if self.params[name].expr)
        self.free = tuple(name for name in model.param_names if name not in self.tied and self.params[name].vary)
        # a polynomial takes its range from data; functions of values and coordinates need it
        self.leaf = settled(model, open_door(np.zeros(self.shape), self.coords))
        self.linear = tuple(name for name in model.linear if name in self.free)
        self.nonlinear = tuple(name for name in self.free if name not in self.linear)
        self.figures: dict[str, float] = {}
        self.skipped: dict[str, str] = {}
        self.fits: dict[str, Any] = {}  # what one check made and another can use
        with np.errstate(all="ignore"):
            self.surface = np.asarray(self.evaluate())
        finite = np.abs(self.surface[np.isfinite(self.surface)])
        # a constant has no range of its own
        self.range = float(np.ptp(self.surface.real)) or float(finite.max(initial=0.0)) or 1.0

    # ---- values ----------------------------------------------------------------------------------------------------------

    def complete(self, values: Mapping[str, float]) -> dict[str, float]:
        """Values with those that an expression ties to them."""
        if not self.tied:
            return dict(values)
        params = self.parameters(values)
        return {name: float(params[name].value) for name in values}

    def evaluate(self, values: Mapping[str, float] | None = None, coords: Coords | None = None) -> Any:
        """The model's own function."""
        return evaluate(self.leaf, self.complete({**self.values, **(values or {})}), self.coords if coords is None else coords)

    def parameters(self, values: Mapping[str, float]) -> Any:
        """lmfit Parameters that start at these values."""
        with untouched(self.model):
            params = self.model.make_params()
        for name, value in values.items():
            if name not in self.tied:
                params[name].value = value
        params.update_constraints()
        return params

    def scale(self, name: str) -> float:
        """By how much a parameter's value is typically changed."""
        low, high = self.params[name].min, self.params[name].max
        span = 0.1 * (high - low) if np.isfinite(high - low) else 0.0
        return max(abs(self.values[name]), span) or 1.0

    # ---- data ------------------------------------------------------------------------------------------------------------

    @property
    def sigma(self) -> float:
        """Error of noisy data."""
        return self.range / SIGNAL_TO_NOISE

    def scattered(self, count: int = SCATTERED) -> Coords:
        """Points drawn between the ends of the coordinates, in no order."""
        rng = np.random.default_rng(self.seed + 1)
        return {name: rng.uniform(array.min(), array.max(), count) for name, array in self.coords.items()}

    def noisy(self, surface: np.ndarray, seed: int = 0) -> np.ndarray:
        """A surface with normal noise of `sigma`."""
        rng = np.random.default_rng(self.seed + 1000 * seed)
        return surface + self.sigma * rng.standard_normal(surface.shape)

    def open_grid(self) -> Coords | None:
        """Coordinates that keep only the axis along which they change, such as (1, nx) and (ny, 1); None for no grid."""
        out = {}
        for name, array in self.coords.items():
            axes = [axis for axis in range(array.ndim) if np.ptp(array, axis=axis).any()]
            if len(axes) > 1 or array.ndim < 2:
                return None
            out[name] = array[tuple(slice(None) if axis in axes else slice(0, 1) for axis in range(array.ndim))].copy()
        return out

    # ---- fits ------------------------------------------------------------------------------------------------------------

    @property
    def guesses(self) -> bool:
        """Whether the model has a guess of its own."""
        import lmfit

        model = self.model.wrapped if isinstance(self.model, LmfitModel) else self.model
        return type(model).guess is not lmfit.Model.guess

    def start(self, data: np.ndarray, coords: Coords) -> Any:
        """Parameters to start from: the guess, or the hints where nothing needs one."""
        if self.guesses:
            return self.model.guess(data.copy(), **{name: array.copy() for name, array in coords.items()})
        with untouched(self.model):
            return self.model.make_params()

    def fit(self, data: np.ndarray, coords: Coords, params: Any = None, sigma: float | None = None, covar: bool = False) -> Any:
        """A fit from the guess, or from `params`."""
        weights = None if sigma is None else np.full(data.shape, 1.0 / sigma)
        start = self.start(data, coords) if params is None else params
        return self.model.fit(data, start, weights=weights, scale_covar=sigma is None, calc_covar=covar, coords=coords)


def listed(values: Mapping[str, float]) -> str:
    """Values in a sentence."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in values.items())


def source_of(model: SurfaceModel) -> tuple[type, Any]:
    """The class and the function that the author wrote."""
    wrapped: Any = getattr(model, "wrapped", model)
    return type(wrapped), inspect.unwrap(wrapped.func)
