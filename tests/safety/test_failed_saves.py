"""A save that fails, at whatever step, leaves the old file as it was, nothing beside it, and says so in one sentence."""

import contextlib
import errno
import os
import stat
import subprocess
import sys

import pytest

import surffit as sf
from surffit import io

STEPS = ["open", "fdopen", "write", "flush", "fsync", "close", "chmod", "replace"]


class Full:
    """A file on a full disk: one of its ways to be written fails."""

    def __init__(self, file, step, error):
        self.file, self.step, self.error = file, step, error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        if self.step == "close":
            raise self.error

    def write(self, raw):
        if self.step == "write":
            self.file.write(raw[: len(raw) // 2])
            self.file.flush()
            raise self.error
        return self.file.write(raw)

    def flush(self):
        if self.step == "flush":
            raise self.error
        self.file.flush()

    def fileno(self):
        return self.file.fileno()


@contextlib.contextmanager
def broken(monkeypatch, step, error, suffix=""):
    """The system refuses one step of writing a file whose name ends so."""
    real = {name: getattr(os, name) for name in ("open", "fdopen", "fsync", "replace", "chmod")}
    writing = []

    def ours(path):
        return suffix in str(path)

    def opened(path, flags, *more, **kws):
        if flags & os.O_CREAT and ours(path):
            writing.append(path)
            if step == "open":
                raise error
        elif flags & os.O_CREAT:
            writing.clear()
        return real["open"](path, flags, *more, **kws)

    def refused(name):
        def call(*args, **kws):
            if writing:
                raise error
            return real[name](*args, **kws)

        return call

    def wrapped(handle, mode, *more, **kws):
        file = real["fdopen"](handle, mode, *more, **kws)
        return Full(file, step, error) if writing and "w" in mode else file

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opened)
        if step in ("fdopen", "fsync", "replace", "chmod"):
            patch.setattr(os, step, refused(step))
        if step in ("write", "flush", "close"):
            patch.setattr(os, "fdopen", wrapped)
        yield


@pytest.fixture(params=["fit", "fit by name", "model", "composite"])
def kind(request):
    return request.param


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("step", STEPS)
def test_every_step_may_fail(step, number, kind, makers, texts, tmp_path, monkeypatch):
    path = tmp_path / "kept.json"
    path.write_text(texts[kind])
    path.chmod(0o640)
    thing = makers[kind]()
    with broken(monkeypatch, step, OSError(number, os.strerror(number))), pytest.raises(OSError, match="could not be written") as caught:
        thing.save(path)
    assert caught.value.errno == number
    sentence = str(caught.value)
    assert os.strerror(number) in sentence
    assert "kept.json" in sentence
    assert "unchanged" in sentence
    assert path.read_text() == texts[kind]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]
    assert sf.load(path)
    thing.save(path)  # and the next time it works
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize("step", [step for step in STEPS if step != "chmod"])
def test_a_first_save_that_fails_leaves_nothing(step, makers, tmp_path, monkeypatch):
    thing = makers["model"]()
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with broken(monkeypatch, step, error), pytest.raises(OSError, match="could not be written") as caught:
        thing.save(tmp_path / "new.json")
    assert "unchanged" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_interrupt_leaves_the_old_file(step, makers, tmp_path, monkeypatch):
    path = tmp_path / "kept.json"
    path.write_text("old")
    with broken(monkeypatch, step, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        makers["model"]().save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]


