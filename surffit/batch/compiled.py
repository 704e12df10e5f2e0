"""numba's compiler with the settings that all kernels of batches share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(signature: Any = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """
    Compile a function without the interpreter lock and keep it on disk where that is possible.

    An installation in which neither the package nor a cache folder can be written is no error; it compiles anew each time.

    Parameters
    ----------
    signature : numba signature, optional
        Compile for these types at once; by default when first called, for what it is called with.
    """

    def wrap(function: Callable[..., Any]) -> Any:
        try:
            return njit(signature, nogil=True, cache=True, **options)(function)
        except RuntimeError:
            return njit(signature, nogil=True, **options)(function)

    return wrap
