"""Blocks over threads: progress, interrupts, errors, and what is left undone."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.containers import users_line
from ..exceptions import DataError, SurffitWarning
from ..solve.status import Status
from .answer.constraints import Ties
from .data.slabs import Block
from .maps import Maps
from .plan import Engine
from .report import Report
from .task import Options, Task

__all__ = ["run", "workers_here"]

# data sets of a block that may fail one by one before all others of it are given up: something is wrong with the call then
GIVE_UP = 64

_busy = 0
_lock = threading.Lock()


def _afresh() -> None:
    """A forked child runs nothing yet, and its parent's lock may have been taken."""
    global _busy, _lock
    _busy, _lock = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_afresh)


@contextmanager
def _sharing() -> Iterator[int]:
    """How many batches run in this process, this one counted: they share its processors."""
    global _busy
    with _lock:
        _busy += 1
        among = _busy
    try:
        yield among
    finally:
        with _lock:
            _busy -= 1


def workers_here(workers: int | None, among: int = 1) -> int:
    """Threads to use: as asked, else this batch's share of the processors of this process; 1 inside a worker of dask.distributed."""
    import sys

    if workers is not None:
        return max(1, int(workers))
    distributed = sys.modules.get("distributed.worker")
    if distributed is not None and getattr(distributed, "thread_state", None) is not None and hasattr(distributed.thread_state, "key"):
        return 1
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, here // among)


def run(task: Task, engine: Engine, progress: Any = False, on_error: str = "flag") -> tuple[Maps, bool]:
    """
    Fit all data sets.

    Parameters
    ----------
    task : Task
    engine : Engine
    progress : bool or callable
        See `report.Report`.
    on_error : {"flag", "raise"}
        What becomes of an exception in an engine or in the user's function. "flag": its data sets get CHUNK_FAILED, all others go on, and
        a warning names it.

    Returns
    -------
    maps : Maps
        Data sets that were not reached have nan and the flag ABORTED.
    complete : bool
        False if it was interrupted (Ctrl-C). Blocks that were running then have been finished.

    Raises
    ------
    DataError
        If the maps don't fit into memory.
    Exception
        What the model's function raised, if it did so for every data set.
    """
    n, m = task.source.n_sets, len(task.free)
    try:
        # what watches the fits, or needs their errors at once, can't wait for maps that are made later
        later = None if progress or task.tied or task.options.covar else getattr(engine, "usual", None)
        maps = Maps.empty(m, n, task.options.covar, len(task.tied), later)
    except MemoryError as err:
        gigabytes = 8e-9 * n * (2 * m + 2 * len(task.tied) + 4 + (m * m if task.options.covar else 0))
        remedy = "pass covar=False" if task.options.covar else "fit in parts, see fit_store"
        msg = f"the maps of {n} data sets need {gigabytes:.1f} GB of memory; {remedy}"
        raise DataError(msg) from err
    # engines that take long for one data set ask for small blocks: interrupts and progress wait for one; quick ones ask for large ones
    asked, wished = task.options.block, getattr(engine, "block", task.options.block)
    blocks = task.source.blocks(wished if asked == Options.block else min(asked, wished))
    work = _Work(task, engine, maps, on_error == "raise")
    done = np.zeros(len(blocks), dtype=bool)
    complete = True
    with _sharing() as among, Report(progress, n, engine) as report:
        workers = min(workers_here(task.options.workers, among), max(1, len(blocks)))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="surffit") if workers > 1 else None
        try:
            for number in _finished(blocks, work, pool, workers, done):
                report(maps.part(blocks[number]))
            work.finish(blocks)
        except KeyboardInterrupt:
            complete = False
        finally:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
    for number in np.flatnonzero(~done).tolist():
        maps.part(blocks[number]).lose(Status.ABORTED)
    if complete and work.failed == n > 1 and work.first is not None and work.alike:
        raise work.first  # no data set is to blame for what all of them raise
    if maps.errors:
        many = f" (and {len(maps.errors) - 1} more of such; see .errors)" if len(maps.errors) > 1 else ""
        msg = f"{work.failed} of {n} data sets could not be fitted and have the flag CHUNK_FAILED: {maps.errors[0]}{many}"
        warnings.warn(SurffitWarning(msg, errors=tuple(maps.errors), count=work.failed), stacklevel=users_line())
    return maps, complete


