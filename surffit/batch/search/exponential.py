"""
An exponential function that a compiler can take several points of at once.

The C library's is called point by point, which takes more than half of the time of a fit. This one is arithmetic without branches:
exp(x) = 2^k exp(r), with k the integer next to x / ln 2 and |r| <= ln(2) / 2, where the Taylor series to r^13 is exact to rounding.
Errors stay below one unit in the last place, NaN and inf are as they should be, and results below 1e-308 shrink to zero gradually.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

__all__ = ["exp"]

# ln 2 in two parts, the first with so few digits that its product with k is exact
HIGH = float.fromhex("0x1.62e42fefa0000p-1")
LOW = float.fromhex("0x1.cf79abc9e3b3ap-40")
# added to a number below 2^51, it leaves the nearest integer in the last bits
SHIFT = float.fromhex("0x1.8p52")
# beyond these, results are inf and 0 anyway
LEAST, MOST = -760.0, 720.0
TERMS = 13


@intrinsic
def exp(typing: Any, x: Any) -> Any:
    """e to the power of a real number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double, word = ir.DoubleType(), ir.IntType(64)
        free = ("contract",)  # products and sums may be fused, and keep their order

        def number(value: float) -> Any:
            return ir.Constant(double, value)

        def power(shifted: Any) -> Any:
            """2 to the integer in the last bits."""
            bits = builder.shl(builder.bitcast(shifted, word), ir.Constant(word, 52))
            return builder.bitcast(builder.add(bits, ir.Constant(word, 1023 << 52)), double)

        (a,) = args
        a = builder.select(builder.fcmp_ordered(">", a, number(MOST)), number(MOST), a)
        a = builder.select(builder.fcmp_ordered("<", a, number(LEAST)), number(LEAST), a)
        k = builder.fsub(builder.fadd(builder.fmul(a, number(1.0 / math.log(2.0))), number(SHIFT)), number(SHIFT))
        r = builder.fsub(a, builder.fmul(k, number(HIGH), flags=free), flags=free)
        r = builder.fsub(r, builder.fmul(k, number(LOW), flags=free), flags=free)
        series = number(1.0 / math.factorial(TERMS))
        for j in range(TERMS - 1, 1, -1):
            series = builder.fadd(builder.fmul(series, r, flags=free), number(1.0 / math.factorial(j)), flags=free)
        series = builder.fadd(builder.fmul(builder.fmul(r, r, flags=free), series, flags=free), r, flags=free)
        series = builder.fadd(series, number(1.0))
        # in two steps, as 2^k alone may be too large or too small for a number
        half = builder.fadd(builder.fmul(k, number(0.5)), number(SHIFT))
        rest = builder.fadd(builder.fsub(k, builder.fsub(half, number(SHIFT))), number(SHIFT))
        return builder.fmul(builder.fmul(series, power(half)), power(rest))

    return nb.float64(nb.float64), generate
