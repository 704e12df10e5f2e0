"""
Parameters that a model can exchange without changing: the centres, widths and heights of its equal terms.

The graph is read as an expression in which the order of terms and factors does not matter. Parameters get colours from
what stands below and above them; one parameter is singled out, then the other, and where the two colourings agree they say
which parameters go with which. What they propose is then proved: the expression with the names exchanged must be the
same expression, up to the order of terms and factors. Nothing that fails the proof is reported.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from .builder import Builder
from .node import Node

Block = tuple[str, ...]
Family = tuple[Block, ...]

# Operations of two arguments that may be swapped; sums and products have rules of their own.
_SYMMETRIC = frozenset({"maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2", "eq", "ne"})
# Flattened sums may grow without end in graphs that add a sum to itself; nobody writes exchangeable terms that way.
LARGEST = 50_000


@dataclass(frozen=True, slots=True)
class Form:
    """
    One node of an expression.

    `arguments` are pairs of a tag (sign of a term, +1 / -1 for factor and divisor, else the position) and a form's number;
    their order counts for nothing.
    """

    head: Hashable
    arguments: tuple[tuple[int, int], ...]


def forms_of_graph(builder: Builder, node: Node) -> list[Form] | None:
    """The expression of a graph, arguments before their users, the value last; None if it grows too large."""
    numbers: dict[int, int] = {}
    out: list[Form] = []
    size = 0
    for index in builder.below([builder.lift(node)]):
        op, args = builder.ops[index], builder.args[index]
        if op in ("parameter", "coordinate"):
            form = Form((op, builder.payload[index]), ())
        elif op == "constant":
            value = builder.payload[index]
            form = Form((op, type(value).__name__, repr(value)), ())
        elif op == "array":
            form = Form((op, index), ())
        elif op in ("add", "sub", "neg"):
            signs = (-1,) if op == "neg" else (1, -1) if op == "sub" else (1, 1)
            form = _flat("sum", signs, [numbers[a] for a in args], out)
        elif op in ("mul", "div"):
            form = _flat("product", (1, 1) if op == "mul" else (1, -1), [numbers[a] for a in args], out)
        else:
            tags = (0,) * len(args) if op in _SYMMETRIC else tuple(range(len(args)))
            form = Form(op, tuple(zip(tags, (numbers[a] for a in args), strict=True)))
        size += len(form.arguments)
        if size > LARGEST:
            return None
        numbers[index] = len(out)
        out.append(form)
    return reachable(out)


def reachable(forms: list[Form]) -> list[Form]:
    """Only what the last form is made of: sums that went into larger ones are of no account any more."""
    needed = {len(forms) - 1}
    for i in range(len(forms) - 1, -1, -1):
        if i in needed:
            needed.update(j for _, j in forms[i].arguments)
    new = {old: k for k, old in enumerate(sorted(needed))}
    return [Form(forms[old].head, tuple((tag, new[j]) for tag, j in forms[old].arguments)) for old in new]


def _flat(head: str, tags: tuple[int, ...], below: list[int], forms: list[Form]) -> Form:
    """A sum of sums as one sum, a product of products as one product."""
    arguments: list[tuple[int, int]] = []
    for tag, number in zip(tags, below, strict=True):
        inner = forms[number]
        if inner.head == head:
            arguments += [(tag * sign, deeper) for sign, deeper in inner.arguments]
        else:
            arguments.append((tag, number))
    return Form(head, tuple(arguments))


def exchangeable(forms: list[Form], labels: Mapping[str, Hashable]) -> tuple[Family, ...]:
    """
    Families of blocks of parameters that can be exchanged, block by block.

    Parameters
    ----------
    forms : list of Form
        The expression, its value last.
    labels : mapping
        For each parameter that may be exchanged, what distinguishes it (its bounds, say); only equal labels are
        exchanged, and parameters without a label never.

    Returns
    -------
    tuple of families
        A family is a tuple of two or more blocks, a block a tuple of names; blocks correspond name by name, and any
        permutation of the blocks of a family leaves the expression as it is.

    Examples
    --------
    >>> from surffit.trace.expression import parse
    >>> builder = Builder()
    >>> x = builder.coordinate("x")
    >>> node = parse("a*exp(-k*x) + b*exp(-l*x) + c", lambda name: x if name == "x" else builder.parameter(name), builder)
    >>> exchangeable(forms_of_graph(builder, node), dict.fromkeys("abckl", 0))
    ((('a', 'k'), ('b', 'l')),)
    """
    search = _Search(forms, labels)
    families = []
    done: set[str] = set()
    for first in search.names:
        if first in done:
            continue
        found = {}
        for other in search.names:
            if other != first and other not in done and search.colour({}, other) == search.colour({}, first):
                swap = search.involution(first, other)
                if swap:
                    found[other] = swap
        family = _blocks(first, found, search.names)
        if family:
            families.append(family)
            done.update(name for block in family for name in block)
    return tuple(families)


def _blocks(first: str, swaps: dict[str, dict[str, str]], names: list[str]) -> Family:
    """The blocks that exchanges of one parameter with each of its equals move."""
    if not swaps:
        return ()
    moved = [set(swap) for swap in swaps.values()]
    if len(swaps) == 1:
        (swap,) = swaps.values()
        mine = {name for name in swap if names.index(name) < names.index(swap[name])}
    else:
        mine = set.intersection(*moved)
    block = tuple(name for name in names if name in mine)
    blocks = [block]
    for swap in swaps.values():
        other = tuple(swap.get(name, name) for name in block)
        if set(swap) == mine | set(other) and not mine & set(other):
            blocks.append(other)
    return tuple(blocks) if first in mine and len(blocks) > 1 else ()


class _Search:
    """Colours and proofs on one expression."""

    def __init__(self, forms: list[Form], labels: Mapping[str, Hashable]) -> None:
        self.forms = forms
        self.at: dict[str, int] = {
            form.head[1]: i for i, form in enumerate(forms) if isinstance(form.head, tuple) and form.head[0] == "parameter"
        }
        self.labels = labels
        self.names = [name for name in self.at if name in labels]
        self._colours: dict[str | None, list[int]] = {}
        self._known: dict[Any, int] = {}
        self._root = self._canonical({})

    def colour(self, single: Any, name: str) -> int:
        """Colour of a parameter, with one parameter singled out (or none: ``{}``)."""
        return self._refined(single or None)[self.at[name]]

    def _refined(self, single: str | None) -> list[int]:
        """Colours of all nodes from what stands below and above them, until no more nodes are told apart."""
        if single in self._colours:
            return self._colours[single]
        colours = []
        for form in self.forms:
            head: Hashable = form.head
            if isinstance(head, tuple) and head[0] == "parameter" and head[1] in self.labels:
                head = ("parameter", self.labels[head[1]], head[1] == single)
            colours.append(hash(("own", head)))
        count = 0
        while len(set(colours)) > count:
            count = len(set(colours))
            for i, form in enumerate(self.forms):
                if form.arguments:
                    colours[i] = hash((colours[i], *sorted((tag, colours[j]) for tag, j in form.arguments)))
            users: list[list[tuple[int, int]]] = [[] for _ in self.forms]
            for i in range(len(self.forms) - 1, -1, -1):
                if users[i]:
                    colours[i] = hash((colours[i], "users", *sorted(users[i])))
                for tag, j in self.forms[i].arguments:
                    users[j].append((tag, colours[i]))
        self._colours[single] = colours
        return colours

    def involution(self, one: str, two: str) -> dict[str, str]:
        """The exchange that takes `one` to `two` and back, with all that goes along; empty if there is none."""
        first, second = self._refined(one), self._refined(two)
        if sorted(first) != sorted(second):
            return {}
        swap: dict[str, str] = {}
        for name in self.names:
            colour = first[self.at[name]]
            if name in swap or second[self.at[name]] == colour:
                continue
            partner = next((other for other in self.names if other not in swap and second[self.at[other]] == colour), None)
            if partner is None or first[self.at[partner]] != second[self.at[name]]:
                return {}
            swap[name], swap[partner] = partner, name
        return swap if swap.get(one) == two and self._canonical(swap) == self._root else {}

    def _canonical(self, names: Mapping[str, str]) -> int:
        """Number of the expression with parameters renamed; equal numbers are equal expressions."""
        numbers: list[int] = []
        for form in self.forms:
            head = form.head
            if isinstance(head, tuple) and head[0] == "parameter":
                head = ("parameter", names.get(head[1], head[1]))
            key = (head, tuple(sorted((tag, numbers[j]) for tag, j in form.arguments)))
            numbers.append(self._known.setdefault(key, len(self._known)))
        return numbers[-1]
