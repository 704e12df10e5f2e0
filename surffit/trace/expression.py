"""The one whitelist for expressions: formulas, constraints, documents and the shell.

An expression is parsed to a syntax tree and turned into nodes; it is never evaluated as Python.  Allowed are finite
numbers (imaginary ones such as ``0.5j`` too), names, pi and e, ``+ - * / **``, signs, comparisons, and calls of the
functions in `FUNCTIONS`.  Everything else is refused with a sentence that shows it, and so is a formula whose value is
complex: ``real``, ``imag`` or ``abs`` of it is a number one can fit.
"""

from __future__ import annotations

import ast
import cmath
import keyword
import math
from collections.abc import Callable, Sequence
from types import MappingProxyType

from surffit.exceptions import ExpressionError, TraceError

from .builder import Builder, Graph
from .node import ArrayNode, Node

LONGEST = 500
MOST_NODES = 200

CONSTANTS = MappingProxyType({"pi": math.pi, "e": math.e})

FUNCTIONS = MappingProxyType({
    "abs": ("abs", 1), "exp": ("exp", 1), "expm1": ("expm1", 1), "log": ("log", 1), "log10": ("log10", 1),
    "log1p": ("log1p", 1), "sqrt": ("sqrt", 1), "sin": ("sin", 1), "cos": ("cos", 1), "tan": ("tan", 1),
    "arcsin": ("arcsin", 1), "arccos": ("arccos", 1), "arctan": ("arctan", 1), "arctan2": ("arctan2", 2),
    "sinh": ("sinh", 1), "cosh": ("cosh", 1), "tanh": ("tanh", 1), "arcsinh": ("arcsinh", 1),
    "arccosh": ("arccosh", 1), "arctanh": ("arctanh", 1), "erf": ("erf", 1), "erfc": ("erfc", 1), "square": ("square", 1),
    "where": ("select", 3), "max": ("max", -2), "min": ("min", -2), "real": ("real", 1), "imag": ("imag", 1),
    # what lmfit calls these in its constraints: gamma is a width there
    "gamfcn": ("gamma", 1), "loggammafcn": ("loggamma", 1), "betalnfnc": ("betaln", 2), "wofz": ("wofz", 1),
})  # fmt: skip
"""Function name to operation and number of arguments (negative: at least that many)."""

