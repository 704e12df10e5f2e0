"""What has been tried on readers of files: each gets one clear error, at once, and nothing runs."""

import contextlib
import gzip
import io as streams
import json
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import surffit as sf
from surffit import io
from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.trace.graph import evaluate, from_document, to_document
from surffit.trace.ops import OPS

LIMIT = 20.0  # seconds; what hangs does so for good, and a busy machine is no fault


# ---- files of other kinds


def zipped():
    buffer = streams.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * 1_000_000)
    return buffer.getvalue()


OTHER_KINDS = {
    "nothing": b"",
    "blanks": b" \n\t ",
    "zeros": b"\0" * 100,
    "yaml object": b"!!python/object/apply:os.mkdir\nargs: [canary]\n",
    "yaml in json": b'{"schema": "surffit.result/1", "x": "!!python/object/apply:os.mkdir [canary]"}',
    "python": b"import os; os.mkdir('canary')\n",
    "shell": b"#!/bin/sh\nmkdir canary\n",
    "ini": b"[params]\na = 1\n",
    "toml": b"schema = 'surffit.result/1'\n",
    "xml bomb": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
    "zip": zipped(),
    "gzip": gzip.compress(b'{"schema": "surffit.result/1"}'),
    "utf-16": '{"schema": "surffit.result/1"}'.encode("utf-16"),
    "utf-8 with a mark": b"\xef\xbb\xbf" + b'{"schema": "surffit.result/1"}',
    "latin-1": '{"schema": "surffit.result/1", "é": 1}'.encode("latin-1"),
    "broken utf-8": b'{"schema": "surffit.result/1", "a": "\xed\xa0\x80"}',
    "lines of json": b'{"schema": "surffit.result/1"}\n{"schema": "surffit.result/1"}\n',
    "json with a tail": b'{"schema": "surffit.result/1"} os.mkdir("canary")',
    "json with comments": b'{"schema": "surffit.result/1" /* ... */}',
    "a list": b'["surffit.result/1"]',
    "a text": b'"surffit.result/1"',
    "a number": b"1",
    "null": b"null",
    "no schema": b"{}",
    "schema a list": b'{"schema": ["surffit.result/1"]}',
    "schema a module": b'{"schema": "os:mkdir", "path": "canary"}',
    "schema of a plugin's kind": b'{"schema": "../../canary"}',
    "schema with a zero": b'{"schema": "surffit.result/1\\u0000"}',
    "schema without end": b'{"schema": "' + b"a" * 1_000_000 + b'"}',
    "empty object of ours": b'{"schema": "surffit.result/1"}',
    "empty model": b'{"schema": "surffit.model/1"}',
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_files_of_other_kinds(kind, canary, tmp_path, within):
    (tmp_path / "fit.json").write_bytes(OTHER_KINDS[kind])
    with within(LIMIT), pytest.raises(DocumentError) as caught:
        sf.load(tmp_path / "fit.json")
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_pickles_of_every_protocol(payloads, canary, tmp_path):
    for raw in payloads.values():
        (tmp_path / "fit.json").write_bytes(raw)
        for path in (str(tmp_path / "fit.json"), tmp_path / "fit.json"):
            with pytest.raises(DocumentError):
                sf.load(path)


def test_numpys_files(tmp_path, payloads, canary):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.arange(3))
    for path in ("a.npy", "a.npz"):
        with pytest.raises(DocumentError):
            sf.load(path)


# ---- expressions, everywhere one may stand

