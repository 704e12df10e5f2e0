"""Words about data sets that were fitted together: how each scatters, and whether one scatters differently."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .joint_result import JointResult

# lines of the report beyond which only the most striking data sets are shown
LINES = 20
# chance at which a scatter is worth a sentence, shared by all data sets
STRIKING = 1e-3


def scatter(result: JointResult) -> list[dict[str, Any]]:
    """Points, freedom and chi-square of every data set."""
    if "_sets" in result.__dict__:  # a loaded fit
        return [{"dataset": key, **facts} for key, facts in result._sets.items()]
    out = []
    for key in result:
        residual = result.residual[result._rows_of(key)]
        nfree = float(residual.size - result._leverage(key))
        chisqr = float(result._costs[result._rows_of(key)].sum())
        redchi = chisqr / nfree if nfree > 1e-9 else np.nan
        out.append({"dataset": key, "ndata": residual.size, "nfree": nfree, "chisqr": chisqr, "redchi": redchi})
    return out


def report_of_sets(result: JointResult) -> str:
    """A line per data set for the report; of many, those that scatter least and most."""
    rows = scatter(result)
    shown = rows
    head = "[[Data sets]]"
    if len(rows) > LINES:
        ordered = sorted(rows, key=lambda row: -np.nan_to_num(row["redchi"], nan=-1.0))
        shown = [*ordered[: LINES // 2], *ordered[-LINES // 2 :]]
        head += f" (of {len(rows)}, the {LINES // 2} with the largest and smallest scatter)"
    width = max(len(row["dataset"]) for row in shown)
    lines = [
        f"    {row['dataset'] + ':':<{width + 1}} {row['ndata']} data points, chi-square = {row['chisqr']:.6g}, "
        f"reduced chi-square = {row['redchi']:.6g}"
        for row in shown
    ]
    return "\n".join([head, *lines]) + "\n"


def compared(result: JointResult) -> list[str]:
    """Sentences on data sets whose scatter does not fit that of the others, or the errors that were given."""
    from scipy.stats import chi2, f as fisher  # noqa: I001 - beside its only use

    rows = [row for row in scatter(result) if row["nfree"] > 0.5]
    if not result.success:
        return []
    known = not result.scale_covar and result.observed.weights is not None
    chisqr, nfree = sum(row["chisqr"] for row in rows), sum(row["nfree"] for row in rows)
    found = []
    for row in rows:
        if known:
            p = min(chi2.sf(row["chisqr"], row["nfree"]), chi2.cdf(row["chisqr"], row["nfree"]))
            ratio = row["redchi"]
        else:
            others, rest = nfree - row["nfree"], chisqr - row["chisqr"]
            if others <= 0.5 or not rest > 0:
                continue
            ratio = row["redchi"] / (rest / others)
            p = min(fisher.sf(ratio, row["nfree"], others), fisher.cdf(ratio, row["nfree"], others))
        if not known and len(rows) == 2 and ratio < 1.0:
            continue  # of two that differ, the one that scatters more is told
        if p < STRIKING / len(rows):
            found.append((float(p), row["dataset"], float(ratio)))
    lines = []
    for _, key, ratio in sorted(found)[:5]:
        than = "its errors say" if known else "that of the other data sets, in units of the given errors"
        why = "its sigma is too small, or its model doesn't fit" if ratio > 1 else "its sigma is too large"
        lines.append(f"The scatter of {key} is {np.sqrt(ratio):.3g} times {than}: {why}.")
    if len(found) > 5:
        lines.append(f"{len(found) - 5} more data sets scatter otherwise; see data_sets().")
    return [textwrap.fill(line, 100, subsequent_indent="  ", break_on_hyphens=False) for line in lines]