def test_a_failure_of_the_cleaning_does_not_hide_the_first(makers, tmp_path, monkeypatch):
    error = OSError(errno.ENOSPC, "No space left on device")
    with broken(monkeypatch, "fsync", error):
        monkeypatch.setattr(os, "unlink", lambda *args, **kws: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
        with pytest.raises(OSError, match="No space left on device"):
            makers["model"]().save(tmp_path / "new.json")


def test_what_can_not_be_kept_touches_no_file(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("old")
    with pytest.raises(io.files.DocumentError):
        sf.SurfaceModel(lambda x, a: a if a > 0 else x).save(path)
    assert path.read_text() == "old"


def pair(folder):
    """Names and contents of all files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("which", [".npz", ".json."])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "chmod"])
def test_a_pair_is_exchanged_whole_or_not_at_all(step, which, makers, tmp_path, monkeypatch):
    """Whichever of the two files can't be written, at whatever step: the old pair loads, and nothing new is left."""
    old, new = makers["posterior"](), makers["posterior"]()
    new.chain += 1.0
    old.save(tmp_path / "kept.json")
    before = pair(tmp_path)
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with broken(monkeypatch, step, error, which), pytest.raises(OSError, match="could not be written"):
        new.save(tmp_path / "kept.json")
    assert pair(tmp_path) == before
    assert abs(sf.load(tmp_path / "kept.json").chain.mean()) < 0.5
    new.save(tmp_path / "kept.json")
    assert len(pair(tmp_path)) == 2
    assert sf.load(tmp_path / "kept.json").chain.mean() > 0.5


@pytest.mark.parametrize("which", [".npz", ".json."])
def test_a_first_pair_that_fails_leaves_nothing(which, makers, tmp_path, monkeypatch):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with broken(monkeypatch, "write", error, which), pytest.raises(OSError, match="could not be written"):
        makers["posterior"]().save(tmp_path / "new.json")
    assert not pair(tmp_path)


def test_the_same_chain_survives_a_failed_save_of_its_document(makers, tmp_path, monkeypatch):
    """The chain stands there already and belongs to the old document: a failed save must not clear it away."""
    thing = makers["posterior"]()
    thing.save(tmp_path / "kept.json")
    before = pair(tmp_path)
    thing.notes = ("Another note.",)
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with broken(monkeypatch, "replace", error), pytest.raises(OSError, match="could not be written"):
        thing.save(tmp_path / "kept.json")
    assert pair(tmp_path) == before


def test_an_old_chain_that_can_not_be_removed_is_no_error(makers, tmp_path, monkeypatch):
    old, new = makers["posterior"](), makers["posterior"]()
    new.chain += 1.0
    old.save(tmp_path / "kept.json")
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda *args, **kws: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
        new.save(tmp_path / "kept.json")
    assert sf.load(tmp_path / "kept.json").chain.mean() > 0.5


LIMITED = """
import resource, signal, sys
sys.path[:0] = [sys.argv[1]]
import numpy as np
import surffit as sf

def line(x, a, b):
    return a + b * x

model = sf.SurfaceModel(line)
x = np.arange(20.0)
result = model.fit(line(x, 1, 2) + np.sin(9 * x), x=x)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
for thing in (model, result):
    try:
        thing.save("kept.json")
    except OSError as err:
        print(err)
"""


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_real_limit_of_the_system(tmp_path, project):
    (tmp_path / "kept.json").write_text("old and whole")
    out = subprocess.run(
        [sys.executable, "-c", LIMITED, str(project)], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=True
    ).stdout
    assert len(out.splitlines()) == 2
    assert all("could not be written" in line and "unchanged" in line for line in out.splitlines())
    assert (tmp_path / "kept.json").read_text() == "old and whole"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]


KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[1]]
import surffit as sf
model = sf.get_model("gaussian")
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
model.save("kept.json")
"""


@pytest.mark.skipif(os.name != "posix", reason="kill is POSIX")
def test_a_killed_process_leaves_the_old_file(tmp_path, project, texts):
    (tmp_path / "kept.json").write_text(texts["model"])
    out = subprocess.run([sys.executable, "-c", KILLED, str(project)], cwd=tmp_path, timeout=120, check=False)
    assert out.returncode == -9
    assert (tmp_path / "kept.json").read_text() == texts["model"]
    assert sf.load(tmp_path / "kept.json").prefix == "s_"
