"""Functions of one variable with a shape parameter: how they are written, evaluated, and where a search looks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# from a fifth of the range to far beyond it: slower is a polynomial, faster a spike that no point sees
_RATES = np.logspace(-0.7, 1.4, 11)


@dataclass(frozen=True)
class Shape:
    """
    A kind of function of one variable.

    Attributes
    ----------
    name, text : str
        The text has ``{x}`` for the variable and ``{b0}``, ``{b1}`` for the parameters.
    values : callable
        ``values(x, b)`` with x (m,) and b (T, p) gives (T, m).
    grid : callable
        ``grid(x)`` gives parameters (T, p) that cover what the data can tell apart.
    powers : tuple of int
        Dimension of each parameter in that of x: b of ``exp(b*x)`` has -1.
    cost : float
        Nats.
    positive : {0, 1, 2}
        2: x must be positive everywhere; 1: not negative.
    alone : bool
        Whether it also stands beside a constant (if not, that is another law already).
    denominator : callable or None
        ``denominator(x, b)``, whose zeros are poles.
    shift : bool
        Whether ``{x}`` may be replaced by x minus a number, in case of an overflow.
    constant : bool
        Whether it may stand without a constant (a logarithm's unit is a convention).
    """

    name: str
    text: str
    values: Callable[[np.ndarray, np.ndarray], np.ndarray]
    grid: Callable[[np.ndarray], np.ndarray]
    powers: tuple[int, ...]
    cost: float
    positive: int = 0
    alone: bool = True
    denominator: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    shift: bool = False
    constant: bool = True

    def fits(self, x: np.ndarray) -> bool:
        """Whether the variable's values allow it."""
        low = float(x.min())
        return float(x.max()) > low and (low > 0 if self.positive == 2 else low >= 0 if self.positive == 1 else True)

    def sizes(self, x: np.ndarray, b: np.ndarray) -> np.ndarray:
        """How large each parameter (p,) is, to compare an error with: a place is as large as the range at least."""
        return np.array([max(abs(v), _span(x)) if power == 1 else abs(v) for v, power in zip(b, self.powers, strict=True)])

    @property
    def count(self) -> int:
        return len(self.powers)

    def __reduce__(self) -> tuple[Any, ...]:
        return _shape, (self.text,)


def _shape(text: str) -> Shape:
    """The shape that is written so: functions without a name don't go into a pickle."""
    return next(shape for shape in (*SHAPES, COSINE, SINE) if shape.text == text)


def _span(x: np.ndarray) -> float:
    return float(x.max() - x.min())


def _column(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)[:, None]


def _rates(x: np.ndarray) -> np.ndarray:
    rates = _RATES / _span(x)
    return _column(np.concatenate([-rates[::-1], rates]))


def _inverse_rates(x: np.ndarray) -> np.ndarray:
    return _rates(1.0 / x)


def _offsets(x: np.ndarray) -> np.ndarray:
    away = np.logspace(-2, 1.0, 11) * _span(x)
    return _column(np.concatenate([-x.min() + away, -x.max() - away]))


def _offsets_left(x: np.ndarray) -> np.ndarray:
    return _column(-x.min() + np.logspace(-2, 1.0, 11) * _span(x))


def _profile(x: np.ndarray) -> np.ndarray:
    centres = np.linspace(x.min(), x.max(), 9)
    widths = np.array([0.06, 0.1, 0.17, 0.28, 0.45]) * _span(x)
    return np.stack([v.ravel() for v in np.meshgrid(centres, widths, indexing="ij")], axis=1)


def _steps(x: np.ndarray) -> np.ndarray:
    return np.concatenate([_profile(x) * [1.0, 0.6]])


def _exp(t: np.ndarray) -> np.ndarray:
    # the factor in front is free, so the largest value may be 1
    return np.exp(np.clip(t - t.max(axis=-1, keepdims=True), -700.0, 0.0))


def _u(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (x - b[:, :1]) / b[:, 1:2]


EXP = Shape("exp", "exp({b0}*{x})", lambda x, b: _exp(b * x), _rates, (-1,), 1.0, shift=True)
POWER = Shape(
    "power", "{x}**{b0}", lambda x, b: _exp(b * np.log(x)),
    lambda x: _column(np.linspace(-4.75, 4.75, 20)), (0,), 1.0, positive=2,
)  # fmt: skip
SHIFTED = Shape("reciprocal", "1/({x} + {b0})", lambda x, b: 1.0 / (x + b), _offsets, (1,), 2.0, denominator=lambda x, b: x + b)
SATURATION = Shape(
    "saturation", "{x}/({x} + {b0})", lambda x, b: x / (x + b), lambda x: _column(np.logspace(-1.5, 1.2, 10) * x.max()), (1,), 2.0,
    positive=1, alone=False, denominator=lambda x, b: x + b,
)  # fmt: skip
GROWTH = Shape(
    "growth", "(1 - exp(-{b0}*{x}))", lambda x, b: -np.expm1(-b * x), lambda x: _column(_RATES / x.max()), (-1,), 2.0,
    positive=1, alone=False,
)  # fmt: skip
ARRHENIUS = Shape("arrhenius", "exp({b0}/{x})", lambda x, b: _exp(b / x), _inverse_rates, (1,), 2.0, positive=2, shift=True)
LOGARITHM = Shape(
    "logarithm", "log({x} + {b0})", lambda x, b: np.log(x + b), _offsets_left, (1,), 2.0, denominator=lambda x, b: x + b, constant=False
)
GAUSSIAN = Shape("gaussian", "exp(-0.5*(({x} - {b0})/{b1})**2)", lambda x, b: np.exp(-0.5 * _u(x, b) ** 2), _profile, (1, 1), 2.0)
LORENTZIAN = Shape("lorentzian", "1/(1 + (({x} - {b0})/{b1})**2)", lambda x, b: 1.0 / (1.0 + _u(x, b) ** 2), _profile, (1, 1), 2.0)
STEP = Shape(
    "step", "1/(1 + exp(({b0} - {x})/{b1}))", lambda x, b: 1.0 / (1.0 + np.exp(np.clip(-_u(x, b), -700, 700))), _steps, (1, 1), 2.0
)
SHAPES = (EXP, POWER, SHIFTED, SATURATION, GROWTH, ARRHENIUS, LOGARITHM, GAUSSIAN, LORENTZIAN, STEP)

COSINE = Shape(
    "wave", "cos({b0}*{x})", lambda x, b: np.cos(b * x), lambda x: _column(np.arange(0.8, 40, 0.5) * np.pi / 2 / _span(x)), (-1,), 2.0
)
SINE = Shape("wave", "sin({b0}*{x})", lambda x, b: np.sin(b * x), COSINE.grid, (-1,), 0.0)