EXPRESSIONS = [
    "__import__('os').mkdir('canary')", "open('canary', 'w')", "exec('import os')", "eval('1')", "compile('1', '', 'eval')", "globals()",
    "getattr(a, 'x')", "a.__class__", "a.__class__.__bases__[0].__subclasses__()", "().__class__", "''.join('a')", "f'{a}'",
    "f'{a.__class__}'", "b'x'", "'x'", "`a`", "$a", "a; b", "a\nb", "import os", "a = 1", "a := 1", "(a := 1)", "lambda: 1",
    "(lambda: a)()", "[a for a in (1,)]", "{a for a in (1,)}", "(a for a in (1,))", "{1: 2}", "[1]", "(1,)", "a[0]", "a if a else 1",
    "a and 1", "not a", "a or 1", "await a", "(yield a)", "print(a)", "input()", "breakpoint()", "loadtxt('/etc/passwd')", "ones(10**10)",
    "zeros(1000000000)", "arange(10**9)", "fromfile('/etc/passwd')", "where(a)", "exp(a, out=a)", "exp(*a)", "exp(**a)",
    "max(a, key=open)", "exp", "os", "math.exp(1)", "numpy.exp(1)", "__builtins__", "__debug__", "a @ 1", "a // 1", "a % 2",
    "a << 9999999", "1 << 10**10", "a | 1", "~a", "a is 1", "a in (1,)", "1e999", "1" * 400, "9" * 600, "9**9**9", "9**9**9**9",
    "2**-1.0**0.5", "(-8)**(1/3)", "1/0", "log(-1)", "0**-1", "((((2**99)**99)**99)**99)**99", "(a>0)+(a>0)", "1j", "a + 1j",
    "sqrt(-1.0 + 0j)", "wofz(wofz)", "None", "True", "...", "nan", "inf", "", " ", "\t", "#", "a#", "\\", "\0", "a\0", "\u202e", "\uff41",
    "()", "((", "+", "*", "a b", "1a", "0x10", "1_0", "0b1", "0777", "(" * 100_000 + "1" + ")" * 100_000, "-" * 400 + "1",
    "-" * 100_000 + "1", "1" + "+1" * 500_000, "exp(" * 90 + "1" + ")" * 90, "x" * 1_000_000, "a" + " " * 1_000_000, "[" * 400,
    "a" + ".b" * 240, "f'" + "{" * 200, "max(" + "1," * 300 + "1)", "gamfcn(" * 40 + "99" + ")" * 40, 7, 1.5, True, [], ["a"], {},
    {"expr": "a"},
]  # fmt: skip
"""Some are harmless numbers; then what comes of them must be so too."""

WHERE = {
    "fit": [("params", "a", "expr"), ("params", "half", "expr")],
    "model": [("model", "hints", "half", "expr"), ("model", "hints", "rate", "expr")],
    "composite": [
        ("model", "hints", "l_slope", "expr"),
        ("model", "left", "hints", "half", "expr"),
        ("model", "right", "hints", "slope", "expr"),
    ],
}
ENTRIES = [(kind, path) for kind, paths in WHERE.items() for path in paths]


def put(text, path, value):
    content = json.loads(text)
    parent = content
    for key in path[:-1]:
        parent = parent.setdefault(key, {})
    parent[path[-1]] = value
    return json.dumps(content)


def outcome(call):
    """What a call gives: a thing, or the error by which it refused."""
    try:
        return call()
    except DocumentError as err:
        return err


def values(thing):
    """All parameters of a loaded thing, evaluated."""
    params = thing.make_params() if isinstance(thing, sf.SurfaceModel) else thing.params
    return [float(par.value) for par in params.values()]


@pytest.mark.parametrize(("kind", "path"), ENTRIES, ids=str)
def test_expressions(kind, path, texts, canary, tmp_path, within):
    refused = 0
    for expr in EXPRESSIONS:
        Path("fit.json").write_text(put(texts[kind], path, expr))
        with within(LIMIT):
            thing = outcome(lambda: sf.load("fit.json"))
            if isinstance(thing, DocumentError):
                refused += 1
                assert len(str(thing)) < 1200, expr
                assert str(thing).isprintable()
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    values(thing)
            except (ArithmeticError, RuntimeError, TypeError, ValueError):
                # hints are evaluated by lmfit when parameters are made, and 1/0 is on nobody's black list
                assert isinstance(thing, sf.SurfaceModel)
    assert refused > len(EXPRESSIONS) * 0.85
    assert sorted(os.listdir()) == ["fit.json"]


