"""Chunks on a real cluster of processes, some of which are killed."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("distributed")
pytest.importorskip("zarr")

pytestmark = pytest.mark.slow

HEAD = """
import os, signal, sys, threading, time, logging
import numpy as np
import zarr
from surffit import Status
from surffit.batch.chunks.engine import run_chunks
from surffit.batch.chunks.manifest import Manifest, State
from surffit.batch.chunks.output import Variable, chunks_of

LOG, OUT = sys.argv[1] + "/log", sys.argv[1] + "/out.zarr"
VARIABLES = {"value": Variable(), "status": Variable("uint32", 1 << 14, 1 << 17, attrs={"flag_masks": [1]})}
SHAPE, CHUNKS = (12, 6), (1, 3)
RIGHT = np.sqrt(np.arange(72.0)).reshape(SHAPE)

class Work:
    def __init__(self, behave=None, seconds=0.1):
        self.behave, self.seconds = dict(behave or {}), seconds
    def pack(self, chunk):
        return chunk.number
    def read(self, chunk, packed):
        return np.arange(72.0).reshape(SHAPE)[chunk.where]
    def compute(self, chunk, block, workers):
        with open(f"{LOG}/{chunk.number}", "a") as f:
            f.write("x")
        time.sleep(self.seconds)
        if self.behave.get(chunk.number) == "exit":
            os._exit(1)
        if self.behave.get(chunk.number) == "raise":
            raise ValueError("a bad chunk")
        return {"value": np.sqrt(block), "status": np.full(block.shape, 1, dtype=np.uint32)}

def counts():
    return {int(name): os.path.getsize(f"{LOG}/{name}") for name in os.listdir(LOG)}

def stored(name):
    return zarr.open_group(OUT, mode="r")[name][:]

def cluster(n=2, threads=1, **kws):
    from distributed import Client, LocalCluster
    local = LocalCluster(n, threads_per_worker=threads, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL, **kws)
    return local, Client(local)
