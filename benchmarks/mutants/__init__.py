"""Invariants of the package, each broken on purpose: its tests must notice."""
