"""Numbers on the structure of the package, read from its source."""
