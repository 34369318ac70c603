"""Layers that return their input in evaluation mode."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from .base import ElementwiseKind


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


class DropoutKind(IdentityKind):
    """Zeroes random units, in training mode only."""

    modules = (nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout)
    random = True
