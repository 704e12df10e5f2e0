"""What a document may hold: the rules that writer and reader share, so that nothing is written that could not be read."""

from __future__ import annotations

import keyword
import math
from collections.abc import Container

from surffit.exceptions import DocumentError, ExpressionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["KEYS", "LISTS", "MODEL_KEYS", "PARAM_KEYS", "SCHEMA", "STATS", "TEXTS", "check_expression", "check_name", "is_plain"]

SCHEMA = "surffit.result/1"
KEYS = {"schema", "surffit", "model", "params", "chisqr", "redchi", "covar", "covar_source", "stats"}
PARAM_KEYS = {"value", "stderr", "vary", "min", "max", "expr", "init_value"}
MODEL_KEYS = {"graph": {"kind", "name", "independent_vars", "graph"}, "registered": {"kind", "name", "options"}}
STATS = (
    "method", "ndata", "nvarys", "nfree", "nfev", "aic", "bic", "rsquared", "success", "message", "errorbars", "aborted",
    "scale_covar", "reason", "solver_status",
)  # fmt: skip
LISTS = ("status", "linear", "at_bound")
TEXTS = ("explain", "data_sha256")


def check_name(name: Any, error: type[DocumentError]) -> None:
    """Parameter and variable names are identifiers, with nothing that Python or a report could take for more."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__") or len(name) > 200:
        msg = f"{str(name)[:60]!r} is not a name that a document can hold; use a plain identifier that does not begin with two underscores"
        raise error(msg, name=name)


def check_expression(name: str, text: Any, known: Container[str], error: type[DocumentError]) -> str:
    """A constraint that is on the whitelist of expressions and speaks of known parameters."""
    from surffit.trace.expression import names

    if not isinstance(text, str):
        msg = f"the constraint of {name} is {type(text).__name__}, where a text belongs"
        raise error(msg, name=name)
    try:
        used = names(text)
    except ExpressionError as err:
        msg = f"the constraint of {name}, {str(text)[:80]!r}, can't be kept in a document: {err}"
        raise error(msg, name=name, expr=text) from err
    unknown = [other for other in used if other not in known]
    if unknown:
        msg = f"the constraint of {name}, {text!r}, uses {unknown[0]!r}, which is no parameter of this fit"
        raise error(msg, name=name, expr=text)
    return text


def is_plain(value: Any, depth: int = 3) -> bool:
    """Whether a registered model's options are numbers, strings and lists of them."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and is_plain(item, depth - 1) for key, item in value.items())
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_plain(item, depth - 1) for item in value)
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
