"""Functions of single elements: operators as layers of torch, or as expressions in C."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ....graph.program import Operation
from ..kernels import elementwise
from ..literals import number
from ..program import Program, Vector
from .elements import Each

_LIBRARY = re.compile(r"\b(\w+f)\(")

#: The layer of an operator, made from the operator's further arguments.
LAYERS: dict[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": lambda slope=0.01: nn.LeakyReLU(slope),
    "elu": lambda alpha=1.0: nn.ELU(alpha),
    "selu": nn.SELU,
    "celu": lambda alpha=1.0: nn.CELU(alpha),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "log_sigmoid": nn.LogSigmoid,
    "softplus": lambda beta=1.0, threshold=20.0: nn.Softplus(beta, threshold),
    "softshrink": lambda bound=0.5: nn.Softshrink(bound),
    "hardshrink": lambda bound=0.5: nn.Hardshrink(bound),
    "hardtanh": lambda low=-1.0, high=1.0: nn.Hardtanh(low, high),
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "threshold": nn.Threshold,
}


def layer_of(operation: Operation) -> nn.Module:
    """The layer that computes what an operation does."""
    return LAYERS[operation.packet](*operation.args[1:], **operation.kwargs).eval()


def _formula(
    expression: str, function: Callable[..., Tensor], jumps: bool = False
) -> Callable[..., Each]:
    """From the numbers among an operator's arguments to its node."""

    def made(*numbers: float) -> Each:
        text = expression.format(*[f"({number(value)})" for value in numbers])

        def write(program: Program, x: Vector) -> Vector:
            y = program.target(x)
            program.call(elementwise("each", text, tuple(_LIBRARY.findall(text))), x.size, x, y)
            return y

        return Each(lambda x: function(x, *numbers).to(x.dtype), write, jumps=jumps)

    return made


#: Nodes of operators that have no layer; ``v`` is the element.
FORMULAS: dict[str, Callable[..., Each]] = {
    "add": _formula("v + {0}", torch.add),
    "sub": _formula("v - {0}", torch.sub),
    "mul": _formula("v * {0}", torch.mul),
    "div": _formula("v / {0}", torch.div),
    "rsub": _formula("{0} - v", torch.rsub),
    "pow": _formula("powf(v, {0})", torch.pow),
    "square": _formula("v * v", torch.square),
    "neg": _formula("-v", torch.neg),
    "abs": _formula("fabsf(v)", torch.abs),
    "exp": _formula("expf(v)", torch.exp),
    "log": _formula("logf(v)", torch.log),
    "log1p": _formula("log1pf(v)", torch.log1p),
    "sqrt": _formula("sqrtf(v)", torch.sqrt),
    "rsqrt": _formula("1.0f / sqrtf(v)", torch.rsqrt),
    "reciprocal": _formula("1.0f / v", torch.reciprocal),
    "sin": _formula("sinf(v)", torch.sin),
    "cos": _formula("cosf(v)", torch.cos),
    # True is 1, false is 0.
    "eq": _formula("v == {0} ? 1.0f : 0.0f", torch.eq, jumps=True),
    "ne": _formula("v != {0} ? 1.0f : 0.0f", torch.ne, jumps=True),
    "lt": _formula("v < {0} ? 1.0f : 0.0f", torch.lt, jumps=True),
    "le": _formula("v <= {0} ? 1.0f : 0.0f", torch.le, jumps=True),
    "gt": _formula("v > {0} ? 1.0f : 0.0f", torch.gt, jumps=True),
    "ge": _formula("v >= {0} ? 1.0f : 0.0f", torch.ge, jumps=True),
    "logical_not": _formula("v == 0.0f ? 1.0f : 0.0f", torch.logical_not, jumps=True),
    "trunc": _formula("truncf(v)", torch.trunc, jumps=True),
}
