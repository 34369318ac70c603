"""Time and memory of the package, against straightforward implementations."""
