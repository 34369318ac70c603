"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from torch import Tensor, nn

from .base import ArrayFunction, ElementwiseKind, PerUnitKind

# Of a number NumPy would make an array for each call.
_ZEROS = {kind: np.zeros((), dtype=kind) for kind in "fd"}


class ReLUKind(ElementwiseKind):
    """max(0, x)."""

    modules = (nn.ReLU,)
    rectifies = True

    @classmethod
    def slope(cls, layer: Any, x: Tensor, y: Tensor) -> Tensor:
        """1 where the output is positive, else 0."""
        return y.sign()

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction:
        """max(0, x)."""
        return lambda x: np.maximum(x, _ZEROS[x.dtype.char])


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

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction | None:
        """The common ones."""
        function = _OVER_ARRAYS.get(type(layer))
        return None if function is None else partial(function, layer)


class PReLUKind(PerUnitKind):
    """A slope below zero for each unit, or one for all."""

    modules = (nn.PReLU,)
    width_argument = "num_parameters"

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """With a slope for each unit, and with one for all."""
        return [nn.PReLU(width), nn.PReLU()]

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction:
        """Inputs above 0 as they are, the others times the slope."""
        slopes = layer.weight.detach().numpy()
        return lambda x: np.where(x > 0, x, x * slopes)


def _elu(layer: Any, x: NDArray[Any]) -> NDArray[Any]:
    return np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0.0)))


def _gelu(layer: Any, x: NDArray[Any]) -> NDArray[Any]:
    if layer.approximate == "tanh":
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * ndtr(x)


#: Activation functions over NumPy arrays: layer and inputs to outputs.
_OVER_ARRAYS: dict[type[nn.Module], Callable[[Any, NDArray[Any]], NDArray[Any]]] = {
    nn.Tanh: lambda layer, x: np.tanh(x),
    nn.Sigmoid: lambda layer, x: expit(x),
    nn.SiLU: lambda layer, x: x * expit(x),
    nn.LeakyReLU: lambda layer, x: np.where(x > 0, x, layer.negative_slope * x),
    nn.ELU: _elu,
    nn.GELU: _gelu,
    nn.Hardtanh: lambda layer, x: np.clip(x, layer.min_val, layer.max_val),
    nn.ReLU6: lambda layer, x: np.clip(x, layer.min_val, layer.max_val),
}
