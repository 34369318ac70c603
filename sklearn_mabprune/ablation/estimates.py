"""Every unit's loss increase estimated from a few backward passes, before any pull.

Ablating unit j of a group moves what its reader returns by -d_j w_j, with d_j the ablated part
of its activation and w_j its weights in the reader.  To first order that moves the logits by
-d_j J w_j, with J a sample's Jacobian of the logits with respect to what the reader returns.
Two estimates follow:

``"linear"``
    The moved logits are put into the true loss.  Exact where the layers downstream are linear.
    One backward pass for each output; J w_j for all units in one product.  For more than four
    classes each sample's label is compared with the two likeliest others and the mean of the
    rest: three passes.
``"fisher"``
    First order of the loss plus half of (d_j times the gradient at a target that is drawn from
    the network's own predictions) squared, a sampled Fisher information: two backward passes,
    whatever the number of outputs.  In the mean over draws the second term is the Gauss-Newton
    curvature (Martens 2020, "New insights and perspectives on the natural gradient method").

Estimates on the samples that a pull sees, and on all samples, make a control variate: the pull
minus its estimate plus the mean estimate has the same mean and a far smaller variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..data.samples import Samples
from .loss_models import LossModel, loss_model, with_few_directions

if TYPE_CHECKING:
    from .block import Block

CONTROL_VARIATES = ("linear", "fisher")


def estimate(
    block: Block,
    kind: str,
    generator: torch.Generator,
    parts: Sequence[slice | Tensor] = (slice(None),),
    units: Sequence[Tensor] | None = None,
) -> Tensor:
    """Estimated rise of the mean loss when each unit alone is ablated.

    Parameters
    ----------
    block : Block
        Samples run through the network as it stands, with its frozen ablations.
    kind : {"linear", "fisher"}
    generator : torch.Generator
        Draws targets for "fisher".
    parts : sequence of slice or Tensor of int
        Some of the block's samples each; one part of all of them when not given.
    units : sequence of Tensor of int, one for each group, optional
        Positions of the units to estimate; all when not given.

    Returns
    -------
    Tensor of float64, shape (n_parts, n_units)
        Means over the samples of each part; units group by group.
    """
    device, sizes = block.graph.device, block.graph.sizes
    units = units or [torch.arange(size, device=device) for size in sizes]
    with torch.inference_mode():
        # Of the last group nothing is linearised, and no backward pass is needed.
        near, far = _models(block, kind, generator)
        weights = weights_of_parts(block.samples, parts)
        found = [weights.new_zeros(len(some), len(parts)) for some in units]
        for residuals, here, part in _chunks(block, units, near, far):
            directions = near.directions, far.directions
            for number, reach in _reaches(block, *directions, part, units):
                rise = near if number == len(sizes) - 1 else far
                found[number] += rise(residuals[number][:, here], reach, part, weights[part])
        return (torch.cat(found) / weights.sum(dim=0)).T


def weights_of_parts(samples: Samples, parts: Sequence[slice | Tensor]) -> Tensor:
    """Weights of the samples in each part, and 0 elsewhere: one product adds up all parts.

    Returns
    -------
    Tensor of float64, shape (n_samples, n_parts)
    """
    weights = samples.weights.new_zeros(len(samples), len(parts), dtype=torch.float64)
    for number, part in enumerate(parts):
        weights[part, number] = samples.weights[part]
    return weights


def _models(block: Block, kind: str, generator: torch.Generator) -> tuple[LossModel, LossModel]:
    """Loss models for the last group, and for those upstream of it."""
    near = loss_model(block, kind, generator)
    return near, with_few_directions(near) if len(block.graph.groups) > 1 else near


def _chunks(
    block: Block, units: Sequence[Tensor], near: LossModel, far: LossModel
) -> Iterator[tuple[list[Tensor], slice, slice]]:
    """The block's samples in parts: residuals of more samples, and where the part is in them.

    Residuals of many samples are one product, since the matrix of a wide group is large to
    read; what follows is done for fewer samples, the more directions there are.
    """
    sizes = block.graph.sizes
    many = max(1, block.chunk // max(sizes))
    widest = far.directions.shape[1] * max([1, *sizes[1:], *map(len, units[:-1])])
    few = max(1, block.chunk // max(widest, near.directions.shape[1] * len(units[-1])))
    for first in range(0, len(block.samples), many):
        last = min(first + many, len(block.samples))
        residuals = [
            ablation.residual(block.values[group.value][:, first:last], some)
            for ablation, group, some in zip(
                block.ablations, block.graph.groups, units, strict=True
            )
        ]
        for start in range(first, last, few):
            part = slice(start, min(start + few, last))
            yield residuals, slice(start - first, part.stop - first), part


def _reaches(
    block: Block, near: Tensor, far: Tensor, part: slice, units: Sequence[Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """Derivatives of some functions of the logits with respect to units' activations.

    Parameters
    ----------
    block : Block
    near, far : Tensor of shape (n_outputs, k, all samples or 1)
        Gradients of k functions with respect to the logits, for the last group and for those
        upstream of it.
    part : slice
        Of the block's samples.
    units : sequence of Tensor of int
        Units asked for, of each group.

    Yields
    ------
    int, Tensor of shape (n_units, k, n_samples or 1)
        Group, from the last to the first, and the derivatives.
    """
    graph = block.graph
    near, gradient = (d if d.shape[-1] == 1 else d[..., part] for d in (near, far))
    values = {number: value[:, part] for number, value in block.values.items()}
    for number in range(len(graph.groups) - 1, -1, -1):
        reader = graph.reader(graph.groups[number])
        if len(units[number]):
            at_reader = near if number == len(graph.groups) - 1 else gradient
            yield number, reader.kind.pullback(reader.layer, at_reader, units=units[number])
        if any(map(len, units[:number])):
            before = graph.reader(graph.groups[number - 1]).value
            gradient = graph.pullback(gradient, reader.value, before, values)
