"""lmfit Parameters copied without the cost of a deep copy, checked, and filled with starts."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import lmfit
from lmfit.parameter import Parameter, Parameters

from ..exceptions import ParameterError

_one_at_a_time = threading.RLock()


def copy_parameters(params: Parameters) -> Parameters:
    """
    An independent copy, as `copy.deepcopy` makes it, but without evaluating any expression on the way.

    Symbols that the user added to the expression interpreter come along.
    """
    out = type(params)()
    table = out._asteval.symtable
    for name in params._asteval.user_defined_symbols():
        if name not in params:
            table[name] = params._asteval.symtable[name]
    for name, par in params.items():
        new = Parameter.__new__(Parameter)
        new.__dict__.update(par.__dict__)
        new._expr_ast = None
        new._expr_deps = []
        new._expr_eval = out._asteval
        new.from_internal = float
        if par.correl is not None:
            new.correl = dict(par.correl)
        if par.user_data is not None:
            new.user_data = deepcopy(par.user_data)
        dict.__setitem__(out, name, new)
        table[name] = float(par._val)
    return out


def check_parameters(params: Parameters) -> None:
    """Refuse constraints that form a circle, bounds that exclude each other, and starts that aren't numbers."""
    _refuse_circles(params)
    for name, par in params.items():
        low, high = par.min, par.max
        if low > high:
            msg = f"parameter {name} has min = {low!r} above max = {high!r}; swap them"
            raise ParameterError(msg, name=name, min=low, max=high)
        if low == high:
            msg = f"parameter {name} has min == max = {low!r}; fix it with vary=False instead"
            raise ParameterError(msg, name=name, min=low, max=high)
        # lmfit's own "not set" is -inf
        if not par._expr and (math.isnan(par._val) or par._val == math.inf):
            msg = f"the start of parameter {name} is {par._val}; give it a finite number"
            raise ParameterError(msg, name=name)


def _refuse_circles(params: Parameters) -> None:
    """lmfit would follow a circle of expressions until the stack ends."""
    tied = {name: par._expr for name, par in params.items() if par._expr}
    uses = {name: [other for other in tied if re.search(rf"\b{other}\b", text)] for name, text in tied.items()}
    for first in tied:
        path = [first]
        while uses[path[-1]]:
            path.append(uses[path[-1]][0])
            if path[-1] in path[:-1]:
                circle = " -> ".join(path[path.index(path[-1]) :])
                msg = f"constraints form a circle: {circle}; break it by giving one of them a value"
                raise ParameterError(msg, circle=circle)


def with_starts(params: Parameters, starts: Mapping[str, Any]) -> None:
    """Set starts given by keyword: numbers, lmfit Parameter objects, or dicts of their attributes (in place)."""
    for name, given in starts.items():
        if isinstance(given, Parameter):
            new = deepcopy(given)
            new.name = name
            params[name] = new
        elif isinstance(given, dict):
            params[name].set(**given)
        else:
            try:
                value = float(given)
            except (TypeError, ValueError) as err:
                msg = f"the start of parameter {name} is {given!r}; give a number, an lmfit Parameter, or a dict of its attributes"
                raise ParameterError(msg, name=name) from err
            params[name].set(value=value)


def complete(model: lmfit.Model, params: Parameters | None, verbose: bool) -> Parameters:
    """A private copy of the user's parameters with the model's missing ones added."""
    if params is None:
        return model.make_params(verbose=verbose)
    if not isinstance(params, Parameters):
        msg = (
            f"params is a {type(params).__name__}; pass lmfit Parameters, e.g. model.make_params(...), or starts as keywords; "
            f"coordinates go by name: fit(data, {model.independent_vars[0] if model.independent_vars else 'x'}=...)"
        )
        raise ParameterError(msg)
    out = copy_parameters(params)
    missing = [name for name in model.param_names if name not in out]
    if missing:
        _refuse_misnamed(model, out, missing)
        defaults = model.make_params()
        for name in missing:
            if name in defaults:
                out.add(defaults[name])
    return out


def _refuse_misnamed(model: lmfit.Model, params: Parameters, missing: list[str]) -> None:
    """A name that nothing asks for, where one that the model asks for is missing: a slip whose bounds would be lost."""
    used = " ".join(par._expr for par in params.values() if par._expr)
    hinted = set(model.make_params())  # derived ones and helpers of hints too
    odd = [name for name, par in params.items() if name not in hinted and not par._expr and not re.search(rf"\b{re.escape(name)}\b", used)]
    if odd:
        msg = (
            f"params has {', '.join(odd[:8])}, which {model._name} has no parameter for, and lacks {', '.join(missing[:8])}; "
            f"its parameters are {', '.join(model.param_names[:24])}: give them these names, or remove what is too much"
        )
        raise ParameterError(msg, names=tuple(odd), missing=tuple(missing))


@contextmanager
def untouched(model: lmfit.Model) -> Iterator[None]:
    """Remember what `make_params` may change in a model, and put it back; one thread at a time, lest one remembers another's change."""
    from .structure import leaves

    with _one_at_a_time:
        before = [(leaf, list(leaf._param_names)) for leaf in leaves(model)]
        try:
            yield
        finally:
            for leaf, names in before:
                leaf._param_names = names


def snapshot(params: Parameters) -> list[tuple[Any, ...]]:
    """What defines each parameter, cheap to take and enough to rebuild it."""
    return [(name, p._val, p._vary, p.min, p.max, p._expr, p.brute_step, p.init_value, p.user_data) for name, p in params.items()]


def rebuild(params: Parameters, taken: list[tuple[Any, ...]]) -> Parameters:
    """Parameters as they were at `snapshot`, with the interpreter symbols of `params`."""
    out = copy_parameters(params)
    for name, value, vary, low, high, expr, step, init, user_data in taken:
        par = out[name]
        par.stderr = par.correl = None
        par.min, par.max, par.brute_step, par.init_value, par.user_data = low, high, step, init, user_data
        par._vary, par._expr, par._val = vary, expr, value
        out._asteval.symtable[name] = float(value)
    return out
