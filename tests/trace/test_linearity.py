"""Which parameters are linear: right where the form is plain, and never wrongly called so."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surffit.trace.emit import compile_program
from surffit.trace.graph import Builder
from surffit.trace.linearity import linear_set

ALL = ("a", "b", "c", "d")


def found(func, varying=ALL, prefer=()):
    builder = Builder()
    x = builder.coordinate("x")
    p = {n: builder.parameter(n) for n in ALL}
    return linear_set(builder, func(x, **p), varying, prefer)


PLAIN = {
    "sum": (lambda x, a, b, c, d: a + b * x - c * np.exp(-d * x), "abc"),
    "quotient": (lambda x, a, b, c, d: (a + b * x) / (1 + c * x + d), "ab"),
    "negated": (lambda x, a, b, c, d: -(a * np.sin(x * d)) - -b + c * x, "abc"),
    "branch": (lambda x, a, b, c, d: np.where(x > 0, a * x, b) * 2 + c * d**2, "abc"),
    "branch on a parameter": (lambda x, a, b, c, d: np.where(x > d, a * x, b) + c, "abc"),
    "horner": (lambda x, a, b, c, d: a + x * (b + x * (c + x * d)), "abcd"),
    "real part": (lambda x, a, b, c, d: (a * np.exp(1j * b * x) + c * 1j).real + (c * np.exp(1j * x)).imag + d, "acd"),
    "masked": (lambda x, a, b, c, d: masked(x, a, b) + c * x + d, "abcd"),
}


def masked(x, a, b):
    y = a * x
    y[x > 1] = b
    return y


@pytest.mark.parametrize("name", PLAIN)
def test_plain_forms(name):
    func, names = PLAIN[name]
    assert found(func).names == tuple(names)


TRAPS = {
    "max": lambda x, a, b, c, d: builder_max(a) * x,
    "maximum": lambda x, a, b, c, d: np.maximum(a, -100.0) * x,
    "abs": lambda x, a, b, c, d: abs(a) * x,
    "sign": lambda x, a, b, c, d: a * np.sign(a) * x,
    "square": lambda x, a, b, c, d: a * a * x,
    "power": lambda x, a, b, c, d: a**2 * x,
    "almost one": lambda x, a, b, c, d: a**1.0000001 * x,
    "expm1": lambda x, a, b, c, d: np.expm1(a * 1e-12) * x,
    "quotient": lambda x, a, b, c, d: x / a,
    "both sides of a quotient": lambda x, a, b, c, d: a * x / (1 + a),
    "piecewise": lambda x, a, b, c, d: np.where(a > 0, a, 2 * a) * x,
    "piecewise in itself": lambda x, a, b, c, d: np.where(x > a, a * x, 0.0),
    "modulo": lambda x, a, b, c, d: (a % 100.0) * x,
    "floor": lambda x, a, b, c, d: a * np.floor(a) * x,
    "clip": lambda x, a, b, c, d: np.clip(a, -1e9, 1e9) * x,
    "test": lambda x, a, b, c, d: (x > a) * x,
    "modulus": lambda x, a, b, c, d: abs(a + 1j * x),
    "cancels (missed, safely)": lambda x, a, b, c, d: a * a / a * x,
}


def builder_max(a):
    return a._builder.call("max", a, -100.0)


@pytest.mark.parametrize("name", TRAPS)
def test_never_wrongly_linear(name):
    assert "a" not in found(TRAPS[name]).names
    assert found(TRAPS[name]).nonlinear == ("a",)


def test_products_conflict():
    result = found(lambda x, a, b, c, d: (a + b * x) * (c + d * x))
    assert result.affine == ALL
    assert set(result.conflicts) == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}
    assert result.names == ("a", "b")
    assert result.nonlinear == ("c", "d")
    assert found(lambda x, a, b, c, d: (a + b * x) * (c + d * x), prefer=("d", "c")).names == ("c", "d")
    assert found(lambda x, a, b, c, d: a * b + a * c + a * d).names == ("b", "c", "d")
    assert found(lambda x, a, b, c, d: a * b * x + c).names == ("a", "c")
    assert found(lambda x, a, b, c, d: a * b * x + c, prefer=("b",)).names == ("b", "c")


def test_known_parameters_are_numbers():
    result = found(lambda x, a, b, c, d: a * b * x + c**2, varying=("b", "d"))
    assert result.names == ("b",)
    assert result.nonlinear == ()  # d has no effect: it is neither
    assert result.affine == ("b",)


def test_the_order_is_that_of_varying():
    assert found(PLAIN["horner"][0], varying=("d", "b", "a", "c")).names == ("d", "b", "a", "c")


# -- random polynomials with their exact expansion as oracle --------------------------------------------------------------
class Polynomial(dict):
    """Exponents of (a, b, c, d, x) -> coefficient: exact, so that a cancelled term is really gone."""

    def __add__(self, other):
        out = Polynomial(self)
        for k, v in other.items():
            out[k] = out.get(k, 0) + v
        return Polynomial({k: v for k, v in out.items() if v})

    def __neg__(self):
        return Polynomial({k: -v for k, v in self.items()})

    def __mul__(self, other):
        out = Polynomial()
        for k, v in self.items():
            for m, w in other.items():
                out = out + Polynomial({tuple(i + j for i, j in zip(k, m, strict=True)): v * w})
        return out


def variable(k):
    return Polynomial({tuple(int(i == k) for i in range(5)): Fraction(1)})


tree = st.recursive(
    st.sampled_from([0, 1, 2, 3, 4]) | st.sampled_from([2.0, -0.5]),
    lambda inner: st.tuples(st.sampled_from(["+", "-", "*", "/", "neg"]), inner, inner),
    max_leaves=12,
)


def build(t, symbols, make_constant):
    if isinstance(t, int):
        return symbols[t]
    if isinstance(t, float):
        return make_constant(t)
    left, right = build(t[1], symbols, make_constant), build(t[2], symbols, make_constant)
    if t[0] == "+":
        return left + right
    if t[0] == "-":
        return left + -right
    if t[0] == "*":
        return left * right
    if t[0] == "/":
        return left * make_constant(0.25)
    return -left


def degree(poly, names):
    """Highest joint degree in some of the parameters."""
    chosen = [ALL.index(n) for n in names]
    return max((sum(k[i] for i in chosen) for k in poly), default=0)


@given(tree, st.permutations(ALL))
def test_random_polynomials(t, prefer):
    builder = Builder()
    symbols = [*(builder.parameter(n) for n in ALL), builder.coordinate("x")]
    node = build(t, symbols, builder.constant)
    exact = build(t, [variable(k) for k in range(5)], lambda v: Polynomial({(0,) * 5: Fraction(v)}))
    result = linear_set(builder, node, ALL, prefer)
    assert degree(exact, result.names) <= 1
    for name in result.affine:
        assert degree(exact, [name]) <= 1
    for i, first in enumerate(result.affine):
        for second in result.affine[i + 1 :]:
            if (first, second) not in result.conflicts:
                assert degree(exact, [first, second]) <= 1
    program = compile_program(builder, node, nonlinear=[n for n in ALL if n not in result.names], linear=result.names)
    x = np.linspace(0.5, 2, 5)
    alpha, c = [0.7] * len(program.nonlinear), [1.3, -0.4, 2.1, 0.9][: len(program.linear)]
    f0, phi = program.columns(alpha, [], [x])
    total = (0.0 if f0 is None else f0) + sum(cj * (0.0 if p is None else p) for cj, p in zip(c, phi, strict=True))
    np.testing.assert_allclose(np.broadcast_to(total, 5), np.broadcast_to(program.value(alpha, c, [], [x]), 5), rtol=1e-9, atol=1e-9)
