"""Progress of long work: a bar, a callable, or nothing, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..exceptions import OptionalDependencyError


class Progress:
    """
    A context manager that gives a function of (done, text).

    Parameters
    ----------
    progress : bool or callable
        True: a bar by tqdm; a callable gets (done, total, text); False: nothing.
    total : int
    unit : str
        What is counted.

    Raises
    ------
    OptionalDependencyError
        For True without tqdm.
    """

    def __init__(self, progress: Any, total: int, unit: str = "fit") -> None:
        self._total = total
        self._bar = None
        self._tell = progress if callable(progress) else None
        if progress and self._tell is None:
            try:
                from tqdm.auto import tqdm
            except ImportError as err:
                msg = 'progress=True needs tqdm: pip install "surffit[progress]", or pass a function of (done, total, text)'
                raise OptionalDependencyError(msg) from err
            self._bar = tqdm(total=total, unit=unit)

    def __enter__(self) -> Callable[[int, str], None]:
        return self._report

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _report(self, done: int, text: str) -> None:
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        if self._tell is not None:
            self._tell(done, self._total, text)
