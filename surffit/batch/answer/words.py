"""A batch in words."""

from __future__ import annotations

import html as markup
from typing import TYPE_CHECKING

import numpy as np

from ...solve.status import CONVERGED, SENTENCES, Status

if TYPE_CHECKING:
    from .result import BatchResult

__all__ = ["bytes_in_words", "counts", "html", "short", "summary"]


def counts(status: np.ndarray) -> dict[Status, int]:
    """How many data sets have each flag, those that occur."""
    values, times = np.unique(status, return_counts=True)
    found = {flag: int(times[(values & np.uint32(flag)) != 0].sum()) for flag in Status}
    return {flag: count for flag, count in found.items() if count}


def short(batch: BatchResult) -> str:
    """One line."""
    good = int(batch._success().sum())
    shape = " x ".join(map(str, batch.shape))
    end = "" if batch.complete else ", interrupted"
    return (
        f"<BatchResult: {good} of {batch.size} fits succeeded{f' ({shape})' if len(batch.shape) > 1 else ''}, engine {batch.engine}{end}>"
    )


def summary(batch: BatchResult) -> str:
    """Counts per flag with their sentences, the engine, medians of parameters and errors."""
    n, good = batch.size, batch._success()
    shape = " x ".join(map(str, batch.shape)) or "one data set"
    lines = [f"{batch.model.name}: {n} fit{'s' if n != 1 else ''} ({shape}), {int(good.sum())} succeeded ({_share(int(good.sum()), n)})."]
    if not batch.complete:
        lines.append("The batch was interrupted; what was not reached has the flag ABORTED.")
    lines.append(f"Engine: {batch.engine} ({batch.engine_reason})." if batch.engine_reason else f"Engine: {batch.engine}.")
    if batch.elapsed:
        lines.append(f"Time: {batch.elapsed:.3g} s, {n / batch.elapsed:,.0f} fits/s.")
    found = counts(batch.maps.status)
    converged = {flag: count for flag, count in found.items() if flag in CONVERGED}
    lines += ["", "How they ended:"]
    for flag, count in [*converged.items(), *((flag, count) for flag, count in found.items() if flag not in CONVERGED)]:
        lines.append(f"  {count:>{len(str(n))}} ({_share(count, n)})  {flag.name}: {SENTENCES[flag]}")
    if batch.errors:
        more = [f"  ... and {len(batch.errors) - 3} more, see .errors"] if len(batch.errors) > 3 else []
        lines += ["", "Exceptions:", *(f"  {text}" for text in batch.errors[:3]), *more]
    if good.any():
        lines += ["", "Medians of the successful fits:"]
        width = max(map(len, batch.param_names))
        for name in batch.param_names:
            value, error = (numbers[good] for numbers in batch._numbers(name))
            kind = "fixed" if name in batch.task.known else "tied, " if name in batch.task.tied else ""
            size = np.median(error[np.isfinite(error)]) if np.isfinite(error).any() else np.nan
            about = kind if name in batch.task.known else f"{kind}stderr {size:.4g}"
            lost = int((~np.isfinite(error)).sum())
            about += f", no error in {lost}" if lost else ""
            lines.append(f"  {name:<{width}}  {np.median(value):.6g}  ({about})")
        lines.append(f"  {'redchi':<{width}}  {np.median(batch._redchi()[good]):.4g}")
    return "\n".join(lines)


def html(batch: BatchResult) -> str:
    """A few lines for a notebook."""
    n, good = batch.size, batch._success()
    rows = []
    for name in batch.param_names if good.any() else ():
        value, error = (np.median(numbers[good]) for numbers in batch._numbers(name))
        rows.append(f"<tr><td>{markup.escape(name)}</td><td>{value:.5g}</td><td>{error:.2g}</td></tr>")
    flags = ", ".join(f"{flag.name}: {count}" for flag, count in counts(batch.maps.status).items() if flag not in CONVERGED)
    return (
        f"<p><b>{markup.escape(batch.model.name)}</b>: {int(good.sum())} of {n} fits succeeded; map {batch.shape}; engine "
        f"{markup.escape(batch.engine)}{'' if batch.complete else '; interrupted'}{f'; {flags}' if flags else ''}</p>"
        f"<table><tr><th>parameter</th><th>median value</th><th>median stderr</th></tr>{''.join(rows)}</table>"
    )


def _share(part: int, whole: int) -> str:
    share = 100.0 * part / max(1, whole)
    if 99.0 < share < 100.0:  # not all of them
        return f"{min(share, 99.9):.1f} %"
    return f"{share:.0f} %" if share >= 1 or not part else f"{share:.2g} %"


def bytes_in_words(count: float) -> str:
    """A size in memory: 24.3 MB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
