"""Warning filters that hold in one thread only.

`warnings.catch_warnings` saves and restores one list for the whole process: of two threads that enter and leave in turn, the
last one restores what the other had set, and the filter stays for good. Here the filter is known by a category that only the
asking thread belongs to, and goes when the last thread that needs it has left.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_lock = threading.Lock()
_here = threading.local()


class _OfThisThread(type):
    """A category of warnings that are `wanted` ones, in threads that are inside its `filtered` block."""

    wanted: type[Warning] = Warning
    users = 0

    def __subclasscheck__(cls, other: type) -> bool:
        # `is` first: what asks is `warnings`, for every warning of the process
        return bool(getattr(_here, "depths", None)) and _here.depths.get(cls, 0) > 0 and issubclass(other, cls.wanted)


@cache
def _category(action: str, wanted: type[Warning]) -> _OfThisThread:
    """One category for each filter that is ever asked for: equal filters are one entry of the list."""
    out = _OfThisThread(f"{wanted.__name__}OfThisThread", (Warning,), {})
    out.wanted = wanted
    return out


@contextmanager
def filtered(action: str, wanted: type[Warning] = Warning) -> Iterator[None]:
    """
    Treat warnings by `action` inside the block, in this thread alone; the filters are as before when no thread is inside.

    Parameters
    ----------
    action : {"ignore", "error"}
        As for `warnings.simplefilter`.
    wanted : type
        Class of the warnings.

    Examples
    --------
    >>> import warnings
    >>> before = list(warnings.filters)
    >>> with filtered("ignore"):
    ...     warnings.warn("nobody sees this", stacklevel=1)
    >>> warnings.filters == before
    True
    """
    if getattr(sys.flags, "context_aware_warnings", False):  # from Python 3.14 on, filters may belong to the thread anyway
        with warnings.catch_warnings():
            warnings.simplefilter(action, wanted)  # type: ignore[arg-type]
            yield
        return
    category = _category(action, wanted)  # type: ignore[arg-type]
    depths = _here.__dict__.setdefault("depths", {})
    with _lock:
        # again at every entry: a thread of the user's may have put an older list back meanwhile
        warnings.simplefilter(action, category)  # type: ignore[arg-type]
        category.users += 1
    depths[category] = depths.get(category, 0) + 1
    try:
        yield
    finally:
        depths[category] -= 1
        with _lock:
            category.users -= 1
            if not category.users:
                entry = (action, None, category, None, 0)
                while entry in warnings.filters:
                    warnings.filters.remove(entry)  # type: ignore[attr-defined]
