"""
The NIST Statistical Reference Datasets for regression: models as plain functions, data, starts, certified answers.

Non-linear: 27 problems from two starts each, 11 certified digits (``tests/data/nist/*.dat``, as NIST publishes them). Linear: 11
problems, certified to 20 digits (``tests/data/nist_linear``). `tests/certified` and ``benchmarks/accuracy.py`` read them here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "data"
MOST = 15.9  # digits of a float64: equal numbers are not more equal than that


def bennett5(x, b1, b2, b3):
    return b1 * (b2 + x) ** (-1 / b3)


def boxbod(x, b1, b2):
    return b1 * (1 - np.exp(-b2 * x))


def chwirut(x, b1, b2, b3):
    return np.exp(-b1 * x) / (b2 + b3 * x)


def danwood(x, b1, b2):
    return b1 * x**b2


def enso(x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
    year = 2 * np.pi * x / 12
    first, second = 2 * np.pi * x / b4, 2 * np.pi * x / b7
    return (
        b1 + b2 * np.cos(year) + b3 * np.sin(year)
        + b5 * np.cos(first) + b6 * np.sin(first)
        + b8 * np.cos(second) + b9 * np.sin(second)
    )  # fmt: skip


def eckerle4(x, b1, b2, b3):
    return (b1 / b2) * np.exp(-0.5 * ((x - b3) / b2) ** 2)


def gauss(x, b1, b2, b3, b4, b5, b6, b7, b8):
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-((x - b4) ** 2) / b5**2) + b6 * np.exp(-((x - b7) ** 2) / b8**2)


def cubic_over_cubic(x, b1, b2, b3, b4, b5, b6, b7):
    return (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)


def kirby2(x, b1, b2, b3, b4, b5):
    return (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2)


def lanczos(x, b1, b2, b3, b4, b5, b6):
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)


def mgh09(x, b1, b2, b3, b4):
    return b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)


def mgh10(x, b1, b2, b3):
    return b1 * np.exp(b2 / (x + b3))


def mgh17(x, b1, b2, b3, b4, b5):
    return b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5)


def misra1a(x, b1, b2):
    return b1 * (1 - np.exp(-b2 * x))


def misra1b(x, b1, b2):
    return b1 * (1 - (1 + b2 * x / 2) ** (-2))


def misra1c(x, b1, b2):
    return b1 * (1 - (1 + 2 * b2 * x) ** (-0.5))


def misra1d(x, b1, b2):
    return b1 * b2 * x * ((1 + b2 * x) ** (-1))


def nelson(x1, x2, b1, b2, b3):
    return b1 - b2 * x1 * np.exp(-b3 * x2)  # of log(y)


def rat42(x, b1, b2, b3):
    return b1 / (1 + np.exp(b2 - b3 * x))


def rat43(x, b1, b2, b3, b4):
    return b1 / ((1 + np.exp(b2 - b3 * x)) ** (1 / b4))


def roszman1(x, b1, b2, b3, b4):
    return b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi


def line(x, b0, b1):
    return b0 + b1 * x


def parabola(x, b0, b1, b2):
    return b0 + b1 * x + b2 * x**2


def through_zero(x, b0):
    return b0 * x


def quintic(x, b0, b1, b2, b3, b4, b5):
    return b0 + b1 * x + b2 * x**2 + b3 * x**3 + b4 * x**4 + b5 * x**5


def degree_ten(x, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10):
    return (
        b0 + b1 * x + b2 * x**2 + b3 * x**3 + b4 * x**4 + b5 * x**5
        + b6 * x**6 + b7 * x**7 + b8 * x**8 + b9 * x**9 + b10 * x**10
    )  # fmt: skip


def six_predictors(x1, x2, x3, x4, x5, x6, b0, b1, b2, b3, b4, b5, b6):
    return b0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4 + b5 * x5 + b6 * x6


NONLINEAR: dict[str, Callable[..., np.ndarray]] = {
    "Bennett5": bennett5, "BoxBOD": boxbod, "Chwirut1": chwirut, "Chwirut2": chwirut, "DanWood": danwood, "ENSO": enso,
    "Eckerle4": eckerle4, "Gauss1": gauss, "Gauss2": gauss, "Gauss3": gauss, "Hahn1": cubic_over_cubic, "Kirby2": kirby2,
    "Lanczos1": lanczos, "Lanczos2": lanczos, "Lanczos3": lanczos, "MGH09": mgh09, "MGH10": mgh10, "MGH17": mgh17,
    "Misra1a": misra1a, "Misra1b": misra1b, "Misra1c": misra1c, "Misra1d": misra1d, "Nelson": nelson, "Rat42": rat42, "Rat43": rat43,
    "Roszman1": roszman1, "Thurber": cubic_over_cubic,
}  # fmt: skip
LINEAR: dict[str, Callable[..., np.ndarray]] = {
    "Norris": line, "Pontius": parabola, "NoInt1": through_zero, "NoInt2": through_zero, "Filip": degree_ten,
    "Longley": six_predictors, "Wampler1": quintic, "Wampler2": quintic, "Wampler3": quintic, "Wampler4": quintic, "Wampler5": quintic,
}  # fmt: skip
# Degrees of the full polynomials in one variable among the linear problems.
DEGREES = {"Norris": 1, "Pontius": 2, "Filip": 10, "Wampler1": 5, "Wampler2": 5, "Wampler3": 5, "Wampler4": 5, "Wampler5": 5}


@dataclass(frozen=True, eq=False)
class Problem:
    """
    One certified fit.

    Attributes
    ----------
    name : str
    func : callable
        ``func(*coords, *parameters)``.
    coords : dict of str to ndarray, shape (n,)
    data : ndarray, shape (n,)
    starts : tuple of dict
        Two starts of a non-linear problem, none of a linear one.
    values, errors : dict of str to float
        Certified values and standard errors; an error of 0 means that the data lie on the model.
    degrees_of_freedom : int
        As the file states them, or points minus parameters.
    """

    name: str
    func: Callable[..., np.ndarray]
    coords: dict[str, np.ndarray]
    data: np.ndarray
    starts: tuple[dict[str, float], ...]
    values: dict[str, float]
    errors: dict[str, float]
    degrees_of_freedom: int

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters in the order of the function."""
        return tuple(self.values)


