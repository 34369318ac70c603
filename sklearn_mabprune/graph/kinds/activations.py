"""Activation functions."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from .base import ElementwiseKind, PerUnitKind


class ReLUKind(ElementwiseKind):
    """max(0, x)."""

    modules = (nn.ReLU,)
    rectifies = True

    @classmethod
    def slope(cls, layer: Any, x: Tensor, y: Tensor) -> Tensor:
        """1 where the output is positive, else 0."""
        return y.sign()


class ActivationKind(ElementwiseKind):
    """An activation function without parameters that are trained."""

    modules: ClassVar[tuple[type[nn.Module], ...]] = (
        nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
        nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Softshrink,
        nn.Hardshrink, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Threshold,
    )  # fmt: skip

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """All of them, with their default arguments where they have some."""
        plain = [module() for module in cls.modules if module is not nn.Threshold]
        return [*plain, nn.Threshold(0.1, -0.3), nn.LeakyReLU(0.2)]


class PReLUKind(PerUnitKind):
    """A slope below zero for each unit, or one for all."""

    modules = (nn.PReLU,)
    width_argument = "num_parameters"

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """With a slope for each unit, and with one for all."""
        return [nn.PReLU(width), nn.PReLU()]
