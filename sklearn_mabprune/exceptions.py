"""Warnings and errors that the package defines."""

from __future__ import annotations


class PruningWarning(UserWarning):
    """A fit deviates from what was requested; the message says how, why and what to do."""


class UnsupportedModuleError(ValueError):
    """The network cannot be pruned or exported; the message names the layer."""


class ModelFileError(ValueError):
    """A file cannot be loaded as an estimator; the message says why and what to do."""