"""


@pytest.fixture
def run(tmp_path):
    """Run a script that has the cluster in its main block; what it prints comes back."""
    (tmp_path / "log").mkdir()

    def run(body, *args):
        script = tmp_path / "script.py"
        script.write_text(HEAD + "\nif __name__ == '__main__':\n" + textwrap.indent(textwrap.dedent(body), "    "))
        done = subprocess.run([sys.executable, script, tmp_path, *args], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return run


def test_a_worker_that_is_killed_midway_costs_only_what_it_was_at(run):
    assert (
        run("""
        local, client = cluster()
        victims, done_then = [], set()

        def watch(done, total, text):
            # the client is the default one; a worker is killed while it computes
            if done >= 18 and not victims:
                done_then.update(np.flatnonzero(Manifest(OUT).states() == State.DONE).tolist())
                victims.append(next(iter(client.run(os.getpid).values())))
                os.kill(victims[0], signal.SIGKILL)

        ended = run_chunks(Work(), OUT, VARIABLES, SHAPE, CHUNKS, progress=watch)
        assert victims
        assert ended.complete and not ended.quarantined
        assert np.array_equal(stored("value"), RIGHT)
        assert len(done_then) >= 6
        seen = counts()
        assert all(seen[i] == 1 for i in done_then), seen
        # at most the chunk that it was at ran twice
        assert sorted(seen.values())[:-1] == [1] * 23 and max(seen.values()) <= 2, seen
        client.close(); local.close()
        print("fine")
    """)
        == "fine"
    )


def test_chunks_that_kill_their_workers_are_given_up_and_the_rest_completes(run):
    assert (
        run("""
        import warnings
        warnings.simplefilter("ignore")
        # a local cluster doesn't always start a worker again that has died: then a new one goes on
        for _ in range(4):
            local, client = cluster(2, threads=2)
            ended = run_chunks(
                Work({5: "exit", 17: "exit", 20: "raise"}), OUT, VARIABLES, SHAPE, CHUNKS, client=client, resume=True, worker_timeout=15
            )
            client.close(); local.close()
            if ended.complete:
                break
        assert ended.complete
        assert sorted(ended.quarantined) == [5, 17, 20], ended.quarantined
        assert "died, 2 times" in ended.quarantined[5]
        assert "ValueError: a bad chunk" in ended.quarantined[20]
        bad = np.isnan(stored("value"))
        assert bad.sum() == 9
        assert (stored("status")[bad] == Status.CHUNK_FAILED).all()
        assert np.array_equal(stored("value")[~bad], RIGHT[~bad])
        seen = counts()
        assert seen[5] == seen[17] == seen[20] == 2, seen
        print("fine")
    """)
        == "fine"
    )


def test_a_cluster_goes_on_with_what_a_thread_began(run):
    assert (
        run("""
        def stop(done, total, text):
            if done >= 20:
                raise KeyboardInterrupt
        begun = run_chunks(Work(seconds=0.01), OUT, VARIABLES, SHAPE, CHUNKS, progress=stop)
        assert not begun.complete
        local, client = cluster()
        ended = run_chunks(Work(seconds=0.01), OUT, VARIABLES, SHAPE, CHUNKS, resume=True)
        assert ended.complete and np.array_equal(stored("value"), RIGHT)
        assert set(counts().values()) == {1}
        client.close(); local.close()
        print("fine")
    """)
        == "fine"
    )


def test_ctrl_c_leaves_a_cluster_with_what_is_done(run):
    assert (
        run("""
        local, client = cluster()
        def stop(done, total, text):
            if done >= 20:
                raise KeyboardInterrupt
        begun = run_chunks(Work(seconds=0.05), OUT, VARIABLES, SHAPE, CHUNKS, progress=stop)
        assert not begun.complete
        states = Manifest(OUT).states()
        assert 0 < (states == State.DONE).sum() < 24
        assert len(counts()) == (states == State.DONE).sum()
        assert (Manifest(OUT).tries() == states).all()
        client.close(); local.close()
        print("fine")
    """)
        == "fine"
    )


def test_the_memory_of_this_process_is_no_place_for_a_cluster(run):
    assert (
        run("""
        from surffit.exceptions import DataError
        local, client = cluster(1)
        try:
            run_chunks(Work(), zarr.storage.MemoryStore(), VARIABLES, SHAPE, CHUNKS)
        except DataError as err:
            assert "memory of this process" in str(err)
            print("fine")
        client.close(); local.close()
    """)
        == "fine"
    )


def test_lazy_maps_on_a_cluster_are_the_same(run):
    assert (
        run("""
        import dask.array as da
        import surffit as sf
        from surffit.batch.large.lazy import fit_lazy

        def line(t, a, b):
            return a * t + b

        local, client = cluster()
        t = np.arange(5.0)
        data = np.random.default_rng(0).normal(size=(5, 4, 4))
        model = sf.SurfaceModel(line, independent_vars=["t"])
        lazy = fit_lazy(model, da.from_array(data, chunks=(-1, 2, 2)), axis=0, coords={"t": t}).compute()
        right = sf.fit_many(model, data, axis=0, t=t)
        assert np.array_equal(lazy.values["a"], right.values["a"])
        assert np.array_equal(lazy.stderr["b"], right.stderr["b"])
        client.close(); local.close()
        print("fine")
    """)
        == "fine"
    )


def test_a_store_larger_than_the_memory_of_the_workers(run):
    """2 GB of data, two workers that may take 600 MB each; all the while their memory is watched."""
    told = run("""
        import psutil
        import surffit as sf

        LIMIT = 600_000_000  # distributed pauses a worker at 80 % of it, and python with its compilers takes 400 MB
        # steps of a detector: they take little room on disk
        shape, chunks = (20, 6656, 3750), (20, 64, 3750)
        data = zarr.create_array(sys.argv[1] + "/cube.zarr", shape=shape, chunks=chunks, dtype="f4")
        plane = np.random.default_rng(0).integers(0, 8, size=chunks).astype("f4")
        for i in range(0, shape[1], 64):
            data[:, i : i + 64] = plane + i
        assert data.nbytes > 3 * LIMIT

        def line(t, a, b):
            return a * t + b

        local, client = cluster(2, memory_limit=LIMIT)
        workers = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        most, stop = [0], threading.Event()

        def watch():
            while not stop.wait(0.02):
                most[0] = max([most[0], *(w.memory_info().rss for w in workers)])

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        t = np.arange(20.0)
        model = sf.SurfaceModel(line, independent_vars=["t"])
        began = time.perf_counter()
        fit = sf.fit_store(sys.argv[1] + "/cube.zarr", model, out=OUT, t=t, progress=lambda *a: print(*a, file=sys.stderr, flush=True))
        seconds = time.perf_counter() - began
        stop.set(); thread.join()
        assert fit.complete and not fit.quarantined, fit.summary()
        assert sorted(client.run(os.getpid).values()) == sorted(w.pid for w in workers)
        client.close(); local.close()
        assert most[0] < LIMIT, most
        right = sf.fit_many(model, data[:, 1000:1002], axis=0, t=t)
        found = fit.dataset().isel(dim_0=slice(1000, 1002))
        assert np.array_equal(found["a"].values, right.values["a"])
        assert np.array_equal(found["b_stderr"].values, right.stderr["b"])
        print(f"fine: {seconds:.0f} s, at most {most[0] / 1e6:.0f} MB")
    """)
    assert told.startswith("fine")
    print(told)