def tower(base):
    """Constraints that make a whole number and pile it up, each line innocent: exponents stay small, as lmfit's interpreter demands."""
    return {"one": "(b > 0) + (b > 0)", "two": base, "three": "(two**two)**two"}


DOZEN = "one*one*one*one*one*one*one*one*one*one*one*one - (b > 0)"  # 4095
BASES = [DOZEN, "square(square(one*one*one))-(b > 0)", "max(4095, b)", "where(b > 0, 4095, 8)", "abs(-4095)", "4095", "real(4095)*imag(1j)"]


@pytest.mark.parametrize("base", BASES)
def test_towers_that_several_constraints_build(base, texts, canary, within):
    """lmfit raises whole numbers to whole powers for ever; the control below shows that it would."""
    content = json.loads(texts["fit"])
    entry = {**content["params"]["half"], "value": 1.0, "stderr": None}
    content["params"] |= {name: {**entry, "expr": expr} for name, expr in tower(base).items()}
    with within(LIMIT):
        loaded = outcome(lambda: io.read_result(content))
        if not isinstance(loaded, UnsafeFileError):
            with np.errstate(all="ignore"):
                values(loaded)
    content = json.loads(texts["model"])
    content["model"]["hints"] |= {"b": {"value": 1.0}}
    content["model"]["hints"] |= {name: {"expr": re.sub(r"\b(b|one|two|three)\b", r"s_\1", expr)} for name, expr in tower(base).items()}
    model = io.read_model(content)
    with within(LIMIT), contextlib.suppress(ArithmeticError, RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values(model)


def test_the_tower_is_one():
    """The control: without our reading lmfit is still at the third constraint when the alarm ends it."""
    code = (
        "import lmfit, signal\nparams = lmfit.Parameters()\nparams.add('b', value=1.0)\nsignal.setitimer(signal.ITIMER_REAL, 1.0)\n"
        f"for name, expr in {tower(DOZEN)!r}.items():\n    params.add(name, expr=expr)\n    print(params[name].value, flush=True)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], check=False, timeout=120, capture_output=True, text=True, preexec_fn=small)
    assert out.stdout.split() == ["2", "4095"]
    assert out.returncode == -signal.SIGALRM


def small():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))


def test_long_chains_and_many_constraints(texts, within):
    content = json.loads(texts["fit"])
    entry = {**content["params"]["half"], "value": 1.0}
    chain = {f"k{i}": {**entry, "expr": f"k{i - 1} + 1.0" if i else "b"} for i in range(5000)}
    with within(LIMIT), pytest.raises(UnsafeFileError, match="lean on each other more than 500 deep"):
        io.read_result({**content, "params": {**content["params"], **chain}})
    with within(LIMIT), pytest.raises(UnsafeFileError, match="at most 10000 are read"):
        io.read_result({**content, "params": {**content["params"], **{f"k{i}": entry for i in range(20_000)}}})


def test_hints_in_a_circle_and_of_strangers(texts):
    content = json.loads(texts["model"])
    content["model"]["hints"] |= {"one": {"expr": "s_two"}, "two": {"expr": "s_one*2"}}
    with pytest.raises(UnsafeFileError, match="circle"):
        io.read_model(content)
    content = json.loads(texts["model"])
    content["model"]["hints"]["one"] = {"expr": "loadtxt"}
    with pytest.raises(UnsafeFileError, match="'loadtxt', which is no parameter"):
        io.read_model(content)


# ---- graphs


def graph(nodes, output=None, parameters=("height", "rate", "level"), coordinates=("x",)):
    return {
        "schema": "surffit.graph/1",
        "parameters": list(parameters),
        "coordinates": list(coordinates),
        "nodes": nodes,
        "output": len(nodes) - 1 if output is None else output,
    }


