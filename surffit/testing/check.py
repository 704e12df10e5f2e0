"""`check_model`: all that a model promises, in one call."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from surffit.core.model import SurfaceModel
from surffit.exceptions import ModelCheckError, SurffitWarning
from surffit.registry import get_model
from surffit.testing import function, keeping, starts, units
from surffit.testing.case import Case
from surffit.testing.report import CheckReport

__all__ = ["check_model"]

Check = Callable[[Case], Iterator[str]]

# in this order: later ones use what earlier ones made
CHECKS: Mapping[str, Check] = {
    "example": function.example,
    "broadcasting": function.broadcasting,
    "repeatable": function.repeatable,
    "linear": function.linear,
    "derivatives": function.derivatives,
    "bounds": function.bounds,
    "guess": starts.guess,
    "own surface": starts.own_surface,
    "noise": starts.noise,
    "units of the data": units.data_units,
    "units of the coordinates": units.coordinate_units,
    "pickles": keeping.pickles,
    "documents": keeping.documents,
    "words": keeping.words,
    "hints": keeping.hints,
}


def check_model(model: Any, *, example: tuple[Mapping[str, Any], Mapping[str, float]] | None = None, rng: int = 0) -> CheckReport:
    """
    Check all that a model promises: a plugin author's whole test file is this line.

    On the model's example: values are float64, follow numpy's broadcasting, and repeat; linear parameters are linear; exact derivatives
    are those of differences; values inside the bounds are finite; `guess` gives finite starts within the bounds, the same each time,
    from full and open grids, scattered points and data with NaN; a fit of the model's own surface gives it back to 1e-8 of its range;
    fits of noisy data (S/N 30) end where fits from the true values end, and determine every parameter; other units change nothing but
    parameters, where the formula allows it; pickles and saved documents evaluate bit for bit the same; a docstring says what the model
    is; nothing that was handed in, and no global state, is changed, and nothing warns.

    Parameters
    ----------
    model : SurfaceModel, lmfit.Model, class or str
        An instance, a class that needs no arguments, or a registered name.
    example : (mapping of str to array_like, mapping of str to float), optional
        Coordinates and values to check at; default: those of ``model.example()``.
    rng : int
        Seed of the noise.

    Returns
    -------
    CheckReport
        What was checked, with figures.

    Raises
    ------
    ModelCheckError
        An AssertionError with every failure as a sentence, in ``failures`` too.

    Examples
    --------
    >>> from surffit.testing import check_model
    >>> print(check_model("gaussian").linear)
    ('amplitude',)
    """
    case, failures = None, []
    name = model if isinstance(model, str) else getattr(model, "__name__", None) or getattr(model, "name", repr(model))
    done = []

    def build(_: Any) -> Iterator[str]:
        nonlocal case
        case = Case(_instance(model), example, rng)
        return iter(())

    failures += _run("making it", build, None)
    if case is not None:
        for what, check in CHECKS.items():
            found = _run(what, check, case)
            failures += found
            done.append(what)
            if found and what == "example":
                break  # nothing can be said without one
    if failures:
        msg = f"{name} fails {len(failures)} check{'s' if len(failures) > 1 else ''}:\n" + "\n".join(f"- {text}" for text in failures)
        raise ModelCheckError(msg, model=str(name), failures=tuple(failures))
    assert case is not None  # noqa: S101 - for the type checker: without a case there was a failure
    traced = case.leaf._traced() is not None
    return CheckReport(str(case.model.name), tuple(done), case.skipped, case.figures, case.linear, traced)


def _instance(model: Any) -> SurfaceModel:
    if isinstance(model, str):
        return get_model(model)
    return SurfaceModel.from_lmfit(model() if isinstance(model, type) else model)


def _run(what: str, check: Callable[[Any], Iterator[str]], case: Any) -> list[str]:
    """The sentences of one check, with what it raised, warned of, and changed for everybody."""
    state = _global_state()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            found = [f"{what}: {text}" for text in check(case)]
        except Exception as err:  # noqa: BLE001 - the author's code may raise anything
            found = [f"{what}: {type(err).__name__}: {err}"]
    # advice about a fit is no fault of the model
    told = {str(one.message) for one in heard if not issubclass(one.category, SurffitWarning)}
    found += [f"{what}: warns: {text}" for text in sorted(told)]
    for name, before, after in zip(
        ("numpy's error state", "numpy's random state", "Python's random state"), state, _global_state(), strict=True
    ):
        if before != after:
            found.append(f"{what}: {name} was changed")
    return found


def _global_state() -> tuple[str, str, str]:
    legacy = np.random.get_state()  # noqa: NPY002 - to see whether a model touches it
    return repr(np.geterr()), repr((legacy[0], legacy[1].tobytes(), legacy[2:])), repr(random.getstate())  # type: ignore[index]
