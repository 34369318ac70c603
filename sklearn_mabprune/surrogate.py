"""Every neuron's loss increase from a few backward passes, before any pull.

Ablating neuron j of a layer moves the next pre-activations by -d_j w_j, with d_j the ablated
part of its activation and w_j its outgoing weights.  To first order that moves the raw
outputs by -d_j J w_j, with J a row's Jacobian of the outputs with respect to those
pre-activations.  Two estimates follow:

``"linear"``
    The moved outputs are put into the true loss.  Exact where what stands behind the layer
    is linear.  One backward pass an output; J w_j for all neurons in one product.
``"fisher"``
    First order of the loss plus half of (d_j times the gradient at a label that the network
    itself draws) squared, a sampled Fisher information: two backward passes, whatever
    the number of outputs.  In the mean over draws the second term is the Gauss-Newton
    curvature (Martens 2020, "New insights and perspectives on the natural gradient method").

Estimates of the rows that a pull sees, and of all rows, make a control variate: the pull
minus its estimate plus the mean estimate has the same mean and a far smaller variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from .chain import run
from .evaluation import Block

CONTROL_VARIATES = ("linear", "fisher")


def estimate(
    block: Block, kind: str, generator: torch.Generator, parts: Sequence[slice] = (slice(None),)
) -> Tensor:
    """Estimated rise of the mean loss when each neuron alone is ablated.

    Parameters
    ----------
    block : Block
        Rows run through the network as it stands, with its frozen ablations.
    kind : {"linear", "fisher"}
    generator : torch.Generator
        Draws labels for "fisher".
    parts : sequence of slice
        Of the block's rows; all of them when not given.

    Returns
    -------
    Tensor of float64, shape (n_parts, n_neurons)
        Means over the rows of each part; neurons layer by layer.
    """
    sizes, device = block.chain.hidden_sizes, block.chain.device
    with torch.inference_mode():
        rise: Callable[[Tensor, Tensor, slice, Tensor], Tensor]
        if kind == "linear":
            rise = moved = _moved_loss_class(block)(block)
            seeds = moved.directions.unsqueeze(1)
        else:
            rise = _SecondOrder()
            seeds = _gradients(block, generator)
        # Row weights of each part: one product adds up all parts.
        weights = torch.zeros(len(parts), len(block.rows), dtype=torch.float64, device=device)
        for row, part in zip(weights, parts, strict=True):
            row[part] = block.rows.weights[part]
        rows_at_once = max(1, block.chunk // (max(sizes) * len(seeds)))
        found = [torch.zeros(len(parts), n, dtype=torch.float64, device=device) for n in sizes]
        for start in range(0, len(block.rows), rows_at_once):
            some = slice(start, start + rows_at_once)
            for layer, reach in _reaches(block, seeds, some):
                units = torch.arange(reach.shape[-1], device=device)
                residual = block.ablations[layer].residual(block.hidden[layer][some], units)
                found[layer] += rise(residual, reach, some, weights[:, some])
        return torch.cat(found, dim=1) / weights.sum(dim=1, keepdim=True)


def passes(kind: str, block: Block) -> int:
    """Backward passes an estimate takes."""
    if kind == "fisher":
        return 2
    return block.chain.n_outputs - (_moved_loss_class(block) is _MovedCrossEntropy)


def _reaches(block: Block, seeds: Tensor, part: slice) -> Iterator[tuple[int, Tensor]]:
    """What each neuron's activation does to some functions of the outputs, layer by layer.

    Parameters
    ----------
    block : Block
    seeds : Tensor of shape (k, all rows or 1, n_outputs)
        Gradients of k functions with respect to the raw outputs.
    part : slice
        Of the block's rows.

    Yields
    ------
    int, Tensor of shape (k, n_rows or 1, width)
        Hidden layer, from the last to the first, and the gradients with respect to its
        activations: backward passes without a graph, since layers are element-wise or linear.
    """
    stages = block.chain.stages
    reach = (seeds if seeds.shape[1] == 1 else seeds[:, part]) @ stages[-1].linear.weight
    for layer in range(len(stages) - 2, -1, -1):
        yield layer, reach
        if layer:
            slope = _slope(stages[layer].after, block.pre[layer][part])
            reach = (reach * slope) @ stages[layer].linear.weight


def _slope(layers: list[nn.Module], z: Tensor) -> Tensor:
    """Derivative of element-wise layers, the shape of z."""
    if len(layers) == 1 and type(layers[0]) is nn.ReLU:
        return (z > 0).to(z.dtype)
    # Tensors made in inference mode cannot enter a graph: the copy can.
    with torch.inference_mode(False), torch.enable_grad():
        z = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(run(layers, z).sum(), z)
    return slope


class _MovedLoss:
    """The true loss at outputs that are moved: any loss.

    ``directions`` has shape (k, n_outputs); reaches are with respect to ``directions @
    outputs``.
    """

    def __init__(self, block: Block):
        self.block = block
        n_outputs = block.chain.n_outputs
        self.directions = torch.eye(n_outputs, dtype=block.chain.dtype, device=block.chain.device)

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """Weighted sums over rows of the loss's rise, float64.

        Parameters
        ----------
        residual : Tensor of shape (n_rows, width)
        reach : Tensor of shape (k, n_rows or 1, width)
        part : slice
            Which of the block's rows these are.
        weights : Tensor of float64, shape (n_sums, n_rows)

        Returns
        -------
        Tensor of shape (n_sums, width)
        """
        block, rows = self.block, self.block.rows
        width = residual.shape[1]
        moved = block.pre[-1][part].T[:, :, None] - residual * reach
        flat = moved.permute(2, 1, 0).flatten(0, 1)
        targets = rows.targets[part]
        repeated = targets.expand(width, *targets.shape).flatten(0, 1)
        losses = rows.loss(run(block.chain.stages[-1].after, flat), repeated)
        return weights @ (losses.double().view(width, -1) - block.base[part]).T


class _MovedCrossEntropy(_MovedLoss):
    """Cross-entropy of logits, which only their differences to the last class decide.

    With p a row's probabilities and m the moves, the loss rises by log(sum p exp m) - m_y,
    here without the cancellation of two losses that are almost the same.
    """

    def __init__(self, block: Block):
        super().__init__(block)
        logits, targets = block.pre[-1], block.rows.targets
        self.directions = self.directions[:-1].clone()
        self.directions[:, -1] = -1
        self.probabilities = logits.softmax(-1).T[:-1].unsqueeze(-1)
        labels = torch.arange(logits.shape[1] - 1, device=logits.device)
        self.own = targets == labels[:, None]
        limits = torch.finfo(logits.dtype)
        self.most, self.least = 0.9 * math.log(limits.max), limits.eps - 1

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """As any loss; what exp and log cannot hold is cut there."""
        moves = residual.neg() * reach
        own = (weights[:, None] * self.own[:, part]).to(moves.dtype)
        at_label = own.flatten(1) @ moves.flatten(0, 1)
        moves.clamp_(max=self.most).expm1_().mul_(self.probabilities[:, part])
        rise = moves.sum(0).clamp_(min=self.least).log1p_()
        return (weights.to(rise.dtype) @ rise - at_label).double()


class _MovedSquares(_MovedLoss):
    """Squared error, the mean over outputs: a parabola in the moves."""

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """As any loss."""
        errors = self.block.pre[-1][part] - self.block.rows.targets[part]
        moves = residual.neg() * reach
        rise = moves.mul_(moves + 2 * errors.T[:, :, None]).mean(0)
        return (weights.to(rise.dtype) @ rise).double()


class _SecondOrder:
    """First order plus half of the squared gradient at drawn targets."""

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """As the moved losses; the reaches are those of the two gradients."""
        slope, curve = residual.neg() * reach[0], residual * reach[1]
        return (weights.to(slope.dtype) @ slope.addcmul_(curve, curve, value=0.5)).double()


def _moved_loss_class(block: Block) -> type[_MovedLoss]:
    """The fastest way to the loss at moved outputs."""
    criterion, tail = block.rows.loss.criterion, block.chain.stages[-1].after
    if tail:
        return _MovedLoss
    if type(criterion) is nn.MSELoss:
        return _MovedSquares
    plain = (
        type(criterion) is nn.CrossEntropyLoss
        and criterion.weight is None
        and criterion.label_smoothing == 0
        and block.rows.targets.dim() == 1
    )
    return _MovedCrossEntropy if plain else _MovedLoss


def _gradients(block: Block, generator: torch.Generator) -> Tensor:
    """Gradients of the loss and of the loss at drawn targets, (2, n_rows, n_outputs)."""
    rows, tail = block.rows, block.chain.stages[-1].after
    with torch.inference_mode(False), torch.enable_grad():
        outputs = block.pre[-1].clone().requires_grad_()
        drawn = draw_targets(rows.loss.criterion, outputs, tail, generator)
        found = [
            torch.autograd.grad(rows.loss(run(tail, outputs), targets).sum(), outputs)[0]
            for targets in (rows.targets.clone(), drawn)
        ]
    return torch.stack(found)


def draw_targets(
    criterion: nn.Module, outputs: Tensor, tail: list[nn.Module], generator: torch.Generator
) -> Tensor:
    """Targets as the network itself expects them, one draw a row.

    Classes by their probabilities; real targets around the outputs, with the variance at
    which the squared gradient has the curvature of the squared error as its mean.

    Raises
    ------
    ValueError
        If the criterion is neither a class loss nor the squared error.
    """
    with torch.no_grad():
        if isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
            found = run(tail, outputs)
            probabilities = found if isinstance(criterion, nn.NLLLoss) else found.softmax(-1)
            # Drawn on the host, so that every device draws the same.
            drawn = torch.multinomial(probabilities.double().cpu(), 1, generator=generator)
            return drawn[:, 0].to(outputs.device)
        if isinstance(criterion, nn.MSELoss):
            noise = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
            spread = (outputs.shape[1] / 2) ** 0.5
            return run(tail, outputs) + spread * noise.to(outputs)
    raise ValueError(
        f"control_variate='fisher' knows CrossEntropyLoss, NLLLoss and MSELoss, the net has "
        f"{type(criterion).__name__}. Use control_variate='linear' or None."
    )
