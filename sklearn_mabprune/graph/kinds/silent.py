"""Layers that return their input in evaluation mode."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray
from torch import Tensor, nn

from .base import ArrayFunction, ElementwiseKind


def same(x: NDArray[Any]) -> NDArray[Any]:
    """The values as they are."""
    return x


class IdentityKind(ElementwiseKind):
    """No operation."""

    modules: ClassVar[tuple[type[nn.Module], ...]] = (nn.Identity,)
    silent = True

    @classmethod
    def pullback(
        cls, layer: Any, gradient: Tensor, x: Tensor | None = None, y: Tensor | None = None
    ) -> Tensor:
        """The gradients as they are."""
        return gradient

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction:
        """The inputs as they are."""
        return same


class DropoutKind(IdentityKind):
    """Zeroes random units, in training mode only."""

    modules = (nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout)
    random = True
