"""The C form of each kind of layer, in float32."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import nn

from ...exceptions import UnsupportedModuleError
from ...graph.kinds.embeddings import PiecewiseLinearEmbedding
from ..chain import Affine, Linear, Part
from .embeddings import WrittenEmbedding, write_embedding, write_piecewise_linear
from .kernels import elementwise
from .literals import number
from .program import Program, Vector

#: Adds the calls of a layer, from its input to its output, which is returned.
Writer = Callable[[Program, Vector, Any], Vector]

_LIBRARY = re.compile(r"\b(\w+f)\(")

_SOFTPLUS = "({0} > 20.0f ? {0} : log1pf(expf({0})))"


def write(program: Program, parts: list[Part], x: Vector) -> Vector:
    """Add the calls of the parts of a network, and return its output.

    Raises
    ------
    UnsupportedModuleError
        If a layer has no C form.
    """
    for part in parts:
        x = writer_of(part)(program, x, part)
    return x


def writer_of(part: Part) -> Writer:
    """The function that writes a part of a network.

    Raises
    ------
    UnsupportedModuleError
        If a layer has no C form.
    """
    found = LAYERS.get(type(part))
    if found is None:
        raise UnsupportedModuleError(
            f"{part} has no C form. Replace the layer, or export the network with to_torch() or "
            "to_onnx()."
        )
    return found


def _linear(program: Program, x: Vector, part: Any) -> Vector:
    y = Vector(len(part.bias))
    add_linear(program, part, x, y)
    return y


def add_linear(program: Program, part: Linear, x: Vector, y: Vector) -> None:
    """Add the call of weighted sums `y` of `x`."""
    n_outputs, n_inputs = part.weight.shape
    # Input by input, so that the compiler can compute several outputs at once.
    weight = program.constant("weights", part.weight.T)
    bias = program.constant("biases", part.bias)
    program.call("linear", weight, bias, n_inputs, n_outputs, x, y, macs=n_inputs * n_outputs)


def _affine(program: Program, x: Vector, part: Any) -> Vector:
    y = program.target(x)
    factor = program.constant("factors", part.factor)
    constant = program.constant("constants", part.constant)
    program.call("scale", factor, constant, x.size, x, y)
    return y


def _prelu(program: Program, x: Vector, layer: Any) -> Vector:
    y = program.target(x)
    slopes = program.constant("slopes", layer.weight.detach().double().numpy())
    program.call("prelu", slopes, int(layer.num_parameters > 1), x.size, x, y)
    return y


def _each(expression: str, *parameters: str, given: Callable[..., str] | None = None) -> Writer:
    """Writer of an element-wise layer: an expression of ``v`` and of attributes of the layer."""

    def write(program: Program, x: Vector, layer: Any) -> Vector:
        text = given(layer) if given else expression
        # In parentheses: a minus may stand before them.
        values = [f"({number(getattr(layer, name))})" for name in parameters]
        text = text.format("v", *values)
        y = program.target(x)
        name = type(layer).__name__.lower()
        library = tuple(_LIBRARY.findall(text))
        program.call(elementwise(name, text, library), x.size, x, y)
        return y

    return write


def _whole(kernel: str) -> Writer:
    """Writer of a layer whose outputs depend on all inputs."""

    def write(program: Program, x: Vector, layer: Any) -> Vector:
        y = program.target(x)
        program.call(kernel, x.size, x, y)
        return y

    return write


def _gelu(layer: Any) -> str:
    if layer.approximate == "tanh":
        return "0.5f * {0} * (1.0f + tanhf(0.7978845608f * ({0} + 0.044715f * {0} * {0} * {0})))"
    return "0.5f * {0} * (1.0f + erff(0.7071067812f * {0}))"


def _clipped(low: str, high: str) -> str:
    return f"{{0}} < {low} ? {low} : ({{0}} > {high} ? {high} : {{0}})"


_SIXTH = "({0} < -3.0f ? 0.0f : ({0} > 3.0f ? 1.0f : {0} / 6.0f + 0.5f))"

#: Writer of each part of a network.  NaN stays NaN, as in torch.
LAYERS: dict[type, Writer] = {
    Linear: _linear,
    Affine: _affine,
    PiecewiseLinearEmbedding: write_piecewise_linear,
    WrittenEmbedding: write_embedding,
    nn.ReLU: _each("{0} < 0.0f ? 0.0f : {0}"),
    nn.ReLU6: _each(_clipped("0.0f", "6.0f")),
    nn.LeakyReLU: _each("{0} < 0.0f ? {0} * {1} : {0}", "negative_slope"),
    nn.PReLU: _prelu,
    nn.ELU: _each("{0} > 0.0f ? {0} : {1} * expm1f({0})", "alpha"),
    nn.SELU: _each("1.0507009874f * ({0} > 0.0f ? {0} : 1.6732632423f * expm1f({0}))"),
    nn.CELU: _each("{0} > 0.0f ? {0} : {1} * expm1f({0} / {1})", "alpha"),
    nn.GELU: _each("", given=_gelu),
    nn.SiLU: _each("{0} / (1.0f + expf(-{0}))"),
    nn.Mish: _each(f"{{0}} * tanhf{_SOFTPLUS}"),
    nn.Tanh: _each("tanhf({0})"),
    nn.Sigmoid: _each("1.0f / (1.0f + expf(-{0}))"),
    nn.LogSigmoid: _each("{0} < 0.0f ? {0} - log1pf(expf({0})) : -log1pf(expf(-{0}))"),
    nn.Softplus: _each(
        "{0} * {1} > {2} ? {0} : log1pf(expf({0} * {1})) / {1}", "beta", "threshold"
    ),
    nn.Softsign: _each("{0} / (1.0f + fabsf({0}))"),
    nn.Tanhshrink: _each("{0} - tanhf({0})"),
    nn.Softshrink: _each("{0} > {1} ? {0} - {1} : ({0} < -{1} ? {0} + {1} : 0.0f * {0})", "lambd"),
    nn.Hardshrink: _each("{0} >= -{1} && {0} <= {1} ? 0.0f : {0}", "lambd"),
    nn.Hardtanh: _each(_clipped("{1}", "{2}"), "min_val", "max_val"),
    nn.Hardsigmoid: _each(_SIXTH),
    nn.Hardswish: _each(f"{{0}} * {_SIXTH}"),
    nn.Threshold: _each("{0} <= {1} ? {2} : {0}", "threshold", "value"),
    nn.Softmax: _whole("softmax"),
    nn.LogSoftmax: _whole("log_softmax"),
}
