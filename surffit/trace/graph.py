"""Recording a function as a graph: the front of the files that do it.

=============  ====================================================
`builder`      node store, frozen graph, evaluation by walking
`node`         the symbols a function computes with
`ops`          the closed table of operations
`rebind`       the one call of the user's function
`document`     the portable form
`function`     a graph as a callable
=============  ====================================================
"""

from .builder import Builder, Graph, evaluate
from .document import from_document, to_document
from .function import GraphFunction
from .node import Node
from .rebind import trace_call

__all__ = ["Builder", "Graph", "GraphFunction", "Node", "evaluate", "from_document", "to_document", "trace_call"]
