"""Ctrl-C before every line that a small fit runs: what is kept, and what is left behind."""
