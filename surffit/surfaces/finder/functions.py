"""Functions of one variable without parameters: powers and the logarithm, what they cost and how they are written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .points import LOG, ONE, Function, Product

# What a function costs in nats, the logarithm of how unlikely it is held before the data are seen; exp(-cost) over all
# functions sums to about one, so that it is a code for them: the plain variable is cheap, an odd power dear.
COSTS: dict[Function, float] = {
    ONE: 0.0, (1.0, 0): 1.0,
    LOG: 2.0, (2.0, 0): 2.0, (-1.0, 0): 2.0, (0.5, 0): 2.0,
    (3.0, 0): 3.0, (-2.0, 0): 3.0, (-0.5, 0): 3.0,
    (1.5, 0): 4.0, (-1.5, 0): 4.0, (-3.0, 0): 4.0, (4.0, 0): 4.0, (-4.0, 0): 4.0,
}  # fmt: skip

# The variables that polynomials are made of.
TRANSFORMS: tuple[Function, ...] = ((1.0, 0), LOG, (-1.0, 0), (0.5, 0), (2.0, 0), (-2.0, 0), (-0.5, 0))


def one_cost(function: Function) -> float:
    """Nats of a function of one variable."""
    return COSTS.get(function, 5.0 + abs(function[0]) + function[1])


def cost(product: Product) -> float:
    """Nats of a product: those of its functions."""
    return sum(one_cost(function) for function in product)


def allowed(values: np.ndarray, functions: Sequence[Function]) -> list[Function]:
    """
    Those functions that are smooth on all values.

    Parameters
    ----------
    values : ndarray
        All values of the variable.
    functions : sequence of Function
        Candidates.

    Returns
    -------
    list of Function
        Logarithms and broken powers need positive values, reciprocals values of one sign.
    """
    low, high = float(values.min()), float(values.max())
    out = []
    for power, logs in functions:
        broken = power != round(power)
        if (logs and low <= 0) or (broken and (low < 0 or (low == 0 and power < 0))) or (power < 0 and low <= 0 <= high):
            continue
        out.append((power, logs))
    return out


def closed(products: Sequence[Product]) -> bool:
    """Whether every logarithm stands beside what a change of unit adds to it (log(1000 x) = log x + log 1000)."""
    have = set(products)
    for product in products:
        for variable, (power, logs) in enumerate(product):
            if logs and (*product[:variable], (power, logs - 1), *product[variable + 1 :]) not in have:
                return False
    return True


def parts(product: Product, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """
    A product as factors above and below the fraction bar.

    Examples
    --------
    >>> parts(((1.0, 0), (-2.0, 0)), ["x", "y"])
    (['x'], ['y**2'])
    """
    above: list[str] = []
    below: list[str] = []
    for (power, logs), name in zip(product, names, strict=True):
        if logs:
            above.append(f"log({name})" + (f"**{logs}" if logs > 1 else ""))
        if power:
            size = abs(power)
            text = name if size == 1 else f"sqrt({name})" if size == 0.5 else f"{name}**{size:g}"
            (above if power > 0 else below).append(text)
    return above, below


def written(above: Sequence[str], below: Sequence[str]) -> str:
    """
    A fraction as text.

    Examples
    --------
    >>> written(["a", "x"], ["y", "sqrt(t)"])
    'a*x/(y*sqrt(t))'
    """
    top = "*".join(above) or "1"
    if not below:
        return top
    return f"{top}/{below[0]}" if len(below) == 1 else f"{top}/({'*'.join(below)})"
