"""
One model, many data sets.

`fit_many` takes arrays (`door` makes a `Task` of what came in), `plan` chooses an engine, `run` hands it blocks on threads, `result`
is what comes out. Engines fill `Maps`, block by block.
"""

from .fit import fit_many
from .result import BatchResult
from .store import StoreResult, fit_store

__all__ = ["BatchResult", "StoreResult", "fit_many", "fit_store"]
