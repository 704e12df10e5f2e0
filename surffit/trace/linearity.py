"""Which parameters a model is jointly linear in, read off the graph.

Each node gets three things: the parameters it is affine in, those it depends on otherwise, and the pairs that are
affine one at a time but multiply each other.  The rules are sound, not complete: ``a*b/b`` is not seen as linear in a,
but nothing is ever called linear that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from .builder import Builder
from .node import Node
from .ops import OPS

Pairs = frozenset[tuple[int, int]]

_NONE: Pairs = frozenset()
# Linear over the reals, so that an affine argument stays affine.
_CARRIED = frozenset({"neg", "positive", "real", "imag", "conjugate", "deg2rad", "rad2deg", "radians", "degrees"})


@dataclass(frozen=True)
class LinearSet:
    """Jointly linear parameters of a model.

    Attributes
    ----------
    names : tuple of str
        Jointly linear, in the order of `varying`.
    conflicts : tuple of (str, str)
        Pairs that are affine each alone, but not together.
    affine : tuple of str
        Affine each alone.
    nonlinear : tuple of str
        The model depends on these and they are not in `names`.  A parameter without any effect is in neither.
    """

    names: tuple[str, ...]
    conflicts: tuple[tuple[str, str], ...]
    affine: tuple[str, ...]
    nonlinear: tuple[str, ...]


def linear_set(builder: Builder, node: Node, varying: Sequence[str], prefer: Sequence[str] = ()) -> LinearSet:
    """Find a large set of parameters in which the model is jointly affine.

    Parameters
    ----------
    builder : Builder
    node : Node
        The model's value.
    varying : sequence of str
        Parameters to judge; all others count as known numbers.
    prefer : sequence of str
        Where either one of two parameters can be linear, those named earlier here are kept; then those earlier in `varying`.
    """
    root = builder.lift(node)
    bits = {name: builder.bit(name) for name in varying}
    linear, other, pairs = _tables(builder, root, builder.bits(varying))
    effective = [n for n in varying if builder.mask[root] & bits[n]]
    affine = [n for n in effective if linear & bits[n] and not other & bits[n]]
    position = {bits[n]: n for n in affine}
    order = {n: k for k, n in enumerate(varying)}
    conflicts = sorted(
        {tuple(sorted((position[a], position[b]), key=order.__getitem__)) for a, b in pairs if a in position and b in position},
        key=lambda pair: (order[pair[0]], order[pair[1]]),
    )
    kept = without_conflicts(affine, conflicts, list(prefer), order)
    return LinearSet(
        names=tuple(n for n in varying if n in kept),
        conflicts=tuple((a, b) for a, b in conflicts),
        affine=tuple(affine),
        nonlinear=tuple(n for n in effective if n not in kept),
    )


def without_conflicts(affine: list[str], conflicts: list[tuple[str, ...]], prefer: list[str], order: dict[str, int]) -> set[str]:
    """Remove the parameter with most conflicts until none is left; among equals the least preferred goes."""
    wish = {n: k for k, n in enumerate(prefer)}
    kept = set(affine)
    open_pairs = set(conflicts)
    while open_pairs:
        count = dict.fromkeys(kept, 0)
        for pair in open_pairs:
            for n in pair:
                count[n] += 1
        worst = max(kept, key=lambda n: (count[n], wish.get(n, len(prefer)), order[n]))
        kept.discard(worst)
        open_pairs = {pair for pair in open_pairs if worst not in pair}
    return kept


def _split_bits(mask: int) -> list[int]:
    out = []
    while mask:
        low = mask & -mask
        out.append(low)
        mask ^= low
    return out


def _tables(builder: Builder, root: int, varying: int) -> tuple[int, int, Pairs]:
    """(affine, otherwise, conflicting pairs) of the root, as bit masks and pairs of single bits."""
    known: dict[int, tuple[int, int, Pairs]] = {}
    for i in builder.below([root]):
        deps = builder.mask[i] & varying
        args = builder.args[i]
        if not deps:
            known[i] = (0, 0, _NONE)
            continue
        op = builder.ops[i]
        rule = OPS[op].rule if op in OPS else op
        if op == "parameter":
            known[i] = (deps, 0, _NONE)
        elif rule in ("add", "sub"):
            (la, xa, ca), (lb, xb, cb) = known[args[0]], known[args[1]]
            x = xa | xb
            known[i] = ((la | lb) & ~x, x, ca | cb)
        elif rule in _CARRIED:
            known[i] = known[args[0]]
        elif rule == "mul":
            (la, xa, ca), (lb, xb, cb) = known[args[0]], known[args[1]]
            x = xa | xb | ((la | xa) & (lb | xb))
            new = product(_split_bits(la & ~x), _split_bits(lb & ~x))
            known[i] = ((la | lb) & ~x, x, ca | cb | {(p, q) for p, q in new})
        elif rule == "div":
            (la, xa, ca), (lb, xb, cb) = known[args[0]], known[args[1]]
            x = xa | xb | lb
            known[i] = (la & ~x, x, ca | cb)
        elif rule == "select":
            (la, xa, ca), (lb, xb, cb) = known[args[1]], known[args[2]]
            x = xa | xb | (builder.mask[args[0]] & varying)
            known[i] = ((la | lb) & ~x, x, ca | cb)
        else:
            known[i] = (0, deps, _NONE)
    return known[root]
