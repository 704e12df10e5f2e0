"""Names of columns."""

from __future__ import annotations

from typing import Any

__all__ = ["free_name"]


def free_name(name: str, taken: Any) -> str:
    """The name, or the name with the suffix ``_fit`` as often as it takes to be free."""
    while name in taken:
        name += "_fit"
    return name
