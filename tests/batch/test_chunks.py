"""The chunk engine: a manifest, a resume after a kill, a quarantine; with work that needs no fit."""

import errno
import os
import signal
import textwrap
import time

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from surffit import Status  # noqa: E402
from surffit.batch.chunks.engine import differences, run_chunks  # noqa: E402
from surffit.batch.chunks.manifest import Manifest, State  # noqa: E402
from surffit.batch.chunks.output import Output, Variable, chunks_of  # noqa: E402
from surffit.exceptions import DataError, ParameterError, SurffitWarning  # noqa: E402

# what all tests compute; subprocesses run the same text
WORK = """
import os, pathlib, time
import numpy as np
from surffit.batch.chunks.output import Variable

VARIABLES = {
    "value": Variable(),
    "status": Variable("uint32", 1 << 14, 1 << 17, attrs={"flag_masks": [1]}),
}
SHAPE, CHUNKS = (7, 6), (2, 3)

class Work:
    def __init__(self, log, behave=None, seconds=0.0):
        self.log, self.behave, self.seconds = str(log), dict(behave or {}), seconds
    def pack(self, chunk):
        return chunk.number
    def read(self, chunk, packed):
        assert packed == chunk.number
        return np.arange(42.0).reshape(SHAPE)[chunk.where]
    def compute(self, chunk, block, workers):
        with open(f"{self.log}/{chunk.number}", "a") as f:
            f.write("x")
        time.sleep(self.seconds)
        what = self.behave.get(chunk.number)
        if what == "raise":
            raise ValueError("a bad chunk")
        if what == "once" and os.path.getsize(f"{self.log}/{chunk.number}") == 1:
            raise OSError("the disk was busy")
        if what == "exit":
            os._exit(1)
        return {"value": np.sqrt(block), "status": np.full(block.shape, 1, dtype=np.uint32)}
"""
NAMES: dict = {}
exec(WORK, NAMES)  # noqa: S102 -- the same text that the subprocesses run
Work, VARIABLES, SHAPE, CHUNKS = (NAMES[name] for name in ("Work", "VARIABLES", "SHAPE", "CHUNKS"))
RIGHT = np.sqrt(np.arange(42.0)).reshape(7, 6)


def run(tmp_path, work, **kws):
    kws = {"client": False, "fingerprint": {"what": "sqrt"}, **kws}
    return run_chunks(work, tmp_path / "out.zarr", VARIABLES, SHAPE, CHUNKS, **kws)


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


def counts(log):
    return {int(path.name): len(path.read_text()) for path in log.iterdir()}


def stored(tmp_path, name):
    return zarr.open_group(tmp_path / "out.zarr", mode="r")[name][:]


def script(tmp_path, log, body):
    """What a process of its own runs."""
    text = WORK + textwrap.dedent(f"""
        from surffit.batch.chunks.engine import run_chunks
        def run(work, **kws):
            kws = {{"client": False, "fingerprint": {{"what": "sqrt"}}, **kws}}
            return run_chunks(work, {str(tmp_path / "out.zarr")!r}, VARIABLES, SHAPE, CHUNKS, **kws)
        LOG = {str(log)!r}
        """)
    return text + textwrap.dedent(body)


def test_chunks_cover_the_map_once():
    seen = np.zeros((7, 6), dtype=int)
    for number, chunk in enumerate(chunks_of((7, 6), (2, 3))):
        assert chunk.number == number
        seen[chunk.where] += 1
        assert chunk.size == seen[chunk.where].size
    assert (seen == 1).all()
    assert [c.where for c in chunks_of((), ())] == [()]


@pytest.mark.parametrize("workers", [1, 3])
def test_all_chunks_are_computed_and_stored(tmp_path, log, workers):
    told = []
    ended = run(tmp_path, Work(log), workers=workers, progress=lambda *a: told.append(a))
    assert ended.complete
    assert not ended.quarantined
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)
    assert counts(log) == dict.fromkeys(range(8), 1)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (42, 42)
    info = told[-1][2]
    assert info["chunks"] == (8, 8)
    assert info["failed"] == 0
    assert info["rate"] > 0
    assert "42 of 42 fits, 8 of 8 chunks" in info["text"]
    manifest = Manifest(str(tmp_path / "out.zarr"))
    assert (manifest.states() == State.DONE).all()
    assert (manifest.tries() == 1).all()
    # one object per chunk: no two processes ever write to the same
    assert len(list((tmp_path / "out.zarr/_surffit/state/c").iterdir())) == 8


