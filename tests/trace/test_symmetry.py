"""Which parameters of an expression can be exchanged: found from its graph, proved, and never claimed without proof."""

import itertools

import numpy as np
import pytest

from surffit.trace.expression import parse
from surffit.trace.graph import Builder
from surffit.trace.symmetry import exchangeable, forms_of_graph


def families(text, variables=("x",), labels=None):
    builder = Builder()
    coords = {name: builder.coordinate(name) for name in variables}
    node = parse(text, lambda name: coords[name] if name in coords else builder.parameter(name), builder)
    names = tuple(builder.parameters)
    given = dict.fromkeys(names, 0) | (labels or {})
    return exchangeable(forms_of_graph(builder, node), {name: label for name, label in given.items() if label is not None})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a*exp(-k*x) + b*exp(-l*x)", [{("a", "k"), ("b", "l")}]),
        ("c + b*exp(-x*l) + a*exp(-x*k)", [{("b", "l"), ("a", "k")}]),
        ("a*exp(-k*x) + (b*exp(-l*x) + (c*exp(-m*x) + d))", [{("a", "k"), ("b", "l"), ("c", "m")}]),
        ("a*exp(-((x-p)/w)**2) + b*exp(-((x-q)/w)**2)", [{("a", "p"), ("b", "q")}]),  # one width for both
        # groups that spread over several terms
        ("a*cos(x/p) + b*sin(x/p) + c*cos(x/q) + d*sin(x/q)", [{("a", "p", "b"), ("c", "q", "d")}]),
        ("1/(1 + a*exp(-k*x) + b*exp(-l*x))", [{("a", "k"), ("b", "l")}]),  # not at the top
        ("exp(-k*x)/(1 + s*x) * exp(-l*x)/(1 + t*x)", [{("k",), ("l",)}, {("s",), ("t",)}]),
        ("a*exp(-k*x) - (0 - b*exp(-l*x))", [{("a", "k"), ("b", "l")}]),
        # two families beside each other
        ("a*exp(-k*x) + b*exp(-l*x) + c/(1 + (x-p)**2) + d/(1 + (x-q)**2)", [{("a", "k"), ("b", "l")}, {("c", "p"), ("d", "q")}]),
        ("max(a, b) + hold", []),  # which one is larger is asked for, not which is which: ties keep the first
    ],
)
def test_found(text, expected):
    assert [set(family) for family in families(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-k*x) - b*exp(-l*x)",  # of opposite sign
        "a*exp(-k*x) + b*exp(-2*l*x)",  # another scale
        "a*exp(-k*x) + b*exp(-l*x**2)",
        "a*exp(-k*x) + b*exp(-l*x) + a",  # one of them stands elsewhere, too
        "a + b*x",
        "a**b",
        "a/b*x",
        "(x-a)/(x-b)",
        "a*exp(-k*x) + b*exp(-k*x)*x",
    ],
)
def test_near_misses(text):
    assert families(text) == ()


def test_labels_separate():
    text = "a*exp(-k*x) + b*exp(-l*x) + c*exp(-m*x)"
    assert [set(f) for f in families(text, labels={"k": (0, 1)})] == [{("b", "l"), ("c", "m")}]
    assert families(text, labels={"a": None, "l": None}) == ()  # of two fixed ones, each keeps its partner from moving


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-k*x) + b*exp(-l*x) + c*exp(-m*x) + d",
        "a*cos(x/p) + b*sin(x/p) + c*cos(x/q) + d*sin(x/q)",
        "sqrt(1 + (a*x)**2/(1 + k) + (b*x)**2/(1 + l))",
        "1/(1/(a + x*k) + 1/(b + x*l))",
    ],
)
def test_every_exchange_leaves_the_value(text, rng):
    builder = Builder()
    x = builder.coordinate("x")
    node = parse(text, lambda name: x if name == "x" else builder.parameter(name), builder)
    found = exchangeable(forms_of_graph(builder, node), dict.fromkeys(builder.parameters, 0))
    assert found
    graph = builder.graph(node)
    from surffit.trace.function import GraphFunction

    function = GraphFunction(graph)
    values = {name: rng.uniform(0.5, 2) for name in graph.parameters}
    grid = np.linspace(0.1, 3, 7)
    here = function(x=grid, **values)
    for family in found:
        for order in itertools.permutations(family):
            moved = dict(values)
            for place, block in zip(family, order, strict=True):
                moved |= {to: values[name] for to, name in zip(place, block, strict=True)}
            np.testing.assert_allclose(function(x=grid, **moved), here, rtol=1e-14)


def test_many_terms_are_quick():
    from time import perf_counter

    builder = Builder()
    x = builder.coordinate("x")
    node = sum(
        builder.parameter(f"a{i}") * np.exp(-(((x - builder.parameter(f"c{i}")) / builder.parameter(f"w{i}")) ** 2)) for i in range(30)
    )
    forms = forms_of_graph(builder, node)
    begin = perf_counter()
    (family,) = exchangeable(forms, dict.fromkeys(builder.parameters, 0))
    assert perf_counter() - begin < 5.0
    assert len(family) == 30
    assert set(family) == {(f"a{i}", f"c{i}", f"w{i}") for i in range(30)}


def test_a_sum_doubled_without_end_is_left_alone():
    builder = Builder()
    node = builder.parameter("a") + builder.parameter("b") * builder.coordinate("x")
    for _ in range(60):
        node = node + node * 1.5 + node
    forms = forms_of_graph(builder, node)
    assert forms is None
