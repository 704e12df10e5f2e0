"""The whitelist: formulas pass, everything else is refused in one sentence."""

import cmath
import math

import lmfit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from surffit.exceptions import ExpressionError
from surffit.trace.derive import derivative
from surffit.trace.expression import FUNCTIONS, graph_of, names, parse
from surffit.trace.graph import Builder, evaluate

X, Y = np.linspace(0.5, 3, 7), np.linspace(-1, 2, 4)[:, None]


def value(text, **values):
    graph = graph_of(text, ["x", "y"])
    return evaluate(graph, values, {"x": X, "y": Y})


def test_a_formula_is_its_numpy_value():
    got = value("a1 + a2*y + (b1 + b2*y)/x**2", a1=1.0, a2=2.0, b1=3.0, b2=-4.0)
    assert np.array_equal(got, 1.0 + 2.0 * Y + (3.0 + -4.0 * Y) / X**2)
    got = value("where(x < 1 , -q*exp(-x/q), max(x, y, 0.2)) + arctan2(y, x) - +log1p(x)*pi + e", q=1.5)
    expected = np.where(X < 1, -1.5 * np.exp(-X / 1.5), np.maximum(np.maximum(X, Y), 0.2)) + np.arctan2(Y, X) - np.log1p(X) * math.pi
    assert np.array_equal(got, expected + math.e)
    assert np.array_equal(value("(0 < y < 1) * a", a=2.0), ((Y > 0) & (Y < 1)) * 2.0)


def test_names_come_in_order_of_appearance():
    assert names("b*x + a**c - sqrt(b) + pi") == ("b", "x", "a", "c")
    graph = graph_of("b*x + a**c", ["x", "unused"])
    assert graph.parameters == ("b", "a", "c")
    assert graph.coordinates == ("x", "unused")


def test_a_negative_base_with_a_fraction_is_nan():
    graph = graph_of("a**b", [])
    with np.errstate(over="ignore", invalid="ignore"):
        assert math.isnan(evaluate(graph, {"a": -2.0, "b": 0.5}, {}))
        assert evaluate(graph, {"a": 10.0, "b": 400.0}, {}) == math.inf


def test_unknown_names_are_named():
    builder = Builder()
    with pytest.raises(ExpressionError, match="'b'"):
        parse("a + b", {"a": builder.parameter("a")}.__getitem__, builder)


# of lmfit's own constraints; gamfcn and the like are lmfit's names
NUMERIC = {
    "gamfcn(a) + loggammafcn(b) - betalnfnc(a, b)": lambda a, b: special.gamma(a) + special.loggamma(b) - special.betaln(a, b),
    "erf(a)*erfc(b) + square(a)": lambda a, b: special.erf(a) * special.erfc(b) + np.square(a),
    "real(wofz((1j*a)/b))": lambda a, b: special.wofz((1j * a) / b).real,
    "imag(wofz(a + 0.5j*b))*real(a)": lambda a, b: special.wofz(a + 0.5j * b).imag * a,
    "real(loggammafcn(a + b*0.5j))": lambda a, b: special.loggamma(a + b * 0.5j).real,
    "abs(exp(2j*a) - b) + imag(a)": lambda a, b: abs(np.exp(2j * a) - b),
    "real(1j*(a - 2j*b)**2/(1 + 3j))": lambda a, b: (1j * (a - 2j * b) ** 2 / (1 + 3j)).real,
}


@pytest.mark.parametrize("text", NUMERIC)
def test_lmfits_numeric_functions(text):
    """As lmfit evaluates them, with derivatives like eighth-order differences."""
    a, b = 1.3, 0.7
    graph = graph_of(text, [])
    got = evaluate(graph, {"a": a, "b": b}, {})
    by_lmfit = lmfit.Parameters()
    by_lmfit.add_many(("a", a), ("b", b))
    by_lmfit.add("c", expr=text)
    assert got == pytest.approx(by_lmfit["c"].value, rel=4e-16)
    assert got == pytest.approx(float(NUMERIC[text](a, b)), rel=4e-16)
    builder = Builder()
    node = parse(text, builder.parameter, builder)
    for name in "ab":
        slope = evaluate(builder.graph(derivative(builder, node, name)), {"a": a, "b": b}, {})
        total = 0.0
        for k, c in enumerate((4 / 5, -1 / 5, 4 / 105, -1 / 280), start=1):
            h = 1e-2 * k
            up, down = (NUMERIC[text](a + s, b) if name == "a" else NUMERIC[text](a, b + s) for s in (h, -h))
            total += c * (up - down) / 1e-2
        assert slope == pytest.approx(float(total), rel=1e-11, abs=1e-12)  # rounding 1e-16 over the step, and its 8th power


