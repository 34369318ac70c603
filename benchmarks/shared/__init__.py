"""Data sets, trained networks and results that several benchmarks use."""
