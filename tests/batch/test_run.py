"""Blocks over threads: the same bits for any cut, progress, interrupts, exceptions, forks and threads inside threads."""

import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import surffit as sf
from surffit import Status
from surffit.batch import run as running
from surffit.batch.data.slabs import Block, slabs
from surffit.batch.maps import Maps
from surffit.batch.plan import OFFERS
from surffit.batch.run import halves, workers_here
from surffit.exceptions import ParameterError, SurffitWarning

X = np.linspace(0.0, 1.0, 9)


def line(x, a, b):
    return a + b * x


def decay(x, a, rate):
    return a * np.exp(-rate * x)


@pytest.fixture
def data(rng):
    return line(X[:, None, None], 2.0, rng.uniform(-1, 1, (5, 8))) + rng.normal(0, 0.1, (9, 5, 8))


def bits(batch):
    return [np.asarray(getattr(batch.maps, name)).tobytes() for name in ("values", "stderr", "chisqr", "nobs", "nfree", "nfev", "status")]


@pytest.mark.parametrize("engine", OFFERS)
def test_blocks_and_threads_change_nothing(data, engine):
    call = {"x": X, "engine": engine, "params": None}
    if engine not in ("common", "weighted"):
        call["params"] = {"a": 1.0, "rate": 0.1}
    model = line if call["params"] is None else decay
    whole = sf.fit_many(model, data, workers=1, **call)
    for block, workers in ((1, 1), (3, 3), (7, 2), (4096, 4)):
        assert bits(sf.fit_many(model, data, block=block, workers=workers, **call)) == bits(whole)
    order = np.random.default_rng(0).permutation(40)
    shuffled = sf.fit_many(model, data.reshape(9, 40)[:, order], **call)
    assert shuffled.maps.values.tobytes() == np.ascontiguousarray(whole.maps.values[:, order]).tobytes()


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 5), (1, 6, 1)])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_halves_are_runs_and_rectangles(shape, size):
    numbers = np.arange(np.prod(shape)).reshape(shape)
    for block in slabs(shape, size):
        if block.size < 2:
            continue
        one, two = halves(block)
        assert (one.start, one.stop, two.stop) == (block.start, two.start, block.stop)
        for part in (one, two):
            assert numbers[part.index].ravel().tolist() == list(range(part.start, part.stop))
    assert halves(Block(3, 8)) == [Block(3, 5), Block(5, 8)]


# ---- progress --------------------------------------------------------------------------------------------------------


def test_progress_is_told(data):
    data[:, 0, 0] = np.nan
    told = []
    sf.fit_many(line, data, x=X, block=8, workers=1, progress=lambda done, total, info: told.append((done, total, info)))
    assert [done for done, _, _ in told] == [8, 16, 24, 32, 40]
    assert {total for _, total, _ in told} == {40}
    info = told[-1][2]
    assert info["failed"] == 1
    assert info["eta"] == 0
    assert info["rate"] > 0
    assert set(info) == {"engine", "failed", "rate", "elapsed", "eta", "compile", "text"}
    assert "40 of 40 fits (100 %)" in info["text"]
    assert "1 failed" in info["text"]


def test_compile_time_is_said(data):
    from types import SimpleNamespace

    from surffit.batch.report import Report

    told = []
    with Report(lambda *args: told.append(args), 2, SimpleNamespace(name="traced", compile_seconds=0.7)) as report:
        maps = Maps.empty(1, 2, False)
        maps.status[:] = Status.CONVERGED_FTOL
        report(maps)
    assert told[0][2]["compile"] == 0.7
    assert "compiled in 0.7 s" in told[0][2]["text"]


def test_a_bar_by_tqdm(data, capsys):
    pytest.importorskip("tqdm")
    sf.fit_many(line, data, x=X, progress=True, block=8)
    assert "0 failed" in capsys.readouterr().err


