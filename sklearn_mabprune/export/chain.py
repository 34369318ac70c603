"""A network as the fewest parts: layers of weights that have taken in the layers beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..graph.kinds.linear import LinearKind
from ..graph.kinds.registry import kind_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Weighted sums of the inputs.

    Parameters
    ----------
    weight : ndarray of shape (n_outputs, n_inputs)
    bias : ndarray of shape (n_outputs,)
    """

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Affine:
    """A factor and a constant for each unit, each of shape (n_units,)."""

    factor: Array
    constant: Array


Part = Linear | Affine | nn.Module


def folded(layers: list[nn.Module]) -> list[Part]:
    """The parts of a network, in float64, with BatchNorm folded into the weights beside it.

    BatchNorm directly after a Linear is folded into it, otherwise into the Linear directly
    after it; an :class:`Affine` is left only between two other layers, or at the end.

    Parameters
    ----------
    layers : list of nn.Module
        In evaluation mode, without layers that are the identity.

    Returns
    -------
    list of Linear, Affine and nn.Module
    """
    parts: list[Part] = []
    for layer in layers:
        part = _part(layer)
        before = parts[-1] if parts else None
        if isinstance(part, Affine) and isinstance(before, Linear):
            weight = before.weight * part.factor[:, None]
            parts[-1] = Linear(weight, before.bias * part.factor + part.constant)
        elif isinstance(part, Affine) and isinstance(before, Affine):
            constant = before.constant * part.factor + part.constant
            parts[-1] = Affine(before.factor * part.factor, constant)
        elif isinstance(part, Linear) and isinstance(before, Affine):
            bias = part.bias + part.weight @ before.constant
            parts[-1] = Linear(part.weight * before.factor, bias)
        else:
            parts.append(part)
    return parts


def _part(layer: nn.Module) -> Part:
    """A layer as a part of its own."""
    if isinstance(layer, nn.Linear):
        weight, bias = LinearKind.weights(layer)
        found = _float64(weight)
        return Linear(found, np.zeros(len(found)) if bias is None else _float64(bias))
    kind: Any = kind_of(layer)
    affine = None if kind is None else kind.affine(layer)
    return layer if affine is None else Affine(*map(_float64, affine))


def _float64(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()
