"""
Hostile files: nothing in them is ever run.

The first three are the ways that execute code when lmfit's own readers load them. The payload is a pickled call of
`os.mkdir` on a marker folder; the control shows that the payload works.
"""

import base64
import json
import os
import pickle

import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.exceptions import DocumentError, UnsafeFileError


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.fixture
def blob(marker):
    return base64.b64encode(pickle.dumps(Payload(marker))).decode()


@pytest.fixture(scope="module")
def good():
    """The document of a real fit, to be poisoned in one place."""
    x = np.linspace(0, 3, 20)
    model = sf.SurfaceModel.from_expression("a*exp(-b*x) + c", independent_vars=["x"])
    result = model.fit(2 * np.exp(-x) + 1 + 0.01 * np.sin(50 * x), model.make_params(a=1, b=1, c=dict(value=0.5, min=0)), x=x)
    return io.dumps(io.document(result))


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_payload_works(blob, marker):
    pickle.loads(base64.b64decode(blob))
    assert marker.is_dir()


def test_the_good_document_loads(good, tmp_path):
    assert sf.load(write(tmp_path / "fit.json", good)).best_values["b"] == pytest.approx(1, abs=0.1)


def poisons(blob, marker):
    call = {"__class__": "Callable", "__name__": "mkdir", "pyversion": "3.11", "value": blob, "importer": None}
    imported = {"__class__": "Callable", "__name__": "mkdir", "pyversion": "3.11", "value": None, "importer": "os"}
    row = ["p", 1.0, True, f"mkdir({str(marker)!r})", None, None, None, None, None, None, None, None]
    yield "Parameters with a pickled callable", {"unique_symbols": {"mkdir": call}, "params": [row]}
    yield "Parameters with an import and an expr", {"unique_symbols": {"mkdir": imported}, "params": [row]}
    model = [["mkdir", call, None, None, {}, ["x"], [], "", {}], None, None]
    yield "saved model", {"__class__": "lmfit.Model", "__version__": "1", "model": model}
    yield "saved result", {"__class__": "lmfit.ModelResult", "__version__": "2", "model": model, "params": [row]}


@pytest.mark.parametrize("number", range(4))
def test_files_that_own_lmfits_readers(number, blob, marker, tmp_path):
    _, content = list(poisons(blob, marker))[number]
    with pytest.raises(UnsafeFileError):
        sf.load(write(tmp_path / "fit.json", content))
    assert not marker.exists()


@pytest.mark.parametrize("number", range(4))
def test_the_same_inside_a_document_of_ours(number, blob, marker, tmp_path, good):
    _, content = list(poisons(blob, marker))[number]
    for place in ("model", "params", "stats", "covar", "extra"):
        with pytest.raises(UnsafeFileError):
            sf.load(write(tmp_path / "fit.json", {**json.loads(good), place: content}))
    assert not marker.exists()


def test_a_pickle_is_no_document(marker, tmp_path):
    (tmp_path / "fit.json").write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(DocumentError):
        sf.load(tmp_path / "fit.json")
    assert not marker.exists()


HOSTILE = [
    "__import__('os').mkdir('marker')",
    "open('/etc/passwd')",
    "loadtxt('/etc/passwd')",
    "ones(2000000000)",
    "a.__class__",
    "[a for a in (1,)]",
    "(lambda: 1)()",
    "a if b else c",
    "'text'",
    "a := 1",
    "f'{a}'",
    "a[0]",
    "exp(x=1)",
    "exp(*a)",
    "1j*b",
    "wofz(b)",
    "b.real",
    "real(1e999j)",
    "gamfcn.__class__",
    "real(b, out=a)",
    "1 + " * 400 + "1",
    "(" * 300 + "1" + ")" * 300,
    "exp",
    "nosuch + 1",
    "",
    7,
    ["a"],
]


