"""Training and evaluation mode of modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Leave each part of a module in its mode, whatever a block puts it into.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_mabprune.utils.modes import modes_kept
    >>> module = nn.Sequential(nn.Linear(2, 2), nn.Dropout().eval())
    >>> with modes_kept(module):
    ...     _ = module.eval()
    >>> [part.training for part in module.modules()]
    [True, True, False]
    """
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
