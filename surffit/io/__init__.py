"""
Saved fits, batches, models and posteriors: JSON documents that are written atomically and never executed.

A document holds names, numbers and, where the model's function could be traced, the graph of its
arithmetic. Reading one parses strict JSON, checks every entry against what `save` writes, and builds
what was saved from it: no pickle, no eval, no import of a name that stands in the file.

Functions
---------
save, load
    Write and read one fit, batch, model or posterior.
document, read_result, read_joint, read_model, read_posterior, read_batch
    The same as a dict, for the shell and for other carriers.
save_batch
    What ``batch.save`` does: a document with maps beside it.
dumps, parse, write_atomic
    Strict JSON text, a strict way to read it, a safe way to write: what other documents share.
"""

from surffit.io.batches import read_batch, save_batch
from surffit.io.files import dumps, parse, write_atomic
from surffit.io.joints import read_joint
from surffit.io.models import read_model
from surffit.io.posteriors import read_posterior
from surffit.io.reading import read_result
from surffit.io.store import load, save
from surffit.io.writing import document

__all__ = [
    "document", "dumps", "load", "parse", "read_batch", "read_joint", "read_model", "read_posterior", "read_result", "save", "save_batch",
    "write_atomic",
]  # fmt: skip