_BINARY = MappingProxyType({ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"})
_COMPARE = MappingProxyType({ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"})
_WHAT = MappingProxyType({
    ast.Attribute: "an attribute", ast.Subscript: "an index", ast.Lambda: "a lambda", ast.IfExp: "if/else (use where)",
    ast.BoolOp: "and/or (use where)", ast.ListComp: "a comprehension", ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension", ast.GeneratorExp: "a comprehension", ast.JoinedStr: "a string", ast.List: "a list",
    ast.Tuple: "a tuple", ast.Set: "a set", ast.Dict: "a dict", ast.NamedExpr: "an assignment", ast.Starred: "a star",
    ast.Await: "await", ast.Yield: "yield", ast.YieldFrom: "yield",
})  # fmt: skip


def parse(text: str, resolve: Callable[[str], Node], builder: Builder) -> Node:
    """Turn an expression into nodes.

    Parameters
    ----------
    text : str
        At most 500 characters.
    resolve : callable
        Gives the node of a name; may raise ``KeyError`` for one it does not know.
    builder : Builder
        Where the nodes live.

    Raises
    ------
    ExpressionError
        For anything outside the whitelist; it carries `text`.
    """
    tree = _tree(text)
    _check(tree, text)
    return _translate(tree, text, resolve, builder)


def names(text: str) -> tuple[str, ...]:
    """Names of variables in an expression, in order of appearance; the expression is checked against the whitelist."""
    tree = _tree(text)
    found = _check(tree, text)
    if any(isinstance(node, ast.Constant) and isinstance(node.value, complex) for node in ast.walk(tree)) or "wofz" in text:
        # variables are real, so only these can lead to a complex value
        builder = Builder()
        _translate(tree, text, builder.parameter, builder)
    return found


def graph_of(text: str, independent_vars: Sequence[str]) -> Graph:
    """Graph of an expression: `independent_vars` are coordinates, all other names parameters in order of appearance."""
    builder = Builder()
    for name in independent_vars:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name in FUNCTIONS or name in CONSTANTS:
            msg = f"{name!r} can't be the name of an independent variable of an expression; choose another name"
            raise ExpressionError(msg, text=text)
    found = names(text)
    for name in found:
        if name not in independent_vars:
            builder.parameter(name)
    for name in independent_vars:
        builder.coordinate(name)

    def resolve(name: str) -> Node:
        return builder.coordinate(name) if name in builder.coordinates else builder.parameter(name)

    return builder.graph(parse(text, resolve, builder))


def _refuse(text: str, why: str) -> ExpressionError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    msg = f"the expression {shown!r} can't be used: {why}"
    return ExpressionError(msg, text=text)


def _translate(tree: ast.expr, text: str, resolve: Callable[[str], Node], builder: Builder) -> Node:
    """Node of a checked syntax tree, which must be real."""
    try:
        node = _Translator(text, resolve, builder).visit(tree)
    except (TraceError, OverflowError) as err:
        msg = f"the expression {text!r} can't be used: {err}"
        raise ExpressionError(msg, text=text) from err
    if node.is_complex:
        raise _refuse(text, "its value is complex; take real(...), imag(...) or abs(...) of it")
    return node


def _tree(text: object) -> ast.expr:
    if not isinstance(text, str):
        msg = f"an expression must be text, not {type(text).__name__}"
        raise ExpressionError(msg, text=repr(text)[:80])
    if len(text) > LONGEST:
        raise _refuse(text, f"it has {len(text)} characters, at most {LONGEST} are allowed")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as err:
        raise _refuse(text, f"it is not a formula ({err.msg})") from err
    except (ValueError, MemoryError, RecursionError, OverflowError) as err:
        raise _refuse(text, "it is not a formula") from err


def _check(tree: ast.expr, text: str) -> tuple[str, ...]:
    """Refuse what is not on the whitelist; names in order of appearance."""
    found: dict[str, None] = {}
    # An explicit stack: a long chain of signs nests deeper than recursion likes.
    stack: list[ast.AST] = [tree]
    count = 0
    while stack:
        node = stack.pop()
        count += 1
        if count > MOST_NODES:
            raise _refuse(text, f"it has more than {MOST_NODES} parts")
        stack.extend(reversed(_parts(node, text, found)))
    return tuple(found)


def _parts(node: ast.AST, text: str, found: dict[str, None]) -> list[ast.AST]:
    if isinstance(node, ast.Constant):
        _number(node, text)
        return []
    if isinstance(node, ast.Name):
        if node.id in FUNCTIONS:
            raise _refuse(text, f"{node.id!r} is a function and must be called")
        if node.id.startswith("__"):
            raise _refuse(text, f"the name {node.id!r} is not allowed")
        if node.id not in CONSTANTS:
            found[node.id] = None
        return []
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        return [node.operand]
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Call):
        return _call_parts(node, text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        raise _refuse(text, "^ is not a power here; write **")
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        raise _refuse(text, f"the operator {type(node.op).__name__} is not allowed; allowed are + - * / **")
    what = _WHAT.get(type(node), type(node).__name__)
    raise _refuse(text, f"{what} is not allowed")


def _call_parts(node: ast.Call, text: str) -> list[ast.AST]:
    if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
        called = repr(node.func.id) if isinstance(node.func, ast.Name) else "that"
        raise _refuse(text, f"{called} is not an allowed function; allowed are {', '.join(sorted(FUNCTIONS))}")
    if node.keywords:
        raise _refuse(text, f"{node.func.id} takes no keyword arguments here")
    wanted = FUNCTIONS[node.func.id][1]
    if len(node.args) != wanted and not (wanted < 0 and len(node.args) >= -wanted):
        raise _refuse(text, f"{node.func.id} takes {'at least ' if wanted < 0 else ''}{abs(wanted)} arguments, got {len(node.args)}")
    return list(node.args)


def _number(node: ast.Constant, text: str) -> float | complex:
    value = node.value
    if type(value) not in (int, float, complex):
        raise _refuse(text, f"the constant {str(value)[:30]!r} of type {type(value).__name__} is not allowed")
    try:
        number = value if isinstance(value, complex) else float(value)  # type: ignore[arg-type]
    except OverflowError as err:
        raise _refuse(text, "a number in it is too large") from err
    if not cmath.isfinite(number):
        raise _refuse(text, "a number in it is too large")
    return number


class _Translator:
    """Checked syntax tree to nodes."""

    def __init__(self, text: str, resolve: Callable[[str], Node], builder: Builder) -> None:
        self.text = text
        self.resolve = resolve
        self.builder = builder

    def visit(self, node: ast.AST) -> Node:
        """Node of one part."""
        if isinstance(node, ast.Constant):
            return self.builder.constant(_number(node, self.text))
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.BinOp):
            return self._call(_BINARY[type(node.op)], self.visit(node.left), self.visit(node.right))
        if isinstance(node, ast.UnaryOp):
            operand = self.visit(node.operand)
            return operand if isinstance(node.op, ast.UAdd) else self._call("neg", operand)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise _refuse(self.text, f"{type(node).__name__} is not allowed")
        op = FUNCTIONS[node.func.id][0]
        args = [self.visit(a) for a in node.args]
        if op in ("real", "imag"):
            part: Node = args[0].real if op == "real" else args[0].imag
            return part
        if op not in ("max", "min"):
            return self._call(op, *args)
        if any(isinstance(a, ArrayNode) for a in args):
            op = {"max": "maximum", "min": "minimum"}[op]
        out = args[0]
        for a in args[1:]:
            out = self._call(op, out, a)
        return out

    def _name(self, name: str) -> Node:
        if name in CONSTANTS:
            return self.builder.constant(CONSTANTS[name])
        try:
            return self.resolve(name)
        except KeyError as err:
            raise _refuse(self.text, f"the name {name!r} is not known") from err

    def _compare(self, node: ast.Compare) -> Node:
        parts = [self.visit(p) for p in (node.left, *node.comparators)]
        tests = [self._call(_COMPARE[type(op)], a, b) for op, a, b in zip(node.ops, parts[:-1], parts[1:], strict=True)]
        out = tests[0]
        for test in tests[1:]:
            out = self._call("logical_and", out, test)
        return out

    def _call(self, op: str, *args: Node) -> Node:
        result = self.builder.call(op, *args)
        builder = self.builder
        constant = builder.ops[result._index] == "constant"
        if constant and not cmath.isfinite(builder.payload[result._index]) and all(self._finite(a) for a in args):
            raise _refuse(self.text, "a number in it overflows or is not defined")
        return result

    def _finite(self, node: Node) -> bool:
        value = self.builder.payload[node._index]
        return self.builder.ops[node._index] == "constant" and cmath.isfinite(value)
