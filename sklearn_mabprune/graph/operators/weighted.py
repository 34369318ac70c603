"""Operators with weights: they read units along one axis and return those of another."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ..labels import along, united
from .products import product_of_values
from .step import READS_DATA, Source, Step, no_unit, read, rule


def _computed(step: Step, place: int = 1) -> Any:
    """The weight is computed: nothing of it can be cut."""
    return step.pin_all(f"the weight is computed that {step.what} multiplies with")


def _bias(step: Step, place: int, ids: Tensor) -> str:
    """The bias belongs to the units that are returned; its name, or an empty string."""
    if not isinstance(step.argument(place, "bias"), Tensor):
        return ""
    plain = step.plain(place, "bias")
    label = step.ids(plain[0], 0, len(ids)) if plain else step.given(place, "bias").reshape(-1)
    step.labels.unite(ids, label, f"the bias of {step.what} is computed")
    return plain[0] if plain else ""


@rule("linear")
def linear(step: Step) -> Any:
    """Weight (out, in), read along the last dimension."""
    plain = step.plain(1)
    if plain is None:
        part = step.some_rows(1)
        return _computed(step) if part is None else _by_some_rows(step, *part)
    name, (rows, columns) = plain
    label, size = step.given(0), step.args[1].shape
    read(step, label, -1, name, columns)
    ids = step.ids(name, rows, size[0])
    bias = _bias(step, 2, ids)
    step.width("in_features", step.ids(name, columns, size[1]))
    step.width("out_features", ids)
    _note(step, Source(step.operation.value, step.operation.module, name, bias, rows, columns,
                       step.number(0)))  # fmt: skip
    return along(ids, step.result.shape, -1)


def _by_some_rows(step: Step, name: str, n_rows: int, rows: Tensor) -> Any:
    """A part of a weight's rows: its units are produced, but what it reads cannot be cut."""
    step.labels.pin(step.given(0), f"{step.what} reads them with a part of a weight")
    ids = step.ids(name, 0, n_rows)[rows]
    _bias(step, 2, ids)
    step.found.sources.append(Source(step.operation.value, step.operation.module, name, "", 0))
    n_outputs = step.result.numel() / step.found.n_samples
    step.found.positions.append((name, n_outputs / n_rows))
    return along(ids, step.result.shape, -1)


def _note(step: Step, source: Source, positions: float | None = None) -> None:
    step.found.sources.append(source)
    n_outputs = step.result.numel() / step.found.n_samples
    each = step.args[1].shape[0] if positions is None else 1
    step.found.positions.append(
        (source.weight, n_outputs / each if positions is None else positions)
    )


@rule("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
      "convolution")  # fmt: skip
def convolution(step: Step) -> Any:
    """Weight (out, in / groups, ...), or (in, out / groups, ...) where it is transposed."""
    plain = step.plain(1)
    if plain is None or step.args[0].dim() != step.args[1].dim():
        return _computed(step)
    name = plain[0]
    label = step.given(0)
    transposed = "transpose" in step.operation.packet or bool(
        step.operation.packet == "convolution" and step.args[6]
    )
    groups = step.argument(8 if step.operation.packet == "convolution" else 6, "groups", 1)
    n_inputs = label.shape[1]
    rows, columns = (1, 0) if transposed else (0, 1)
    value = step.result if not transposed else step.args[0]
    positions = math.prod(value.shape[2:]) * value.shape[0] / step.found.n_samples
    depthwise = groups == n_inputs and groups > 1
    if depthwise:
        channels = _depthwise(step, name, transposed)
    else:
        channels = _grouped(step, name, (rows, columns), groups)
        if groups == 1:
            step.width("in_channels", step.ids(name, columns, n_inputs))
    step.width("out_channels", channels)
    bias = _bias(step, 2, channels)
    step.found.positions.append((name, positions))
    if not depthwise:
        step.found.sources.append(
            Source(step.operation.value, step.operation.module, name, bias, rows, columns,
                   step.number(0))
        )  # fmt: skip
    return along(channels, step.result.shape, 1)


def _grouped(step: Step, name: str, axes: tuple[int, int], groups: int) -> Tensor:
    """Channels at the same place of all groups of the convolution are one unit."""
    label, weight = step.given(0), step.args[1]
    rows, columns = axes
    n_inputs, n_outputs = label.shape[1], step.result.shape[1]
    n_in, n_out = n_inputs // groups, n_outputs // groups
    reason = f"{step.what} {READS_DATA}"
    # The slices of the weight along an axis: one for each channel, or one for each of a group.
    columns_ids = step.ids(name, columns, weight.shape[columns])
    rows_ids = step.ids(name, rows, weight.shape[rows])
    in_ids = columns_ids if len(columns_ids) == n_inputs else columns_ids.repeat(groups)
    out_ids = rows_ids if len(rows_ids) == n_outputs else rows_ids.repeat(groups)
    step.labels.unite(along(in_ids, label.shape, 1), label, reason)
    if groups > 1:
        what = f"{step.what} has groups"
        step.labels.merge(in_ids.view(groups, n_in), [0], what)
        step.labels.merge(out_ids.view(groups, n_out), [0], what)
        step.width("in_channels", in_ids)
    return out_ids


