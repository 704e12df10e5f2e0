"""The way of a table's groups to the batch engines, and to ordinary fits where these find nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from surffit.batch.answer.result import BatchResult
from surffit.batch.data.ragged import ragged
from surffit.batch.maps import Maps
from surffit.batch.plan import choose
from surffit.batch.run import run
from surffit.batch.task import Options, Task
from surffit.core.data import is_time
from surffit.exceptions import ParameterError, SurffitError
from surffit.solve.status import Status
from surffit.tables.batched import BatchTable, Refit
from surffit.tables.columns import Columns
from surffit.tables.grouping import Grouping, numbers_in_order

__all__ = ["batch_task", "fit_batch"]

# how a search may end that another start, or more patience, would have ended better
UNFOUND = Status.MAX_NFEV | Status.STALLED | Status.RUNAWAY | Status.NOT_A_MINIMUM | Status.NONFINITE_START | Status.NO_EFFECT_AT_START


def why_not(model: Any, columns: Columns, options: Mapping[str, Any]) -> str | None:
    """Why the call needs ordinary fits; None where a batch can do it."""
    import lmfit

    from surffit.core.structure import leaves

    if options["method"] != "separable":
        return f"method={options['method']!r} is for ordinary fits"
    if options["loss"] != "linear":
        return "a loss= is for ordinary fits"
    if options["priors"] is not None:
        return "priors are for ordinary fits"
    if options.get("fit_kws"):
        return f"fit_kws ({', '.join(options['fit_kws'])}) are for ordinary fits"
    for leaf in leaves(model):
        inner = getattr(leaf, "wrapped", leaf)
        if hasattr(leaf, "on_data"):
            return f"{leaf.name} takes something from each group's data"
        if type(inner).post_fit is not lmfit.Model.post_fit:
            return f"{leaf.name} has a post_fit of its own"
    if columns.data.dtype.kind not in "fiub":
        return "the data are no real numbers"
    series = [value for value in columns.coords.values() if isinstance(value, pd.Series)]
    if not series:
        return "there is no coordinate among the columns"
    if any(value.dtype.kind not in "fiub" and not is_time(value) for value in series):
        return "a coordinate is no real number"
    return None


def batch_task(
    model: Any, params: Any, columns: Columns, grouping: Grouping, options: Mapping[str, Any], workers: int | None = None
) -> Task | str:
    """
    The groups as a task for the batch engines, or why they can't be one.

    Parameters
    ----------
    model : SurfaceModel
    params : Parameters, mapping or None
        A mapping's numbers may be arrays, one element per group.
    columns : Columns
    grouping : Grouping
    options : mapping
        Keywords of the ordinary fit.
    workers : int, optional
        Threads.

    Raises
    ------
    ParameterError
        If nothing varies, or a parameter that must be searched has no start.
    """
    from surffit.batch.door.opening import make_task

    refused = why_not(model, columns, options)
    if refused is not None:
        return refused
    names = tuple(name for name in model.independent_vars if isinstance(columns.coords.get(name), pd.Series))
    errors = {name: series.to_numpy()[grouping.order] for name, series in columns.errors.items()}
    if len({"sigma", "weights"} & set(errors)) > 1:
        return "both sigma and weights were given"  # which an ordinary fit says better
    if any(array.dtype.kind not in "fiub" for array in errors.values()):
        return "the errors are no real numbers"
    y = columns.data.to_numpy()[grouping.order]
    source = ragged(
        y,
        [numbers_in_order(columns.coords[name], grouping) for name in names],
        grouping.offsets,
        omit=options["nan_policy"] == "omit",
        **errors,
    )
    known = {name: value for name, value in columns.coords.items() if name not in names}
    return make_task(model, source, params, names, Options(scale_covar=bool(options["scale_covar"]), workers=workers), known)


def fit_batch(task: Task, grouping: Grouping, columns: Columns, refit: Refit, omit: bool, engine: str, progress: Any) -> BatchTable | str:
    """
    Fit all groups by the fastest engine that can; the reason where only ordinary fits can.

    Groups where its search found nothing then have an ordinary fit, unless the engine was asked for by name.
    """
    try:
        chosen = choose(task, engine)
    except ParameterError:
        if engine != "auto":
            raise
        return "no engine takes it"
    if chosen.name == "loop":
        return chosen.reason

    def report(done: int, total: int, info: Mapping[str, Any]) -> None:
        progress(done, total, info["text"])

    maps, complete = run(task, chosen, report if callable(progress) else progress)
    batch = BatchResult(task, maps, (len(grouping),), lambda a: a, chosen, complete)
    unfound = np.flatnonzero((maps.status & np.uint32(UNFOUND)) != 0).tolist()
    if unfound and complete and engine == "auto":
        try:
            found = sum(_second_chance(task, maps, q, refit) for q in unfound)
        except KeyboardInterrupt:
            batch.complete = False
        else:
            batch.engine_reason += f"; {len(unfound)} groups where it found no minimum had ordinary fits, which found {found}"
    return BatchTable(grouping, batch, columns, refit, omit)


def _second_chance(task: Task, maps: Maps, q: int, refit: Refit) -> bool:
    """An ordinary fit of one group from where it began; whether it found a minimum, which then counts."""
    try:
        result = refit(q, None)
    except (SurffitError, ValueError, ArithmeticError):
        return False
    if not result.success:
        return False
    for names, values, errors in ((task.free, maps.values, maps.stderr), (task.tied, maps.tied, maps.tied_stderr)):
        for k, name in enumerate(names):
            par = result.params[name]
            values[k, q], errors[k, q] = par.value, np.nan if par.stderr is None else par.stderr  # type: ignore[index]
    maps.chisqr[q], maps.nobs[q], maps.nfree[q] = result.chisqr, result.ndata, result.nfree
    maps.nfev[q] += result.nfev
    maps.status[q] = int(result.status)
    return True