def test_a_line_per_five_percent_without_tqdm(data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    sf.fit_many(line, data, x=X, progress=True, block=1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert "40 of 40 fits" in lines[-1]


def test_progress_may_raise(data):
    class Enough(Exception):
        pass

    def stop(done, total, info):
        raise Enough

    with pytest.raises(Enough):
        sf.fit_many(line, data, x=X, progress=stop, block=4, workers=2)


# ---- interrupts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_returns_what_is_done(data, workers):
    def stop(done, total, info):
        if done >= 8:
            raise KeyboardInterrupt

    batch = sf.fit_many(line, data, x=X, progress=stop, block=4, workers=workers)
    assert not batch.complete
    aborted = batch.where("ABORTED")
    assert 0 < aborted.sum() <= 32
    assert np.isnan(batch.values["a"][aborted]).all()
    whole = sf.fit_many(line, data, x=X)
    assert whole.complete
    for name in ("a", "b"):
        assert (batch.values[name][~aborted] == whole.values[name][~aborted]).all()
    assert (batch.status[aborted] == Status.ABORTED).all()


def test_ctrl_c_in_the_middle_of_blocks(tmp_path):
    script = tmp_path / "long.py"
    script.write_text(
        "import os, signal, threading, time\n"
        "import numpy as np, surffit as sf\n"
        "x = np.linspace(0, 1, 9)\n"
        "def slow(x, a, rate):\n"
        "    time.sleep(0.002)\n"
        "    return a * np.exp(-rate * np.asarray(x, dtype=float))\n"
        "data = np.ones((9, 3000))\n"
        "def interrupt(done, total, info):\n"
        "    if not sent:\n"
        "        sent.append(done)\n"
        "        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "sent = []\n"
        "began = time.perf_counter()\n"
        "batch = sf.fit_many(slow, data, 0, {'a': 1.0, 'rate': 0.5}, x=x, engine='loop', block=4, workers=2, progress=interrupt)\n"
        "print(batch.complete, bool(batch.success.any()), int(batch.where('ABORTED').sum()) > 1000, time.perf_counter() - began < 20)\n"
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert out.stdout.split() == ["False", "True", "True", "True"], out.stderr


# ---- exceptions ------------------------------------------------------------------------------------------------------


def moody(x, a, b):
    out = np.asarray(a + b * np.asarray(x, dtype=float))
    if np.any(np.abs(a) > 50):
        msg = "a is far too large"
        raise RuntimeError(msg)
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_hits_its_data_sets_only(data, workers):
    clean = sf.fit_many(moody, data, 0, {"a": 1.0, "b": 1.0}, x=X, engine="loop")
    starts = np.ones((5, 8))
    starts[2, 3] = starts[4, 7] = 60.0
    call = {"params": {"a": starts, "b": 1.0}, "x": X, "engine": "loop", "workers": workers}
    with pytest.warns(SurffitWarning, match=r"2 of 40 data sets .* CHUNK_FAILED: data set \d+: RuntimeError: a is far too large") as caught:
        batch = sf.fit_many(moody, data, **call)
    assert len(caught) == 1
    assert np.argwhere(batch.where("CHUNK_FAILED")).tolist() == [[2, 3], [4, 7]]
    assert sorted(text.partition(":")[0] for text in batch.errors) == ["data set 19", "data set 39"]
    others = ~batch.where("CHUNK_FAILED")
    assert (batch.values["a"][others] == clean.values["a"][others]).all()
    assert np.isnan(batch.values["a"][2, 3])
    assert batch.complete
    with pytest.raises(RuntimeError, match="far too large"):
        sf.fit_many(moody, data, on_error="raise", **call)


def test_a_bug_does_not_take_for_ever(rng):
    calls = []

    def broken(x, a, b):
        calls.append(1)
        msg = "no such thing"
        raise OSError(msg)

    # what all data sets raise is raised
    with pytest.raises(OSError, match="no such thing"):
        sf.fit_many(broken, rng.normal(size=(9, 300)), 0, {"a": 1.0, "b": 1.0}, x=X, engine="loop", workers=1)
    assert len(calls) < 3000


# ---- threads and processes -------------------------------------------------------------------------------------------


def test_workers():
    assert workers_here(3) == 3
    assert workers_here(None) >= 1
    assert workers_here(None, among=10_000) == 1


def test_one_worker_runs_without_threads(data):
    seen = set()

    def model(x, a, b):
        seen.add(threading.current_thread())
        return a + b * np.asarray(x, dtype=float)

    sf.fit_many(model, data, 0, {"a": 1.0, "b": 1.0}, x=X, engine="loop", workers=1, block=4)
    assert seen == {threading.main_thread()}


def test_batches_from_many_threads_at_once(data):
    # as dask's threads do it
    before = sys.getswitchinterval()
    expected = bits(sf.fit_many(line, data, x=X))
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: bits(sf.fit_many(line, data, x=X, block=7)), range(16)))
    finally:
        sys.setswitchinterval(before)
    assert all(one == expected for one in found)
    assert running._busy == 0


def test_one_thread_inside_a_worker_of_distributed(monkeypatch):
    from types import SimpleNamespace

    worker = SimpleNamespace(thread_state=SimpleNamespace(key="task"))
    monkeypatch.setitem(sys.modules, "distributed.worker", worker)
    assert workers_here(None) == 1
    monkeypatch.setitem(sys.modules, "distributed.worker", SimpleNamespace(thread_state=SimpleNamespace()))
    assert workers_here(None) >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_fits_again(tmp_path):
    script = tmp_path / "forked.py"
    script.write_text(
        "import os, threading, warnings\n"
        "import numpy as np, surffit as sf\n"
        "warnings.simplefilter('ignore')\n"  # newer Pythons warn of forks beside threads
        "x = np.linspace(0, 1, 9)\n"
        "data = np.random.default_rng(0).normal(size=(9, 500))\n"
        "def fit():\n"
        "    return sf.fit_many('linear', data, x=x, workers=3, block=50).maps.values.tobytes()\n"
        "mine = fit()\n"
        "go = threading.Thread(target=lambda: [fit() for _ in range(20)])\n"
        "go.start()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if fit() == mine else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "go.join()\n"
        "print(os.waitstatus_to_exitcode(status), fit() == mine)\n"
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert out.stdout.split() == ["0", "True"], out.stderr


def test_a_model_that_fits_many_itself(data):
    def nested(x, a, b):
        inner = sf.fit_many(line, np.ones((9, 2)), x=X)
        return a + b * np.asarray(x, dtype=float) * np.asarray(inner.values["a"])[0]

    batch = sf.fit_many(nested, data[:, :1, :2], 0, {"a": 1.0, "b": 1.0}, x=X, engine="loop", workers=2, block=1)
    assert batch.success.all()


def test_global_state_stays(data):
    filters, state = list(warnings.filters), np.geterr()
    threads = threading.active_count()
    sf.fit_many(line, data, x=X, workers=3, block=4)
    assert warnings.filters == filters
    assert np.geterr() == state
    assert threading.active_count() == threads


def test_maps_that_do_not_fit_into_memory_are_refused(monkeypatch, data):
    from surffit.batch.maps import Maps
    from surffit.exceptions import DataError

    def full(*args):
        raise MemoryError

    monkeypatch.setattr(Maps, "empty", full)
    with pytest.raises(DataError, match="pass covar=False"):
        sf.fit_many(line, data, x=X, covar=True)


def test_time_is_told(data):
    began = time.perf_counter()
    batch = sf.fit_many(line, data, x=X)
    assert 0 < batch.elapsed < time.perf_counter() - began + 1e-3


def test_wrong_progress(data):
    with pytest.raises(ParameterError, match="progress=7"):
        sf.fit_many(line, data, x=X, progress=7)


def test_maps_made_when_asked_for(data):
    """Errors and counts of the engine for common weights exist once someone looks, and know of the data sets that differ."""
    data = np.array(data, dtype=float)
    data[3, 1, 2] = np.nan
    late, early = sf.fit_many(line, data, x=X), sf.fit_many(line, data, x=X, covar=True)
    assert late.engine == "common"
    assert late.maps.usual is not None
    assert early.maps.usual is None
    assert all(array is None for array in late.maps._arrays.values())
    for name in ("stderr", "nobs", "nfree", "nfev", "status", "values", "chisqr"):
        np.testing.assert_array_equal(getattr(late.maps, name), getattr(early.maps, name))
    assert (late.maps.status == Status.NONFINITE_DATA).sum() == 1
