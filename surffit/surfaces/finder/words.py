"""The report of a search in words, with what a search does to error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from .found import FoundSurfaces

_COLUMNS = ["rank", "formula", "k", "rms", "R2", "aicc", "loo", "weight", "note"]


def shown(found: FoundSurfaces, n: int) -> pd.DataFrame:
    """The first rows of the table, rounded for reading."""
    table = found.table.head(n)[_COLUMNS].copy()
    for name in ("rms", "loo"):
        table[name] = [f"{v:.4g}" for v in table[name]]
    table["R2"] = [f"{v:.6f}" for v in table["R2"]]
    table["aicc"] = [f"{v:.1f}" for v in table["aicc"]]
    table["weight"] = [f"{v:.3f}" for v in table["weight"]]
    if not table["note"].any():
        del table["note"]
    return table


def report(found: FoundSurfaces, n: int) -> str:
    """See `FoundSurfaces.report`."""
    task, table = found._task, found.table
    groups: dict[str, int] = {}
    for family, count in found.tried.items():
        groups[_group(family)] = groups.get(_group(family), 0) + count
    kinds = ", ".join(f"{count} {name}" for name, count in groups.items())
    variables = " and ".join(_name(task.labels.get(name, name), name) for name in task.names)
    lines = [f"{found.n_tried} laws were tried for {task.label} over {variables} at {task.points.size} points: {kinds}.", ""]
    if not len(found):
        return "\n".join([*lines, "None could be fitted."])
    lines += [shown(found, n).to_string(index=False), ""]
    lines += _verdict(table)
    lines += ["", *_selection(found)]
    poles = int(table["pole"].sum())
    if poles:
        lines.append(
            f"{poles} law{'s' if poles > 1 else ''} with a pole among the data stand{'' if poles > 1 else 's'} at the end of the table."
        )
    reasons: dict[str, list[str]] = {}
    for name, note in found.notes.items():
        reasons.setdefault(note, []).append(name)
    lines += [f"{', '.join(names)}: {note}." for note, names in reasons.items()]
    lines += [f"{note}." for note in task.notes]
    return "\n".join(lines)


def _verdict(table: pd.DataFrame) -> list[str]:
    first = table.iloc[0]
    near = int(((table["score"] - first["score"] < 2) & ~table["pole"]).sum())
    if first["k"] == 1 and first["formula"].isidentifier():
        return [f"Nothing better than a constant was found (weight {first['weight']:.2f}): these points show no law."]
    lines = [f"The first law has {first['weight']:.0%} of the weight."]
    if near > 1:
        lines.append(f"The first {near} are within 2 of each other in score: the data do not choose among them, your knowledge must.")
    if not first["R2"] > 0.5:
        lines.append(f"It explains only {max(first['R2'], 0.0):.0%} of the variance.")
    return lines


def _selection(found: FoundSurfaces) -> list[str]:
    points = found._task.points
    rows = np.linspace(0, points.size - 1, min(points.size, 100)).astype(int)
    coords = {name: values[rows] for name, values in zip(found._task.names, points.raw, strict=True)}
    text = (
        f"This law was chosen among {found.n_tried} by looking at the same data. Its error bars, in explain() and predict(), "
        "are those of a law known before, and are too small."
    )
    lines = [text]
    try:
        _, all_laws = found._average(coords)
        best = _best_error(found, coords)
    except Exception:  # noqa: BLE001 - a report must come out even where one law's band can't be computed
        return lines
    with np.errstate(all="ignore"):
        ratio = float(np.nanmedian(all_laws / best))
    if np.isfinite(ratio):
        lines.append(
            f"Averaged over the laws by weight, the error of the surface at the data is {ratio:.2f} times that of the first law alone "
            "(median; found.predict() gives it anywhere). Away from the data laws differ far more. New data decide."
        )
    return lines


def _best_error(found: FoundSurfaces, coords: dict[str, np.ndarray]) -> np.ndarray:
    from scipy import stats

    from .task import own_variables

    result = found.best
    given: dict[str, Any] = dict(zip(own_variables(result.model), coords.values(), strict=True))
    band = result.predict(level=0.95, **given)
    lower, upper = (np.asarray(band[side], dtype=float).ravel() for side in ("lower", "upper"))
    return np.asarray(0.5 * (upper - lower) / stats.t.ppf(0.975, max(1, result.nfree)))


def _group(family: str) -> str:
    if family == "sum":
        return "sums"
    if "polynomial" in family:
        return "polynomials"
    if family.startswith("registered"):
        return f"{family}s"
    if family.endswith("of a sum"):
        return "functions of sums"
    return "rational surfaces" if family.startswith("rational") else "laws with shape parameters"


def _name(column: str, variable: str) -> str:
    return variable if column == variable else f"{variable} ({column})"