def test_a_chunk_that_fails_is_quarantined_and_named_and_the_others_complete(tmp_path, log):
    ended = run(tmp_path, Work(log, {3: "raise"}), max_attempts=3)
    assert ended.complete
    assert list(ended.quarantined) == [3]
    assert "ValueError: a bad chunk" in ended.quarantined[3]
    assert "a bad chunk" in (tmp_path / "out.zarr/_surffit/errors/3.txt").read_text()
    assert counts(log) == {**dict.fromkeys(range(8), 1), 3: 3}
    bad = np.zeros((7, 6), dtype=bool)
    bad[chunks_of((7, 6), (2, 3))[3].where] = True
    assert np.isnan(stored(tmp_path, "value")[bad]).all()
    assert (stored(tmp_path, "status")[bad] == Status.CHUNK_FAILED).all()
    assert np.array_equal(stored(tmp_path, "value")[~bad], RIGHT[~bad])


def test_a_chunk_that_fails_once_gets_its_second_chance(tmp_path, log):
    ended = run(tmp_path, Work(log, {5: "once"}))
    assert ended.complete
    assert not ended.quarantined
    assert counts(log)[5] == 2
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)


def test_on_error_raise_stops_at_the_first_failure_and_keeps_what_is_done(tmp_path, log):
    with pytest.raises(DataError, match=r"chunk 0 .* failed: ValueError: a bad chunk"):
        run(tmp_path, Work(log, {0: "raise"}, seconds=0.05), on_error="raise", workers=1)
    before = counts(log)
    assert len(before) < 8
    assert run(tmp_path, Work(log), resume=True).complete
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)
    after = counts(log)
    assert all(after[i] == 1 for i in after if i)


def test_quarantined_chunks_are_tried_again_only_with_more_attempts(tmp_path, log):
    run(tmp_path, Work(log, {3: "raise"}), max_attempts=1)
    again = run(tmp_path, Work(log), max_attempts=1, resume=True)
    assert list(again.quarantined) == [3]
    assert counts(log)[3] == 1
    more = run(tmp_path, Work(log), max_attempts=2, resume=True)
    assert not more.quarantined
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)
    assert counts(log) == {**dict.fromkeys(range(8), 1), 3: 2}


def test_what_is_there_is_never_overwritten(tmp_path, log):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr/precious.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(DataError, match="something that is no fit"):
            run(tmp_path, Work(log), resume=resume)
    assert (tmp_path / "out.zarr/precious.txt").read_text() == "mine"


def test_an_existing_fit_needs_resume_and_the_same_work(tmp_path, log):
    run(tmp_path, Work(log))
    with pytest.raises(DataError, match="8 of 8 chunks done; pass resume=True"):
        run(tmp_path, Work(log))
    with pytest.raises(DataError, match="what was 'sqrt' and is now 'cbrt'"):
        run(tmp_path, Work(log), resume=True, fingerprint={"what": "cbrt"})
    assert run(tmp_path, Work(log), resume=True).complete
    assert counts(log) == dict.fromkeys(range(8), 1)


def test_a_run_that_died_while_it_made_the_arrays_starts_over(tmp_path, log):
    Manifest.create(str(tmp_path / "out.zarr"), 8, {}, {})
    fingerprint = {"schema": "surffit.chunks/1", "what": "sqrt", "shape": [7, 6], "output chunks": [2, 3]}
    zarr.open_group(tmp_path / "out.zarr", path="_surffit").attrs["fingerprint"] = fingerprint
    assert run(tmp_path, Work(log), resume=True).complete
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)


def test_results_without_a_variable_are_a_failure_that_says_so(tmp_path, log):
    class Short(Work):
        def compute(self, chunk, block, workers):
            return {"value": block}

    ended = run(tmp_path, Short(log), max_attempts=1)
    assert len(ended.quarantined) == 8
    assert "returned no status" in ended.quarantined[0]


def test_a_full_disk_stops_the_run_and_blames_no_chunk(tmp_path, log, monkeypatch):
    write, left = Output.write, [3]

    def full(self, chunk, maps):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, chunk, maps)

    for _ in range(3):
        monkeypatch.setattr(Output, "write", full)
        with pytest.raises(DataError, match="can't be written: No space left on device; resume=True"):
            run(tmp_path, Work(log), workers=1, resume=True)
    monkeypatch.setattr(Output, "write", write)
    ended = run(tmp_path, Work(log), resume=True)
    assert ended.complete
    assert not ended.quarantined
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)


def test_wrong_words_are_refused(tmp_path, log):
    for kws in ({"max_attempts": 0}, {"on_error": "ignore"}, {"client": 3}, {"progress": "yes"}):
        with pytest.raises(ParameterError):
            run(tmp_path, Work(log), **kws)


def test_the_next_chunk_is_read_while_one_is_computed(tmp_path, log):
    events = []

    class Watched(Work):
        def read(self, chunk, packed):
            events.append(("read", chunk.number))
            return super().read(chunk, packed)

        def compute(self, chunk, block, workers):
            events.append(("begin", chunk.number))
            time.sleep(0.05)
            events.append(("end", chunk.number))
            return super().compute(chunk, block, workers)

    run(tmp_path, Watched(log), workers=1)
    # at the time when chunk 3 was done, 4 had been read, and 6 had not
    end = events.index(("end", 3))
    assert ("read", 4) in events[:end]
    assert ("read", 6) not in events[:end]


