"""The model for many sets of parameters at once, with derivatives: the numpy way, for what no kernel can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.bind_numeric import resolver
from ...core.structure import evaluate, same
from ...exceptions import DataError
from ...trace import numeric
from ...trace.emit import compile_rows
from ..task import Task

__all__ = ["RowModel"]

STEP = 1e-3  # of differences, in units of the visible step: the best for four points
ROUND = 1e-11  # of a parameter: shorter steps drown in its rounding; one far from zero (a date) may be seen to move by no more
IMAGINARY = 1e-40  # complex step: its square is nothing beside 1


class RowModel:
    """
    A model that takes parameters as columns.

    Parameters
    ----------
    task : Task
    probe : tuple of ndarray, optional
        Parameters (m, M), known ones (m, K) and coordinates of a few data sets, (D,) or (m, D): the ways are tried out there. Without
        them, or where all fail, the model is called once per data set.

    Attributes
    ----------
    way : {"graph", "broadcast", "one by one"}
    derivatives : {"graph", "complex-step", "differences"}
    why : str
        What is in the way of a faster one; "" with the graph.
    """

    def __init__(self, task: Task, probe: tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]] | None) -> None:
        self.task = task
        self.way, self.derivatives, self.why = "one by one", "differences", ""
        self._resolve, self._complex_ok = resolver(task.model, task.params)
        self._scale = np.ones(len(task.free))
        self._full: Callable[..., Any] | None = None
        self._value: Callable[..., Any] | None = None
        self._order: list[int] = []
        if probe is None:
            self._by_graph()
            return
        p, known, x = probe
        with np.errstate(all="ignore"):
            truth = self._one_by_one(p, known, x)
            if self._by_graph() and self._is(truth, p, known, x):
                return
            self.way = "broadcast"
            if self._is(truth, p, known, x):
                self._numeric(p, known, x)
                return
            self.way = "one by one"
            self.why = self.why or "the function doesn't take parameters as columns (values of shape (n, 1))"
            self._numeric(p, known, x)

    def _by_graph(self) -> bool:
        task = self.task
        if task.structure is None or task.structure.graph.is_complex:
            self.why = ""
            return False
        structure = task.structure
        self._value, self._full, coordinates = compile_rows(structure.builder, structure.node, task.free, task.known)
        self._order = [task.coordinates.index(name) for name in coordinates]
        self.way = self.derivatives = "graph"
        return True

    def _is(self, truth: np.ndarray, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...]) -> bool:
        """Whether the present way gives what calls one by one give."""
        try:
            found = self.value(p, known, x)
        except Exception as err:  # noqa: BLE001 - a function that was not written for columns fails in any way it likes
            self.why = f"the function doesn't take parameters as columns ({type(err).__name__})"
            return False
        return same(found, truth)

    # ---- values ------------------------------------------------------------------------------------------------------

    def value(self, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...]) -> np.ndarray:
        """
        Values of the model.

        Parameters
        ----------
        p : ndarray, shape (n, M)
            Free parameters.
        known : ndarray, shape (n, K)
        x : tuple of ndarray, shape (D,) or (n, D)

        Returns
        -------
        ndarray, shape (n, D)
        """
        if self.way == "one by one":
            return self._one_by_one(p, known, x)
        shape = (len(p), x[0].shape[-1] if x else 1)
        if self.way == "graph" and self._value is not None:
            out = self._value(_columns(p), (), _columns(known), [x[j] for j in self._order])
        else:
            out = self._call(_columns(p), _columns(known), x)
        return np.array(np.broadcast_to(out, shape), dtype=float)

    def full(
        self, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...], lower: np.ndarray, upper: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Values (n, D) and derivatives (n, M, D).

        Parameters
        ----------
        p, known, x
            As for `value`.
        lower, upper : ndarray, shape (n, M)
            Bounds that no step of differences leaves.
        """
        n, M = p.shape
        if self.way != "graph" or self._full is None:
            f = self.value(p, known, x)
            J = np.empty((n, M, f.shape[1]))
            for k in range(M):
                J[:, k] = (
                    self._complex(p, known, x, k) if self.derivatives == "complex-step" else self._differ(p, known, x, k, f, lower, upper)
                )
            return f, J
        f0, columns = self._full(_columns(p), (), _columns(known), [x[j] for j in self._order])
        shape = (n, x[0].shape[-1] if x else 1)
        J = np.empty((n, M, shape[1]))
        for k, column in enumerate(columns):
            J[:, k] = 0.0 if column is None else column
        return np.array(np.broadcast_to(f0, shape), dtype=float), J

    def _call(self, p: Sequence[Any], known: Sequence[Any], x: tuple[np.ndarray, ...]) -> Any:
        task = self.task
        values = self._resolve(dict(zip((*task.free, *task.known), (*p, *known), strict=True)))
        return evaluate(task.model, values, {**dict(zip(task.coordinates, x, strict=True)), **task.opts})

    def _one_by_one(self, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...]) -> np.ndarray:
        out = np.empty((len(p), x[0].shape[-1] if x else 1))
        for q in range(len(p)):
            found = self._call(p[q].tolist(), known[q].tolist(), tuple(a if a.ndim == 1 else a[q] for a in x))
            if found is None:
                msg = f"{self.task.model.name} returned None; let it return its values"
                raise DataError(msg)
            out[q] = found
        return out

    # ---- derivatives without a graph -----------------------------------------------------------------------------------

    def _numeric(self, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...]) -> None:
        """Find out which derivatives can be had, and the steps of differences."""
        self.derivatives = "differences"
        first = tuple(a if a.ndim == 1 else a[0] for a in x)

        def func(q: np.ndarray) -> np.ndarray:
            out = np.asarray(self._call(q.tolist(), known[0].tolist(), first))
            return np.broadcast_to(out, first[0].shape) if first else out.reshape(-1)

        lower, upper = (np.array([self.task.params[name].__getattribute__(end) for name in self.task.free]) for end in ("min", "max"))
        found = numeric.choose(func, p[0], complex_step=self._complex_ok, lower=lower, upper=upper)
        self._scale = np.where(np.isfinite(found.step), found.step, np.where(p[0] != 0, np.abs(p[0]), 1.0))
        if found.route != "complex-step" or self.way != "broadcast":
            return
        bounds = np.broadcast_to(lower, p.shape), np.broadcast_to(upper, p.shape)
        f = self.value(p, known, x)
        for k in range(p.shape[1]):
            try:
                exact = self._complex(p, known, x, k)
            except Exception:  # noqa: BLE001 - complex columns are one more thing that a function may not take
                return
            rough = self._differ(p, known, x, k, f, *bounds)
            good = np.isfinite(rough) & np.isfinite(exact)
            if not (np.abs(exact - rough)[good] <= 1e-3 * np.abs(rough[good]).max(initial=1e-300)).all():
                return
        self.derivatives = "complex-step"

    def _complex(self, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...], k: int) -> np.ndarray:
        columns = _columns(p)
        h = IMAGINARY * min(1.0, float(self._scale[k]))
        columns[k] = columns[k] + 1j * h
        out = np.asarray(self._call(columns, _columns(known), x))
        shape = (len(p), x[0].shape[-1] if x else 1)
        return np.array(np.broadcast_to(out.imag, shape)) / h

    def _differ(
        self, p: np.ndarray, known: np.ndarray, x: tuple[np.ndarray, ...], k: int, f: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> np.ndarray:
        """Four points around p, or two to the inner side of a bound."""
        h = np.full(len(p), STEP * self._scale[k])
        h = 2.0 ** np.floor(np.log2(np.maximum(h, ROUND * np.abs(p[:, k]))))
        low, high = p[:, k] - 2 * h < lower[:, k], p[:, k] + 2 * h > upper[:, k]

        def at(shift: np.ndarray) -> np.ndarray:
            moved = p.copy()
            moved[:, k] += shift
            return self.value(moved, known, x)

        edge = low | high
        out = np.empty_like(f)
        if not edge.all():
            out[:] = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h[:, None])
        if edge.any():
            s = np.where(low, 1.0, -1.0) * np.minimum(h / 16, (upper[:, k] - lower[:, k]) / 4)
            out[edge] = ((-3 * f + 4 * at(s) - at(2 * s)) / (2 * s[:, None]))[edge]
        return out


def _columns(p: np.ndarray) -> list[np.ndarray]:
    # contiguous: a stride may take another loop of numpy's, with another last bit
    return [np.ascontiguousarray(p[:, k])[:, None] for k in range(p.shape[1])]