@pytest.mark.parametrize(
    "text", ["1j*a", "a + 0j", "wofz(a)", "exp(1j*x)", "loggammafcn(a + 1j)", "where(a > 0, 1j, a)", "2j", "-3j", "1j**2"]
)
def test_a_complex_value_is_refused_with_a_remedy(text):
    with pytest.raises(ExpressionError, match=r"complex; take real\("):
        graph_of(text, ["x"])
    with pytest.raises(ExpressionError, match=r"complex; take real\("):
        names(text)


@pytest.mark.parametrize("text", [
    "1e999j", "real(1e308j*10)", "real(1/0j)", "max(1j, a)", "1j < a", "arctan2(1j, a)", "erf(1j)", "real", "a.real", "imag + 1",
    "real(a, 1)", "wofz()", "betalnfnc(a)", "real(1j)(1)", "1jj", "gamma(a)", "(1j).conjugate()",
])  # fmt: skip
def test_complex_numbers_open_no_door(text):
    with pytest.raises(ExpressionError):
        graph_of(text, [])


@given(st.complex_numbers(max_magnitude=1e3, allow_nan=False))
def test_imaginary_literals_are_read_exactly(z):
    got = evaluate(graph_of(f"real(({z.real!r} + {z.imag!r}j)*a) + imag(({z.real!r} + {z.imag!r}j)*a)", []), {"a": 2.0}, {})
    assert got == z.real * 2.0 + z.imag * 2.0
    assert cmath.isfinite(got)


HOSTILE = [
    "__import__('os').system('true')", "open('/etc/passwd')", "().__class__.__bases__[0]", "a.real", "a[0]", "'a'", "b'a'", "f'{a}'",
    "(lambda: a)()", "[a for a in x]", "{a for a in x}", "{a: 1}", "(a for a in x)", "a if b else c", "a and b", "not a", "a := 1",
    "exp", "exp + 1", "sin(exp)", "exp(x=1)", "exp(*x)", "exp(**x)", "exp(1, 2)", "exp()", "where(a, b)", "max(a)", "max()", "max(*a)",
    "eval('1')", "ones(2000000000)", "loadtxt('f')", "getattr(a, 'b')", "a(1)", "exp(1)(2)", "(exp)(1)(1)", "1j", "True", "None", "...",
    "10**10**10", "9**9**9**9", "1e999", "1e308*10", "1/0", "0/0", "(-1)**0.5", "log(0)", "9" * 400, "a@b", "a//b", "a % b", "a << 2",
    "a | b", "a & b", "~a", "a in b", "a is b", "__builtins__", "__class__", "", " ", "a b", "a;b", "a\nb", "\0", "lambda: 0", "yield a",
    "await a", "a,", "(a, b)", "[a]", "*a", "import os", "a = 1", "-" * 300 + "a", "a" * 501, "+".join("a" * 150), "(" * 250 + ")" * 240,
    "sin(x > 1)", "exp.__class__", "pi()", "e(1)",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_attacks_are_refused(text):
    with pytest.raises(ExpressionError) as caught:
        graph_of(text, ["x"])
    sentence = str(caught.value)
    assert "\n" not in sentence.replace(repr(text), "")
    assert len(sentence) < 500
    assert caught.value.text == text


@pytest.mark.parametrize("text", [3, None, b"a"])
def test_only_text_is_an_expression(text):
    with pytest.raises(ExpressionError):
        names(text)


@pytest.mark.parametrize("name", ["exp", "pi", "e", "2x", "lambda", 3])
def test_coordinates_need_a_free_name(name):
    with pytest.raises(ExpressionError):
        graph_of("a", [name])


WORDS = [*FUNCTIONS, "a", "x", "1", "2.5", "(", ")", "[", "]", ".", ",", "+", "-", "**", "*", "/", "<", "==", "'", "lambda", ":", " if ",
         " else ", " for ", " in ", "__import__", "os", "=", ":=", "@", "~", "1e400", "{", "}", "\\", "#", "\n", "é", "pi"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_a_formula_or_an_expression_error(text):
    try:
        graph = graph_of(text, ["x"])
    except ExpressionError:
        return
    assert set("[]{}'\"@~\\:").isdisjoint(text.split("#")[0])
    with np.errstate(all="ignore"):
        evaluate(graph, dict.fromkeys(graph.parameters, 0.5), {"x": X})
