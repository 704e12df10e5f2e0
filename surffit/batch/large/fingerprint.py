"""What makes two fits the same: models, parameters and options as text that doesn't change from run to run."""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.structure import leaves
from .blockfit import BlockFit

__all__ = ["describe", "digest", "job_print", "model_print"]


def describe(value: Any) -> Any:
    """A value as plain data for JSON; arrays, functions and models by a digest of their content."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, np.generic):
        return describe(value.item()) if value.dtype.kind in "biufU" else repr(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{list(value.shape)} {_hash(np.ascontiguousarray(value).tobytes())}"
    if hasattr(value, "brute_step"):
        return describe([value.value, value.vary, value.min, value.max, value.expr])
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(item) for item in (sorted(value, key=repr) if isinstance(value, set | frozenset) else value)]
    if hasattr(value, "dask") and hasattr(value, "name"):
        return f"dask {value.name}"
    if hasattr(value, "make_params"):
        return model_print(value)
    if isinstance(value, types.CodeType):
        return _hash(repr((value.co_code, value.co_names, [describe(item) for item in value.co_consts])).encode())
    if isinstance(value, types.FunctionType):
        closed = [describe(cell.cell_contents) for cell in value.__closure__ or ()]
        return [value.__qualname__, describe(value.__code__), describe(value.__defaults__), closed]
    if isinstance(value, np.random.Generator):
        return describe(value.bit_generator.state)
    if hasattr(value, "__qualname__"):
        return f"{getattr(value, '__module__', '')}.{value.__qualname__}"
    if hasattr(value, "__dict__"):
        return [type(value).__qualname__, {key: describe(item) for key, item in vars(value).items() if not key.startswith("__")}]
    return repr(value)


def model_print(model: Any) -> str:
    """Name and digest of a model: of its graph where it has one, else of its functions' code."""
    structure = model._traced() if hasattr(model, "_traced") else None
    if structure is not None:
        graph = structure.graph
        content: Any = [
            list(graph.parameters),
            list(graph.coordinates),
            [[op, list(args), describe(extra)] for op, args, extra in graph.rows],
        ]
    else:
        content = [[describe(part.func), part.prefix, describe(part.opts)] for part in leaves(model)]
    return f"{model.name} {_hash(json.dumps(content, default=str).encode())}"


def job_print(job: BlockFit) -> dict[str, Any]:
    """A fit of blocks: model, parameters and options, by name."""
    options = {name: describe(value) for name, value in sorted(job.options.items()) if value is not None}
    params = {name: describe(value) for name, value in (job.params or {}).items()}
    more = {"fit axes": list(job.fit_axes), "model's options": describe(job.opts), "options": options}
    return {"model": model_print(job.model), "parameters": dict(job.kinds), "params": params, **more}


def digest(job: BlockFit, others: Any) -> str:
    """A short name for a fit of these arrays."""
    return _hash(json.dumps([job_print(job), describe(others)], sort_keys=True).encode())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
