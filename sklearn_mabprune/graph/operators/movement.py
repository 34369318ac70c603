"""Operators that move elements: their labels move with them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..labels import NO_UNIT, NOTHING, compact, united, varies
from ..program import leaves
from .step import READS_DATA, Step, no_unit, rule


@rule(
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "t",
    "numpy_T", "mT", "matrix_H", "adjoint", "movedim", "moveaxis", "swapaxes", "swapdims",
    "squeeze", "unsqueeze", "expand", "expand_as", "broadcast_to", "repeat", "tile",
    "repeat_interleave", "cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack",
    "column_stack", "split_with_sizes", "unbind", "select", "slice", "narrow", "flip", "fliplr",
    "flipud", "rot90", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "view_as", "reshape_as", "diagonal", "unfold", "atleast_1d", "atleast_2d", "atleast_3d",
    "getitem", "tensor_split",
)  # fmt: skip
def moved(step: Step) -> Any:
    """Run the operator on the labels of its first argument."""
    label = step.given(0)
    if step.operation.packet == "getitem":
        return label[step.args[1]]
    _note_fixed_sizes(step, label)
    if step.what in step.found.in_parts:
        _keep_parts_alike(step, label)
    if isinstance(step.result, Tensor) and step.operation.packet in ("view", "_unsafe_view"):
        return label.reshape(step.result.shape)
    return step.operation.operator(label, *step.args[1:], **step.kwargs)


def _note_fixed_sizes(step: Step, label: Any) -> None:
    """Sizes that are numbers in the user's code may fit the units that there are alone."""
    if step.operation.packet == "slice" and step.result.shape == step.args[0].shape:
        return  # x[:, index], or up to an end that smaller values have as well
    numbers = [part for part in leaves(step.operation.args[1:]) if type(part) is int and part > 1]
    if step.operation.packet in _SIZED and numbers and isinstance(label, Tensor):
        _note_fixed(step, label)


def _keep_parts_alike(step: Step, label: Tensor) -> None:
    """Parts into which a dimension is divided, as to shuffle channels, lose the same places."""
    shape = step.result.shape
    if step.operation.packet == "channel_shuffle":
        shape = (*shape[:1], step.args[1], shape[1] // step.args[1], *shape[2:])
    pairs = zip(label.shape, shape, strict=False)
    dim = next((k for k, (before, after) in enumerate(pairs) if before != after), None)
    if dim is None or len(shape) != label.dim() + 1 or not varies(label, dim):
        return
    if (*label.shape[:dim], *label.shape[dim + 1 :]) == (*shape[:dim], *shape[dim + 2 :]):
        step.labels.merge(label.reshape(shape), [dim], f"{step.what} divides them")


def _note_fixed(step: Step, label: Tensor) -> None:
    ids = compact(label)[0].unique().numpy()
    step.found.fixed.append((ids[ids > NO_UNIT], step.what, step.operation.module))


#: Operators with sizes among their arguments.
_SIZED = (
    "view", "_unsafe_view", "reshape", "unflatten", "expand", "split", "split_with_sizes", "slice",
    "narrow", "repeat", "channel_shuffle",
)  # fmt: skip


@rule("col2im")
def folded(step: Step) -> Any:
    """Patches are added up where they lie: a channel has all places of them."""
    label, kernel = step.given(0), step.args[2]
    channels = label.unflatten(-2, (-1, math.prod(kernel)))
    first = step.labels.merge(channels, [-2, -1], f"{step.what} mixes them")
    return first.expand(*first.shape[:-2], *step.result.shape[-2:])


@rule("roll")
def rolled(step: Step) -> Any:
    """Elements move around a circle, whose length counts: units must not lie along it."""
    label, dims = step.given(0), step.argument(2, "dims", ())
    along_units = [dims] if isinstance(dims, int) else list(dims)
    if any(varies(label, dim) for dim in along_units or range(label.dim())):
        return step.pin_all(f"{step.what} moves them around")
    return label


@rule("split", "chunk")
def in_parts(step: Step) -> Any:
    """Parts of equal size have their elements in common: ``chunk`` has to go on fitting."""
    parts = moved(step)
    dim = step.argument(2, "dim", 0)
    if len({part.shape[dim] for part in parts}) == 1 and varies(step.given(0), dim):
        for part in parts[1:]:
            step.labels.unite(parts[0], part, f"{step.what} {READS_DATA}")
    return parts


@rule("glu")
def halves(step: Step) -> Any:
    """Both halves are one unit."""
    one, other = step.given(0).chunk(2, step.argument(1, "dim", -1))
    step.labels.unite(one, other, f"{step.what} {READS_DATA}")
    return one


@rule("pad", "constant_pad_nd", "zero_pad2d")
def padded(step: Step) -> Any:
    """What is put around a value belongs to no unit and goes with any."""
    label, pad = step.given(0), step.args[1]
    mode = step.argument(2, "mode", "constant")
    if isinstance(mode, str) and mode != "constant":
        return _by_float(step, lambda x: torch.nn.functional.pad(x, pad, mode=mode))
    return torch.nn.functional.pad(label, pad, value=NOTHING)


@rule(
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
    "replication_pad2d", "replication_pad3d", "im2col",
)  # fmt: skip
def moved_as_numbers(step: Step) -> Any:
    """Run the operator on labels as floating-point numbers, which are exact here."""
    return _by_float(step, lambda x: step.operation.operator(x, *step.args[1:], **step.kwargs))


def _by_float(step: Step, operator: Any) -> Tensor:
    label = step.given(0)
    result = operator(label.to(torch.float64)).round().to(torch.int64)
    # im2col pads with zeros.
    padded = step.operation.packet == "im2col"
    return torch.where(result == NO_UNIT, NOTHING, result) if padded else result


@rule("index", "index_select", "gather", "take_along_dim")
def indexed(step: Step) -> Any:
    """Elements at places of an index; units must not depend on places that samples choose."""
    label, place = step.given(0), 1 if step.operation.packet == "index" else 2
    if step.operation.packet == "index":
        indices = step.reference(1)
        dims = [dim for dim, index in enumerate(indices) if index is not None]
    else:
        dims = [step.args[1]]
        indices = [step.reference(place)]
    chosen = any(step.depends_on_input(index) for index in indices if index is not None)
    if chosen and any(varies(label, dim) for dim in dims):
        return step.pin_all(f"{step.what} chooses among its units")
    if any(varies(label, dim) for dim in dims):
        _note_fixed(step, label)
    return step.operation.operator(label, *step.args[1:], **step.kwargs)


@rule("index_put", "index_put_")
def put(step: Step) -> Any:
    """Elements that a mask of the value's own shape chooses are set: element by element."""
    label, indices = step.given(0), step.args[1]
    mask = indices[0] if len(indices) == 1 else None
    if not isinstance(mask, Tensor) or mask.shape != label.shape or step.args[2].numel() != 1:
        return step.pin_all(f"{step.what} sets some of them")
    given = [label, step.label(step.reference(1)[0], mask)]
    return united(step.labels, given, label.shape, f"{step.what} {READS_DATA}")


@rule("sym_size", "sym_numel", "sym_stride", "size")
def sizes(step: Step) -> Any:
    """Numbers that are no units."""
    return no_unit(step.result)
