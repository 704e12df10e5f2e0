"""Names in a joint model: which parameter of which part is called what, and each part's own view of common Parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lmfit
from lmfit.parameter import Parameter, Parameters

from ..exceptions import ParameterError
from .joint_data import quoted
from .structure import asked_for

# a name that is neither part of a longer one, nor of a number, nor an attribute
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def renamed(text: str, names: Mapping[str, str]) -> str:
    """An expression with its names replaced."""
    return NAME.sub(lambda found: names.get(found[0], found[0]), text)


def names_in(text: str) -> list[str]:
    """Names that an expression mentions."""
    return NAME.findall(text)


def as_parts(models: Any) -> dict[str, Any]:
    """Models by key; those of a list are called d0, d1, ..."""
    if isinstance(models, lmfit.Model) or callable(models):
        msg = "JointModel takes several models: a dict such as {'r': model_r, 'w1': model_w1}, or a list"
        raise ParameterError(msg)
    named = dict(models) if isinstance(models, Mapping) else {f"d{i}": model for i, model in enumerate(models)}
    if not named:
        msg = "JointModel needs at least one model; pass a dict such as {'r': model_r, 'w1': model_w1}, or a list"
        raise ParameterError(msg)
    for key, model in named.items():
        if not (isinstance(key, str) and key.isidentifier()):
            msg = f"the key {key!r} is not an identifier, but parameters are called key_name; use letters, digits and underscores"
            raise ParameterError(msg, key=key)
        if not isinstance(model, lmfit.Model):
            kind = type(model).__name__
            msg = f"the model of {key!r} is a {kind}, not a model; wrap a function with SurfaceModel(func, independent_vars=[...])"
            raise ParameterError(msg, key=key)
        if hasattr(model, "parts"):
            msg = f"the model of {key!r} is a JointModel itself; put all the data sets into one JointModel"
            raise ParameterError(msg, key=key)
    return named


class Names:
    """
    Joint names of the parameters of all parts.

    Parameters
    ----------
    own : dict of str to sequence of str
        Names of the parameters of each part (prefixes included), those of hints too.
    shared : sequence of str
        Those that are one parameter for all parts that have them.

    Attributes
    ----------
    joint : dict of str to dict of str to str
        key: {own name: joint name}.
    """

    def __init__(self, own: Mapping[str, Sequence[str]], shared: Sequence[str]) -> None:
        self.shared = tuple(shared)
        self.joint: dict[str, dict[str, str]] = {}
        self._refuse_shared(own)
        owner: dict[str, tuple[str, str]] = {}
        for key, names in own.items():
            self.joint[key] = {name: name if name in shared else f"{key}_{name}" for name in names}
            for name, joint in self.joint[key].items():
                first = owner.setdefault(joint, (key, name))
                if joint not in shared and first != (key, name):
                    raise _duplicate(joint, first, (key, name))
                if joint in shared and first[1] != name:
                    raise _duplicate(joint, first, (key, name))
        self.all = tuple(owner)

    def _refuse_shared(self, own: Mapping[str, Sequence[str]]) -> None:
        for name in self.shared:
            have = [key for key, names in own.items() if name in names]
            if len(have) > 1:
                continue
            if have:
                msg = (
                    f"shared names {name!r}, but only {have[0]!r} has a parameter of that name; a shared parameter is one of several models"
                )
            else:
                known = dict.fromkeys(n for names in own.values() for n in names)
                msg = f"shared names {name!r}, which is a parameter of none of the models; they have {quoted(list(known))}"
            raise ParameterError(msg, name=name)
        if len(set(self.shared)) < len(self.shared):
            twice = next(name for name in self.shared if self.shared.count(name) > 1)
            msg = f"shared names {twice!r} twice; name each parameter once"
            raise ParameterError(msg, name=twice)


def _duplicate(joint: str, first: tuple[str, str], second: tuple[str, str]) -> ParameterError:
    one, two = (f"{name!r} of {key!r}" for key, name in (first, second))
    msg = f"{one} and {two} would both be called {joint!r}; rename one of the keys, or a parameter (prefix=...)"
    return ParameterError(msg, name=joint)


class View(dict):
    """A part's parameters under its own names, and what their expressions lean on: as much of lmfit's Parameters as binding reads."""


def view(model: lmfit.Model, names: Mapping[str, str], params: Parameters, real: bool = False) -> tuple[Any, dict[str, str]]:
    """
    The common Parameters as one part sees them.

    Parameters
    ----------
    model : lmfit.Model
        The part.
    names : mapping
        own name: joint name.
    params : Parameters
        Of the joint model.
    real : bool
        lmfit Parameters with an interpreter, for expressions that only lmfit understands; otherwise a plain mapping.

    Returns
    -------
    View or Parameters
    dict
        name in the view: joint name.
    """
    asked = asked_for(model) | set(model.param_names)
    to_own = {joint: own for own, joint in names.items() if own in asked}
    pending = list(to_own)
    while pending:
        expr = params[pending.pop()]._expr
        for other in names_in(expr) if expr else ():
            if other in params and other not in to_own:
                to_own[other] = _free(other, set(to_own.values()) | asked)
                pending.append(other)
    out: Any = Parameters() if real else View()
    if real:
        for name in params._asteval.user_defined_symbols():
            if name not in params:
                out._asteval.symtable[name] = params._asteval.symtable[name]
    for joint, own in to_own.items():
        par = copy_as(params[joint], own, to_own)
        if real:
            par._expr_eval = out._asteval
            out._asteval.symtable[own] = float(par._val)
        dict.__setitem__(out, own, par)
    return out, {own: joint for joint, own in to_own.items()}


def copy_as(par: Parameter, name: str, names: Mapping[str, str]) -> Parameter:
    """A parameter under another name, the names in its expression replaced."""
    new = Parameter.__new__(Parameter)
    new.__dict__.update(par.__dict__)
    new.name = name
    new.correl = None
    new._expr_ast, new._expr_deps, new._expr_eval = None, [], None
    new.from_internal = float
    if par._expr:
        new._expr = renamed(par._expr, names)
    return new


def _free(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name += "_"
    return name