def nonlinear(name: str) -> Problem:
    """A non-linear problem from NIST's own file."""
    lines = (FOLDER / "nist" / f"{name}.dat").read_text(encoding="ascii").splitlines()
    table: dict[str, list[float]] = {}
    freedom = 0
    # the header names its own lines ("Data: (lines 61 to 75)"); the data follow the last line that begins with "Data:"
    begin = max(i for i, text in enumerate(lines) if text.startswith("Data:"))
    for text in lines[:begin]:
        if found := re.match(r"\s*(b\d+)\s*=\s*(.*)", text):
            table[found[1]] = [float(word) for word in found[2].split()]
        elif text.startswith("Degrees of Freedom:"):
            freedom = int(text.split()[-1])
    rows = np.array([[float(word) for word in text.split()] for text in lines[begin + 1 :] if text.strip()])
    data, predictors = rows[:, 0].copy(), [column.copy() for column in rows[:, 1:].T]
    variables = ["x"] if len(predictors) == 1 else [f"x{i + 1}" for i in range(len(predictors))]
    if name == "Nelson":
        data = np.log(data)  # "log[y] = ..." in its file
    starts = tuple({key: row[start] for key, row in table.items()} for start in (0, 1))
    values, errors = ({key: row[column] for key, row in table.items()} for column in (2, 3))
    return Problem(name, NONLINEAR[name], dict(zip(variables, predictors, strict=True)), data, starts, values, errors, freedom)


def linear(name: str) -> Problem:
    """A linear problem; certified to more digits than a float64 holds."""
    certified = json.loads((FOLDER / "nist_linear" / "certified.json").read_text(encoding="utf-8"))[name.lower()]
    table = np.genfromtxt(FOLDER / "nist_linear" / f"{name.lower()}.csv", delimiter=",", skip_header=1, encoding="utf-8-sig")
    # the polynomial sets list rounded powers of x as further columns; the model makes its own
    predictors = [column.copy() for column in table[:, 1:].T] if name == "Longley" else [table[:, 1].copy()]
    variables = ["x"] if len(predictors) == 1 else [f"x{i + 1}" for i in range(len(predictors))]
    names = [f"b{i}" for i in range(certified["p"])]
    values = dict(zip(names, map(float, certified["params"]), strict=True))
    errors = dict(zip(names, map(float, certified["stderr"]), strict=True))
    exact = float(certified["rss"]) < 1e-30 * float(table[:, 0] @ table[:, 0])
    if exact:
        errors = dict.fromkeys(names, 0.0)
    freedom = certified["n"] - certified["p"]
    return Problem(name, LINEAR[name], dict(zip(variables, predictors, strict=True)), table[:, 0].copy(), (), values, errors, freedom)


def digits(found: Sequence[float], certified: Sequence[float]) -> float:
    """
    Log relative error of the worst one: the number of right digits, from 0 (none, or no number) to 15.9.

    -log10(|found - certified| / |certified|), and -log10 |found| where 0 is certified, as NIST defines it.
    """
    worst = MOST
    for one, two in zip(found, certified, strict=True):
        if not np.isfinite(one):
            return 0.0
        error = abs(one - two) / (abs(two) or 1.0)
        worst = min(worst, -float(np.log10(error)) if error > 0 else MOST)
    return max(worst, 0.0)
