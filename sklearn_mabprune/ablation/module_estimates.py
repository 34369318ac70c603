"""Loss increase of every unit of any network, estimated from a few backward passes.

Removing unit j changes the weights of a reader by dW_j, and what it returns, at each position, by
dW_j x.  To first order that moves k functions of a sample's logits by the sum over readers and
positions of <g, dW_j x>, with g their gradients with respect to what the reader returns.  The
loss models of :mod:`~sklearn_mabprune.ablation.loss_models` do the rest, as for chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .chunks import chunk_for
from .estimates import weights_of_parts
from .loss_models import loss_model, with_few_directions
from .unit_moves import unit_moves

if TYPE_CHECKING:
    from .module_block import ModuleBlock

#: Numbers of the values of the samples that go through the network at a time.
_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}
_LEAST_AT_ONCE = 16


def estimate(
    block: ModuleBlock,
    kind: str,
    generator: torch.Generator,
    parts: Sequence[slice | Tensor] = (slice(None),),
    units: Sequence[Tensor] | None = None,
) -> Tensor:
    """Estimated rise of the mean loss when each unit alone is ablated.

    Parameters and result as of :func:`~sklearn_mabprune.ablation.estimates.estimate`.
    """
    network, samples = block.graph, block.samples
    device, n_samples = network.device, len(samples)
    units = units or [torch.arange(size, device=device) for size in network.sizes]
    with torch.inference_mode():
        model = with_few_directions(loss_model(block, kind, generator))
        weights = weights_of_parts(samples, parts)
    found = [weights.new_zeros(len(some), len(parts)) for some in units]
    moves_of = [
        unit_moves(network, block.statistics, number, some) for number, some in enumerate(units)
    ]
    numbers = sum(block.numbers.values())
    at_once = max(_LEAST_AT_ONCE, chunk_for(device, _AT_ONCE) // numbers)
    for first in range(0, n_samples, at_once):
        part = slice(first, min(first + at_once, n_samples))
        values, gradients = _gradients(block, model.directions, part)
        with torch.inference_mode():
            for number, some in enumerate(units):
                if len(some) and moves_of[number]:
                    through = [each.first_order(values, gradients) for each in moves_of[number]]
                    moves = torch.stack(through).sum(0)
                    ones = moves.new_ones(len(some), part.stop - part.start)
                    # A loss model takes minus the product of its two arguments.
                    found[number] += model(ones, moves.neg_(), part, weights[part])
    for number, some in enumerate(units):
        if len(some) and block.statistics.reads[number] is None:
            # What cannot be estimated is measured, on all samples of the block.
            found[number] += block.loss_increase(number, some)[:, None] * weights.sum(dim=0)
    return (torch.cat(found) / weights.sum(dim=0)).T


def _gradients(
    block: ModuleBlock, directions: Tensor, part: slice
) -> tuple[Mapping[int, Tensor], Mapping[int, list[Tensor]]]:
    """What readers read, and gradients of k functions of the logits where they return."""
    network, statistics = block.graph, block.statistics
    readers = [r for reads in statistics.reads for read in reads or [] for r in read.readers]
    returned = sorted({reader.gradient for reader in readers})
    reads = sorted({reader.reads for reader in readers})
    if not returned:  # all units are measured
        return {}, {}
    # Gradients are wanted with respect to values: the weights let torch record how they follow.
    names = {name for reader in readers for name in (reader.weight, reader.bias) if name}
    traced = {name: network.running[name].clone().requires_grad_() for name in names}
    some = directions if directions.shape[-1] == 1 else directions[..., part]
    found: dict[int, list[Tensor]] = {value: [] for value in returned}
    with torch.inference_mode(False), torch.enable_grad():
        known = network.known(_plain(block.samples.x[part]))
        weights = {name: _plain(value) for name, value in network.running.items()} | traced
        values = network.run(known, [*returned, *reads, network.logits], weights)
        logits = values[network.logits]
        for k in range(some.shape[1]):
            wanted = _plain(some[:, k].T).expand_as(logits)
            gradients = torch.autograd.grad(
                logits, [values[v] for v in returned], wanted,
                retain_graph=k + 1 < some.shape[1], allow_unused=True,
            )  # fmt: skip
            for value, gradient in zip(returned, gradients, strict=True):
                full = torch.zeros_like(values[value]) if gradient is None else gradient
                found[value].append(full)
    return {value: values[value].detach() for value in reads}, found


def _plain(value: Any) -> Any:
    """A tensor that may enter a graph: those made in inference mode may not."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value
