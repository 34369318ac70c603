"""Layers that may stand behind the last Linear, where nothing is pruned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .base import ArrayFunction, Kind
from .norms import MIXES_SAMPLES


def softmax(x: NDArray[Any]) -> NDArray[Any]:
    """Class probabilities, (n_samples, n_classes)."""
    if len(x) == 1:
        # Sums of all elements take half the time of sums along an axis.
        y = np.exp(x - np.maximum.reduce(x, axis=None))
        y /= np.add.reduce(y, axis=None)
        return y
    y = np.exp(x - np.maximum.reduce(x, axis=1, keepdims=True))
    y /= np.add.reduce(y, axis=1, keepdims=True)
    return y


class SoftmaxKind(Kind):
    """Class probabilities, or their logarithms."""

    modules = (nn.Softmax, nn.LogSoftmax)
    mixes_units = True

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """Over the units."""
        return [nn.Softmax(dim=-1), nn.LogSoftmax(dim=1)]

    @classmethod
    def refusal(cls, layer: Any) -> str | None:
        """Over the samples it would return something else for every batch."""
        return MIXES_SAMPLES if layer.dim in (0, -2) else None

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction | None:
        """Probabilities; not their logarithms."""
        return softmax if type(layer) is nn.Softmax and layer.dim in (1, -1) else None


class FlattenKind(Kind):
    """Dimensions merged: of (n_samples, n_units) either nothing changes, or all are one."""

    modules = (nn.Flatten,)
    flattens = True
