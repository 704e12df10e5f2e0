"""The node store: equal things once, unequal things apart, constants exact."""

import math

import numpy as np
import pytest

from surffit.exceptions import TraceError
from surffit.trace.graph import Builder, evaluate


def test_equal_nodes_are_one():
    builder = Builder()
    x, a = builder.coordinate("x"), builder.parameter("a")
    assert (np.exp(a * x) + 1)._index == (np.exp(a * x) + 1.0)._index
    assert (a * x)._index != (x * a)._index  # not reassociated
    assert builder.parameter("a")._index == a._index
    table = np.arange(4.0)
    assert builder.array(table)._index == builder.array(table.copy())._index
    assert builder.array(table)._index != builder.array(table + 1)._index


def test_the_sign_of_zero_counts():
    builder = Builder()
    plus, minus = builder.constant(0.0), builder.constant(-0.0)
    assert plus._index != minus._index
    assert math.copysign(1.0, evaluate(builder.graph(minus), {}, {})) == -1.0
    assert builder.constant(complex(0.0, -0.0))._index != builder.constant(0j)._index
    assert builder.constant(math.nan)._index == builder.constant(float("nan"))._index
    assert builder.constant(True)._index != builder.constant(1.0)._index


def test_arrays_are_copied():
    builder = Builder()
    table = np.arange(4.0)
    node = builder.array(table) * builder.parameter("a")
    table[:] = 0.0
    assert np.array_equal(evaluate(builder.graph(node), {"a": 2.0}, {}), [0.0, 2.0, 4.0, 6.0])


def test_only_exact_simplifications():
    builder = Builder()
    x = builder.coordinate("x")
    minus = -x
    for same in (1 * x, x * 1.0, x / 1, x**1, -minus, x.real, np.real(x), +x):
        assert same._index == x._index
    for other in (x + 0, x * 0, x**2, x * -1, x / 2):
        assert other._index != x._index


def test_a_name_is_either_or():
    builder = Builder()
    builder.parameter("a")
    with pytest.raises(TraceError, match="both a parameter and a coordinate"):
        builder.coordinate("a")


@pytest.mark.parametrize(
    "value", [10**400, np.float32(1.0), np.longdouble(1.0), "a", [1.0], np.ma.ones(3), np.array(["a"]), np.ones(2, "f4")]
)
def test_other_operands_are_refused(value):
    with pytest.raises(TraceError):
        Builder().lift(value)


def test_unused_names_stay_in_the_graph():
    builder = Builder()
    x = builder.coordinate("x")
    builder.parameter("b")
    a = builder.parameter("a")
    builder.coordinate("unused")
    graph = builder.graph(a * x)
    assert graph.parameters == ("b", "a")
    assert graph.coordinates == ("x", "unused")
    assert graph.portable
    assert not graph.is_complex
    with pytest.raises(TypeError, match="'a'"):
        evaluate(graph, {}, {"x": 1.0})