def _depthwise(step: Step, name: str, transposed: bool) -> Tensor:
    """Each channel of the input makes channels of its own."""
    label, weight = step.given(0), step.args[1]
    n_inputs, n_outputs = label.shape[1], step.result.shape[1]
    ids = step.ids(name, 0, weight.shape[0])
    each = ids if transposed else ids.view(n_inputs, -1)[:, 0]
    channels = ids.repeat_interleave(n_outputs // n_inputs) if transposed else ids
    step.labels.merge(channels.view(n_inputs, -1), [1], f"{step.what} makes several of one")
    reason = f"{step.what} {READS_DATA}"
    united(step.labels, [label, along(each, label.shape, 1)], label.shape, reason)
    dims = [dim for dim in range(label.dim()) if dim != 1]
    step.labels.merge(label, dims, f"{step.what} mixes them")
    step.width("groups", each)
    step.width("in_channels", each)
    return channels


@rule("matmul", "mm", "bmm", "addmm", "baddbmm", "mv")
def product(step: Step) -> Any:
    """A product with a weight reads and returns units; one of two values mixes what it sums."""
    has_bias = step.operation.packet in ("addmm", "baddbmm")
    left, right = (1, 2) if has_bias else (0, 1)
    for weight, value in ((right, left), (left, right)):
        plain = step.plain(weight)
        if plain is not None and step.args[weight].dim() >= 2 and step.args[value].dim() >= 2:
            return _with_weight(step, plain, weight, value, has_bias)
    vector = step.plain(right)
    by_sample = step.depends_on_input(step.reference(left))
    if vector is not None and step.args[right].dim() == 1 and by_sample and not has_bias:
        return _with_vector(step, vector[0])
    if has_bias or min(step.args[left].dim(), step.args[right].dim()) < 2:
        return step.pin_all(f"{step.what} sums over products of two values")
    return product_of_values(step, left, right)


def _with_vector(step: Step, name: str) -> Any:
    """A weighted sum of units by a weight of one axis."""
    read(step, step.given(0), -1, name, 0)
    positions = step.result.numel() / step.found.n_samples
    _note(step, Source(step.operation.value, step.operation.module, name, "", -1, 0,
                       step.number(0)), positions)  # fmt: skip
    return no_unit(step.result)


def _with_weight(
    step: Step, plain: tuple[str, tuple[int, ...]], weight: int, value: int, has_bias: bool
) -> Any:
    name, axes = plain
    label, shape = step.given(value), step.args[weight].shape
    # The dimension that is summed over, and the one that is left, of a weight on the right.
    inner, outer = (-2, -1) if weight > value else (-1, -2)
    read(step, label, outer if weight > value else inner - 1, name, axes[inner])
    ids = step.ids(name, axes[outer], shape[outer])
    result = along(ids, step.result.shape, outer)
    bias = ""
    if has_bias:
        reason = f"the bias of {step.what} is computed"
        result = united(step.labels, [result, step.given(0)], step.result.shape, reason)
        plain_bias = step.plain(0)
        bias = plain_bias[0] if plain_bias and step.args[0].dim() == 1 else ""
    batch = math.prod(shape[:-2])
    positions = step.result.numel() / step.found.n_samples / shape[outer] / batch
    _note(step, Source(step.operation.value, step.operation.module, name, bias, axes[outer],
                       axes[inner], step.number(value)), positions)  # fmt: skip
    return result


@rule("bilinear")
def bilinear(step: Step) -> Any:
    """Weight (out, one, other): returns units; those of the two values are read in products."""
    plain = step.plain(2)
    if plain is None:
        return _computed(step, 2)
    for place in (0, 1):
        step.labels.pin(step.given(place), f"{step.what} reads them in products of two values")
    ids = step.ids(plain[0], 0, step.args[2].shape[0])
    bias = _bias(step, 3, ids)
    step.width("out_features", ids)
    step.found.sources.append(
        Source(step.operation.value, step.operation.module, plain[0], bias, 0)
    )
    positions = step.result.numel() / step.found.n_samples / step.args[2].shape[0]
    step.found.positions.append((plain[0], positions))
    return along(ids, step.result.shape, -1)


@rule("embedding", "embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding(step: Step) -> Any:
    """Weight (n_codes, n_dimensions): returns units, reads none."""
    plain = step.plain(0)
    if plain is None:
        return _computed(step, 0)
    name, n_dims = plain[0], step.args[0].shape[1]
    ids = step.ids(name, 1, n_dims)
    step.width("embedding_dim", ids)
    step.found.sources.append(Source(step.operation.value, step.operation.module, name, "", 1))
    if isinstance(step.result, Tensor):
        return along(ids, step.result.shape, -1)
    first = along(ids, step.result[0].shape, -1)
    return [first, *[None] * (len(step.result) - 1)]
