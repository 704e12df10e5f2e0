"""
The chunk engine: any work that turns a block into maps, over more data than fit in memory, on one machine or many.

A flat list of independent tasks, one per chunk of the output. Each reads its block, computes, writes its results, and only then
calls itself done; it returns a small record, never arrays. So a run that is killed goes on where it stopped, and nothing that
was stored is computed twice. A chunk that fails, or kills its process, again and again is quarantined, and the others complete.
"""

from __future__ import annotations

import errno
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...core.containers import users_line
from ...exceptions import DataError, ParameterError, SurffitWarning
from .manifest import State, stored_print
from .output import Chunk, Output, Variable, location, need_zarr, what_is_there
from .tally import Tally, Telling

__all__ = ["ChunkRun", "Record", "Work", "differences", "run_chunks"]

SCHEMA = "surffit.chunks/1"
# of errors in writing: they would befall every chunk
FULL = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EROFS", "EFBIG")} - {None}
# in a fingerprint: a digest of a little of the data
SAMPLE = "sample of the data"


class Work(Protocol):
    """
    What is done with every chunk. It travels to other processes, so it holds names and small things.
    """

    def pack(self, chunk: Chunk) -> Any:
        """What only the calling process has and the chunk needs (a part of an array in memory)."""

    def read(self, chunk: Chunk, packed: Any) -> Any:
        """Read the block."""

    def compute(self, chunk: Chunk, block: Any, workers: int) -> Mapping[str, np.ndarray]:
        """The maps of the block, by name of variable; bit for bit the same however often it is asked."""


@dataclass(frozen=True)
class Record:
    """
    What became of one attempt.

    Attributes
    ----------
    number : int
        Of the chunk.
    end : {"done", "before", "failed", "died"}
        "before": it had been done already; "died": an earlier attempt never ended.
    seconds : float
    flags : dict of int to int
        How many data sets ended with which status.
    error : str
    refused : str
        What an argument is wrong with, if that is why it failed: no chunk can be fitted.
    halted : str
        Why nothing can be written, if that is why it failed: it isn't the chunk's fault.
    """

    number: int
    end: str
    seconds: float = 0.0
    flags: Mapping[int, int] = field(default_factory=dict)
    error: str = ""
    refused: str = ""
    halted: str = ""


@dataclass(eq=False)
class ChunkRun:
    """
    How a run over chunks ended.

    Attributes
    ----------
    output : Output
    complete : bool
        Whether every chunk is done or quarantined.
    quarantined : dict of int to str
        The chunks given up, and why.
    """

    output: Output
    complete: bool
    quarantined: dict[int, str]


class NoWorkers(Exception):
    """The cluster has lost its workers, and none has come back."""


def begin(work: Work, output: Output, chunk: Chunk, packed: Any, attempt: int) -> Any:
    """Count the attempt and read the block; a `Record` if there is nothing to do or it failed."""
    manifest, t = output.manifest, time.perf_counter()
    if manifest.state(chunk.number) == State.DONE:
        return Record(chunk.number, "before")
    if manifest.attempts(chunk.number) != attempt:
        # the scheduler has started it again, after a death
        return Record(chunk.number, "died")
    try:
        manifest.begin(chunk.number)
    except OSError as err:
        return Record(chunk.number, "failed", halted=err.strerror or str(err))
    try:
        return work.read(chunk, packed)
    except Exception as err:  # noqa: BLE001 -- whatever is wrong with one chunk, the others go on
        return _failed(output, chunk, err, t)


def finish(work: Work, output: Output, chunk: Chunk, block: Any, workers: int = 1) -> Record:
    """Compute, write, and call it done."""
    if isinstance(block, Record):
        return block
    t = time.perf_counter()
    try:
        maps = work.compute(chunk, block, workers)
        output.write(chunk, maps)
    except OSError as err:
        if err.errno not in FULL:
            return _failed(output, chunk, err, t)
        with suppress(OSError):
            output.manifest.take_back(chunk.number)
        return Record(chunk.number, "failed", halted=err.strerror or str(err))
    except Exception as err:  # noqa: BLE001 -- as above
        return _failed(output, chunk, err, t)
    output.manifest.done(chunk.number)
    flags: dict[int, int] = {}
    if output.flags is not None:
        values, counts = np.unique(maps[output.flags], return_counts=True)
        flags = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return Record(chunk.number, "done", time.perf_counter() - t, flags)


