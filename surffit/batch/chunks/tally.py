"""What a run over chunks says while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ...exceptions import ParameterError
from ...solve.status import CONVERGED, FAILED

__all__ = ["Tally", "Telling"]

STEP = 0.05  # of all fits, between two lines where there is no bar


class Tally:
    """
    Counts.

    Parameters
    ----------
    total : int
        Data sets.
    todo : int
        Those of them that had not been done before.
    chunks : int
        Chunks to do.
    """

    def __init__(self, total: int, todo: int, chunks: int) -> None:
        self.total, self.done, self.first = total, total - todo, total - todo
        self.chunks, self.chunks_done = chunks, 0
        self.failed = self.given_up = self.deaths = 0
        self.began = time.perf_counter()

    def count(self, size: int, flags: Mapping[int, int]) -> None:
        """A chunk was done; how many of its data sets ended with which status."""
        self.done += size
        self.chunks_done += 1
        self.failed += sum(n for status, n in flags.items() if status & FAILED or not status & CONVERGED)

    def lost(self, size: int) -> None:
        """A chunk was given up."""
        self.done = min(self.total, self.done + size)
        self.failed += size
        self.given_up += 1

    def info(self) -> dict[str, Any]:
        """All of it, for `progress`."""
        elapsed = max(time.perf_counter() - self.began, 1e-9)
        rate = (self.done - self.first) / elapsed
        eta = (self.total - self.done) / rate if rate > 0 else float("nan")
        given_up = f", {self.given_up} given up" if self.given_up else ""
        text = (
            f"{self.done} of {self.total} fits, {self.chunks_done} of {self.chunks} chunks{given_up}, {rate:.3g} fits/s, "
            f"{self.failed} failed, {eta:.0f} s left"
        )
        counts = {"chunks": (self.chunks_done, self.chunks), "quarantined": self.given_up, "failed": self.failed}
        return {**counts, "rate": rate, "elapsed": elapsed, "eta": eta, "text": text}


class Telling:
    """
    A context manager that gives a function to call after every chunk.

    Parameters
    ----------
    progress : bool or callable
        As in `fit_many`.
    tally : Tally

    Raises
    ------
    ParameterError
        If `progress` is something else.
    """

    def __init__(self, progress: Any, tally: Tally) -> None:
        self._tally, self._said = tally, tally.done
        self._tell: Callable[..., Any] | None = progress if callable(progress) else None
        self._bar: Any = None
        self._lines = False
        if self._tell is None and not isinstance(progress, bool | None):
            msg = f"progress={progress!r}; use True, False, or a function of (done, total, info)"
            raise ParameterError(msg)
        if progress and self._tell is None:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                self._lines = True
            else:
                self._bar = tqdm(total=tally.total, initial=tally.done, unit="fit", unit_scale=True)

    def __enter__(self) -> Callable[[], None]:
        return self._report

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _report(self) -> None:
        tally = self._tally
        if self._tell is not None:
            self._tell(tally.done, tally.total, tally.info())
        elif self._bar is not None:
            self._bar.set_postfix_str(f"{tally.failed} failed", refresh=False)
            self._bar.update(tally.done - self._bar.n)
        elif self._lines and (tally.done >= self._said + STEP * tally.total or tally.done == tally.total):
            self._said = tally.done
            print(tally.info()["text"], file=sys.stderr, flush=True)
