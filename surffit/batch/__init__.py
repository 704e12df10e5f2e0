"""
One model, many data sets.

`fit_many` hands what came in to `door`, which makes a `Task` of it; the data sets themselves lie in `data`. `plan` chooses an engine
(`linear`, `search`, with starts from `starts`), `run` gives it blocks on threads, engines fill `Maps`, and `answer` is what comes out.
`chunks` runs anything of this form over more data than fit in memory; `large` does so for fits: lazily, or from store to store.
"""

from .answer.result import BatchResult
from .fit import fit_many
from .large.store import StoreResult, fit_store

__all__ = ["BatchResult", "StoreResult", "fit_many", "fit_store"]
