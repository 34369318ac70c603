"""MACs of operators whose units are kept whole; those of the others follow from their weights."""

from __future__ import annotations

import math
from collections.abc import Callable

from .step import Step


def _product(step: Step) -> float:
    left = 1 if step.operation.packet in ("addmm", "baddbmm") else 0
    return float(step.result.numel() * step.args[left].shape[-1])


def _weighted(step: Step) -> float:
    weight = step.args[1]
    transposed = "transpose" in step.operation.packet
    outputs = step.args[0].numel() if transposed else step.result.numel()
    return float(outputs * weight[0].numel())


def _attention(step: Step) -> float:
    query, key = step.args[:2]
    return 2.0 * query.numel() * key.shape[-2]


def _recurrent(step: Step) -> float:
    x, weights = step.args[1], step.args[3]
    numbers = sum(weight.numel() for weight in weights if weight.dim() == 2)
    return float(numbers * x.numel() / x.shape[-1])


def _bilinear(step: Step) -> float:
    return float(step.args[2].numel() * step.args[0].numel() / step.args[0].shape[-1])


def _einsum(step: Step) -> float:
    letters = step.args[0].replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for names, operand in zip(letters, step.args[1], strict=True):
        sizes |= dict(zip(names, operand.shape, strict=False))
    return float(math.prod(sizes.values()))


#: MACs for all samples of a step, by operator.
COUNTS: dict[str, Callable[[Step], float]] = {
    **dict.fromkeys(("matmul", "mm", "bmm", "addmm", "baddbmm"), _product),
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d"), _weighted),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _weighted),
    "scaled_dot_product_attention": _attention,
    "recurrent": _recurrent,
    "bilinear": _bilinear,
    "einsum": _einsum,
}
