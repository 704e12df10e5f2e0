"""Recording functions, for the tests of this folder."""

import inspect

import numpy as np
import pytest

from surffit.trace.emit import compile_program
from surffit.trace.graph import Builder, trace_call


@pytest.fixture
def record():
    """A function (func, coords, static) -> (builder, node) that records one call."""

    def call(func, coords=("x",), **static):
        builder = Builder()
        kwargs = {}
        for name in inspect.signature(func).parameters:
            if name in coords:
                kwargs[name] = builder.coordinate(name)
            elif name in static:
                kwargs[name] = static[name]
            else:
                kwargs[name] = builder.parameter(name)
        return builder, trace_call(builder, func, kwargs)

    return call


@pytest.fixture
def program(record):
    """A function (func, coords, static) -> (builder, node, program) with all parameters non-linear."""

    def make(func, coords=("x",), **static):
        builder, node = record(func, coords, **static)
        return builder, node, compile_program(builder, node, nonlinear=tuple(builder.parameters), linear=())

    return make


@pytest.fixture
def central():
    """Eighth-order central difference of a function of a vector, by entry j."""

    def difference(func, p, j, step=2e-3):
        h = step * max(abs(p[j]), 0.05)
        total = 0.0
        for k, c in enumerate((4 / 5, -1 / 5, 4 / 105, -1 / 280), start=1):
            up, down = list(p), list(p)
            up[j] += k * h
            down[j] -= k * h
            total = total + c * (np.asarray(func(up)) - np.asarray(func(down)))
        return total / h

    return difference
