"""Which chunks are done: one small object per chunk beside the results, so that any number of processes may write without locks."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

__all__ = ["GROUP", "Manifest", "State", "stored_print"]

GROUP = "_surffit"


class State(IntEnum):
    """How far a chunk has come."""

    TODO = 0
    DONE = 1
    FAILED = 2
    QUARANTINED = 3


class Manifest:
    """
    State and attempts of every chunk, in the group ``_surffit`` of a store.

    Parameters
    ----------
    store : str or zarr store
    """

    def __init__(self, store: Any) -> None:
        import zarr

        self._group: Any = zarr.open_group(store, path=GROUP, mode="r+")
        self._state: Any = self._group["state"]
        self._attempts: Any = self._group["attempts"]

    @staticmethod
    def create(store: Any, n: int, fingerprint: dict[str, Any], about: dict[str, Any]) -> None:
        """Write an empty one, which is not `ready`."""
        import zarr

        group = zarr.open_group(store, path=GROUP, mode="w", attributes={"fingerprint": fingerprint, **about, "ready": False})
        for name in ("state", "attempts"):
            # one object per chunk; nothing is written for zeros
            group.create_array(name, shape=(n,), chunks=(1,), dtype="uint8", fill_value=0, compressors=None, filters=None)

    def __len__(self) -> int:
        return int(self._state.shape[0])

    @property
    def attributes(self) -> dict[str, Any]:
        """Fingerprint, layout and whether the arrays of the results have been made."""
        return dict(self._group.attrs)

    def make_ready(self) -> None:
        """Say that the arrays of the results have been made."""
        self._group.attrs["ready"] = True

    def states(self) -> np.ndarray:
        """State of every chunk."""
        return np.asarray(self._state[:])

    def tries(self) -> np.ndarray:
        """Attempts of every chunk."""
        return np.asarray(self._attempts[:])

    def state(self, number: int) -> State:
        """State of a chunk."""
        return State(int(self._state[number]))

    def attempts(self, number: int) -> int:
        """How often a chunk was begun."""
        return int(self._attempts[number])

    def begin(self, number: int) -> None:
        """Count an attempt; before any work, so that one which ends the process is counted."""
        self._attempts[number] = min(255, self.attempts(number) + 1)

    def take_back(self, number: int) -> None:
        """Don't count an attempt: it wasn't the chunk that failed."""
        self._attempts[number] = max(0, self.attempts(number) - 1)

    def done(self, number: int) -> None:
        """Call a chunk done; after all its results were written."""
        self._state[number] = int(State.DONE)

    def failed(self, number: int, text: str) -> None:
        """Keep what went wrong."""
        self.write_error(number, text)
        self._state[number] = int(State.FAILED)

    def quarantined(self, number: int) -> None:
        """Give a chunk up."""
        self._state[number] = int(State.QUARANTINED)

    def write_error(self, number: int, text: str) -> None:
        """Write ``errors/<number>.txt``."""
        from zarr.core.sync import sync
        from zarr.storage import StorePath

        place: StorePath = self._group.store_path / f"errors/{number}.txt"
        sync(place.set(_buffer(text)))

    def error(self, number: int) -> str:
        """What went wrong with a chunk; empty if nothing was written."""
        from zarr.core.sync import sync

        found = sync((self._group.store_path / f"errors/{number}.txt").get())
        return "" if found is None else found.to_bytes().decode("utf-8", "replace")


def stored_print(store: Any) -> dict[str, Any] | None:
    """Attributes of the manifest in a store; None where there is none."""
    import zarr

    try:
        group = zarr.open_group(store, path=GROUP, mode="r")
    except (FileNotFoundError, KeyError, ValueError):
        return None
    return dict(group.attrs)


def _buffer(text: str) -> Any:
    from zarr.buffer import cpu

    return cpu.Buffer.from_bytes(text.encode("utf-8"))
