"""Data sets in runs: consecutive in memory order, each run a rectangle of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Block", "slabs"]


@dataclass(frozen=True)
class Block:
    """
    A run of data sets.

    Attributes
    ----------
    start, stop : int
        Numbers of the data sets, counted in C order of the map.
    index : tuple of slice
        The same as a rectangle of the map; empty where there is no map (groups of a table).
    """

    start: int
    stop: int
    index: tuple[slice, ...] = ()

    @property
    def size(self) -> int:
        """Number of data sets."""
        return self.stop - self.start


def slabs(shape: tuple[int, ...], size: int) -> list[Block]:
    """
    Cut a map into rectangles of about `size` data sets, each a run in C order.

    Parameters
    ----------
    shape : tuple of int
        Shape of the map; () for a single data set.
    size : int
        Largest number of data sets in a block.

    Examples
    --------
    >>> [(b.start, b.stop) for b in slabs((3, 4), 8)]
    [(0, 8), (8, 12)]
    >>> slabs((2, 5), 3)[1]
    Block(start=3, stop=5, index=(slice(0, 1, None), slice(3, 5, None)))
    """
    if 0 in shape:
        return []
    # everything after axis k is taken whole, axis k in steps, everything before it one at a time
    k, inner = len(shape), 1
    while k and inner * shape[k - 1] <= size:
        k -= 1
        inner *= shape[k]
    if k == 0:
        return [Block(0, inner, tuple(slice(0, n) for n in shape))]
    step, tail = max(1, size // inner), tuple(slice(0, n) for n in shape[k:])
    blocks = []
    for number in range(math.prod(shape[: k - 1])):
        head, rest = [], number
        for n in reversed(shape[: k - 1]):
            rest, i = divmod(rest, n)
            head.append(slice(i, i + 1))
        for first in range(0, shape[k - 1], step):
            last = min(first + step, shape[k - 1])
            begin = (number * shape[k - 1] + first) * inner
            blocks.append(Block(begin, begin + (last - first) * inner, (*reversed(head), slice(first, last), *tail)))
    return blocks
