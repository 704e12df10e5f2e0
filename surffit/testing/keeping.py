"""Checks of what else a model needs to be used by others: pickles, documents, words, hints."""

from __future__ import annotations

import inspect
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from surffit.io import load
from surffit.testing.case import Case, source_of


def pickles(case: Case) -> Iterator[str]:
    """A model that went through a pickle evaluates bit for bit as before, as worker processes need it."""
    try:
        again = pickle.loads(pickle.dumps(case.leaf))  # noqa: S301 - our own bytes of the line above
    except Exception as err:  # noqa: BLE001 - pickle raises whatever the model's parts raise
        why = f"{type(err).__name__}: {err}"
        yield f"the model can't be pickled ({why}), which worker processes need; define its function at the top of a module"
        return
    yield from _compared(case, "a pickle", again)


def documents(case: Case) -> Iterator[str]:
    """A model, and a fit, that were saved and loaded evaluate as before."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        case.leaf.save(path)
        yield from _compared(case, "a saved document", load(path))
        if "grid" in case.fits:
            _, coords, result = case.fits["grid"]
            result.save(path)
            there, here = np.asarray(load(path).eval(**coords)), np.asarray(result.eval(**coords))
            if not np.allclose(there, here, rtol=1e-12, atol=1e-12 * np.abs(here).max()):
                yield f"a saved fit evaluates otherwise after loading, by {np.abs(there - here).max():.3g}"


def _compared(case: Case, what: str, other: Any) -> Iterator[str]:
    if list(other.param_names) != list(case.model.param_names):
        yield f"after {what} the parameters are {', '.join(other.param_names)}"
        return
    there = np.asarray(other.eval(case.parameters(case.values), **case.coords))
    here = np.asarray(case.leaf.eval(case.parameters(case.values), **case.coords))
    if not np.array_equal(there, here, equal_nan=True):
        yield f"after {what} the values differ by {np.nanmax(np.abs(there - here)):.3g}"
    if other.linear != case.leaf.linear:
        yield f"after {what} the linear parameters are {', '.join(other.linear) or 'none'}, not {', '.join(case.leaf.linear) or 'none'}"


def words(case: Case) -> Iterator[str]:
    """Class, function or module say what the model is; where parameters are described, all are."""
    maker, func = source_of(case.model)
    module = inspect.getmodule(maker)
    texts = [inspect.cleandoc(doc) for doc in (maker.__doc__, getattr(func, "__doc__", None), module.__doc__ if module else None) if doc]
    if not any(len(text.split()) >= 2 for text in texts):
        what = f"neither {maker.__name__} nor its function nor their module has a docstring"
        yield f"{what}; say what the surface is, its formula, units and source"
    for what, thing in ((maker.__name__, maker), (getattr(func, "__name__", "the function"), func)):
        if thing is func and getattr(thing, "__doc__", None):
            yield from _described(what, thing, case)


def _described(what: str, func: Any, case: Case) -> Iterator[str]:
    try:
        from numpydoc.docscrape import FunctionDoc
    except ImportError:
        case.skipped["numpydoc"] = "it is not installed"
        return
    if "Parameters\n" not in func.__doc__:
        return
    entries = FunctionDoc(func)["Parameters"]
    named = [name.strip().lstrip("*") for entry in entries for name in entry.name.split(",")]
    arguments = [name for name in inspect.signature(func).parameters if name not in ("self", "cls")]
    missing, strange = [n for n in arguments if n not in named], [n for n in named if n not in arguments]
    if missing:
        yield f"the docstring of {what} does not describe {', '.join(missing)}"
    if strange:
        yield f"the docstring of {what} describes {', '.join(strange)}, which it does not take"
    for entry in entries:
        if not any(line.strip() for line in entry.desc):
            yield f"the docstring of {what} names {entry.name} and says nothing about it"


def hints(case: Case) -> Iterator[str]:
    """Hints are for parameters that exist, with bounds that leave room."""
    roots = {name.removeprefix(case.model.prefix) for name in case.model.param_names}
    for name, hint in case.model.param_hints.items():
        if name not in roots and not hint.get("expr") and "value" not in hint:
            yield f"there is a hint for {name}, which is no parameter; the parameters are {', '.join(sorted(roots))}"
        low, high = hint.get("min"), hint.get("max")
        if low is not None and high is not None and not low < high:
            yield f"the hint of {name} has min = {low:g} and max = {high:g}"
        value = hint.get("value")
        if value is not None and not (-np.inf if low is None else low) <= value <= (np.inf if high is None else high):
            yield f"the hint of {name} has value = {value:g} outside its bounds"
