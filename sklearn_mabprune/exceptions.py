"""Warnings and errors of the package's own."""

from __future__ import annotations


class PruningWarning(UserWarning):
    """Pruning went on, but not quite as asked: the message says what and why."""


class UnsupportedModuleError(ValueError):
    """The network is not a chain of layers that can be pruned; the message names the layer."""