def _failed(output: Output, chunk: Chunk, err: Exception, t: float) -> Record:
    text = "".join(traceback.format_exception(err))
    output.manifest.failed(chunk.number, text)
    return Record(chunk.number, "failed", time.perf_counter() - t, {}, text, str(err) if isinstance(err, ParameterError) else "")


def run_chunks(
    work: Work,
    out: Any,
    variables: Mapping[str, Variable],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    *,
    dims: tuple[str, ...] | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    dress: Callable[[Any], None] | None = None,
    attrs: Mapping[str, Any] | None = None,
    resume: bool = False,
    max_attempts: int = 2,
    client: Any = None,
    workers: int | None = None,
    worker_timeout: float = 300.0,
    progress: Any = False,
    on_error: str = "flag",
) -> ChunkRun:
    """
    Do some work on every chunk of a map and store its results.

    Parameters
    ----------
    work : Work
    out : path or zarr store
    variables : mapping of str to Variable
        The arrays of the results; each has the axes of the map last.
    shape, chunks : tuple of int
        Of the map.
    dims : tuple of str, optional
        Names of its axes.
    fingerprint : mapping, optional
        Plain data that say what is computed; a resumed run must have the same.
    dress : callable, optional
        ``dress(store)`` writes coordinates into the new store.
    attrs : mapping, optional
        Attributes of the store.
    resume : bool
        Go on with what `out` holds.
    max_attempts : int
        A chunk that failed, or took its process with it, so often is quarantined.
    client : distributed.Client or False, optional
        Where to compute; by default the active client, if there is one, else threads of this process.
    workers : int, optional
        Threads of this process.
    worker_timeout : float
        How long a cluster that has no worker is waited for [s]; then the run ends with what is done, and warns.
    progress : bool or callable
        As in `fit_many`; `info` has ``chunks``, the numbers of those done and of those to do, too.
    on_error : {"flag", "raise"}
        "raise": stop at the first failure.

    Returns
    -------
    ChunkRun

    Raises
    ------
    DataError
        If `out` exists and `resume` is False, or it holds another fit: the sentence names the difference.
    """
    need_zarr()
    if max_attempts < 1 or max_attempts > 255:
        msg = f"max_attempts is {max_attempts}; give a whole number from 1 to 255"
        raise ParameterError(msg)
    if on_error not in ("flag", "raise"):
        msg = f"on_error={on_error!r} is unknown; use 'flag' or 'raise'"
        raise ParameterError(msg)
    from .executors import Threads, active_client

    client = active_client(client)
    output = Output(location(out))
    dims = tuple(f"dim_{i}" for i in range(len(shape))) if dims is None else dims
    whole = {"schema": SCHEMA, **(fingerprint or {}), "shape": list(shape), "output chunks": list(chunks)}
    _open(output, whole, resume, lambda: output.make(variables, shape, chunks, dims, whole, dress, attrs))
    if client is None:
        executor: Any = Threads(work, output, workers)
    else:
        from .cluster import Cluster

        executor = Cluster(work, output, client, worker_timeout)
    return _drive(work, output, executor, max_attempts, progress, on_error)


def _open(output: Output, fingerprint: dict[str, Any], resume: bool, make: Callable[[], None]) -> None:
    there = what_is_there(output.store)
    about = stored_print(output.store)
    if there and not resume:
        remedy = "pass resume=True to go on with it, or another out" if about is not None else "pass another out"
        msg = f"out={output.store!r} exists and holds {there}; {remedy}"
        raise DataError(msg)
    if there and about is None:
        msg = f"out={output.store!r} holds {there}, so there is nothing to resume; pass another out"
        raise DataError(msg)
    if about is None:
        _make(make, output)
        return
    then, now = dict(about["fingerprint"]), dict(fingerprint)
    if then.get(SAMPLE) is None or now.get(SAMPLE) is None:  # it lay in a chunk that couldn't be read
        then.pop(SAMPLE, None)
        now.pop(SAMPLE, None)
    found = differences(then, now)
    if found:
        msg = f"out={output.store!r} holds another fit: {'; '.join(found[:3])}; pass the same arguments to resume, or another out"
        raise DataError(msg, differences=found)
    if not about["ready"]:
        _make(make, output)


def _make(make: Callable[[], None], output: Output) -> None:
    try:
        make()
    except OSError as err:
        msg = f"out={output.store!r} can't be written: {err.strerror or err}"
        raise DataError(msg) from err