def test_ctrl_c_finishes_what_runs_and_returns_what_is_done(tmp_path, log):
    def stop(done, total, text):
        if done >= 12:
            raise KeyboardInterrupt

    ended = run(tmp_path, Work(log), progress=stop, workers=1)
    assert not ended.complete
    states = Manifest(str(tmp_path / "out.zarr")).states()
    assert 2 <= (states == State.DONE).sum() <= 4
    assert len(counts(log)) == (states == State.DONE).sum()
    value = stored(tmp_path, "value")
    status = stored(tmp_path, "status")
    for chunk, state in zip(chunks_of((7, 6), (2, 3)), states, strict=True):
        assert (status[chunk.where] == (1 if state else Status.ABORTED)).all()
        assert np.isnan(value[chunk.where]).all() != bool(state)
    assert run(tmp_path, Work(log), resume=True).complete
    assert counts(log) == dict.fromkeys(range(8), 1)


def test_a_signal_counts_as_ctrl_c(tmp_path, log, forks):
    forks.start(script(tmp_path, log, "print(run(Work(LOG, seconds=0.1), workers=1).complete)"))
    wait_for(lambda: len(counts(log)) >= 2)
    os.kill(forks.pid, signal.SIGINT)
    assert forks.wait() == (0, "False")
    states = Manifest(str(tmp_path / "out.zarr")).states()
    assert len(counts(log)) == (states == State.DONE).sum() < 8


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_after_a_kill_nothing_stored_is_computed_again(tmp_path, log, forks):
    forks.start(script(tmp_path, log, "run(Work(LOG, seconds=0.1), workers=2)"))
    state = tmp_path / "out.zarr/_surffit/state/c"
    wait_for(lambda: state.exists() and len(list(state.iterdir())) >= 3)
    os.kill(forks.pid, signal.SIGKILL)
    assert forks.wait()[0] == -signal.SIGKILL
    done = set(np.flatnonzero(Manifest(str(tmp_path / "out.zarr")).states() == State.DONE).tolist())
    begun = counts(log)
    assert 3 <= len(done) < 8
    ended = run(tmp_path, Work(log), resume=True)
    assert ended.complete
    assert not ended.quarantined
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)
    after = counts(log)
    assert all(after[i] == 1 for i in done)
    # only what ran when it was killed was begun twice
    assert {i for i in after if after[i] == 2} == set(begun) - done


def test_a_chunk_that_ends_its_process_is_given_up_alone(tmp_path, log, forks):
    """Those that ran beside it are not blamed: they are tried alone, before or after it."""
    command = script(tmp_path, log, "run(Work(LOG, {2: 'exit'}, seconds=0.05), workers=3, resume=True); print('complete')")
    for attempt in range(2):
        assert forks.run(command)[0] == 1, attempt
    assert forks.run(command) == (0, "complete")
    ended = run(tmp_path, Work(log), resume=True)
    assert ended.complete
    assert list(ended.quarantined) == [2]
    assert "died, 2 times" in ended.quarantined[2]
    assert counts(log)[2] == 2
    bad = np.isnan(stored(tmp_path, "value"))
    assert bad.sum() == 6
    assert np.array_equal(stored(tmp_path, "value")[~bad], RIGHT[~bad])


def test_differences_name_the_place():
    assert differences({"a": {"b": [1, 2]}}, {"a": {"b": (1, 2)}}) == []
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}) == ["a b was 1 and is now 3"]
    assert differences({"a": 1}, {}) == ["a was 1 and is now None"]


def test_more_axes_in_front_are_kept_whole(tmp_path):
    class Wide:
        def pack(self, chunk):
            return None

        def read(self, chunk, packed):
            return None

        def compute(self, chunk, block, workers):
            return {"covar": np.full((2, 2, *chunk.shape), float(chunk.number))}

    variables = {"covar": Variable(lead=(2, 2), lead_dims=("p", "q"))}
    run_chunks(Wide(), tmp_path / "w.zarr", variables, (4,), (2,), client=False)
    found = zarr.open_group(tmp_path / "w.zarr", mode="r")["covar"]
    assert found.shape == (2, 2, 4)
    assert found.chunks == (2, 2, 2)
    assert found[1, 0].tolist() == [0, 0, 1, 1]
    assert os.path.isdir(tmp_path / "w.zarr")


def test_a_cluster_without_workers_ends_the_run_and_says_so(tmp_path, log):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        cluster.scale(0)
        wait_for(lambda: not client.nthreads())
        with pytest.warns(SurffitWarning, match=r"no worker for 0.3 s; 8 of 8 chunks are left: resume=True"):
            ended = run(tmp_path, Work(log), client=client, worker_timeout=0.3)
    assert not ended.complete
    assert not ended.quarantined
    assert not counts(log)
    assert run(tmp_path, Work(log), resume=True).complete
    assert np.array_equal(stored(tmp_path, "value"), RIGHT)
