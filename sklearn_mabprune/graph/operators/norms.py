"""Norms: by channel, by groups of channels, or over the units themselves."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..labels import along, united
from .step import READS_DATA, Step, rule


@rule(
    "batch_norm", "instance_norm", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "native_batch_norm", "miopen_batch_norm",
)  # fmt: skip
def by_channel(step: Step) -> Any:
    """Channels stay by themselves; weights and running statistics go with them."""
    label = _with_channels(step, range(1, 5))
    return [label, *[None] * (len(step.result) - 1)] if isinstance(step.result, tuple) else label


def _with_channels(step: Step, places: Any) -> Tensor:
    """The label of channels and of the weights that belong to them."""
    label = step.given(0)
    reason = f"{step.what} {READS_DATA}"
    for place in places:
        if isinstance(step.argument(place, ""), Tensor):
            ids = step.given(place).reshape(-1)
            label = united(step.labels, [label, along(ids, label.shape, 1)], label.shape, reason)
    # Statistics of a channel are taken over all its positions.
    dims = [dim for dim in range(label.dim()) if dim != 1]
    channel = step.labels.merge(label, dims, f"{step.what} mixes them")
    step.width("num_features", channel.reshape(-1))
    step.width("num_channels", channel.reshape(-1))
    return channel.expand(label.shape)


@rule("group_norm")
def by_groups(step: Step) -> Any:
    """The channels of one group of the norm are one unit."""
    label, n_groups = step.given(0), step.args[1]
    reason = f"{step.what} {READS_DATA}"
    for place in (2, 3):
        if isinstance(step.argument(place, ""), Tensor):
            ids = step.given(place).reshape(-1)
            label = united(step.labels, [label, along(ids, label.shape, 1)], label.shape, reason)
    grouped = label.reshape(label.shape[0], n_groups, -1)
    first = step.labels.merge(grouped, (0, 2), f"{step.what} mixes them")
    step.width("num_groups", first.reshape(-1))
    step.width("num_channels", label[(slice(1), slice(None), *[0] * (label.dim() - 2))].reshape(-1))
    return label


@rule("layer_norm", "rms_norm", "native_layer_norm", "_fused_rms_norm")
def over_units(step: Step) -> Any:
    """Everything along the normalised dimensions is mixed."""
    label = step.given(0)
    n_dims = len(step.args[1])
    dims = range(label.dim() - n_dims, label.dim())
    reason = f"{step.what} normalises over them"
    given = [label]
    for place in (2, 3):
        if isinstance(step.argument(place, ""), Tensor):
            given.append(step.given(place))
    label = united(step.labels, given, label.shape, reason)
    label = step.labels.merge(label, dims, reason).expand(label.shape)
    return [label, None, None] if isinstance(step.result, tuple) else label