def differences(then: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two fingerprints, in words."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        found = []
        for key in dict.fromkeys((*then, *now)):
            found += differences(then.get(key), now.get(key), f"{name} {key}".strip())
        return found
    # as it comes back from JSON
    if then == now or (isinstance(then, list) and isinstance(now, list | tuple) and then == list(now)):
        return []
    return [f"{name} was {then!r} and is now {now!r}"]


def _drive(work: Work, output: Output, executor: Any, max_attempts: int, progress: Any, on_error: str) -> ChunkRun:
    """Hand out chunks until all are done or given up; those under suspicion one at a time, after the others."""
    manifest, chunks = output.manifest, output.chunks()
    states, tries = manifest.states(), manifest.tries().astype(int)
    attempts = dict(enumerate(tries.tolist()))
    fresh: deque[Chunk] = deque()
    # begun and never ended: perhaps it was this chunk that ended the process, so no other chunk shall run beside it
    alone: deque[Chunk] = deque()
    hopeless: list[tuple[Chunk, str]] = []
    for chunk in chunks:
        state = states[chunk.number]
        if state == State.DONE or (state == State.QUARANTINED and attempts[chunk.number] >= max_attempts):
            continue
        if attempts[chunk.number] >= max_attempts:
            hopeless.append((chunk, manifest.error(chunk.number)))
        elif attempts[chunk.number] and state != State.FAILED:
            alone.append(chunk)
        else:
            fresh.append(chunk)
    tally = Tally(sum(c.size for c in chunks), sum(c.size for c in (*fresh, *alone)), len(fresh) + len(alone))
    complete = True
    with Telling(progress, tally) as report, executor:

        def give_up(chunk: Chunk, why: str) -> None:
            if not why:
                why = f"the process that computed this chunk died, {attempts[chunk.number]} times"
                manifest.write_error(chunk.number, why)
            output.give_up(chunk)
            tally.lost(chunk.size)
            report()

        def judge(record: Record) -> None:
            chunk = chunks[record.number]
            attempts[chunk.number] = manifest.attempts(chunk.number)
            if record.end in ("done", "before"):
                tally.count(chunk.size, record.flags)
                report()
                return
            if record.halted:
                msg = f"out={output.store!r} can't be written: {record.halted}; resume=True goes on once it can"
                raise DataError(msg)
            if record.refused and not tally.chunks_done:
                raise ParameterError(record.refused)
            if on_error == "raise":
                raise _error(chunk, record.error or "its process died", output)
            if attempts[chunk.number] >= max_attempts:
                give_up(chunk, record.error)
                tally.deaths += not record.error
                if tally.deaths >= 3 and not tally.chunks_done:
                    msg = (
                        f"the first {tally.deaths} chunks killed their workers, {max_attempts} times each, and none was done; "
                        "see the workers' logs and their memory limit"
                    )
                    raise DataError(msg)
            else:
                (alone if record.end == "died" else fresh).append(chunk)

        try:
            for chunk, why in hopeless:
                give_up(chunk, why)
            while fresh or alone or executor.busy:
                while fresh and executor.busy < executor.room:
                    chunk = fresh.popleft()
                    executor.start(chunk, attempts[chunk.number], len(fresh))
                if alone and not fresh and not executor.busy:
                    chunk = alone.popleft()
                    executor.start(chunk, attempts[chunk.number], 0)
                for record in executor.wait():
                    judge(record)
        except KeyboardInterrupt:
            complete = False
            # those that run finish and are stored
            with suppress(NoWorkers):
                for record in executor.drain():
                    if record.end in ("done", "before"):
                        tally.count(chunks[record.number].size, record.flags)
        except NoWorkers as err:
            complete = False
            left = len(fresh) + len(alone) + executor.busy
            msg = f"{err}; {left} of {len(chunks)} chunks are left: resume=True goes on with them, worker_timeout= waits longer"
            warnings.warn(SurffitWarning(msg), stacklevel=users_line())
        except Exception:
            with suppress(NoWorkers):
                deque(executor.drain(), maxlen=0)
            raise
    states = manifest.states()
    left = [int(i) for i in np.flatnonzero(states == State.QUARANTINED)]
    complete = complete and bool(np.isin(states, (State.DONE, State.QUARANTINED)).all())
    return ChunkRun(output, complete, {i: manifest.error(i) for i in left})


def _error(chunk: Chunk, text: str, output: Output) -> DataError:
    last = text.strip().splitlines()[-1]
    msg = f"chunk {chunk.number} (of shape {chunk.shape}) failed: {last}; on_error='flag' goes on with the others"
    return DataError(msg, chunk=chunk.number, text=text)
