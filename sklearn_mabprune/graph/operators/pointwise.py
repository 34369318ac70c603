"""Operators that treat each element by itself: operands at one place are one unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..labels import NO_UNIT, along, compact, united, varies
from ..program import Weight
from .step import READS_DATA, Step, rule


def pointwise(step: Step) -> Any:
    """The units at the same places of all operands go together."""
    reason = f"{step.what} joins them with values that are no units"
    label = united(step.labels, _given(step), step.result.shape, reason)
    if step.operation.packet in ("add", "sub") and len(step.operation.reads) > 1:
        ids = compact(label)[0].unique().numpy()
        step.found.sums.append((ids[ids > NO_UNIT], sorted(step.operation.reads)))
    return label


def _given(step: Step) -> list[Tensor]:
    """Labels of all operands; a weight with several axes goes by that of the others' units."""
    given = step.all_given()
    pairs = zip(step.operation.args, step.args, strict=True)
    tensors = [(reference, value) for reference, value in pairs if isinstance(value, Tensor)]
    for place, (reference, value) in enumerate(tensors):
        if not isinstance(reference, Weight) or sum(size > 1 for size in value.shape) < 2:
            continue
        others = [label for k, label in enumerate(given) if k != place]
        # From the right, as in broadcasting.
        dims = {d - label.dim() for label in others for d in range(label.dim()) if varies(label, d)}
        if len(dims) == 1:
            given[place] = step.labels.of_weight(reference.name, value, value.dim() + min(dims))
    return given


@rule(
    "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "contiguous", "clone",
    "detach", "alias", "to", "_to_copy", "type_as", "zeros_like", "ones_like", "full_like",
    "rand_like", "randn_like", "empty_like", "log_sigmoid", "where", "masked_fill", "nan_to_num",
    "float", "double", "half", "lift_fresh_copy", "lift_fresh", "relu6", "selu", "celu", "rrelu",
    "hardswish", "hardsigmoid", "mish", "softplus", "softsign", "softshrink", "hardshrink",
    "threshold", "clip", "square", "rsub", "fill", "dropout_",
)  # fmt: skip
def each_element(step: Step) -> Any:
    """As element-wise as those that torch marks as such."""
    return pointwise(step)


def is_pointwise(step: Step) -> bool:
    """Whether torch says that an operator is element-wise."""
    tags = getattr(step.operation.operator, "tags", ())
    return torch.Tag.pointwise in tags and isinstance(step.result, Tensor)


@rule("prelu", "_prelu_kernel")
def prelu(step: Step) -> Any:
    """One slope for each channel, or one for all."""
    label, slopes = step.given(0), step.argument(1, "weight")
    if slopes.numel() == 1:
        return label
    ids = step.given(1).reshape(-1)
    channel = along(ids, label.shape, 1)
    step.width("num_parameters", ids)
    return united(step.labels, [label, channel], label.shape, f"{step.what} {READS_DATA}")
