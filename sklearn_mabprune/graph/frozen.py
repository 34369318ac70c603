"""Which parameters of a module are frozen, by name: no training changes them."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn


def frozen_names(module: nn.Module) -> tuple[str, ...]:
    """Names of the parameters of a module that are not trained.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_mabprune.graph.frozen import freeze, frozen_names
    >>> module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> freeze(module, ["0.weight"])
    >>> frozen_names(module)
    ('0.weight',)
    """
    return tuple(name for name, value in module.named_parameters() if not value.requires_grad)


def freeze(module: nn.Module, names: Collection[str]) -> None:
    """Train all parameters of a module but those of these names.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    names : collection of str
    """
    for name, value in module.named_parameters():
        value.requires_grad_(name not in names)
