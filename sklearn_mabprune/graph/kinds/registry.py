"""The list of all kinds of layer, and what is looked up in it."""

from __future__ import annotations

from typing import Any

from torch import nn

from .activations import ActivationKind, PReLUKind, ReLUKind
from .base import Description, Kind
from .embeddings import PiecewiseLinearKind
from .linear import LinearKind
from .norms import BatchNormKind
from .outputs import FlattenKind, SoftmaxKind
from .silent import DropoutKind, IdentityKind

#: Every kind that a network may consist of.
KINDS: tuple[type[Kind], ...] = (
    LinearKind,
    ReLUKind,
    ActivationKind,
    PReLUKind,
    BatchNormKind,
    DropoutKind,
    IdentityKind,
    SoftmaxKind,
    FlattenKind,
    PiecewiseLinearKind,
)

_BY_CLASS: dict[type[nn.Module], type[Kind]] = {
    module: kind for kind in KINDS for module in kind.modules
}

#: What a layer is called in a network that is written down.
BY_NAME: dict[str, type[nn.Module]] = {module.__name__: module for module in _BY_CLASS}


def kind_of(layer: nn.Module) -> Any:
    """The kind of a layer, by its exact class; None where it is unknown."""
    return _BY_CLASS.get(type(layer))


def describe(layer: nn.Module) -> Description:
    """Class name and constructor arguments of a layer, as plain data."""
    return type(layer).__name__, kind_of(layer).arguments(layer)


def build(description: Description) -> nn.Module:
    """The layer that :func:`describe` wrote down; its weights may be uninitialised."""
    name, arguments = description
    module = BY_NAME[name]
    return _BY_CLASS[module].build(module, arguments)


def shapes_of(description: Description) -> dict[str, tuple[Any, ...]]:
    """Shapes of the tensors that say how large a layer is, by the names of the tensors."""
    name, arguments = description
    return _BY_CLASS[BY_NAME[name]].shapes(arguments)


def layers_of(module: nn.Module, capability: str) -> list[nn.Module]:
    """Layers inside a module whose kind has a capability, such as "random"."""
    return [
        layer
        for layer in module.modules()
        if (kind := kind_of(layer)) is not None and getattr(kind, capability)
    ]
