"""Products of two values, as in attention: what they sum over is one unit, the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..labels import NO_UNIT, compact, united, varies
from ..program import Weight
from .step import Step, rule


def product_of_values(step: Step, left: int, right: int) -> Tensor:
    """The label of a matrix product of two values, (..., i, k) and (..., k, j)."""
    one, other = step.given(left), step.given(right)
    names = [
        [*_batch(one.dim()), "i", "k"],
        [*_batch(other.dim()), "k", "j"],
    ]
    wanted = [*_batch(step.result.dim()), "i", "j"]
    label = contracted(step, (one, other), names, wanted, step.result.shape)
    if _are_heads((one, other)):
        note_heads(step, label, one.shape, other.shape)
    return label


def _batch(n_dims: int) -> list[str]:
    """Names of all dimensions but the last two, counted from the right as in broadcasting."""
    return [f"batch {k}" for k in reversed(range(n_dims - 2))]


def _has_units(label: Tensor) -> bool:
    return bool((compact(label)[0] > NO_UNIT).any())


def contracted(
    step: Step,
    labels: Sequence[Tensor],
    names: Sequence[Sequence[str]],
    result: Sequence[str],
    shape: Iterable[int],
) -> Tensor:
    """The label of a sum over products of two values.

    Units that are summed over are one unit, and so are those of the two values that meet; units of
    one value beside data of the other stay by themselves.

    Parameters
    ----------
    step : Step
    labels : sequence of two Tensor
    names : sequence of two sequences of str
        Names of the dimensions of both; those that the result does not have are summed over.
    result : sequence of str
        Names of the result's dimensions.
    shape : iterable of int
        Of the result.
    """
    reason = f"{step.what} sums over products of two values"
    labels = _without_single(step, labels, reason)
    found = []
    for place, own in enumerate(names):
        label, others = labels[place], names[1 - place]
        dims = [dim for dim, name in enumerate(own) if name not in result]
        if _has_units(labels[1 - place]):
            # Each unit of the one value meets all units along a dimension of the other alone.
            dims += [d for d, n in enumerate(own) if n in result and n not in others]
            dims = [d for d in dims if own[d] not in result or varies(label, d)]
        first = step.labels.merge(label, dims, reason)
        kept = [dim for dim, name in enumerate(own) if name in result]
        first = first.permute(*kept, *(dim for dim in range(len(own)) if dim not in kept))
        first = first.flatten(len(kept))[..., 0] if len(kept) < len(own) else first
        found.append(_placed(first, [result.index(own[dim]) for dim in kept], len(result)))
    return united(step.labels, found, shape, reason)


def _are_heads(labels: Sequence[Tensor]) -> bool:
    """Whether a product of values is of heads: of units of both, or of one unit of both."""
    single = [_is_single(label) for label in labels]
    return all(map(_has_units, labels)) and (all(single) or not any(single))


def _is_single(label: Tensor) -> bool:
    """Whether all elements belong to one unit."""
    return len(compact(label)[0].unique()) == 1 and _has_units(label)


def _without_single(step: Step, labels: Sequence[Tensor], reason: str) -> list[Tensor]:
    """Labels of which one that is of a single unit is that of data: the other's units stay apart.

    The weights of attention with one head, of pooling by attention or of a learned graph are one
    unit, which cannot be removed.
    """
    single = [_is_single(label) for label in labels]
    if all(single):
        return list(labels)
    for label, alone in zip(labels, single, strict=True):
        if alone:
            step.labels.pin(label, reason)
    return [
        torch.full((1,) * label.dim(), NO_UNIT).expand(label.shape) if alone else label
        for label, alone in zip(labels, single, strict=True)
    ]


def _placed(label: Tensor, places: Sequence[int], n_dims: int) -> Tensor:
    """A label with its dimensions at these places among others of size 1."""
    order = sorted(range(len(places)), key=places.__getitem__)
    label = label.permute(order)
    for place in range(n_dims):
        if place not in places:
            label = label.unsqueeze(place)
    return label


def note_heads(step: Step, label: Tensor, *shapes: torch.Size) -> None:
    """Note that the units of a product of two values are heads, and how many each value has."""
    ids = compact(label)[0].unique()
    ids = ids[ids > NO_UNIT]
    # Heads and samples may share a dimension.
    counts = {s[-3] // (1 if len(s) > 3 else step.found.n_samples) for s in shapes if len(s) > 2}
    if len(ids):
        step.found.heads.append((ids.numpy(), tuple(sorted(counts)), step.operation.module))


@rule("scaled_dot_product_attention")
def attention(step: Step) -> Tensor:
    """Scores of queries and keys, with which values are added up: a head is one unit."""
    query, key, value = (step.given(place) for place in range(3))
    shapes = query.shape, key.shape
    if step.argument(7, "enable_gqa", False):
        times = query.shape[-3] // key.shape[-3]
        key, value = (label.repeat_interleave(times, -3) for label in (key, value))
    batch = _batch(step.result.dim())
    shape = (*step.result.shape[:-1], step.args[1].shape[-2])
    names = [*batch, "i", "k"], [*batch, "j", "k"]
    scores = contracted(step, (query, key), names, [*batch, "i", "j"], shape)
    if isinstance(step.argument(3, "attn_mask"), Tensor):
        given = [scores, step.given(3, "attn_mask")]
        scores = united(step.labels, given, shape, f"the mask of {step.what} has heads")
    scores = step.labels.merge(scores, [-1], f"{step.what} mixes them").expand(shape)
    names = [*batch, "i", "j"], [*batch, "j", "d"]
    label = contracted(step, (scores, value), names, [*batch, "i", "d"], step.result.shape)
    if _are_heads((scores, value)):
        note_heads(step, label, *shapes)
    return label


@rule("einsum")
def einsum(step: Step) -> Tensor:
    """A sum over products of two values whose dimensions have letters."""
    letters, arrow, result = step.args[0].replace(" ", "").partition("->")
    names, labels = letters.split(","), step.given(1)
    weights = [isinstance(reference, Weight) for reference in step.reference(1)]
    if len(names) != 2 or "." in letters or not arrow or any(weights):
        return step.pin_all(f"{step.what} sums over products")  # type: ignore[no-any-return]
    label = contracted(step, labels, names, result, step.result.shape)
    if _are_heads(labels):
        note_heads(step, label, *(each.shape for each in step.args[1]))
    return label
