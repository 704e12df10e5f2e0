"""The portable form: exact there and back, and nothing else gets in."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surffit.exceptions import DocumentError, UnsafeFileError
from surffit.trace.document import from_document, to_document
from surffit.trace.graph import Builder, GraphFunction, evaluate

X = np.linspace(0.1, 4, 9)


def model(x, a, b, c):
    return np.where(x > a, -0.0, math.pi) * b + np.exp(1j * x * c).real + (a if c is None else max(a, 1e-15)) ** 2


def round_trip(graph):
    return from_document(json.loads(json.dumps(to_document(graph), allow_nan=False)))


def test_round_trip_is_exact(record):
    builder, node = record(model)
    graph = builder.graph(node)
    again = round_trip(graph)
    assert again.parameters == ("a", "b", "c")
    assert again.coordinates == ("x",)
    values = {"a": 0.3, "b": -2.0, "c": 1.1}
    np.testing.assert_array_equal(evaluate(again, values, {"x": X}), evaluate(graph, values, {"x": X}))
    assert to_document(again) == to_document(graph)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_constants_travel_with_all_bits(value):
    builder = Builder()
    graph = builder.graph(builder.constant(value))
    (_, _, again) = round_trip(graph).rows[-1]
    assert np.float64(again).tobytes() == np.float64(value).tobytes() or (math.isnan(value) and math.isnan(again))


def test_arrays_do_not_travel(record):
    builder, node = record(lambda x, a: a * np.arange(3.0))
    with pytest.raises(DocumentError, match=r"\(3,\)"):
        to_document(builder.graph(node))


def test_graph_and_function_pickle(record):
    builder, node = record(model)
    function = GraphFunction(builder.graph(node), "model", ["x"])
    again = pickle.loads(pickle.dumps(function))
    assert again.__name__ == "model"
    assert str(again.__signature__) == "(x, a, b, c)"
    np.testing.assert_array_equal(again(X, 0.3, b=2.0, c=1.0), function(x=X, a=0.3, b=2.0, c=1.0))


def good():
    builder = Builder()
    a = builder.parameter("a")
    return to_document(builder.graph(a * builder.coordinate("x") + 1.0))


def change(**entries):
    return {**good(), **entries}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        change(extra=1),
        change(schema="surffit.graph/2"),
        change(nodes=[]),
        change(nodes="mul"),
        change(output=99),
        change(output=-1),
        change(output=True),
        change(output=1.0),
        change(nodes=[["os.system", [0]]], output=0),
        change(nodes=[["exp", [0]]], output=0),
        change(nodes=[["parameter", "a"], ["exp", [1]]], output=1),
        change(nodes=[["parameter", "a"], ["exp", [2]], ["sin", [1]]], output=2),
        change(nodes=[["parameter", "a"], ["exp", [-1]]], output=1),
        change(nodes=[["parameter", "a"], ["exp", [True]]], output=1),
        change(nodes=[["parameter", "a"], ["exp", [0, 0]]], output=1),
        change(nodes=[["parameter", "a"], ["exp", 0]], output=1),
        change(nodes=[["parameter", "b"]], output=0),
        change(nodes=[["coordinate", "a"]], output=0),
        change(nodes=[["constant", "1"]], output=0),
        change(nodes=[["constant", float("nan")]], output=0),
        change(nodes=[["constant", 10**400]], output=0),
        change(nodes=[["constant", {"real": 1.0}]], output=0),
        change(nodes=[["constant", [1.0, 2.0]]], output=0),
        change(nodes=[["array", [1.0, 2.0]]], output=0),
        change(nodes=[["constant", 1.0, 2]], output=0),
        change(nodes=[[["constant"], 1.0]], output=0),
        change(nodes=[["parameter", "a"], ["gt", [0, 0]], ["sin", [1]]], output=2),
        change(nodes=[["parameter", "a"], ["constant", 2.0], ["jv", [0, 1]]], output=2),
        change(nodes=[["parameter", "a"], ["constant", 1e9], ["spherical_jn", [1, 0]]], output=2),
        change(nodes=[["constant", 1e9], ["complex_polygamma", [0, 0]]], output=1),
        change(nodes=[["constant", None], ["spherical_jn", [0, 0]]], output=1),
        change(parameters=["a", "a"]),
        change(parameters=["a", "__class__"]),
        change(parameters=["a", "b c"]),
        change(parameters=["a", "lambda"]),
        change(parameters=["a", 3]),
        change(parameters="a"),
        change(coordinates=["a"]),
    ],
)
def test_anything_odd_is_refused(document):
    with pytest.raises(UnsafeFileError):
        from_document(document)


def test_the_number_of_nodes_is_limited():
    with pytest.raises(UnsafeFileError, match="1 to 3 nodes"):
        from_document(good(), max_nodes=3)
