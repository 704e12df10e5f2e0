"""Exact derivatives with respect to one parameter, in forward mode on the graph.

Nodes that do not depend on the parameter are skipped by their bit mask; what remains is visited once, arguments first.
Second derivatives are derivatives of the derivative nodes.
"""

from __future__ import annotations

from surffit.exceptions import TraceError

from .algebra import Algebra, Index
from .builder import Builder
from .node import Node
from .ops import OPS
from .rules import DEEP_RULES, OUTER, RULES, ZERO


def derivative(builder: Builder, node: Node, parameter_name: str) -> Node | None:
    """d(node)/d(parameter); None where it is zero by structure."""
    with builder.lock:
        index = derive(builder, builder.lift(node), parameter_name)
    return None if index is None else builder.node(index)


def derive(builder: Builder, root: int, parameter_name: str) -> Index:
    """As `derivative`, on node numbers."""
    bit = builder.bit(parameter_name)
    if not builder.mask[root] & bit:
        return None
    memo = builder.derivatives.setdefault(bit, {})
    algebra = Algebra(builder)

    def derive_below(start: int) -> Index:
        if not builder.mask[start] & bit:
            return None
        if start in memo:
            return memo[start]
        for i in _unknown_below(builder, start, bit, memo):
            if i not in memo:
                memo[i] = _one(algebra, i, memo, bit, derive_below)
        return memo[start]

    return derive_below(root)


def _unknown_below(builder: Builder, root: int, bit: int, memo: dict[int, Index]) -> list[int]:
    mask, args = builder.mask, builder.args
    seen = {root}
    stack = [root]
    while stack:
        for a in args[stack.pop()]:
            if a not in seen and mask[a] & bit and a not in memo:
                seen.add(a)
                stack.append(a)
    return sorted(seen)


def _one(algebra: Algebra, i: int, memo: dict[int, Index], bit: int, derive_below: object) -> Index:
    builder = algebra.builder
    op = builder.ops[i]
    if op == "parameter":
        return algebra.const(1.0)
    rule = OPS[op].rule
    if rule in ZERO:
        return None
    args = builder.args[i]
    mask = builder.mask
    d = tuple(memo[a] if mask[a] & bit else None for a in args)
    if all(x is None for x in d):
        return None
    if rule in OUTER:
        found = algebra.mul(OUTER[rule](algebra, i, args[0]), d[0])
    elif rule in RULES:
        found = RULES[rule](algebra, i, args, d)
    elif rule in DEEP_RULES:
        found = DEEP_RULES[rule](algebra, i, args, d, derive_below)
    else:
        msg = f"no derivative is known for {op}"
        raise TraceError(msg, operation=op)
    return None if found is not None and algebra.value(found) == 0 else found
