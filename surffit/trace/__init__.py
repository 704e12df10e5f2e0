"""From a plain function to a graph, and from the graph to exact derivatives, linear parameters and fast source."""
