"""Bases whose functions are products of functions of one variable each: on a grid they are two small tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .basis import Basis, checked_orders, numbers, require_variables
from .terms import Term, named


class ProductBasis(Basis):
    r"""
    Products of functions of one variable each, :math:`f_t(x, y) = g_{t_1}(x)\,h_{t_2}(y)`.

    A subclass overrides `terms` and `axis_functions`. Columns, derivatives and names follow; so do sums on a rectangular grid
    that never form a table of all points by all functions.
    """

    begins_with_one = False  # whether factor 0 is 1 in every variable

    def terms(self, nvars: int | None = None) -> tuple[Term, ...]:
        """For each function the index of its factor in each variable."""
        raise NotImplementedError

    def axis_functions(self, i: int, x: Any, order: int = 0) -> np.ndarray:
        """
        The factors in one variable.

        Column t of `columns` is the product over the variables i of ``axis_functions(i, coords[i])[:, terms[t][i]]``.

        Parameters
        ----------
        i : int
            Which variable, from 0.
        x : array_like
            Its n values, of any shape.
        order : int
            How often to differentiate.

        Returns
        -------
        ndarray, shape (n, k_i)

        Examples
        --------
        >>> from surffit.bases import Legendre
        >>> basis = Legendre(2, domain=((0.0, 2.0), (0.0, 4.0)))
        >>> basis.axis_functions(1, [0.0, 2.0, 4.0]).tolist()
        [[1.0, -1.0, 1.0], [1.0, 0.0, -0.5], [1.0, 1.0, 1.0]]
        """
        raise NotImplementedError

    # ---- what follows from these ----------------------------------------------------------------------------------------

    def names(self, nvars: int | None = None) -> tuple[str, ...]:
        """Names for the coefficients, ``c{i}_{j}`` for factor i of the first and j of the second variable."""
        return named(self.terms(nvars))

    def derivatives(self, *coords: Any, orders: int | Sequence[int] = 1) -> np.ndarray:
        """Exact partial derivatives; see `Basis.derivatives`."""
        nvars = require_variables(len(coords), self.nvars_known)
        plain = checked_orders(orders, nvars)
        arrays = [np.atleast_1d(np.asarray(values, dtype=float)) for values in coords]
        known = self.terms(nvars)
        out = np.ones((len(known), *np.broadcast_shapes(*(a.shape for a in arrays))))
        for i, (x, order) in enumerate(zip(arrays, plain, strict=True)):
            factors = self.axis_functions(i, x, order).T.reshape(-1, *x.shape)
            for column, term in zip(out, known, strict=True):
                if term[i] or order or not self.begins_with_one:
                    column *= factors[term[i]]
        return np.ascontiguousarray(out.reshape(len(known), -1).T)

    def evaluate(self, coef: Sequence[Any], coords: Sequence[Any]) -> Any:
        """The sum of coefficients times functions; see `Basis.evaluate`."""
        known = self.terms(require_variables(len(coords), self.nvars_known))
        factors = [self.axis_factors(i, x, max(term[i] for term in known)) for i, x in enumerate(coords)]
        return self.nested(list(zip(known, coef, strict=True)), 0, factors)

    def axis_factors(self, i: int, x: Any, highest: int) -> list[Any]:
        """The factors in one variable in its own shape, up to an index; of a symbol, where they have a graph."""
        array = numbers(x, self)
        return list(self.axis_functions(i, array).T.reshape(-1, *array.shape))

    def nested(self, entries: list[tuple[Term, Any]], i: int, factors: list[list[Any]]) -> Any:
        """Sums inside sums: every factor of the first variable is multiplied once."""
        if i == len(factors):
            return entries[0][1]
        groups: dict[int, list[tuple[Term, Any]]] = {}
        for term, c in entries:
            groups.setdefault(term[i], []).append((term, c))
        out: Any = None
        for n, group in sorted(groups.items()):
            part = self.nested(group, i + 1, factors)
            part = part if n == 0 and self.begins_with_one else part * factors[i][n]
            out = part if out is None else out + part
        return out
