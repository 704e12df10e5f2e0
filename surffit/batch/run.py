"""Blocks over threads: progress, interrupts, and what is left undone."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ..core.progress import Progress
from ..solve.status import Status
from .maps import Maps
from .plan import Engine
from .slabs import Block
from .task import Task

__all__ = ["run", "workers_here"]


def workers_here(workers: int | None) -> int:
    """Threads to use: as asked, else the processors that this process may use; 1 inside a worker of dask.distributed."""
    import sys

    if workers is not None:
        return max(1, int(workers))
    distributed = sys.modules.get("distributed.worker")
    if distributed is not None and getattr(distributed, "thread_state", None) is not None and hasattr(distributed.thread_state, "key"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(task: Task, engine: Engine, progress: Any = False) -> tuple[Maps, bool]:
    """
    Fit all data sets.

    Parameters
    ----------
    task : Task
    engine : Engine
    progress : bool or callable
        As in `fit_many`.

    Returns
    -------
    maps : Maps
        Data sets that were not reached have nan and the flag ABORTED.
    complete : bool
        False if it was interrupted.
    """
    n = task.source.n_sets
    maps = Maps.empty(len(task.free), n, task.options.covar)
    blocks = task.source.blocks(min(task.options.block, getattr(engine, "most", task.options.block)))
    workers = min(workers_here(task.options.workers), max(1, len(blocks)))
    left = set(range(len(blocks)))
    complete = True
    done = 0
    with Progress(progress, n) as report:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="surffit") if workers > 1 else None
        try:
            for number in _finished(blocks, engine, maps, pool, workers):
                left.discard(number)
                done += blocks[number].size
                report(done, _words(maps, engine))
        except KeyboardInterrupt:
            complete = False
        finally:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
    for number in left:
        maps.part(blocks[number]).fail(slice(None), Status.ABORTED)
    return maps, complete


def _finished(blocks: list[Block], engine: Engine, maps: Maps, pool: ThreadPoolExecutor | None, workers: int) -> Any:
    """Numbers of blocks as they are done."""

    def fit(number: int) -> int:
        # numpy's error state belongs to the thread
        with np.errstate(all="ignore"):
            engine.fit(blocks[number], maps.part(blocks[number]))
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


def _words(maps: Maps, engine: Engine) -> str:
    return engine.name
