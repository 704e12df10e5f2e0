"""What a document may hold: the rules that writer and reader share, so that nothing is written that could not be read."""

from __future__ import annotations

import keyword
import math
import unicodedata
from collections.abc import Container, Mapping

from surffit.exceptions import DocumentError, ExpressionError, UnsafeFileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "COST", "EXTRA", "FLAGS", "KEYS", "LISTS", "MAPPED", "MODEL_KEYS", "MOST_PARAMETERS", "NUMBERS", "PARAM_KEYS", "PART_KEYS",
    "SCHEMA", "STATS", "TEXTS",
    "WHOLE", "WORDS", "check_expression", "check_name", "check_text", "clean", "exactly", "floats", "in_order", "is_plain",
    "real", "shown",
]  # fmt: skip

SCHEMA = "surffit.result/1"
KEYS = {"schema", "surffit", "model", "params", "chisqr", "redchi", "covar", "covar_source", "stats"}
# only in files of coefficients mapped to another basis: the fit they were made of, which evaluates with all digits
MAPPED = {"basis", "fit"}
PARAM_KEYS = {"value", "stderr", "vary", "min", "max", "expr", "init_value"}
MODEL_KEYS = {
    "graph": {"kind", "name", "independent_vars", "graph"},
    "registered": {"kind", "name", "options"},
    "tree": {"kind", "model"},
}
WORDS = ("method", "message", "reason")
WHOLE = ("ndata", "nvarys", "nfev", "solver_status")
NUMBERS = ("nfree", "aic", "bic", "rsquared")
FLAGS = ("success", "errorbars", "aborted", "scale_covar")
STATS = (
    "method", "ndata", "nvarys", "nfree", "nfev", "aic", "bic", "rsquared", "success", "message", "errorbars", "aborted",
    "scale_covar", "reason", "solver_status",
)  # fmt: skip
LISTS = ("status", "linear", "at_bound")
TEXTS = ("explain", "data_sha256")
# only where there is something to say: the loss and the priors in words, how a point scatters, why earlier errors did not serve
COST = ("loss", "priors", "scatter", "covar_notes")
# newer than the first files, which lack it: the median error of the data (null: they had none), and what a part is part of
EXTRA = ("typical_sigma", "part")
PART_KEYS = {"key", "names", "nfree", "redchi"}
LONGEST_TEXT = 100_000
MOST_PARAMETERS = 10_000
DEEPEST_CHAIN = 500


def exactly(content: Any, keys: set[str], where: str) -> None:
    """Exactly these keys, in a dict."""
    if not isinstance(content, Mapping) or set(content) != keys:
        if isinstance(content, Mapping):
            odd = sorted(map(repr, set(content) ^ keys))[:5]
            found = f"unexpected or missing entries {', '.join(odd)[:200]}"
        else:
            found = f"{type(content).__name__} where an object belongs"
        msg = f"{where} has {found}; surffit never writes that"
        raise UnsafeFileError(msg)


def real(value: Any, where: str) -> float:
    """A number of a document: null is nan, "inf" and "-inf" are infinities."""
    if value is None:
        return math.nan
    if isinstance(value, str) and value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{where} is {shown(value)}, where a number, null, 'inf' or '-inf' belongs"
        raise UnsafeFileError(msg)
    return float(value)


def shown(value: Any) -> str:
    """The beginning of any value, for a sentence; a huge one is not written out for it."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    return ascii(value[:60]) if isinstance(value, str) else repr(value)[:60]


def check_name(name: Any, error: type[DocumentError]) -> None:
    """Parameter and variable names are identifiers as Python keeps them, with nothing that a report could take for more."""
    if (
        not isinstance(name, str) or len(name) > 200 or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__")
        or unicodedata.normalize("NFKC", name) != name
    ):  # fmt: skip
        msg = f"{shown(name)} is not a name that a document can hold; use a plain identifier that does not begin with two underscores"
        raise error(msg, name=name)


def check_text(value: Any, where: str, longest: int = LONGEST_TEXT) -> str:
    """A text without control characters, which would steer the terminal that it is printed on."""
    if not isinstance(value, str) or len(value) > longest:
        msg = f"{where} is {shown(value)}, where a text of at most {longest} characters belongs"
        raise UnsafeFileError(msg)
    if clean(value) != value:
        msg = f"{where} holds control characters, {shown(value)}; surffit never writes that"
        raise UnsafeFileError(msg)
    return value


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text as a document can hold it: no control characters but new lines and tabs, and not too long."""
    text = text[:longest]
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def check_expression(name: str, text: Any, known: Container[str], error: type[DocumentError]) -> str:
    """A constraint that is on the whitelist of expressions and speaks of known parameters."""
    from surffit.trace.expression import names

    if not isinstance(text, str):
        msg = f"the constraint of {name} is {type(text).__name__}, where a text belongs"
        raise error(msg, name=name)
    try:
        used = names(text)
    except ExpressionError as err:
        msg = f"the constraint of {name}, {text[:80]!a}, can't be kept in a document: {err}"
        raise error(msg, name=name, expr=text) from err
    unknown = [other for other in used if other not in known]
    if unknown:
        msg = f"the constraint of {name}, {text!r}, uses {unknown[0]!r}, which is no parameter of this fit"
        raise error(msg, name=name, expr=text)
    return text


