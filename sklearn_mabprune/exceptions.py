"""Warnings and errors of the package's own."""

from __future__ import annotations


class PruningWarning(UserWarning):
    """Pruning went on, but not quite as asked: the message says what and why."""


class UnsupportedModuleError(ValueError):
    """The network cannot be pruned, or cannot be exported as asked; the message names the layer."""


class ModelFileError(ValueError):
    """A file is not a saved estimator that can be loaded; the message says why and what to do."""
