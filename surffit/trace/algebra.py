"""Building derivative expressions: None is a structural zero, and number factors are gathered in front of arrays.

The value of a model is replayed exactly as the user wrote it.  Derivatives are ours to write, so here ``0*x`` vanishes,
constants are multiplied out, and a product is kept as (single number) * (array), which saves passes over the data.
"""

from __future__ import annotations

from typing import Any

from surffit.exceptions import TraceError

from .builder import ARRAY, COMPLEX, Builder

Index = int | None


def sure(i: Index) -> int:
    """`i` where it can't be a structural zero."""
    if i is None:
        msg = "an expression cancelled to zero inside a derivative"
        raise TraceError(msg)
    return i


class Algebra:
    """Arithmetic on node numbers of one builder, with None for zero."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.flags = builder.flags

    def const(self, value: float | complex) -> int:
        """Node number of a constant."""
        return self.builder.constant_index(value)

    def value(self, i: int) -> Any:
        """The number a constant node holds, else None."""
        builder = self.builder
        if builder.ops[i] == "constant" and type(builder.payload[i]) is not bool:
            return builder.payload[i]
        return None

    def op(self, name: str, *args: int) -> int:
        """Any operation of the table."""
        return self.builder.apply(name, args)

    def is_complex(self, i: int) -> bool:
        """Whether node `i` is complex."""
        return bool(self.flags[i] & COMPLEX)

    def add(self, a: Index, b: Index) -> Index:
        """a + b."""
        if a is None:
            return b
        if b is None:
            return a
        if self.value(a) == 0:
            return b
        if self.value(b) == 0:
            return a
        if self.builder.ops[b] == "neg":
            return self.sub(a, self.builder.args[b][0])
        return self.op("add", a, b)

    def sub(self, a: Index, b: Index) -> Index:
        """a - b."""
        if b is None:
            return a
        if a is None:
            return self.neg(b)
        if a == b:
            return None
        if self.builder.ops[b] == "neg":
            return self.add(a, self.builder.args[b][0])
        return self.op("sub", a, b)

    def neg(self, a: Index) -> Index:
        """-a."""
        if a is None:
            return None
        return self._scaled(self.const(-1.0), a)

    def mul(self, *factors: Index) -> Index:
        """Product of all factors."""
        if any(f is None for f in factors):
            return None
        number: Index = None
        array: Index = None
        for f in factors:
            s, v = self.split(sure(f))
            number = s if number is None else number if s is None else self._times(number, s)
            array = v if array is None else array if v is None else self.op("mul", array, v)
        if array is None:
            return number
        return array if number is None else self._scaled(number, array)

    def split(self, i: int) -> tuple[Index, Index]:
        """Number part and array part of a product."""
        builder = self.builder
        if not self.flags[i] & ARRAY:
            return i, None
        if builder.ops[i] == "mul":
            a, b = builder.args[i]
            if not self.flags[a] & ARRAY:
                return a, b
        elif builder.ops[i] == "neg":
            s, v = self.split(builder.args[i][0])
            minus = self.const(-1.0)
            return (minus if s is None else self._times(minus, s)), v
        return None, i

    def _times(self, a: int, b: int) -> int:
        """Product of two numbers."""
        for x, y in ((a, b), (b, a)):
            known = self.value(x)
            if known == 1.0 and not self.is_complex(x):
                return y
            if known == -1.0 and not self.is_complex(x):
                return self._negated(y)
            if known is not None and self.builder.ops[y] == "mul":
                inner, rest = self.builder.args[y]
                if self.value(inner) is not None:
                    return self._times(self.op("mul", x, inner), rest)
        # A constant in front, so that the next one finds it.
        return self.op("mul", b, a) if self.value(b) is not None else self.op("mul", a, b)

    def _negated(self, y: int) -> int:
        builder = self.builder
        known = self.value(y)
        if known is not None:
            return self.const(-known)
        if builder.ops[y] == "mul":
            inner, rest = builder.args[y]
            number = self.value(inner)
            if number is not None:
                return self._times(self.const(-number), rest)
        return self.op("neg", y)

    def _scaled(self, number: int, array: int) -> int:
        if not self.flags[array] & ARRAY:
            return self._times(number, array)
        s, v = self.split(array)
        if s is not None:
            number = self._times(number, s)
        known = self.value(number)
        if known == 1.0 and not self.is_complex(number):
            return sure(v)
        if known == -1.0 and not self.is_complex(number):
            return self.op("neg", sure(v))
        return self.op("mul", number, sure(v))

    def div(self, a: Index, b: int) -> Index:
        """a / b."""
        if a is None:
            return None
        if self.flags[b] & ARRAY:
            s, v = self.split(a)
            if v is None:
                return self.op("div", a, b)
            quotient = self.op("div", v, b)
            return quotient if s is None else self._scaled(s, quotient)
        s, v = self.split(a)
        if v is None:
            return self.op("div", a, b)
        factor = self.op("div", self.const(1.0) if s is None else s, b)
        return self._scaled(factor, v)

    def scale(self, number: float, a: Index) -> Index:
        """number * a."""
        return None if a is None else self.mul(self.const(number), a)

    def square(self, a: int) -> int:
        """a * a."""
        return self.op("mul", a, a)

    def where(self, test: int, a: Index, b: Index) -> Index:
        """``where(test, a, b)``: the branch not taken has no say, not even as 0 * nan."""
        if a == b:
            return a
        zero = self.const(0.0)
        return self.op("select", test, zero if a is None else a, zero if b is None else b)

    def real(self, a: Index) -> Index:
        """Real part."""
        return None if a is None else self.op("real", a)

    def imag(self, a: Index) -> Index:
        """Imaginary part; None of a real node."""
        return self.op("imag", a) if a is not None and self.is_complex(a) else None
