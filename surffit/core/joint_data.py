"""What a user hands in for several data sets: one thing per key, or one thing for all; each set goes through the one door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..exceptions import DataError
from .data import FitData


def quoted(names: Sequence[str] | Mapping[str, Any]) -> str:
    """'r' and 'w1', the first few of many."""
    shown = [repr(name) for name in names]
    if len(shown) > 6:
        shown = [*shown[:4], f"... ({len(shown)} in all)"]
    return ", ".join(shown)


def per_key(name: str, value: Any, keys: Sequence[str], takers: Sequence[str]) -> dict[str, Any]:
    """
    An argument of each data set.

    Parameters
    ----------
    name : str
        Of the argument, for the sentence.
    value : object
        A dict whose keys are exactly those of the data sets (or of those that take the argument), or one thing for all.
    keys, takers : sequence of str
        All data sets, and those that take the argument.

    Raises
    ------
    DataError
        If a dict has other keys.
    """
    if not isinstance(value, Mapping):
        return dict.fromkeys(takers, value)
    given = set(value)
    if given != set(keys) and given != set(takers):
        wrong = [key for key in value if key not in keys]
        missing = [key for key in takers if key not in given]
        what = []
        if wrong:
            what.append(f"{quoted(wrong)} {'is' if len(wrong) == 1 else 'are'} no data set here")
        if missing:
            what.append(f"{quoted(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        if not what:
            extra = [key for key in value if key not in takers]
            what.append(f"the model of {quoted(extra)} has no {name}")
        msg = (
            f"{name} is a dict whose keys don't match the data sets {quoted(takers)}: {' and '.join(what)}; "
            "give one entry for each, or one value for all"
        )
        raise DataError(msg, argument=name, keys=tuple(map(str, value)))
    idle = [key for key in value if key not in takers and value[key] is not None]
    if idle:
        msg = f"{name} is given for {quoted(idle)}, whose model has no {name}; leave it out there, or pass None"
        raise DataError(msg, argument=name, keys=tuple(idle))
    return {key: value[key] for key in takers}


@dataclass(frozen=True, eq=False)
class JointData:
    """
    Data of several sets, each checked by itself.

    Attributes
    ----------
    parts : dict of str to FitData
    coords : dict
        name: {key: coordinate}, as `JointModel.eval` takes them.
    """

    parts: dict[str, FitData]
    coords: dict[str, dict[str, Any]] = field(default_factory=dict)
    # no coordinate is that of all points, so what looks at coordinates does so set by set
    names: tuple[str, ...] = ()
    elementwise: bool = False
    used: None = None
    index: None = None
    units: dict[str, Any] = field(default_factory=dict)
    epochs: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def data(self) -> np.ndarray:
        """All used points one after the other, in the order of `residual`."""
        return np.concatenate([part.select(part.data) for part in self.parts.values()])

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n_used,)

    @property
    def opened(self) -> Any:
        """The data as they came, by key."""
        return SimpleNamespace(values={key: part.opened.values for key, part in self.parts.items()})

    @property
    def weights(self) -> dict[str, np.ndarray | None] | None:
        """1/sigma by key; None if no data set has any."""
        weights = {key: part.weights for key, part in self.parts.items()}
        return None if all(w is None for w in weights.values()) else weights

    @property
    def sigma(self) -> dict[str, np.ndarray | None] | None:
        """Errors of the data by key; None if no data set has any."""
        return None if self.weights is None else {key: part.sigma for key, part in self.parts.items()}

    @property
    def n_used(self) -> int:
        return sum(part.n_used for part in self.parts.values())

    @property
    def size(self) -> int:
        return sum(part.data.size for part in self.parts.values())

    @property
    def masked(self) -> int:
        return sum(part.masked for part in self.parts.values())

    @property
    def omitted(self) -> int:
        return sum(part.omitted for part in self.parts.values())

    @property
    def notes(self) -> list[str]:
        """What was done to each set, the same things said once."""
        found: dict[str, list[str]] = {}
        for key, part in self.parts.items():
            for note in part.notes:
                found.setdefault(note, []).append(key)
        return [f"In {', '.join(keys) if len(keys) < 7 else f'{len(keys)} data sets'}: {note}" for note, keys in found.items()]

    def select(self, array: Any) -> np.ndarray:
        """The rows themselves: what is excluded was left out set by set."""
        return np.asarray(array)

    def portable(self, strip: Any) -> JointData:
        """The same with every part made fit for pickle."""
        return replace(self, parts={key: strip(part) for key, part in self.parts.items()})
