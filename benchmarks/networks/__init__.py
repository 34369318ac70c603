"""Benchmarks on networks that are no chains."""