LEAVES = [["parameter", "height"], ["parameter", "rate"], ["parameter", "level"], ["coordinate", "x"]]
GRAPHS = {
    "a call": [*LEAVES, ["os.system", [0]]],
    "a dunder": [*LEAVES, ["__import__", [0]]],
    "an attribute": [*LEAVES, ["function.__globals__", [0]]],
    "a method of the table": [*LEAVES, ["keys", [0]]],
    "an array": [*LEAVES, ["array", [1.0, 2.0]]],
    "forward": [*LEAVES, ["add", [0, 5]], ["add", [0, 1]]],
    "itself": [*LEAVES, ["add", [4, 4]]],
    "before the first": [*LEAVES, ["add", [0, -1]]],
    "a fraction": [*LEAVES, ["add", [0, 1.0]]],
    "a truth value": [*LEAVES, ["add", [0, True]]],
    "a name": [*LEAVES, ["add", [0, "rate"]]],
    "too many arguments": [*LEAVES, ["exp", [0, 1]]],
    "too few": [*LEAVES, ["add", [0]]],
    "no arguments": [*LEAVES, ["add"]],
    "arguments of another kind": [*LEAVES, ["add", "01"]],
    "a huge constant": [*LEAVES, ["constant", 10**19]],
    "a text constant": [*LEAVES, ["constant", "os"]],
    "a stranger": [*LEAVES, ["parameter", "stranger"]],
    "an order without end": [*LEAVES, ["constant", 1e9], ["polygamma", [4, 3]]],
    "an order that is a parameter": [*LEAVES, ["polygamma", [0, 3]]],
    "a complex answer": [*LEAVES, ["wofz", [3]]],
    "an object": [*LEAVES, {"op": "add"}],
    "deep arguments": [*LEAVES, ["add", [[[[0]]], 1]]],
    "none": [],
    "too many": [["constant", 1.0]] * 100_001,
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs_that_no_recorder_writes(kind, texts, canary, within):
    content = json.loads(texts["model"])
    content["model"]["graph"] = graph(GRAPHS[kind])
    with within(LIMIT):
        if kind in ("a huge constant", "a complex answer"):
            io.read_model(content)  # a number, and a model whose fit says that it is complex
            return
        with pytest.raises(UnsafeFileError):
            io.read_model(content)


def shared(depth):
    """Each node adds the one before to itself: walked as a tree, 2**depth steps."""
    return [*LEAVES, *(["add", [3 + k, 3 + k]] for k in range(depth))]


def test_nodes_used_twice_cost_once(texts, within):
    content = json.loads(texts["model"])
    content["model"]["linear"] = None
    content["model"]["graph"] = graph(shared(60))
    with within(LIMIT):
        model = io.read_model(content)
        params = model.make_params(s_height=1, s_rate=1, s_level=1)
        assert model.eval(params, x=np.array([1.0]))[0] == 2.0**60
        assert model.linear == ()
        io.dumps(io.document(model))
    content["model"]["graph"] = graph([*LEAVES, *(["mul", [3 + k, 3 + k]] for k in range(3000))])
    with within(LIMIT):
        assert io.read_model(content).eval(params, x=np.array([1.0]))[0] == 1.0


def test_powers_of_constants_are_floats(texts, within):
    content = json.loads(texts["model"])
    powers = [["constant", 9.0], *(["pow", [4 + k, 4 + k]] for k in range(50)), ["mul", [0, 54]]]
    content["model"]["graph"] = graph([*LEAVES, *powers])
    with within(LIMIT):
        io.read_model(content)


def test_a_large_graph_within_the_limit_loads_in_time(texts, within):
    content = json.loads(texts["model"])
    content["model"]["graph"] = graph([*LEAVES, *(["add", [3 + k, k % 3]] for k in range(99_990))])
    with within(60):
        model = io.read_model(content)
        model.eval(model.make_params(s_height=1, s_rate=1, s_level=1), x=np.arange(3.0))


def test_random_graphs(texts, within):
    """Any operation of the table on anything: refused, or a graph that is written as it is read and evaluates in no time."""
    rng = np.random.default_rng(0)
    constants = [0, 1, -1, 2, 0.5, -0.0, 1e308, 5e-324, None, "inf", "-inf", True, False, {"real": 1, "imag": 2}, 3, 101, 1e19, 10**19]
    refused = 0
    for _ in range(400):
        nodes = [*LEAVES]
        for _ in range(int(rng.integers(1, 9))):
            if rng.random() < 0.4:
                nodes.append(["constant", constants[int(rng.integers(len(constants)))]])
            op = list(OPS)[int(rng.integers(len(OPS)))]
            nodes.append([op, [int(rng.integers(len(nodes))) for _ in range(OPS[op].arity)]])
        with within(LIMIT):
            found = outcome(lambda nodes=nodes: from_document(graph(nodes)))
            if isinstance(found, UnsafeFileError):
                refused += 1
                continue
            written = to_document(found)
            assert to_document(from_document(written)) == written
            with warnings.catch_warnings(), contextlib.suppress(ArithmeticError, TypeError):
                warnings.simplefilter("ignore")
                evaluate(found, {"height": 1.5, "rate": -0.5, "level": 2.0}, {"x": np.linspace(-2, 3, 5)})
    assert 50 < refused < 350


# ---- registered names


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("os:mkdir", {}),
        ("os.mkdir", {}),
        ("__import__", {}),
        ("../gaussian", {}),
        ("gaussian\0", {}),
        ("GAUSSIAN", {}),
        ("nosuch", {}),
        ("", {}),
        ("gaussian", {"func": "os.mkdir"}),
        ("gaussian", {"name": "x", "self": 1}),
        ("gaussian", {"independent_vars": ["nosuch"]}),
        ("gaussian", {"prefix": "a b"}),
        ("gaussian", {"prefix": 7}),
        ("gaussian", {"nan_policy": ["x"]}),
        ("gaussian", {"__class__": "x"}),
        ("polynomial", {"degree": 10**9}),
        ("polynomial", {"degree": "9**9"}),
        ("polynomial", {"degree": -1}),
        ("spline", {"xknots": [float(k) for k in range(5000)]}),
        ("spline", {"xknots": []}),
        ("spline", {}),
        ("step", {"form": "os.mkdir('canary')"}),
        ("step", {"form": 3}),
    ],
    ids=str,
)
def test_registered_names_and_options(name, options, texts, canary, within):
    for kind in ("fit by name", "composite"):
        content = json.loads(texts[kind])
        place = content["model"] if kind == "fit by name" else content["model"]["right"]
        place["name"], place["options"] = name, options
        with within(LIMIT):
            thing = outcome(lambda content=content: io.store._reader(content, "it")(content, None))
        if isinstance(thing, DocumentError):
            assert len(str(thing)) < 1500
        else:
            assert name in ("gaussian", "step", "polynomial")
            repr(thing)


