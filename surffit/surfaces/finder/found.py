"""What a search found: a table, ready results, a picture, and words about how sure the choice is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...exceptions import DataError
from .judge import Entry
from .task import Task

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ...core.result import SurfaceResult

# laws that a model average takes: the best, until they hold this weight together, at most so many
SHARE, AVERAGED = 0.99, 12
# weight of laws without a value at a point that an average can do without
OUTSIDE = 0.01


class FoundSurfaces:
    """
    Laws that describe the data, best first.

    Attributes
    ----------
    table : DataFrame
        One row per law that was fitted to all points: ``rank`` (from 1), ``formula``, ``family``, ``k`` (parameters), ``rms`` (of the
        weighted residuals, in data units where all weights are equal), ``R2``, ``aicc`` (as that of `surffit.compare`), ``loo`` (rms of
        the leave-one-out residuals), ``score`` (that of the order), ``weight`` (of the law among all, from the score), ``pole`` (whether
        a denominator vanishes in the box of the data), ``note``.
    tried : dict of str to int
        How many laws of each family were tried.
    n_tried : int
        How many together.
    notes : dict of str to str
        Registered models that could not be used, and why.

    Examples
    --------
    >>> import surffit as sf
    >>> found = sf.find_surface(sf.data.refractive_index(), data="n", x="wavelength_nm", y="temperature_c", registered=False)
    >>> result = found.best  # an ordinary result: explain(), predict(), plot(), save()
    >>> result.success
    True
    >>> found.n_tried > 1000
    True
    """

    def __init__(self, task: Task, entries: list[Entry], tried: dict[str, int], notes: dict[str, str]) -> None:
        self._task = task
        self._entries = entries
        self._fits: dict[int, Any] = {}
        self.tried = dict(tried)
        self.notes = notes

    @property
    def n_tried(self) -> int:
        """How many laws were tried."""
        return sum(self.tried.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[SurfaceResult]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> SurfaceResult:
        """The fit of the law at a place of the table, from 0; made when it is asked for."""
        count = len(self)
        if not isinstance(index, int | np.integer):
            msg = f"{index!r} is no place in the table; give a whole number from 0, or use results(n) for the first n"
            raise TypeError(msg)
        if not -count <= index < count:
            msg = f"there is no law {index}; the table has {count} rows, 0 to {count - 1}"
            raise IndexError(msg)
        place = int(index) % count
        if place not in self._fits:
            self._fits[place] = self._task.fit(self._entries[place])
        return self._fits[place]

    @property
    def best(self) -> SurfaceResult:
        """The fit of the first law."""
        return self[0]

    def results(self, n: int = 5) -> list[SurfaceResult]:
        """Fits of the first `n` laws."""
        return [self[i] for i in range(min(n, len(self)))]

    @property
    def table(self) -> pd.DataFrame:
        """The laws; see the class."""
        import pandas as pd

        points = self._task.points
        total = float(points.w @ points.w)
        mean = float(points.w**2 @ points.z) / total
        about = float(np.sum((points.w * (points.z - mean)) ** 2))
        rows = [
            {
                "rank": place,
                "formula": entry.formula,
                "family": entry.family,
                "k": entry.k,
                "rms": np.sqrt(entry.rss / total),
                "R2": 1.0 - entry.rss / about if about > 0 else np.nan,
                "aicc": entry.aicc + self._task.offset,
                "loo": np.sqrt(entry.loo / total),
                "score": entry.score + self._task.offset,
                "weight": entry.weight,
                "pole": entry.pole,
                "note": "; ".join([*(["a pole among the data"] if entry.pole else []), *filter(None, [entry.note]), *_also(entry)]),
            }
            for place, entry in enumerate(self._entries, 1)
        ]
        return pd.DataFrame(rows)

    def predict(self, level: float = 0.95, **coords: Any) -> pd.DataFrame:
        """
        Model-averaged prediction: the laws' own predictions by their weights, with the spread between them.

        Parameters
        ----------
        level : float
            Of the interval.
        **coords : array_like
            Where.

        Returns
        -------
        DataFrame
            ``fit``, ``std_error``, ``lower``, ``upper``.

        Notes
        -----
        The variance is the unconditional one, the sum of w_i (s_i**2 + (f_i - f)**2) over the laws with weights w_i, predictions
        f_i with errors s_i, and their mean f (Burnham and Anderson 2002, section 4.3). It knows the laws that were
        tried, and no others. Where laws that hold more than 1 % of the weight have no finite value (a logarithm at 0), there is
        no average, and nan stands; where it is less, the others decide.
        """
        import pandas as pd
        from scipy import stats

        if not 0 < level < 1:
            msg = f"level is {level!r}; give the probability of the interval, between 0 and 1 (0.95 for 95 %)"
            raise ValueError(msg)
        names = self._task.names
        unknown = [name for name in coords if name not in names]
        missing = [name for name in names if name not in coords]
        if unknown or missing:
            hint = f"missing: {', '.join(missing)}" if missing else f"unknown: {', '.join(unknown)}"
            msg = f"predict takes the variables {', '.join(names)}; {hint}"
            raise DataError(msg)
        value, error = self._average(coords)
        free = max(1, self._task.points.size - self._entries[0].k)
        half = float(stats.t.ppf(0.5 + level / 2, free)) * error
        return pd.DataFrame({"fit": value, "std_error": error, "lower": value - half, "upper": value + half})

    def _average(self, coords: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Values and unconditional standard errors."""
        from scipy import stats

        from .task import own_variables

        weights: list[float] = []
        values: list[np.ndarray] = []
        errors: list[np.ndarray] = []
        for place, entry in enumerate(self._entries[:AVERAGED]):
            if entry.pole or (weights and sum(weights) >= SHARE):
                break
            result = self[place]
            given = dict(zip(own_variables(result.model), coords.values(), strict=True))
            given = {name: coords[mine] for name, mine in zip(given, self._task.names, strict=True)}
            with np.errstate(all="ignore"):
                band = result.predict(level=0.95, **given)
            quantile = float(stats.t.ppf(0.975, max(1, result.nfree)))
            lower, upper = (np.asarray(band[side], dtype=float).ravel() for side in ("lower", "upper"))
            values.append(np.asarray(band["fit"], dtype=float).ravel())
            errors.append(0.5 * (upper - lower) / quantile)
            weights.append(entry.weight)
        table, spread = np.array(values), np.array(errors)
        fine = np.isfinite(table) & ~np.isnan(spread)
        share = (np.array(weights) / sum(weights))[:, None] * fine
        known = share.sum(axis=0)
        share = np.divide(share, known, out=np.full(share.shape, np.nan), where=known >= 1.0 - OUTSIDE)
        table, spread = np.where(fine, table, 0.0), np.where(fine, spread, 0.0)
        mean = np.sum(share * table, axis=0)
        return mean, np.sqrt(np.sum(share * (spread**2 + (table - mean) ** 2), axis=0))

    def report(self, n: int = 10) -> str:
        """What was tried, the best `n` laws, and how much the choice itself adds to the errors."""
        from .words import report

        return report(self, n)

    def plot(self, n: int = 4, fig: Figure | None = None) -> Figure:
        """
        Draw the data and the best laws with their residuals.

        Parameters
        ----------
        n : int
            How many laws.
        fig : matplotlib.figure.Figure, optional
            Where to; a new one if not given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from .picture import draw

        return draw(self, n, fig)

    def __repr__(self) -> str:
        if not self._entries:
            return f"<FoundSurfaces: none of {self.n_tried} laws could be fitted>"
        first = self._entries[0]
        return (
            f"<FoundSurfaces: {len(self)} of {self.n_tried} laws on {self._task.points.size} points; "
            f"best {first.formula} with weight {first.weight:.2g}>"
        )

    def _repr_html_(self) -> str:
        from html import escape

        from .words import shown

        return f"<p>{escape(repr(self))}</p>{shown(self, 10).to_html(index=False)}"


def _also(entry: Entry) -> list[str]:
    return [f"the same as {', '.join(entry.also)}"] if entry.also else []
