"""Documents of every kind, to be poisoned, and a clock that ends what hangs."""

import contextlib
import json
import os
import pickle
import signal

import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.core.posterior import Posterior

X = np.linspace(0, 3, 12)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def shifted(x, height, rate, level=0.5):
    return height * np.exp(-rate * x) + level


def fitted():
    model = sf.SurfaceModel.from_expression("a*exp(-b*x) + c", independent_vars=["x"])
    params = model.make_params(a=1, b=1, c=dict(value=0.5, min=0))
    params.add("half", expr="log(2.0)/b")
    return model.fit(2 * np.exp(-X) + 1 + 0.01 * np.sin(50 * X), params, x=X)


def fitted_by_name():
    return sf.get_model("linear").fit(2 * X + 1 + 0.01 * np.sin(50 * X), x=X, loss="huber", priors={"slope": (2.0, 0.5)})


def leaf():
    model = sf.SurfaceModel(shifted, prefix="s_", linear=["height"], name="shifted")
    model.set_param_hint("rate", value=1.5, min=0, max=9, vary=True)
    model.set_param_hint("half", expr="0.5/s_rate")
    return model


def composite():
    model = leaf() + sf.get_model("linear", prefix="l_")
    model.set_param_hint("l_slope", expr="2*s_rate")
    return model


def drawn():
    names = ("a", "b", "c")
    rng = np.random.default_rng(8)
    return Posterior(
        names, rng.normal(size=(30, 4, 3)), rng.normal(size=(30, 4)), acceptance=0.4, tau=np.array([1.0, 2.0, np.nan]), converged=True,
        burn=5, thin=2, seed=2**70, marginalised=("a",), derived=("c",), notes=("A note.",),
    )  # fmt: skip


def line(x, slope, rate):
    return slope * x * rate


def together():
    joint = sf.JointModel({"one": sf.SurfaceModel(shifted), "two": sf.SurfaceModel(line)}, shared=["rate"])
    params = joint.make_params(rate=1.0)
    params["one_level"].set(expr="two_slope/4.0")
    wave = 0.01 * np.sin(50 * X)
    return joint.fit({"one": shifted(X, 2, 1.2, 0.5) + wave, "two": line(X, 2, 1.2) - wave}, params, x=X)


def joint_model():
    model = sf.SurfaceModel(line, prefix="l_")
    joint = sf.JointModel({"one": model, "two": model, "three": sf.get_model("linear")}, shared=["l_rate"])
    joint.set_param_hint("two_l_slope", expr="one_l_slope*2")
    return joint


MAKERS = {
    "fit": fitted,
    "fit by name": fitted_by_name,
    "joint fit": together,
    "model": leaf,
    "composite": composite,
    "joint model": joint_model,
    "posterior": drawn,
}


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """The files of each kind of saved thing, by name; the document is always fit.json."""
    found = {}
    for kind, make in MAKERS.items():
        folder = tmp_path_factory.mktemp("good")
        io.save(make(), folder / "fit.json")
        found[kind] = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found


@pytest.fixture(scope="session")
def texts(good):
    """The text of a good document of each kind."""
    return {kind: files["fit.json"].decode() for kind, files in good.items()}


@pytest.fixture
def laid(good, canary, tmp_path):
    """The working folder, with what stands beside good documents."""
    for files in good.values():
        for name, raw in files.items():
            if name != "fit.json":
                (tmp_path / name).write_bytes(raw)
    return tmp_path


@pytest.fixture(params=MAKERS)
def text(request, texts):
    """One good document after the other, as text."""
    return texts[request.param]


@pytest.fixture
def makers():
    """How the things are made that can be saved, by kind."""
    return MAKERS


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """What every payload would make, in the working folder and by its full path; nothing may."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "a payload ran"


@pytest.fixture
def payloads(canary):
    """Pickles of a call that makes the canary, by protocol."""
    return {protocol: pickle.dumps(Payload(canary), protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}


@pytest.fixture
def within():
    """A context that ends, with an error, what takes too long."""

    @contextlib.contextmanager
    def clock(seconds):
        def late(*_):
            msg = f"still at it after {seconds} s"
            raise AssertionError(msg)

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return clock


@pytest.fixture
def places():
    """A function that lists the path of every entry of a document."""

    def listed(content, path=()):
        if path:
            yield path
        entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
        for key, item in entries:
            yield from listed(item, (*path, key))

    return listed


@pytest.fixture
def changed():
    """A function that gives the text of a document with one entry replaced, or removed."""

    def change(text, path, *value):
        content = json.loads(text)
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        if value:
            parent[path[-1]] = value[0]
        else:
            del parent[path[-1]]
        return json.dumps(content)

    return change
