"""Models as `solve.problem.Kernel`s: by their graph, or by calling the function.

Rows are the used points. Where the graph's coordinates are symbols the excluded points were cut out of the coordinates
beforehand; otherwise the function sees everything and `select` cuts its values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..trace import numeric
from ..trace.emit import Program

Select = Callable[[Any], np.ndarray]


class GraphKernel:
    """Exact values and derivatives from emitted code."""

    def __init__(self, program: Program, known: Sequence[float], coords: Sequence[np.ndarray], select: Select | None) -> None:
        self.program = program
        self.known = [float(v) for v in known]
        self.coords = tuple(coords)
        self.select = select
        self.patched = 0

    def _cut(self, array: Any) -> Any:
        return array if array is None or self.select is None or np.ndim(array) == 0 else self.select(array)

    def value(self, alpha: np.ndarray, c: np.ndarray) -> Any:
        return self._cut(self.program.value(alpha.tolist(), c.tolist(), self.known, self.coords))

    def columns(self, alpha: np.ndarray) -> tuple[Any | None, Sequence[Any]]:
        fixed, phi = self.program.columns(alpha.tolist(), self.known, self.coords)
        if self.select is None:
            return fixed, phi
        return self._cut(fixed), [self._cut(column) for column in phi]

    def full(self, alpha: np.ndarray, c: np.ndarray) -> tuple[Any, Sequence[Any | None]]:
        value, J = self.program.full(alpha.tolist(), c.tolist(), self.known, self.coords)
        if self.select is not None:
            value, J = self._cut(value), [self._cut(column) for column in J]
        return value, J

    def patch(self, alpha: np.ndarray, c: np.ndarray, value: Any, J: Sequence[Any | None]) -> list[Any | None]:
        """Derivatives that aren't finite where the value is (0/0 at a removable point), numerically."""
        p = np.concatenate([alpha, c])
        m = len(alpha)
        size = np.broadcast(np.asarray(value), *(np.asarray(column) for column in J if column is not None))
        flat_value = np.broadcast_to(value, size.shape).reshape(-1)
        if np.iscomplexobj(flat_value) or not np.isfinite(flat_value).all():
            return list(J)

        def func(q: np.ndarray) -> np.ndarray:
            # parts of the program run on Python floats; complex steps don't pass through them
            out = self.value(np.asarray(q[:m], dtype=float), np.asarray(q[m:], dtype=float))
            return np.broadcast_to(out, size.shape).reshape(-1)

        out: list[Any | None] = []
        for j, column in enumerate(J):
            if column is not None and not np.isfinite(np.sum(column)):
                whole = np.array(np.broadcast_to(column, size.shape)).reshape(-1)
                bad = ~np.isfinite(whole)
                q = p.copy()
                q[j] += 1e-6 * (abs(p[j]) or 1.0)
                if (func(q)[bad] == flat_value[bad]).all():
                    # 0 * inf: nothing moves there (the wing of a peak of vanishing width)
                    whole[bad] = 0.0
                    out.append(whole.reshape(size.shape))
                    continue
                whole, count = numeric.patch_entries(func, p, j, whole, flat_value)
                self.patched += int(count)
                column = whole.reshape(size.shape)
            out.append(column)
        return out

    def second(self, alpha: np.ndarray, c: np.ndarray) -> Sequence[tuple[int, int, Any]] | None:
        pairs = self.program.second(alpha.tolist(), c.tolist(), self.known, self.coords)
        return pairs if self.select is None else [(i, j, self._cut(array)) for i, j, array in pairs]

    def settle(self, alpha: np.ndarray, c: np.ndarray) -> None:
        """Nothing to tune: derivatives are exact."""

    def part(self, rows: slice, length: int) -> GraphKernel:
        """The same model on a block of rows (first axis)."""
        coords = [x[rows] if np.ndim(x) and x.shape[0] == length else x for x in self.coords]
        return GraphKernel(self.program, self.known, coords, None)


class NumericKernel:
    """Values by calling the function, derivatives by complex step or differences."""

    def __init__(
        self, func: Callable[[np.ndarray], np.ndarray], n: int, m: int, differentiator: Any, scale: np.ndarray, reference: np.ndarray
    ) -> None:
        self.func = func  # p (n,) in the order non-linear, linear -> rows (N,)
        self.reference = reference  # linear parameters where the columns are taken: a point at which the model is itself
        self.n, self.m = n, m
        self.differentiator = differentiator
        # a power of two, so that dividing by it is exact
        self.scale = np.ldexp(1.0, np.frexp(np.where(np.isfinite(scale) & (scale > 0), scale, 1.0))[1])
        self.patched = 0

    def value(self, alpha: np.ndarray, c: np.ndarray) -> Any:
        return self.func(np.concatenate([alpha, c]))

    def columns(self, alpha: np.ndarray) -> tuple[Any | None, Sequence[Any]]:
        c = self.reference
        p = np.concatenate([alpha, c])
        fixed = self.func(p)
        phi = []
        for j in range(self.m, self.n):
            p[j] += self.scale[j]
            phi.append((self.func(p) - fixed) / self.scale[j])
            p[j] = c[j - self.m]
        for value, column in zip(c, phi, strict=True):
            fixed = fixed - value * column
        return fixed, phi

    def full(self, alpha: np.ndarray, c: np.ndarray) -> tuple[Any, Sequence[Any | None]]:
        p = np.concatenate([alpha, c])
        value = self.func(p)
        return value, list(self.differentiator.jacobian(self.func, p))

    def patch(self, alpha: np.ndarray, c: np.ndarray, value: Any, J: Sequence[Any | None]) -> list[Any | None]:
        """As for graphs: entries that aren't finite where the value is."""
        p = np.concatenate([alpha, c])
        out: list[Any | None] = []
        for j, column in enumerate(J):
            if column is not None and not np.isfinite(column).all():
                column, count = numeric.patch_entries(self.func, p, j, np.array(column), value)
                self.patched += int(count)
            out.append(column)
        return out

    def second(self, alpha: np.ndarray, c: np.ndarray) -> None:
        return None

    def settle(self, alpha: np.ndarray, c: np.ndarray) -> None:
        """Steps that suited the start may not suit the end."""
        if self.differentiator.route == "differences":
            d = self.differentiator
            self.differentiator = numeric.choose(self.func, np.concatenate([alpha, c]), complex_step=False, lower=d.lower, upper=d.upper)


class GridProgramKernel:
    """Rank-1 terms on a rectangular grid, for `solve.grid.GridMoments`."""

    def __init__(self, program: Any, known: Sequence[float], coords: Sequence[np.ndarray]) -> None:
        self.program = program
        self.known = [float(v) for v in known]
        self.coords = tuple(coords)
        self.has_fixed: bool = program.has_fixed

    def columns(self, alpha: np.ndarray) -> Any:
        return self.program.columns(alpha.tolist(), self.known, self.coords)

    def full(self, alpha: np.ndarray, c: np.ndarray) -> Any:
        return self.program.full(alpha.tolist(), c.tolist(), self.known, self.coords)

    def second(self, alpha: np.ndarray, c: np.ndarray) -> Any:
        return self.program.second(alpha.tolist(), c.tolist(), self.known, self.coords)
