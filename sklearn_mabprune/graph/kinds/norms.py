"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .base import ArrayFunction, PerUnitKind

#: Those of torch, for any number of positions; chains have the first alone.
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

#: Why a layer is refused that looks at a whole batch.
MIXES_SAMPLES = "mixes samples: what it returns for a sample depends on the others"


class BatchNormKind(PerUnitKind):
    """Batch normalisation: in evaluation mode a factor and a constant for each unit."""

    modules = (nn.BatchNorm1d,)
    width_argument = "num_features"
    sized = "running_mean"
    batch_statistics = True

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """With scale and shift, with one of them, and with neither."""
        return [
            nn.BatchNorm1d(width),
            nn.BatchNorm1d(width, bias=False),
            nn.BatchNorm1d(width, affine=False),
        ]

    @classmethod
    def refusal(cls, layer: Any) -> str | None:
        """Without running statistics it normalises by the batch that it is given."""
        return MIXES_SAMPLES if layer.running_mean is None else None

    @classmethod
    def slope(cls, layer: Any, x: Tensor, y: Tensor) -> Tensor:
        """The factor of each unit."""
        factor, _ = cls.affine(layer)
        return factor.to(x.dtype)[:, None].expand_as(x)

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction:
        """A factor and a constant for each unit."""
        mean, variance, weight, bias = (
            None if tensor is None else tensor.detach().numpy()
            for tensor in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )

        def normalised(x: NDArray[Any]) -> NDArray[Any]:
            y = (x - mean) / np.sqrt(variance + layer.eps)
            y = y if weight is None else y * weight
            return y if bias is None else y + bias

        return normalised

    @classmethod
    def affine(cls, layer: Any) -> tuple[Tensor, Tensor]:
        """Factor and constant of each unit in evaluation mode, float64, each (n_units,)."""
        factor = (layer.running_var.detach().double() + layer.eps).rsqrt()
        if layer.weight is not None:
            factor = factor * layer.weight.detach().double()
        constant = -layer.running_mean.detach().double() * factor
        return factor, constant if layer.bias is None else constant + layer.bias.detach().double()