class _Work:
    """The fitting of one block, in any thread."""

    def __init__(self, task: Task, engine: Engine, maps: Maps, raises: bool) -> None:
        self.engine, self.maps, self.raises = engine, maps, raises
        self.ties = Ties(task) if task.tied else None
        # what neighbours improve needs the covariances of all
        self.whole = maps.with_covar() if self.ties is not None and task.options.start == "neighbours" else maps
        self.failed = 0
        self.first: Exception | None = None
        self.alike = True

    def __call__(self, block: Block) -> None:
        # numpy's error state belongs to the thread
        with np.errstate(all="ignore"):
            if self.raises:
                self._fit(block)
            else:
                self._guarded(block, [GIVE_UP])

    def finish(self, blocks: list[Block]) -> None:
        """What an engine does when it has seen all data sets."""
        finish = getattr(self.engine, "finish", None)
        if finish is None:
            return
        with np.errstate(all="ignore"):
            finish(self.whole)
            if self.ties is not None and self.whole is not self.maps:
                for block in blocks:
                    self.ties.fill(block, self.whole.part(block))

    def _fit(self, block: Block) -> None:
        part = self.whole.part(block)
        if self.ties is None:
            self.engine.fit(block, part)
        else:
            part = part.with_covar()
            self.engine.fit(block, part)
            self.ties.fill(block, part)

    def _guarded(self, block: Block, left: list[int]) -> None:
        """Halves after halves, until only the data sets are left that raise: the others must not suffer."""
        try:
            if left[0] > 0:
                self._fit(block)
                return
        except Exception as err:  # noqa: BLE001 - whatever a user's function raises must not stop the other data sets
            text = f"{type(err).__name__}: {err}"
            with _lock:
                self.first = self.first or err
                self.alike &= type(err) is type(self.first)
        else:
            text = f"given up after {GIVE_UP} failures in its block"
        if block.size > 1 and left[0] > 0:
            for half in halves(block):
                self._guarded(half, left)
            return
        left[0] -= 1
        self.maps.part(block).lose(Status.CHUNK_FAILED)
        which = f"data set {block.start}" if block.size == 1 else f"data sets {block.start} to {block.stop - 1}"
        with _lock:
            self.failed += block.size
            self.maps.errors.append(f"{which}: {text}")


def halves(block: Block) -> list[Block]:
    """A block in two, each again a rectangle and a run."""
    if not block.index:
        middle = block.start + block.size // 2
        return [Block(block.start, middle), Block(middle, block.stop)]
    lengths = [s.stop - s.start for s in block.index]
    axis = next(i for i, n in enumerate(lengths) if n > 1)
    cut = block.index[axis].start + lengths[axis] // 2
    middle = block.start + (lengths[axis] // 2) * math.prod(lengths[axis + 1 :])
    out = []
    for begin, end, piece in (
        (block.start, middle, slice(block.index[axis].start, cut)),
        (middle, block.stop, slice(cut, block.index[axis].stop)),
    ):
        out.append(Block(begin, end, (*block.index[:axis], piece, *block.index[axis + 1 :])))
    return out


def _finished(blocks: list[Block], work: _Work, pool: ThreadPoolExecutor | None, workers: int, done: np.ndarray) -> Iterator[int]:
    """Numbers of blocks as they are done; `done` knows of those too that finish after an interrupt."""

    def fit(number: int) -> int:
        work(blocks[number])
        done[number] = True
        return number

    if pool is None:
        yield from map(fit, range(len(blocks)))
        return
    todo, running = deque(range(len(blocks))), set[Future[int]]()
    while todo or running:
        while todo and len(running) < 2 * workers:
            running.add(pool.submit(fit, todo.popleft()))
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future.result()
