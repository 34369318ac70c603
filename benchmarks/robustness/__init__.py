"""Drawn settings and tables, kills, threads, leaks and changed files: what must go on holding."""
