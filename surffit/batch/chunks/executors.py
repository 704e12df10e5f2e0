"""Chunks on the threads of this process, each read while others are computed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ...exceptions import ParameterError
from ..run import workers_here
from .engine import Record, Work, begin, finish
from .output import Chunk, Output

__all__ = ["Threads", "active_client"]


def active_client(client: Any) -> Any:
    """The client asked for, else the one that is active, else None."""
    if client is False:
        return None
    if client is not None:
        if not hasattr(client, "submit") or not hasattr(client, "scheduler_info"):
            msg = f"client is {client!r}; give a distributed.Client, None or False"
            raise ParameterError(msg)
        return client
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


class Threads:
    """
    Two pools: one reads ahead, one computes (numba lets go of the lock) and writes.

    Attributes
    ----------
    room : int
        Chunks in hand at most: those being computed and one that is read ahead.
    """

    def __init__(self, work: Work, output: Output, workers: int | None) -> None:
        self.work, self.output = work, output
        self.workers = workers_here(workers)
        self.room = self.workers + 1
        self._running: set[Future[Record]] = set()
        self._reader: ThreadPoolExecutor
        self._pool: ThreadPoolExecutor

    def __enter__(self) -> Threads:
        self._reader = ThreadPoolExecutor(min(self.workers, 4), thread_name_prefix="surffit-read")
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="surffit")
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def busy(self) -> int:
        """Chunks in hand."""
        return len(self._running)

    def start(self, chunk: Chunk, attempt: int, behind: int) -> None:
        """Take a chunk; `behind` others wait."""
        # the last few chunks share the threads
        threads = max(1, self.workers // (self.busy + 1 + behind))
        read = self._reader.submit(begin, self.work, self.output, chunk, self.work.pack(chunk), attempt)
        self._running.add(self._pool.submit(self._finish, chunk, read, threads))

    def _finish(self, chunk: Chunk, read: Future[Any], threads: int) -> Record:
        # numpy's error state belongs to the thread
        with np.errstate(all="ignore"):
            return finish(self.work, self.output, chunk, read.result(), threads)

    def wait(self) -> list[Record]:
        """Records of chunks that have ended, at least one."""
        ended, self._running = wait(self._running, return_when=FIRST_COMPLETED)
        return [future.result() for future in ended]

    def drain(self) -> Iterator[Record]:
        """Records of all chunks in hand."""
        while self._running:
            yield from self.wait()
