"""A graph as a callable with names, for people and for lmfit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from .builder import Graph, evaluate


class GraphFunction:
    """Callable that evaluates a graph by walking it; it pickles, and runs no code but this module's.

    Parameters
    ----------
    graph : Graph
    name : str
        Becomes ``__name__``.
    independent_vars : sequence of str, optional
        Names of the coordinates in the order of the signature; default: as in the graph.  It may hold names that the
        graph does not use.
    defaults : mapping of str to float, optional
        Default values of parameters; these and all after them can only be given by name.
    """

    def __init__(
        self, graph: Graph, name: str = "expression", independent_vars: Sequence[str] | None = None,
        defaults: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.graph = graph
        self.independent_vars = tuple(graph.coordinates if independent_vars is None else independent_vars)
        missing = [c for c in graph.coordinates if c not in self.independent_vars]
        if missing:
            msg = f"independent_vars lacks {', '.join(missing)}, which the graph uses"
            raise ValueError(msg)
        self.__name__ = name
        self.__qualname__ = name
        self.__doc__ = f"{name}({', '.join((*self.independent_vars, *graph.parameters))}), a recorded expression."
        kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
        arguments = [inspect.Parameter(n, kind) for n in self.independent_vars]
        for parameter in graph.parameters:
            default = (defaults or {}).get(parameter, inspect.Parameter.empty)
            if default is not inspect.Parameter.empty:
                kind = inspect.Parameter.KEYWORD_ONLY
            arguments.append(inspect.Parameter(parameter, kind, default=default))
        self.__signature__ = inspect.Signature(arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        values = {n: given[n] for n in self.graph.parameters}
        coords = {n: given[n] for n in self.graph.coordinates}
        return evaluate(self.graph, values, coords)

    def __repr__(self) -> str:
        return f"<GraphFunction {self.__doc__}>"
