"""Handles on nodes: what a user's function computes with while it is being recorded.

There are two kinds.  A `Node` stands for a single number (a parameter, or what is made of parameters) and offers what a
Python float offers; an `ArrayNode` depends on a coordinate and offers what an array offers.  Each variable holds its own
handle, so that writing through a mask (``y[y < 0] = 0``) changes this variable and its aliases, as in numpy, and no
other node that happens to be equal.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from surffit.exceptions import TraceError

from . import arrayfunctions
from .ops import UFUNCS


def _binary(op: str) -> Any:
    def method(self: Node, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        return self._builder.call(op, self, other)

    return method


def _reflected(op: str) -> Any:
    def method(self: Node, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        return self._builder.call(op, other, self)

    return method


def _is_operand(value: Any) -> bool:
    return isinstance(value, (Node, int, float, complex, np.ndarray, np.generic))


def _unary(op: str) -> Any:
    def method(self: Node) -> Any:
        return self._builder.call(op, self)

    return method


def _refuse(what: str) -> Any:
    def method(self: Node, *args: Any, **kwargs: Any) -> NoReturn:
        msg = f"{what} a symbol is not possible while the function is recorded"
        raise TraceError(msg)

    return method


class Node:
    """A single number that is not known yet.  Made by a `Builder`, never by hand."""

    __slots__ = ("_builder", "_index")

    def __init__(self, builder: Any, index: int) -> None:
        self._builder = builder
        self._index = index

    def again(self, index: int | None = None, *, view: bool = False) -> Any:
        """A new variable of the same kind and shape, holding this value or that of another node."""
        return Node(self._builder, self._index if index is None else index)

    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("sub"), _reflected("sub")
    __mul__, __rmul__ = _binary("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _binary("div"), _reflected("div")
    __floordiv__, __rfloordiv__ = _binary("floordiv"), _reflected("floordiv")
    __mod__, __rmod__ = _binary("mod"), _reflected("mod")
    __pow__, __rpow__ = _binary("pow"), _reflected("pow")
    __and__, __rand__ = _binary("and"), _reflected("and")
    __or__, __ror__ = _binary("or"), _reflected("or")
    __xor__, __rxor__ = _binary("xor"), _reflected("xor")
    __lt__, __le__, __gt__, __ge__ = _binary("lt"), _binary("le"), _binary("gt"), _binary("ge")
    # Python's default equality would make `if sigma == 0` silently False.
    __eq__ = _binary("eq")
    __ne__ = _binary("ne")
    __hash__ = object.__hash__
    __neg__, __abs__, __invert__ = _unary("neg"), _unary("abs"), _unary("invert")
    __bool__ = _refuse("branching on")
    __float__ = _refuse("float() of")
    __int__ = _refuse("int() of")
    __index__ = _refuse("indexing with")
    __complex__ = _refuse("complex() of")
    __round__ = _refuse("rounding")
    __array__ = _refuse("making an array of")

    def __pos__(self) -> Node:
        return self.again()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._index}: {self._builder.ops[self._index]}>"

    @property
    def is_complex(self) -> bool:
        """Whether the value is complex."""
        return bool(self._builder.flags[self._index] & 2)

    @property
    def real(self) -> Node:
        """Real part."""
        return self._part("real")

    @property
    def imag(self) -> Node:
        """Imaginary part."""
        return self._part("imag")

    def _part(self, op: str) -> Node:
        if op == "real" and not self.is_complex:
            return self
        if not self.is_complex:
            return self.again(self._builder.constant_index(0.0), view=True)
        part = self._builder.call(op, self)
        # numpy hands out a view here: writing into it would change this variable too.
        return self.again(part._index, view=True)

    def conjugate(self) -> Node:
        """Complex conjugate."""
        return self._builder.call("conjugate", self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            how = f".{method}" if method != "__call__" else f" with {', '.join(kwargs)}="
            msg = f"numpy.{ufunc.__name__}{how} can't be recorded"
            raise TraceError(msg, operation=ufunc.__name__)
        name = UFUNCS.get(ufunc)
        if name is None:
            msg = f"no derivative is known for the function {ufunc.__name__!r}"
            raise TraceError(msg, operation=ufunc.__name__)
        # `array ** node` arrives here as numpy.power, but the array's own operator has faster special cases.
        if name == "power" and isinstance(inputs[0], np.ndarray):
            name = "pow"
        return self._builder.call(name, *inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return arrayfunctions.dispatch(self._builder, func, args, kwargs)


class ArrayNode(Node):
    """An array that is not known yet: it depends on a coordinate or on an array of numbers.

    `shape` is the set of coordinates (by number) and of array shapes that it is broadcast from; two nodes with equal
    sets have equal shapes.
    """

    __slots__ = ("_shape", "_view")

    def __init__(self, builder: Any, index: int, shape: frozenset[Any], view: bool = False) -> None:
        super().__init__(builder, index)
        self._shape = shape
        self._view = view

    def again(self, index: int | None = None, *, view: bool = False) -> Any:
        return ArrayNode(self._builder, self._index if index is None else index, self._shape, view)

    __len__ = _refuse("len() of")
    __iter__ = _refuse("iterating over")
    __contains__ = _refuse("searching in")

    def __getitem__(self, key: Any) -> Any:
        if key is Ellipsis or (isinstance(key, slice) and key == slice(None)):
            return self.again(view=True)
        return PickedNode(self._builder, self._index, self._shape, self._mask(key, "read"))

    def __setitem__(self, key: Any, value: Any) -> None:
        """``y[mask] = value`` becomes ``where(mask, value, y)``."""
        builder = self._builder
        if self._view:
            msg = "writing into a view of an array can't be recorded"
            raise TraceError(msg)
        test = self._mask(key, "written")
        new = builder.lift(value)
        single = not isinstance(value, ArrayNode) and not builder.flags[new] & 1
        if not single and not (isinstance(value, PickedNode) and value._test == test):
            msg = "through a mask only a single number can be written, or points picked by the same mask"
            raise TraceError(msg)
        if builder.flags[new] & 2 and not self.is_complex:
            msg = "a complex number can't be written into a real array"
            raise TraceError(msg)
        if builder.flags[self._index] & 4 != builder.flags[new] & 4:
            msg = "numbers and truth values can't be mixed in one array"
            raise TraceError(msg)
        self._index = builder.apply("select", (test, new, self._index))

    def _mask(self, key: Any, what: str) -> int:
        """Number of the mask, which must have this array's own shape: numpy does not broadcast masks."""
        builder = self._builder
        test = key.test if isinstance(key, arrayfunctions.Positions) else key
        if isinstance(test, np.ndarray) and test.dtype == np.bool_:
            test = builder.array(test)
        if not isinstance(test, ArrayNode) or isinstance(test, PickedNode) or not builder.flags[test._index] & 4:
            msg = f"while the function is recorded, an array can only be {what} through a mask"
            raise TraceError(msg)
        if test._shape != self._shape:
            msg = "the mask and the array depend on different coordinates, so that their shapes may differ"
            raise TraceError(msg)
        return test._index

    def _in_place(op: str) -> Any:  # type: ignore[misc]
        def method(self: ArrayNode, other: Any) -> Any:
            if not _is_operand(other):
                return NotImplemented
            if self._view:
                msg = "changing a view of an array in place can't be recorded"
                raise TraceError(msg)
            new = self._builder.call(op, self, other)
            if new.is_complex and not self.is_complex:
                msg = "an in-place operation can't turn a real array into a complex one"
                raise TraceError(msg)
            self._index = new._index
            return self

        return method

    __iadd__, __isub__, __imul__ = _in_place("add"), _in_place("sub"), _in_place("mul")
    __itruediv__, __ipow__ = _in_place("div"), _in_place("pow")
    __imod__, __ifloordiv__ = _in_place("mod"), _in_place("floordiv")
    __iand__, __ior__, __ixor__ = _in_place("and"), _in_place("or"), _in_place("xor")
    del _in_place

    def conj(self) -> Node:
        """Complex conjugate."""
        return self.conjugate()

    def copy(self, order: str = "C") -> ArrayNode:
        """The same values as a variable of its own."""
        return self.again()

    def clip(self, min: Any = None, max: Any = None) -> Node:
        """Values limited to an interval."""
        return arrayfunctions.dispatch(self._builder, np.clip, (self, min, max), {})

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        """Only to float64 (of real numbers) or complex128."""
        return arrayfunctions.converted(self._builder, self, dtype)

    @property
    def shape(self) -> Any:
        """Stands for the shape; only arrays can be made of it."""
        return arrayfunctions.Shape(self)

    def __getattr__(self, name: str) -> Any:
        if hasattr(np.ndarray, name) and not name.startswith("__"):
            msg = f"the array's {name!r} is not known while the function is recorded"
            raise TraceError(msg, attribute=name)
        msg = f"'numpy.ndarray' object has no attribute {name!r}"
        raise AttributeError(msg)


class PickedNode(ArrayNode):
    """The points of an array under a mask, ``x[mask]``: good for arithmetic and for writing back through that mask."""

    __slots__ = ("_test",)

    def __init__(self, builder: Any, index: int, shape: frozenset[Any], test: int) -> None:
        super().__init__(builder, index, shape)
        self._test = test

    def again(self, index: int | None = None, *, view: bool = False) -> Any:
        return PickedNode(self._builder, self._index if index is None else index, self._shape, self._test)

    __getitem__ = _refuse("picking twice from")
    __setitem__ = _refuse("writing into a pick of")
