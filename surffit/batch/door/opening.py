"""The door for many data sets: everything `fit_many` can be handed becomes a `Task`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.asmodel import as_model
from ...core.bind import find_structure
from ...core.bound import free_names
from ...core.parameters import untouched
from ...core.structure import Structure, leaves
from ...exceptions import LinearityError, NonFiniteError, ParameterError
from ..data.cube import Cube, Source, moved
from ..data.slabs import Block
from ..task import Options, Task
from .beside import coordinate, error, excluded, refuse_nonfinite
from .clothes import Clothes, undress
from .given import open_params

if TYPE_CHECKING:
    import lmfit

__all__ = ["make_task", "open_cube", "structure_of"]


def open_cube(
    data: Any,
    axes: tuple[int, ...],
    coords: Mapping[str, Any],
    sigma: Any,
    weights: Any,
    mask: Any,
    nan_policy: str,
    epochs: dict[str, Any] | None = None,
    units: dict[str, Any] | None = None,
) -> Cube:
    """
    Views of all arrays with the fit axes last.

    Parameters
    ----------
    data : array_like or Clothes
    axes : tuple of int
        Fit axes, where `data` still wears its container.
    coords : mapping
    sigma, weights, mask, nan_policy
        As in `fit_many`.
    epochs, units : dict, optional
        Get the first instants of coordinates that are dates, and the units of those that have any.

    Raises
    ------
    DataError
    """
    bare = data if isinstance(data, Clothes) else undress(data, axes)
    found = {name: coordinate(name, value, bare, {} if epochs is None else epochs) for name, value in coords.items()}
    if units is not None:
        units |= {name: value.unit for name, value in coords.items() if hasattr(value, "to_value")}
    values, inverse = error(sigma, weights, bare)
    mask = excluded(mask, bare)
    ndim = len(bare.map_axes)
    if nan_policy != "omit" and mask is None and values is None:
        refuse_nonfinite(found, ndim)
    cube = Cube(moved(bare.array, bare.axes), values, inverse, mask, tuple(found.values()), ndim, nan_policy == "omit")
    if nan_policy == "raise":
        _refuse_bad(cube, bare)
    return cube


def _refuse_bad(cube: Cube, data: Clothes) -> None:
    """nan_policy="raise": look at every data set before any is fitted."""
    count, first = 0, None
    for block in cube.blocks(1024):
        status = cube.rows(block).status
        bad = np.flatnonzero(status)
        if bad.size and first is None:
            first = [int(i) for i in np.unravel_index(block.start + bad[0], cube.map_shape)]
        count += bad.size
    if count:
        msg = (
            f"{count} of {cube.n_sets} data sets hold values (or errors) that aren't finite, the first at {first} of the map; "
            'mask them, or pass nan_policy="flag" to leave out these data sets, "omit" to leave out the points'
        )
        raise NonFiniteError(msg, count=count, first=tuple(first or ()))


def make_task(
    model: Any,
    source: Any,
    params: Any,
    coordinates: tuple[str, ...],
    options: Options,
    opts: Mapping[str, Any],
    starts: Mapping[str, Any] | None = None,
    epochs: Mapping[str, Any] | None = None,
) -> Task:
    """
    Names and numbers of the parameters, and the model's graph.

    Parameters
    ----------
    model : SurfaceModel, lmfit.Model or callable
    source : Source
        Where the data sets lie.
    params : lmfit.Parameters, mapping, BatchResult or None
        See `given.open_params`; maps have the shape of the source's map, or one element per data set.
    coordinates : tuple of str
        Names of the source's coordinates.
    options : Options
    opts : mapping
        Keywords of the model that are no coordinates.
    starts : mapping, optional
        Like `params`.
    epochs : mapping, optional
        First instants of coordinates that were dates.

    Raises
    ------
    ParameterError
        If nothing varies, or a parameter that must be searched has no start.
    LinearityError
        If parameters that are stated as linear are not.
    """
    model = as_model(model, [*coordinates, *opts])
    shape = tuple(getattr(source, "map_shape", (source.n_sets,)))
    given = open_params(model, params, starts or {}, shape)
    free = tuple(name for name in free_names(given.params))
    if not free:
        msg = f"every parameter of {model.name} is fixed; nothing to fit: let one vary"
        raise ParameterError(msg)
    structure = structure_of(model, given.params, source, coordinates, opts)
    linear = _linear(model, structure, free)
    tied = tuple(name for name, par in given.params.items() if par.expr)
    known = tuple(name for name in given.params if name not in free and name not in tied)
    _starting(model, structure, given.value, given.unchosen, [name for name in free if name not in linear], options)
    return Task(
        model, source, structure, coordinates, free, linear, known, tied, given.value, given.lower, given.upper, given.params, options,
        dict(opts), dict(epochs or {}),
    )  # fmt: skip


def structure_of(
    model: Any, params: lmfit.Parameters, source: Source, coordinates: tuple[str, ...], opts: Mapping[str, Any]
) -> Structure | None:
    """The graph, compared with the function on the points of one data set; None where there is none, or it says something else."""
    map_ndim = len(getattr(source, "map_shape", ()))
    x = np.empty((len(coordinates), 0))
    for number in range(min(source.n_sets, 1 if map_ndim else 100)):  # the first groups of a table may be empty
        rows = source.rows(Block(number, number + 1, tuple(slice(0, 1) for _ in range(map_ndim))))
        x = rows.x[:, int(rows.x_offsets[0]) : int(rows.x_offsets[0]) + int(rows.offsets[1] - rows.offsets[0])]
        if x.shape[1]:
            break
    coords = {**{name: np.array(row) for name, row in zip(coordinates, x, strict=True)}, **opts}
    sample: Any = SimpleNamespace(data=np.empty(x.shape[1]), shape=x.shape[1:], coords=coords, names=coordinates, elementwise=True)
    with untouched(model), np.errstate(all="ignore"):
        return find_structure(model, params, sample, model._structures, symbolic_only=True)


def _linear(model: Any, structure: Structure | None, free: tuple[str, ...]) -> tuple[str, ...]:
    if structure is None or model._stated_linear == ():
        return ()
    if model._stated_linear is None:
        return tuple(structure.linear(free, free).names)
    stated = model.linear
    found = structure.linear(free, stated).names
    wrong = [name for name in stated if name in free and name not in found]
    if wrong:
        msg = f"linear={list(stated)!r}: {model.name} is not linear in {', '.join(wrong)} together with the others; leave linear=None"
        raise LinearityError(msg, names=tuple(wrong))
    return tuple(name for name in found if name in stated)


def _guesses(model: Any, searched: list[str]) -> bool:
    """Whether every term of a model with something to search has a guess of its own (lmfit's base class only says that it has none)."""
    for leaf in leaves(model):
        guess = type(getattr(leaf, "wrapped", leaf)).guess
        if set(searched) & set(leaf.param_names) and getattr(guess, "__module__", "") == "lmfit.model":
            return False
    return not hasattr(model, "op") or model.op in (operator.add, operator.sub)


def _starting(
    model: Any, structure: Structure | None, value: dict[str, Any], unchosen: tuple[str, ...], searched: list[str], options: Options
) -> None:
    """Refuse what has no start and can't get one; forget those that nobody chose where the model has a guess (in place)."""
    if isinstance(options.start, Mapping):
        searched = [name for name in searched if name not in options.start]
    guesses = _guesses(model, searched)
    lacking = [name for name in searched if not isinstance(value[name], np.ndarray) and np.isnan(value[name])]
    open_ = [name for name in searched if name in unchosen] if guesses else []
    if guesses and (lacking or open_):
        for name in open_:
            value[name] = np.nan  # `starts` finds one
        return
    if lacking and structure is not None:
        first = lacking[0]
        msg = (
            f"parameter{'' if len(lacking) == 1 else 's'} {', '.join(lacking)} of {model.name} "
            f"{'has' if len(lacking) == 1 else 'have'} no start and {'is' if len(lacking) == 1 else 'are'} not linear; "
            f"give params={{{first!r}: 1.0, ...}} (a number, or a map with one per data set), or candidates by start={{{first!r}: [...]}}"
        )
        raise ParameterError(msg, names=tuple(lacking))
