"""C forms of modules that are no chains, from the operators of their programs."""