@pytest.mark.parametrize("expr", HOSTILE, ids=lambda expr: str(expr)[:20])
def test_constraints_outside_the_whitelist(expr, good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = json.loads(good)
    content["params"]["a"]["expr"] = expr
    with pytest.raises(UnsafeFileError, match="constraint of a"):
        sf.load(write(tmp_path / "fit.json", content))
    assert [path.name for path in tmp_path.iterdir()] == ["fit.json"]


def test_constraints_in_a_circle(good, tmp_path):
    content = json.loads(good)
    content["params"]["a"]["expr"], content["params"]["b"]["expr"] = "2*b", "a/2"
    with pytest.raises(UnsafeFileError, match="constraints of a, b refer to each other in a circle"):
        sf.load(write(tmp_path / "fit.json", content))


TOWERS = [
    "9**9999**9999", "((9**9999)**9999)**9999", "10**10**10", "(((b>0)*9)**9999)**9999", "abs(9j**9999**9999)",
    "real(wofz(1j)**9999**9999**9999)", "square(square(99))**9999**99",
]  # fmt: skip


@pytest.mark.parametrize("expr", TOWERS)
def test_towers_of_powers_end_at_once(expr, good, tmp_path):
    import time

    content = json.loads(good)
    content["params"]["a"]["expr"] = expr
    begun = time.perf_counter()
    try:
        value = sf.load(write(tmp_path / "fit.json", content)).params["a"].value
    except (UnsafeFileError, OverflowError, ValueError):
        value = None
    assert value is None or not np.isfinite(value) or abs(value) < 1e308
    assert time.perf_counter() - begun < 5


def change(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    if value is DELETE:
        del content[last]
    else:
        content[last] = value


DELETE = object()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("extra",), 1),
        (("params",), DELETE),
        (("params",), []),
        (("params", "a", "value"), "1.0"),
        (("params", "a", "value"), True),
        (("params", "a", "value"), [1.0]),
        (("params", "a", "vary"), 1),
        (("params", "a", "user_data"), {}),
        (("params", "a", "stderr"), DELETE),
        (("params", "a", "min"), 10),
        (("params", "a", "max"), None),
        (("params", "a b"), {}),
        (("params", "__class__"), {}),
        (("params", "import"), {}),
        (("params", "x" * 300), {}),
        (("covar", "names"), ["a", "b", "zz"]),
        (("covar", "names"), ["a", "a", "b"]),
        (("covar", "values"), [[1.0]]),
        (("covar", "values"), "none"),
        (("covar_source",), 3),
        (("stats", "status"), "CONVERGED"),
        (("stats", "status"), ["NO_SUCH_FLAG"]),
        (("stats", "nfev"), {}),
        (("stats", "message"), ["x"]),
        (("model",), "os:mkdir"),
        (("model", "kind"), "pickle"),
        (("model", "kind"), ["graph"]),
        (("model", "independent_vars"), "x"),
        (("model", "independent_vars"), ["x", "x y"]),
        (("model", "independent_vars"), []),
        (("model", "graph"), None),
        (("model", "graph", "output"), 10**6),
        (("model", "graph", "nodes", 0), ["os.system", [0]]),
        (("model", "graph", "nodes", 0), ["add", [5, 6]]),
        (("model", "graph", "parameters"), ["a", "b", "__import__"]),
        (("model",), {"kind": "registered", "name": "os:mkdir", "options": {}}),
        (("model",), {"kind": "registered", "name": "gaussian", "options": {"func": {"a": {"b": {"c": {"d": 1}}}}}}),
        (("model",), {"kind": "registered", "name": "gaussian"}),
    ],
    ids=lambda part: "left out" if type(part) is object else str(part),
)
def test_one_entry_that_surffit_never_writes(path, value, good, tmp_path):
    content = json.loads(good)
    change(content, path, value)
    with pytest.raises((UnsafeFileError, LookupError)):
        sf.load(write(tmp_path / "fit.json", content))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"schema": "surffit.result/1", "schema": "x"}', "the key 'schema' twice"),
        ('{"schema": "surffit.result/1", "chisqr": NaN}', "bare NaN"),
        ('{"schema": "surffit.result/1", "chisqr": -Infinity}', "bare -Infinity"),
        ('{"schema": "surffit.result/1", "chisqr": 1e999}', "1e999, which overflows"),
        ('{"schema": "surffit.result/1", "chisqr": ' + "9" * 5000 + "}", "5000 digits"),
        ("[" * 200_000 + "]" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "nested too deeply"),
        ("[]", "has no schema"),
        ('{"schema": 3}', "has no schema"),
    ],
    ids=lambda value: value[:20],
)
def test_json_that_is_too_clever(text, sentence, tmp_path):
    with pytest.raises(UnsafeFileError, match=sentence):
        sf.load(write(tmp_path / "fit.json", text))


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe{}", b"not json", b'{"schema": "surffit.result/1"'], ids=repr)
def test_damaged_files(raw, tmp_path):
    (tmp_path / "fit.json").write_bytes(raw)
    with pytest.raises(DocumentError, match="JSON"):
        sf.load(tmp_path / "fit.json")


def test_truncation_anywhere_is_an_error_and_never_a_wrong_fit(good, tmp_path):
    for cut in range(1, len(good.rstrip()), 37):
        with pytest.raises(DocumentError):
            sf.load(write(tmp_path / "fit.json", good[:cut]))


def test_a_document_of_the_future_says_so(tmp_path, good):
    content = {**json.loads(good), "schema": "surffit.result/9", "surffit": "9.1"}
    with pytest.raises(DocumentError, match=r"schema 'surffit.result/9', which nothing installed reads; it was written by surffit 9\.1"):
        sf.load(write(tmp_path / "fit.json", content))


def test_the_size_cap_holds(good, tmp_path):
    path = write(tmp_path / "fit.json", good)
    with pytest.raises(UnsafeFileError, match=f"larger than {len(good) - 1} bytes"):
        sf.load(path, max_bytes=len(good) - 1)
    sf.load(path, max_bytes=len(good))


def test_what_inherited_readers_did_is_refused(good, tmp_path):
    result = sf.load(write(tmp_path / "fit.json", good))
    with open(tmp_path / "fit.json") as file:
        for call in (lambda: result.loads("{}"), lambda: result.load(file)):
            with pytest.raises(DocumentError, match=r"surffit\.load"):
                call()
