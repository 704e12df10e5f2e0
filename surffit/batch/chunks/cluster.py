"""Chunks on the workers of dask.distributed, some of which may die."""

from __future__ import annotations

import math
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ...exceptions import DataError
from .engine import NoWorkers, Record, Work, begin, finish
from .output import Chunk, Output

__all__ = ["Cluster"]

# work that this process has unpacked: it is the same for all its chunks
_UNPACKED: dict[str, tuple[Work, Output]] = {}


def _one(key: str, packed_work: bytes, chunk: Chunk, packed: Any, attempt: int) -> Record:
    """One chunk, in a worker."""
    known = _UNPACKED.get(key)
    if known is None:
        from distributed.protocol.pickle import loads

        known = loads(packed_work)
        _UNPACKED.clear()
        _UNPACKED[key] = known
    work, output = known
    return finish(work, output, chunk, begin(work, output, chunk, packed, attempt))


class Cluster:
    """
    Hands chunks to a client and collects records.

    When a worker dies, the scheduler starts its chunks again by itself. Those that had begun see from the manifest that they had, return
    "died" without computing, and are then run alone: one at a time, so that the next death tells which of them did it.

    Parameters
    ----------
    work : Work
    output : Output
    client : distributed.Client
    worker_timeout : float
        How long a cluster without any worker is waited for [s].

    Attributes
    ----------
    room : int
        Chunks in hand at most: twice as many as there are threads.
    """

    def __init__(self, work: Work, output: Output, client: Any, worker_timeout: float = 300.0) -> None:
        import zarr.storage
        from distributed.protocol.pickle import dumps

        if isinstance(output.store, zarr.storage.MemoryStore | dict):
            msg = "out is in the memory of this process, which the workers don't share; give a path, or client=False"
            raise DataError(msg)
        self.work, self.output, self.client, self.worker_timeout = work, output, client, worker_timeout
        self._key = uuid.uuid4().hex
        self._packed: bytes = dumps((work, output))  # functions of a script travel by value
        self._chunks: dict[str, Chunk] = {}
        self._attempt: dict[str, int] = {}
        self._never_began = Counter[int]()
        self._collect: Any = None
        self._asked, self._threads, self._seen = -math.inf, 0, time.monotonic()

    def __enter__(self) -> Cluster:
        from distributed import as_completed

        self._collect = as_completed(raise_errors=False, loop=self.client.loop)
        return self

    def __exit__(self, *_: object) -> None:
        if self._chunks:
            self.client.cancel(list(self._collect.futures))
        self._chunks.clear()

    @property
    def room(self) -> int:
        """Chunks in hand at most."""
        return max(2, 2 * self._threads_now())

    def _threads_now(self) -> int:
        """Threads of all workers; asked for every two seconds."""
        if time.monotonic() > self._asked + 2.0:
            self._asked, self._threads = time.monotonic(), sum(self.client.nthreads().values())
            if self._threads:
                self._seen = self._asked
        return self._threads

    @property
    def busy(self) -> int:
        """Chunks in hand."""
        return len(self._chunks)

    def start(self, chunk: Chunk, attempt: int, behind: int) -> None:
        """Take a chunk."""
        key = f"surffit-chunk-{chunk.number}-{uuid.uuid4().hex}"
        self._chunks[key], self._attempt[key] = chunk, attempt
        packed = self.work.pack(chunk)
        self._collect.add(self.client.submit(_one, self._key, self._packed, chunk, packed, attempt, key=key, pure=False, retries=0))

    def wait(self) -> list[Record]:
        """The record of the next chunk that has ended; the scheduler lets go of it at once."""
        pause = 0.001
        while not self._collect.has_ready():
            # a task that has no worker stays with the scheduler for good
            if not self._threads_now() and time.monotonic() > self._seen + self.worker_timeout:
                msg = f"the cluster has had no worker for {self.worker_timeout:g} s"
                raise NoWorkers(msg)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        future = next(self._collect)
        chunk, attempt = self._chunks.pop(future.key), self._attempt.pop(future.key)
        if future.status == "finished":
            record: Record = future.result()
        else:
            record = self._broken(chunk, attempt, future)
        future.release()
        return [record]

    def _broken(self, chunk: Chunk, attempt: int, future: Any) -> Record:
        """The scheduler gave it up: it may have killed its workers, or only have stood beside."""
        if self.output.manifest.attempts(chunk.number) > attempt or future.cancelled():
            return Record(chunk.number, "died")
        err = future.exception()
        if type(err).__name__ != "KilledWorker":
            raise err
        self._never_began[chunk.number] += 1
        if self._never_began[chunk.number] > 3:
            msg = f"workers die before they begin with chunk {chunk.number}; see their logs (memory limit, failing imports)"
            raise DataError(msg) from err
        return Record(chunk.number, "failed", error=str(err))

    def drain(self) -> Iterator[Record]:
        """Records of all chunks in hand."""
        while self._chunks:
            yield from self.wait()