def in_order(texts: Mapping[str, str], error: type[DocumentError]) -> list[str]:
    """Names of constrained parameters, each after those that its constraint uses; circles and endless chains are refused."""
    from surffit.trace.expression import names

    waiting = {name: set(names(text)) & set(texts) for name, text in texts.items()}
    users: dict[str, list[str]] = {name: [] for name in texts}
    for name, others in waiting.items():
        for other in others:
            users[other].append(name)
    ordered: list[str] = []
    ready = [name for name, others in waiting.items() if not others]
    for _ in range(DEEPEST_CHAIN):
        ordered += ready
        following = []
        for name in ready:
            for user in users[name]:
                waiting[user].discard(name)
                if not waiting[user]:
                    following.append(user)
        ready = following
    if len(ordered) < len(texts):
        done = set(ordered)
        left = [name for name in texts if name not in done]
        what = f"lean on each other more than {DEEPEST_CHAIN} deep" if ready else "refer to each other in a circle"
        msg = f"the constraints of {', '.join(left[:5])}{' ...' if len(left) > 5 else ''} {what}"
        raise error(msg, names=tuple(left))
    return ordered


def floats(text: str) -> str:
    """
    The expression such that no power of whole numbers stands in it and its value is no whole number; most are so already.

    lmfit evaluates constraints with Python's integers, and ``9**9999**9999`` of integers never ends; floats overflow at once.
    Tests are whole numbers too: ``(a > 0) + (a > 0)`` is 2. Multiplying by 1.0 changes no digit.
    """
    import ast

    tree = ast.parse(text.strip(), mode="eval")
    if not _whole(tree.body) and not any(isinstance(node, ast.BinOp) and _tower(node) for node in ast.walk(tree)):
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            node.value = float(node.value)

    def real_valued(node: ast.AST) -> ast.expr:
        return ast.BinOp(node, ast.Mult(), ast.Constant(1.0))  # type: ignore[arg-type]

    class Rewrite(ast.NodeTransformer):
        def visit_Compare(self, node: ast.Compare) -> ast.expr:
            return real_valued(self.generic_visit(node))

        def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
            self.generic_visit(node)
            if isinstance(node.op, ast.Pow):
                node.left = real_valued(node.left)
            return node

    return ast.unparse(ast.fix_missing_locations(Rewrite().visit(tree)))


def _whole(node: Any) -> bool:
    """Whether a part of a checked expression may be a whole number; parameters are floats."""
    import ast

    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    if isinstance(node, ast.Compare):
        return True
    if isinstance(node, ast.UnaryOp):
        return _whole(node.operand)
    if isinstance(node, ast.BinOp):
        return not isinstance(node.op, ast.Div) and _whole(node.left) and _whole(node.right)
    if isinstance(node, ast.Call):
        called = getattr(node.func, "id", "")
        return called in ("abs", "imag", "max", "min", "real", "square", "where") and any(map(_whole, node.args))
    return False


def _tower(node: Any) -> bool:
    """Whether a power may be one of whole numbers: a parameter's square is not, a parameter to a parameter could be one day."""
    import ast

    if not isinstance(node.op, ast.Pow):
        return False
    small = isinstance(node.right, ast.Constant) and isinstance(node.right.value, int) and node.right.value <= 100
    base = _whole(node.left) or isinstance(node.left, ast.Name)
    exponent = _whole(node.right) or isinstance(node.right, ast.Name)
    return base and exponent and not (small and isinstance(node.left, ast.Name))


def is_plain(value: Any, depth: int = 3) -> bool:
    """Whether a registered model's options are numbers, short texts without control characters, and lists of them."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and is_plain(item, depth - 1) for key, item in value.items())
    if isinstance(value, str):
        return clean(value, 2000) == value
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_plain(item, depth - 1) for item in value)
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
