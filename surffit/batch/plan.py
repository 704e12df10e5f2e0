"""Which engine fits a task."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from ..exceptions import ParameterError
from .data.slabs import Block
from .maps import Maps
from .task import Task

__all__ = ["Engine", "choose"]

# Fastest first. Each module has `offer(task, name)`, which returns the engine or, as text, why it can't do this task.
OFFERS: dict[str, str] = {
    "common": "linear.engine",
    "weighted": "linear.engine",
    "traced": "search.traced",
    "lockstep": "search.lockstep",
    "loop": "search.loop",
}


class Engine(Protocol):
    """
    Fits blocks of data sets; called from several threads at once.

    Attributes
    ----------
    name : str
        For `BatchResult.engine`.
    reason : str
        Why this one, in words.
    """

    name: str
    reason: str

    def fit(self, block: Block, out: Maps) -> None:
        """Fit a block and fill in its part of the maps."""


def choose(task: Task, engine: str = "auto") -> Engine:
    """
    The engine for a task: the fastest that can do it, or the one named.

    Raises
    ------
    ParameterError
        If the engine named is unknown or can't do it, with the reason.
    """
    if engine != "auto" and engine not in OFFERS:
        msg = f"engine={engine!r} is unknown; use 'auto' or one of {', '.join(map(repr, OFFERS))}"
        raise ParameterError(msg)
    refused: list[str] = []
    for name, module in OFFERS.items() if engine == "auto" else [(engine, OFFERS[engine])]:
        offered: Engine | str = import_module(f".{module}", __package__).offer(task, name)
        if not isinstance(offered, str):
            offered.reason = "; ".join([offered.reason, *refused])
            return offered
        refused.append(f"not {name}: {offered}")
    msg = f"engine={engine!r} can't fit this: {refused[0].partition(': ')[2]}; leave engine='auto'"
    raise ParameterError(msg)
