"""A network as a graph of known kinds of layer: tracing, groups of units, surgery."""