# ---- paths


@pytest.mark.parametrize(
    "path",
    [0, 1, True, None, 3.5, b"fit.json", b"\xff", ["fit.json"], object(), "fit\0.json", "", "a" * 5000],
    ids=lambda path: "an object" if type(path) is object else str(path)[:20],
)
def test_what_is_no_path(path, tmp_path, monkeypatch, within):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: sf.load(path), lambda: sf.get_model("linear").save(path)):
        with within(LIMIT), pytest.raises((DocumentError, OSError)):
            call()
    assert not list(tmp_path.iterdir())


def test_an_open_file_is_no_path(tmp_path, texts):
    (tmp_path / "fit.json").write_text(texts["fit"])
    with open(tmp_path / "fit.json") as file, pytest.raises(DocumentError, match="is no path"):
        sf.load(file)


def test_a_folder(tmp_path):
    with pytest.raises(DocumentError, match="not a regular file"):
        sf.load(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sf.load(tmp_path / "no.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_is_not_waited_for(tmp_path, within):
    os.mkfifo(tmp_path / "fit.json")
    with within(LIMIT), pytest.raises(UnsafeFileError, match="not a regular file"):
        sf.load(tmp_path / "fit.json")
    with within(LIMIT), pytest.raises(DocumentError, match="not a regular file"):
        sf.get_model("linear").save(tmp_path / "fit.json")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty", "/dev/stdin", "/dev/urandom"])
def test_devices(device, within):
    with within(LIMIT), pytest.raises((DocumentError, OSError)):
        sf.load(device)


def test_links(tmp_path, texts, within):
    (tmp_path / "real.json").write_text(texts["fit"])
    (tmp_path / "link.json").symlink_to("real.json")
    assert sf.load(tmp_path / "link.json").success
    (tmp_path / "loop.json").symlink_to("loop.json")
    with within(LIMIT), pytest.raises(OSError, match=r"loop\.json"):
        sf.load(tmp_path / "loop.json")
    with within(LIMIT), pytest.raises(DocumentError, match="leads back to itself"):
        sf.get_model("linear").save(tmp_path / "loop.json")
    if os.path.exists("/dev/zero"):
        (tmp_path / "zero.json").symlink_to("/dev/zero")
        with within(LIMIT), pytest.raises(UnsafeFileError, match="not a regular file"):
            sf.load(tmp_path / "zero.json")


# ---- sizes


def test_a_large_file_is_refused_by_its_size(tmp_path, within):
    with open(tmp_path / "fit.json", "wb") as file:
        file.truncate(2**40)  # a terabyte of zeros that takes no room
    with within(LIMIT), pytest.raises(UnsafeFileError, match="larger than 67108864 bytes"):
        sf.load(tmp_path / "fit.json")


def test_a_growing_file_is_read_up_to_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "fit.json"
    path.write_bytes(b"x" * 5000)
    facts = os.fstat

    class Smaller:
        def __init__(self, found):
            self.found = found

        st_size = 10

        def __getattr__(self, name):
            return getattr(self.found, name)

    monkeypatch.setattr(io.files.os, "fstat", lambda handle: Smaller(facts(handle)))
    with pytest.raises(UnsafeFileError, match="larger than 1000 bytes"):
        sf.load(path, max_bytes=1000)


@pytest.mark.parametrize("limit", [-1, 1.5, "1", None, True, float("inf")])
def test_limits_that_are_none(limit, tmp_path):
    (tmp_path / "fit.json").write_text("{}")
    with pytest.raises(DocumentError, match="give a whole number of bytes"):
        sf.load(tmp_path / "fit.json", max_bytes=limit)


BOMBS = {
    "lists": lambda: '{"schema": "surffit.result/1", "x": [' + "[]," * 8_000_000 + "1]}",
    "objects": lambda: '{"schema": "surffit.result/1", "x": [' + "{}," * 8_000_000 + "1]}",
    "numbers": lambda: '{"schema": "surffit.result/1", "x": [' + "0," * 20_000_000 + "1]}",
    "nested": lambda: '{"schema": "surffit.result/1", "x": ' + "[" * 900_000,
    "nested objects": lambda: '{"a":' * 900_000,
    "a long text": lambda: '{"schema": "surffit.result/1", "x": "' + "a" * 30_000_000 + '"}',
    "a long number": lambda: '{"schema": "surffit.result/1", "x": ' + "9" * 30_000_000 + "}",
    "a long fraction": lambda: '{"schema": "surffit.result/1", "x": 0.' + "9" * 30_000_000 + "}",
    "blanks": lambda: '{"schema":' + " " * 30_000_000 + "1}",
    "escapes": lambda: '{"schema": "' + "\\u0061" * 5_000_000 + '"}',
    "keys": lambda: '{"schema": "surffit.result/1", ' + ", ".join(f'"k{i}": 0' for i in range(300_000)) + "}",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_texts_that_unfold(kind, within):
    text = BOMBS[kind]()
    with within(LIMIT):
        thing = outcome(lambda: io.store._reader(content := io.parse(text), "it")(content, None))
    assert isinstance(thing, DocumentError)
    assert len(str(thing)) < 1000


def test_what_would_not_be_read_is_not_written():
    with pytest.raises(DocumentError, match="commas"):
        io.dumps({"schema": "x", "values": [0] * 5_000_000})


# ---- the surroundings


def test_loading_in_threads(texts, tmp_path):
    (tmp_path / "fit.json").write_text(texts["fit"])
    (tmp_path / "bad.json").write_text(texts["fit"][:-40])
    good, bad = [], []

    def work():
        for _ in range(10):
            good.append(sf.load(tmp_path / "fit.json").best_values["b"])
            try:
                sf.load(tmp_path / "bad.json")
            except DocumentError:
                bad.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(good)) == 1
    assert (len(good), len(bad)) == (40, 40)


WATCH = """
import json, sys
from pathlib import Path
import surffit as sf
from surffit import io
from surffit.exceptions import DocumentError

cases = [Path(name) for name in sys.argv[1:]]

def use(path):
    try:
        thing = sf.load(path)
    except DocumentError:
        return
    repr(thing)

for path in cases:      # what is imported on first use is imported now
    use(path)

seen = []
def hook(event, args):
    if event == "open":
        mode, flags = args[1], args[2]
        if not (mode is None or "r" in str(mode)) or (isinstance(flags, int) and flags & 3):
            seen.append((event, str(args[0])))
    elif event == "compile":
        # ast.parse, which makes a tree and no code, says so by this name
        if args[1] not in ("<unknown>", b"<unknown>"):
            seen.append((event, str(args[1])))
    elif event.split(".")[0] in ("exec", "import", "os", "subprocess", "shutil", "socket", "ctypes", "pickle", "marshal", "code",
                                 "builtins", "tempfile", "urllib", "http", "pty", "mmap", "glob", "sqlite3", "winreg", "webbrowser"):
        if event not in ("os.listdir", "os.scandir", "builtins.id"):
            seen.append((event, str(args)[:200]))

sys.addaudithook(hook)
for path in cases:
    use(path)
exec("pass")            # the control
print(json.dumps(seen))
"""


def test_loading_causes_no_event_that_runs_or_writes(good, texts, tmp_path, canary, payloads):
    """The interpreter's own audit: nothing is executed, imported, started or opened for writing while files are read."""
    names = []
    hostile = {f"good {kind}": text.encode() for kind, text in texts.items()}
    hostile |= {f"pickle {protocol}": raw for protocol, raw in payloads.items()}
    hostile |= {kind: raw for kind, raw in OTHER_KINDS.items() if len(raw) < 10_000}
    for kind, path in ENTRIES:
        for number, expr in enumerate(EXPRESSIONS):
            if len(str(expr)) < 1000:
                hostile[f"{kind} {path[-2]} {number}"] = put(texts[kind], path, expr).encode()
    call = {"__class__": "Callable", "__name__": "mkdir", "value": payloads[2].decode("latin-1"), "importer": "os"}
    for kind, text in texts.items():
        for key in json.loads(text):
            hostile[f"callable {kind} {key}"] = put(text, (key,), call).encode()
    for name, raw in good["posterior"].items():  # its document is fit.json
        (tmp_path / name).write_bytes(raw)
    names.append("fit.json")
    for number, raw in enumerate(hostile.values()):
        names.append(f"{number}.json")
        (tmp_path / names[-1]).write_bytes(raw)
    out = subprocess.run([sys.executable, "-c", WATCH, *names], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert out.returncode == 0, out.stderr[-2000:]
    events = json.loads(out.stdout.splitlines()[-1])
    # the control itself: one compile and one exec
    assert [event for event, _ in events[-2:]] == ["compile", "exec"], events[-5:]
    assert events[:-2] == []
