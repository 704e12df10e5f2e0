"""What a batch says while it runs: how many fits, how fast, how many failed, how long still."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..exceptions import ParameterError
from ..solve.status import CONVERGED, FAILED
from .maps import Maps

__all__ = ["Report"]

STEP = 0.05  # of all fits, between two lines where there is no bar


class Report:
    """
    A context manager that is told of every finished block.

    Parameters
    ----------
    progress : bool or callable
        False: nothing is said. True: a bar by tqdm, or a line per 5 % without it. A callable gets ``(done, total, info)``: two counts
        of data sets, and a dict with

        - ``engine``: its name,
        - ``failed``: how many of `done` reached no minimum,
        - ``rate``: fits per second, `elapsed` and ``eta``: seconds,
        - ``compile``: seconds that compiling took, 0 where nothing was compiled,
        - ``text``: all of it as a line.
    total : int
        Data sets.
    engine : Engine

    Raises
    ------
    ParameterError
        If `progress` is something else.
    """

    def __init__(self, progress: Any, total: int, engine: Any) -> None:
        self._total, self._engine = total, engine
        self._done = self._failed = 0
        self._said = 0.0
        self._began = time.perf_counter()
        self._tell: Callable[[int, int, dict[str, Any]], Any] | None = progress if callable(progress) else None
        self._bar: Any = None
        self._lines = False
        if self._tell is None and not isinstance(progress, bool | np.bool_ | None):
            msg = f"progress={progress!r}; use True, False, or a function of (done, total, info)"
            raise ParameterError(msg)
        if self._tell is None and progress:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                self._lines = True
            else:
                self._bar = tqdm(total=total, unit="fit", unit_scale=True, desc=engine.name)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    def __call__(self, maps: Maps) -> None:
        """The numbers of data sets that are done."""
        self._done += maps.size
        if self._tell is None and self._bar is None and not self._lines:
            return
        status = maps.status
        self._failed += int(np.count_nonzero(((status & np.uint32(CONVERGED)) == 0) | ((status & np.uint32(FAILED)) != 0)))
        if self._tell is not None:
            self._tell(self._done, self._total, self._info())
        elif self._bar is not None:
            self._bar.set_postfix_str(self._words(), refresh=False)
            self._bar.update(maps.size)
        elif self._done >= self._said + STEP * self._total or self._done == self._total:
            self._said = self._done
            print(self._info()["text"], file=sys.stderr, flush=True)

    def _words(self) -> str:
        seconds = compiled(self._engine)
        words = [f"{self._failed} failed"]
        return ", ".join([*words, f"compiled in {seconds:.1f} s"] if seconds else words)

    def _info(self) -> dict[str, Any]:
        elapsed = self.elapsed
        seconds = compiled(self._engine)
        # what compiling took says nothing of the fits to come
        rate = self._done / max(elapsed - seconds, 1e-9) if elapsed > seconds else self._done / max(elapsed, 1e-9)
        eta = (self._total - self._done) / rate if rate > 0 else float("nan")
        text = (
            f"{self._engine.name}: {self._done} of {self._total} fits ({100 * self._done // max(self._total, 1)} %), {rate:.3g} fits/s, "
            f"{self._words()}, {eta:.0f} s left"
        )
        numbers = {"rate": rate, "elapsed": elapsed, "eta": eta, "compile": seconds}
        return {"engine": self._engine.name, "failed": self._failed, **numbers, "text": text}


def compiled(engine: Any) -> float:
    """Seconds that an engine spent compiling."""
    return float(getattr(engine, "compile_seconds", 0.0) or 0.0)
