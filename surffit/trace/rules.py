"""Derivative rules of the operations.

A rule gets the algebra `A`, the number `e` of the node itself, its arguments and their derivatives (None: structurally
zero), and returns the derivative's number or None.  Every form is chosen so that it stays finite where the true
derivative is: ``x**b`` at x = 0, the logistic function once ``exp`` overflows, masked branches that are nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from .algebra import Algebra, Index, sure

Rule = Callable[[Algebra, int, tuple[int, ...], tuple[Index, ...]], Index]

ZERO = frozenset({
    "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "invert", "isnan", "isfinite", "isinf", "signbit",
    "logical_not", "logical_and", "logical_or", "logical_xor", "sign", "floor", "ceil", "rint", "trunc", "floordiv",
})  # fmt: skip
"""Piecewise constant operations: the derivative is zero wherever it exists."""

_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


# -- the exponential that overflows in a denominator -------------------------------------------------------------------
def exp_split(A: Algebra, i: int) -> tuple[int, int, int] | None:
    """(a, z, k) with node i = a*exp(z) + k, for sums with one exponential and k not 0; None for anything else."""
    ops, args = A.builder.ops, A.builder.args
    if ops[i] not in ("add", "sub"):
        return None
    left, right = args[i]
    sign = 1.0 if ops[i] == "add" else -1.0
    for part, rest, s, r in ((left, right, 1.0, sign), (right, left, sign, 1.0)):
        found = _exponential(A, part)
        if found is not None:
            k = rest if r > 0 else A.neg(rest)
            a = found[0] if s > 0 else A.neg(found[0])
            return None if A.value(rest) == 0 else (sure(a), found[1], sure(k))
        inner = exp_split(A, part)
        if inner is not None:
            a, z, k = inner
            total = A.add(k if s > 0 else A.neg(k), rest if r > 0 else A.neg(rest))
            if total is None or A.value(total) == 0:
                return None
            return sure(a if s > 0 else A.neg(a)), z, total
    return None


def _exponential(A: Algebra, i: int) -> tuple[int, int] | None:
    """(a, z) with node i = a*exp(z)."""
    ops, args = A.builder.ops, A.builder.args
    if ops[i] in ("exp", "math.exp"):
        return A.const(1.0), args[i][0]
    if ops[i] == "mul":
        for part, other in (args[i], args[i][::-1]):
            if ops[part] in ("exp", "math.exp"):
                return other, args[part][0]
    return None


def log_derivative(A: Algebra, b: int, db: Index, derive: Callable[[int], Index]) -> Index:
    """b'/b; for b = a exp(z) + k as (a' + a z') / (a + k exp(-z)) + k'/b, finite where exp(z) overflows."""
    if db is None:
        return None
    split = exp_split(A, b)
    if split is None:
        return A.div(db, b)
    a, z, k = split
    dz, da, dk = derive(z), derive(a), derive(k)
    grown = A.add(da, A.mul(a, dz))
    if grown is None:
        return A.div(dk, b)
    if A.value(a) == 1.0 and A.value(k) == 1.0 and not A.is_complex(z) and not A.is_complex(k):
        share: Index = A.mul(grown, A.op("expit", z))
    else:
        decay = A.op("exp", sure(A.neg(z)))
        share = A.div(grown, sure(A.add(a, A.mul(k, decay))))
    return A.add(share, A.div(dk, b))


# -- arithmetic --------------------------------------------------------------------------------------------------------
def _add(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.add(d[0], d[1])


def _sub(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.sub(d[0], d[1])


def _mul(A: Algebra, e: int, x: Any, d: Any) -> Index:
    if x[0] == x[1]:
        return A.mul(A.const(2.0), x[0], d[0])
    return A.add(A.mul(d[0], x[1]), A.mul(x[0], d[1]))


def _neg(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.neg(d[0])


def _mod(A: Algebra, e: int, x: Any, d: Any) -> Index:
    whole = A.op("floordiv", x[0], x[1])
    return A.sub(d[0], A.mul(whole, d[1]))


def _fmod(A: Algebra, e: int, x: Any, d: Any) -> Index:
    whole = A.op("trunc", A.op("div", x[0], x[1]))
    return A.sub(d[0], A.mul(whole, d[1]))


def _power(A: Algebra, e: int, x: Any, d: Any, derive: Callable[[int], Index]) -> Index:
    a, b = x
    out: Index = None
    if d[0] is not None:
        split = exp_split(A, a)
        if split is not None:
            # (1 + exp z)**b: a**(b-1) * a' is inf * 0 where exp overflows
            out = A.mul(b, e, log_derivative(A, a, d[0], derive))
        else:
            out = A.mul(b, _lower_power(A, a, b), d[0])
    if d[1] is not None:
        known = A.value(a)
        if known is not None and not isinstance(known, complex) and known > 0:
            out = A.add(out, A.mul(A.const(math.log(known)), e, d[1]))
        else:
            out = A.add(out, A.mul(A.op("xlogy", e, a), d[1]))
    return out


def _lower_power(A: Algebra, a: int, b: int) -> Index:
    """a**(b-1)."""
    known = A.value(b)
    if known is None or isinstance(known, complex):
        return A.op("pow", a, A.op("sub", b, A.const(1.0)))
    if known == 0.0:
        return None
    if known == 1.0:
        return A.const(1.0)
    if known == 2.0:
        return a
    return A.op("pow", a, A.const(known - 1.0))


def _first_wins(test: str) -> Rule:
    def rule(A: Algebra, e: int, x: Any, d: Any) -> Index:
        return A.where(A.op(test, x[0], x[1]), d[0], d[1])

    return rule


def _fextreme(test: str) -> Rule:
    def rule(A: Algebra, e: int, x: Any, d: Any) -> Index:
        # fmax and fmin ignore a nan, so that the other argument is then the value.
        keep = A.op("logical_or", A.op(test, x[0], x[1]), A.op("isnan", x[1]))
        return A.where(keep, d[0], d[1])

    return rule


def _select(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.where(x[0], d[1], d[2])


def _abs(A: Algebra, e: int, x: Any, d: Any) -> Index:
    if not A.is_complex(x[0]):
        return A.mul(A.op("sign", x[0]), d[0])
    along = A.real(A.mul(A.op("conjugate", x[0]), d[0]))
    return A.where(A.op("eq", e, A.const(0.0)), None, A.div(along, e))


def _part(name: str) -> Rule:
    def rule(A: Algebra, e: int, x: Any, d: Any) -> Index:
        if name == "imag":
            return A.imag(d[0])
        return A.op(name, d[0]) if d[0] is not None else None

    return rule


def _copysign(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.mul(A.op("copysign", A.const(1.0), x[1]), A.op("sign", x[0]), d[0])


def _hypot(A: Algebra, e: int, x: Any, d: Any) -> Index:
    pull = A.add(A.mul(x[0], d[0]), A.mul(x[1], d[1]))
    return A.where(A.op("eq", e, A.const(0.0)), None, A.div(pull, e)) if pull is not None else None


def _arctan2(A: Algebra, e: int, x: Any, d: Any) -> Index:
    y, w = x
    turn = A.sub(A.mul(w, d[0]), A.mul(y, d[1]))
    return A.div(turn, A.op("add", A.square(y), A.square(w)))


def _heaviside(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.where(A.op("eq", x[0], A.const(0.0)), d[1], None) if d[1] is not None else None


def _logaddexp(scale: float) -> Rule:
    def rule(A: Algebra, e: int, x: Any, d: Any) -> Index:
        gap = A.scale(scale, A.op("sub", x[0], x[1]))
        first = sure(gap)
        return A.add(A.mul(A.op("expit", first), d[0]), A.mul(A.op("expit", sure(A.neg(first))), d[1]))

    return rule


def _xlogy(A: Algebra, e: int, x: Any, d: Any) -> Index:
    u, v = x
    # u' log(v) as xlogy(u', v): where u and v vanish together (u = v**b), u' vanishes too.
    out = A.op("xlogy", d[0], v) if d[0] is not None else None
    if d[1] is not None:
        out = A.add(out, A.where(A.op("eq", u, A.const(0.0)), None, A.mul(u, A.div(d[1], v))))
    return out


def _xlog1py(A: Algebra, e: int, x: Any, d: Any) -> Index:
    u, v = x
    out = A.op("xlog1py", d[0], v) if d[0] is not None else None
    if d[1] is not None:
        out = A.add(out, A.mul(u, A.div(d[1], A.op("add", A.const(1.0), v))))
    return out


# -- functions of one argument: the outer derivative, from the value e where that is exact --------------------------------
Outer = Callable[[Algebra, int, int], int]


def _inverse(A: Algebra, i: int) -> int:
    return A.op("div", A.const(1.0), i)


def _one_minus_square(A: Algebra, a: int) -> int:
    one = A.const(1.0)
    return A.op("mul", A.op("sub", one, a), A.op("add", one, a))


def _gauss(A: Algebra, a: int, scale: float, factor: float) -> int:
    """factor * exp(scale * a**2)."""
    return sure(A.scale(factor, A.op("exp", sure(A.scale(scale, A.square(a))))))


def _tanh(A: Algebra, e: int, a: int) -> int:
    if A.is_complex(a):
        return A.op("sub", A.const(1.0), A.square(e))
    # 1 - tanh^2 cancels in the wings; 4 s(2a) s(-2a) does not.
    two = sure(A.scale(2.0, a))
    return sure(A.mul(A.const(4.0), A.op("expit", two), A.op("expit", sure(A.neg(two)))))


def _erfcx(A: Algebra, e: int, a: int) -> int:
    near = sure(A.sub(A.mul(A.const(2.0), a, e), A.const(_TWO_OVER_SQRT_PI)))
    if A.is_complex(a):
        return near
    # 2 a e - 2/sqrt(pi) cancels for large a; there the asymptotic series (A&S 7.1.23), differentiated.
    r = _inverse(A, A.square(a))
    series = A.const(945 / 16)
    for c in (-105 / 8, 15 / 4, -3 / 2, 1.0):
        series = A.op("add", A.const(c), A.op("mul", r, series))
    far = sure(A.mul(A.const(-1 / math.sqrt(math.pi)), r, series))
    return A.op("select", A.op("gt", a, A.const(50.0)), far, near)


def _psi(A: Algebra, e: int, a: int) -> int:
    return A.op("complex_polygamma" if A.is_complex(a) else "polygamma", A.const(1.0), a)


def _bessel(A: Algebra, name: str, order: float, x: int) -> int:
    return A.op(name, A.const(order), x)


def _half_difference(low: int, high: int, A: Algebra, sign: float = -1.0, scale: float = 0.5) -> int:
    return sure(A.scale(scale, A.add(low, A.scale(sign, high))))


def _sinc(A: Algebra, e: int, a: int) -> int:
    # sinc(a) = j0(pi a) with the spherical Bessel functions, and j0' = -j1
    return sure(A.scale(-math.pi, A.op("spherical_jn", A.const(1.0), sure(A.scale(math.pi, a)))))


def _log_ndtr(A: Algebra, e: int, a: int) -> int:
    exponent = A.op("sub", sure(A.scale(-0.5, A.square(a))), e)
    return sure(A.scale(1 / math.sqrt(2 * math.pi), A.op("exp", exponent)))


OUTER: MappingProxyType[str, Outer] = MappingProxyType({
    "exp": lambda A, e, a: e,
    "exp2": lambda A, e, a: sure(A.scale(math.log(2.0), e)),
    "exp10": lambda A, e, a: sure(A.scale(math.log(10.0), e)),
    "expm1": lambda A, e, a: A.op("exp", a),
    "sqrt": lambda A, e, a: A.op("div", A.const(0.5), e),
    "cbrt": lambda A, e, a: A.op("div", A.const(1 / 3), A.square(e)),
    "square": lambda A, e, a: sure(A.scale(2.0, a)),
    "reciprocal": lambda A, e, a: sure(A.neg(A.square(e))),
    "sin": lambda A, e, a: A.op("cos", a),
    "cos": lambda A, e, a: sure(A.neg(A.op("sin", a))),
    "tan": lambda A, e, a: A.op("add", A.const(1.0), A.square(e)),
    "sinh": lambda A, e, a: A.op("cosh", a),
    "cosh": lambda A, e, a: A.op("sinh", a),
    "tanh": _tanh,
    "arcsin": lambda A, e, a: _inverse(A, A.op("sqrt", _one_minus_square(A, a))),
    "arccos": lambda A, e, a: A.op("div", A.const(-1.0), A.op("sqrt", _one_minus_square(A, a))),
    "arctan": lambda A, e, a: _inverse(A, A.op("add", A.const(1.0), A.square(a))),
    "arcsinh": lambda A, e, a: _inverse(A, A.op("sqrt", A.op("add", A.const(1.0), A.square(a)))),
    "arccosh": lambda A, e, a: _inverse(
        A, A.op("mul", A.op("sqrt", A.op("sub", a, A.const(1.0))), A.op("sqrt", A.op("add", a, A.const(1.0))))
    ),
    "arctanh": lambda A, e, a: _inverse(A, _one_minus_square(A, a)),
    "deg2rad": lambda A, e, a: A.const(math.pi / 180),
    "radians": lambda A, e, a: A.const(math.pi / 180),
    "rad2deg": lambda A, e, a: A.const(180 / math.pi),
    "degrees": lambda A, e, a: A.const(180 / math.pi),
    "positive": lambda A, e, a: A.const(1.0),
    "fabs": lambda A, e, a: A.op("sign", a),
    "np.sinc": _sinc,
    "erf": lambda A, e, a: _gauss(A, a, -1.0, _TWO_OVER_SQRT_PI),
    "erfc": lambda A, e, a: _gauss(A, a, -1.0, -_TWO_OVER_SQRT_PI),
    "erfi": lambda A, e, a: _gauss(A, a, 1.0, _TWO_OVER_SQRT_PI),
    "erfcx": _erfcx,
    "erfinv": lambda A, e, a: _gauss(A, e, 1.0, 1 / _TWO_OVER_SQRT_PI),
    "erfcinv": lambda A, e, a: _gauss(A, e, 1.0, -1 / _TWO_OVER_SQRT_PI),
    "dawsn": lambda A, e, a: sure(A.sub(A.const(1.0), A.mul(A.const(2.0), a, e))),
    "ndtr": lambda A, e, a: _gauss(A, a, -0.5, 1 / math.sqrt(2 * math.pi)),
    "ndtri": lambda A, e, a: _gauss(A, e, 0.5, math.sqrt(2 * math.pi)),
    "log_ndtr": _log_ndtr,
    "wofz": lambda A, e, a: sure(A.add(A.mul(A.const(-2.0), a, e), A.const(complex(0.0, _TWO_OVER_SQRT_PI)))),
    "expit": lambda A, e, a: A.op("mul", e, A.op("expit", sure(A.neg(a)))),
    "log_expit": lambda A, e, a: A.op("expit", sure(A.neg(a))),
    "logit": lambda A, e, a: _inverse(A, A.op("mul", a, A.op("sub", A.const(1.0), a))),
    "gamma": lambda A, e, a: A.op("mul", e, A.op("psi", a)),
    "rgamma": lambda A, e, a: sure(A.neg(A.op("mul", e, A.op("psi", a)))),
    "gammaln": lambda A, e, a: A.op("psi", a),
    "loggamma": lambda A, e, a: A.op("psi", a),
    "psi": _psi,
    "exp1": lambda A, e, a: A.op("div", sure(A.neg(A.op("exp", sure(A.neg(a))))), a),
    "expi": lambda A, e, a: A.op("div", A.op("exp", a), a),
    "j0": lambda A, e, a: sure(A.neg(A.op("j1", a))),
    # j1/x has a limit at 0 that the recurrence does not need
    "j1": lambda A, e, a: _half_difference(A.op("j0", a), _bessel(A, "jv", 2.0, a), A),
    "y0": lambda A, e, a: sure(A.neg(A.op("y1", a))),
    "y1": lambda A, e, a: _half_difference(A.op("y0", a), _bessel(A, "yv", 2.0, a), A),
    "i0": lambda A, e, a: A.op("i1", a),
    "i1": lambda A, e, a: _half_difference(A.op("i0", a), _bessel(A, "iv", 2.0, a), A, 1.0),
    "i0e": lambda A, e, a: A.op("sub", A.op("i1e", a), A.op("mul", A.op("sign", a), e)),
    "k0": lambda A, e, a: sure(A.neg(A.op("k1", a))),
    "k1": lambda A, e, a: _half_difference(A.op("k0", a), _bessel(A, "kv", 2.0, a), A, 1.0, -0.5),
    "i1e": lambda A, e, a: A.op(
        "sub",
        sure(A.scale(0.5, A.op("add", A.op("i0e", a), A.op("mul", A.op("exp", sure(A.neg(A.op("abs", a)))), _bessel(A, "iv", 2.0, a))))),
        A.op("mul", A.op("sign", a), e),
    ),
})  # fmt: skip


def _log(base: float) -> Callable[..., Index]:
    def rule(A: Algebra, e: int, x: Any, d: Any, derive: Callable[[int], Index]) -> Index:
        return A.scale(1.0 / base, log_derivative(A, x[0], d[0], derive)) if d[0] is not None else None

    return rule


def _log1p(A: Algebra, e: int, x: Any, d: Any, derive: Callable[[int], Index]) -> Index:
    return log_derivative(A, A.op("add", A.const(1.0), x[0]), d[0], derive) if d[0] is not None else None


def _div(A: Algebra, e: int, x: Any, d: Any, derive: Callable[[int], Index]) -> Index:
    a, b = x
    if d[1] is None:
        return A.div(d[0], b)
    split = exp_split(A, b)
    if split is None:
        return A.div(A.sub(d[0], A.mul(e, d[1])), b)
    if A.value(split[0]) == 1.0 and A.value(split[2]) == 1.0 and not A.is_complex(e):
        # c/(1 + exp z) = c s(-z), whose derivative is -c s(-z) s(z) z'
        z = split[1]
        falling = A.op("expit", sure(A.neg(z)))
        slope = A.mul(a, falling, A.op("expit", z), derive(z))
        return A.sub(A.mul(d[0], falling), slope)
    return A.sub(A.div(d[0], b), A.mul(e, log_derivative(A, b, d[1], derive)))


# -- functions of several arguments -------------------------------------------------------------------------------------
def _betaln(A: Algebra, x: Any, d: Any) -> Index:
    both = A.op("psi", A.op("add", x[0], x[1]))
    out: Index = None
    for a, da in zip(x, d, strict=True):
        if da is not None:
            out = A.add(out, A.mul(A.op("sub", A.op("psi", a), both), da))
    return out


def _beta(A: Algebra, e: int, x: Any, d: Any) -> Index:
    return A.mul(e, _betaln(A, x, d))


def _ordered(lower: str, upper_sign: float, scale: float) -> Rule:
    """d/dx of a Bessel function of fixed order n: scale * (f_{n-1} + upper_sign * f_{n+1})."""

    def rule(A: Algebra, e: int, x: Any, d: Any) -> Index:
        n = A.value(x[0])
        low, high = _bessel(A, lower, n - 1.0, x[1]), _bessel(A, lower, n + 1.0, x[1])
        return A.mul(_half_difference(low, high, A, upper_sign, scale), d[1])

    return rule


def _spherical(A: Algebra, e: int, x: Any, d: Any) -> Index:
    n = A.value(x[0])
    high = _bessel(A, "spherical_jn", n + 1.0, x[1])
    if n == 0.0:
        return A.mul(A.const(-1.0), high, d[1])
    low = _bessel(A, "spherical_jn", n - 1.0, x[1])
    slope = A.sub(A.scale(n / (2 * n + 1), low), A.scale((n + 1) / (2 * n + 1), high))
    return A.mul(slope, d[1])


def _next_order(A: Algebra, e: int, x: Any, d: Any) -> Index:
    name = A.builder.ops[e]
    return A.mul(A.op(name, A.op("add", x[0], A.const(1.0)), x[1]), d[1])


def _gammainc(sign: float) -> Rule:
    def rule(A: Algebra, e: int, x: Any, d: Any) -> Index:
        a, t = x
        # t**(a-1) exp(-t) / Gamma(a), through the logarithm so that large a stays finite
        exponent = A.op("sub", A.op("sub", A.op("xlogy", A.op("sub", a, A.const(1.0)), t), t), A.op("gammaln", a))
        return A.mul(A.const(sign), A.op("exp", exponent), d[1])

    return rule


def _hyp0f1(A: Algebra, e: int, x: Any, d: Any) -> Index:
    # analytic at 0, as 2 j1(u)/u = 0F1(2, -u^2/4) written with j1 is not
    order = A.value(x[0])
    return A.mul(A.scale(1.0 / order, A.op("hyp0f1", A.const(order + 1.0), x[1])), d[1])


def _voigt_profile(A: Algebra, e: int, x: Any, d: Any) -> Index:
    # V = Re w(z) / (sigma sqrt(2 pi)), z = (x + i gamma)/(sigma sqrt 2)
    position, sigma, gamma = x
    width = sure(A.scale(math.sqrt(2.0), sigma))
    i = A.const(1j)
    z = A.op("div", A.op("add", position, A.op("mul", i, gamma)), width)
    dz = A.div(A.add(d[0], A.mul(i, d[2])), width)
    if d[1] is not None:
        dz = A.sub(dz, A.mul(A.op("div", z, sigma), d[1]))
    w = A.op("wofz", z)
    slope = A.real(A.mul(OUTER["wofz"](A, w, z), dz))
    out = A.div(slope, sure(A.scale(math.sqrt(2 * math.pi), sigma)))
    return A.sub(out, A.div(A.mul(e, d[1]), sigma))


RULES: MappingProxyType[str, Rule] = MappingProxyType({
    "add": _add, "sub": _sub, "mul": _mul, "neg": _neg, "mod": _mod, "fmod": _fmod,
    "max": _first_wins("ge"), "maximum": _first_wins("ge"), "min": _first_wins("le"), "minimum": _first_wins("le"),
    "fmax": _fextreme("ge"), "fmin": _fextreme("le"), "select": _select, "abs": _abs, "real": _part("real"),
    "imag": _part("imag"), "conjugate": _part("conjugate"), "copysign": _copysign, "hypot": _hypot,
    "arctan2": _arctan2, "heaviside": _heaviside, "logaddexp": _logaddexp(1.0), "logaddexp2": _logaddexp(math.log(2.0)),
    "xlogy": _xlogy, "xlog1py": _xlog1py, "beta": _beta, "betaln": lambda A, e, x, d: _betaln(A, x, d),
    "jv": _ordered("jv", -1.0, 0.5), "yv": _ordered("yv", -1.0, 0.5), "iv": _ordered("iv", 1.0, 0.5),
    "kv": _ordered("kv", 1.0, -0.5), "spherical_jn": _spherical, "polygamma": _next_order,
    "complex_polygamma": _next_order, "gammainc": _gammainc(1.0), "gammaincc": _gammainc(-1.0),
    "hyp0f1": _hyp0f1, "voigt_profile": _voigt_profile,
})  # fmt: skip

# These look below their arguments, so they also get the function that derives a node.
DEEP_RULES: MappingProxyType[str, Callable[..., Index]] = MappingProxyType({
    "div": _div, "pow": _power, "power": _power, "float_power": _power, "log": _log(1.0), "log2": _log(math.log(2.0)),
    "log10": _log(math.log(10.0)), "log1p": _log1p,
})  # fmt: skip
