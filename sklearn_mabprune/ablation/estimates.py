"""Every neuron's loss increase from a few backward passes, before any pull.

Ablating neuron j of a layer moves the next pre-activations by -d_j w_j, with d_j the ablated
part of its activation and w_j its outgoing weights.  To first order that moves the raw
outputs by -d_j J w_j, with J a row's Jacobian of the outputs with respect to those
pre-activations.  Two estimates follow:

``"linear"``
    The moved outputs are put into the true loss.  Exact where what stands behind the layer
    is linear.  One backward pass an output; J w_j for all neurons in one product.  Of more
    than four classes each row's label is set against the two likeliest others and the mean
    of the rest: three passes.
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
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ..data.rows import losses_across
from ..graph.kinds.registry import LinearKind, run, run_across
from ..utils.scratch import scratch
from .block import Block

CONTROL_VARIATES = ("linear", "fisher")

# Passes for classes: of more, those that a row is unlikely to be of count as one.
_DIRECTIONS = 3


def estimate(
    block: Block,
    kind: str,
    generator: torch.Generator,
    parts: Sequence[slice | Tensor] = (slice(None),),
    units: Sequence[Tensor] | None = None,
) -> Tensor:
    """Estimated rise of the mean loss when each neuron alone is ablated.

    Parameters
    ----------
    block : Block
        Rows run through the network as it stands, with its frozen ablations.
    kind : {"linear", "fisher"}
    generator : torch.Generator
        Draws labels for "fisher".
    parts : sequence of slice or Tensor of int
        Some of the block's rows each; one part of all of them when not given.
    units : sequence of Tensor of int, one a hidden layer, optional
        Positions of the neurons to estimate; all when not given.

    Returns
    -------
    Tensor of float64, shape (n_parts, n_neurons)
        Means over the rows of each part; neurons layer by layer.
    """
    device = block.chain.device
    sizes = block.chain.hidden_sizes
    units = units or [torch.arange(size, device=device) for size in sizes]
    with torch.inference_mode():
        # Behind the last hidden layer nothing is linearised, and no pass is needed.
        near: _Rise = (_SecondOrder if kind == "fisher" else _moved_loss(block))(block, generator)
        far = near
        many_classes = block.chain.n_outputs - 1 > _DIRECTIONS
        if isinstance(near, _MovedCrossEntropy) and many_classes and len(sizes) > 1:
            far = _MovedLikely(near)
        # Row weights of each part: one product adds up all parts.
        weights = torch.zeros(len(block.rows), len(parts), dtype=torch.float64, device=device)
        for number, part in enumerate(parts):
            weights[part, number] = block.rows.weights[part]
        found = [weights.new_zeros(len(some), len(parts)) for some in units]
        # Residuals of many rows in one product, a wide layer's matrix is large to read; what
        # comes after them of fewer, the more directions there are.
        many = max(1, block.chunk // max(sizes))
        widest = far.directions.shape[1] * max([1, *sizes[1:], *map(len, units[:-1])])
        few = max(1, block.chunk // max(widest, near.directions.shape[1] * len(units[-1])))
        for first in range(0, len(block.rows), many):
            last = min(first + many, len(block.rows))
            residuals = [
                ablation.residual_across(hidden[:, first:last], some)
                for ablation, hidden, some in zip(
                    block.ablations, block.across[0], units, strict=True
                )
            ]
            for start in range(first, last, few):
                rows = slice(start, min(start + few, last))
                here = slice(start - first, rows.stop - first)
                for layer, reach in _reaches(block, near.directions, far.directions, rows, units):
                    rise = near if layer == len(sizes) - 1 else far
                    found[layer] += rise(residuals[layer][:, here], reach, rows, weights[rows])
        return (torch.cat(found) / weights.sum(dim=0)).T


def passes(kind: str, block: Block) -> int:
    """Backward passes an estimate takes."""
    if kind == "fisher":
        return 2
    n = block.chain.n_outputs
    return min(n - 1, _DIRECTIONS) if _moved_loss(block) is _MovedCrossEntropy else n


def _reaches(
    block: Block, near: Tensor, far: Tensor, rows: slice, units: Sequence[Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """What neurons' activations do to some functions of the outputs, layer by layer.

    Parameters
    ----------
    block : Block
    near, far : Tensor of shape (n_outputs, k, all rows or 1)
        Gradients of k functions with respect to the raw outputs, for the last hidden layer
        and for those before it.
    rows : slice
        Of the block's rows.
    units : sequence of Tensor of int
        Neurons asked for, of each layer.

    Yields
    ------
    int, Tensor of shape (n_units, k, n_rows or 1)
        Hidden layer, from the last to the first, and the gradients with respect to its
        activations: backward passes without a graph, since layers are element-wise or linear.
    """
    stages = block.chain.stages
    near, behind = (d if d.shape[-1] == 1 else d[..., rows] for d in (near, far))
    for layer in range(len(stages) - 2, -1, -1):
        following = stages[layer + 1].linear
        if len(units[layer]):
            at_outputs = near if layer == len(stages) - 2 else behind
            columns = LinearKind.columns(following, units[layer])
            yield layer, _through(columns, at_outputs, "reach")
        if any(map(len, units[:layer])):
            slope = _slope(block, layer, rows)[:, None]
            # Read and written in turns.
            behind = _through(following.weight, behind, f"behind {layer % 2}")
            same = behind.shape[-1] == slope.shape[-1]
            behind = behind.mul_(slope) if same else behind * slope


def _through(weight: Tensor, behind: Tensor, name: str) -> Tensor:
    """Back through a Linear, (n_outputs, k, n_rows) to (n_inputs, k, n_rows) in one product."""
    columns = behind.flatten(1)
    out = scratch(name, (weight.shape[1], columns.shape[1]), columns)
    return torch.mm(weight.T, columns, out=out).view(-1, *behind.shape[1:])


def _slope(block: Block, layer: int, rows: slice) -> Tensor:
    """Derivatives of a hidden layer's activations by its pre-activations, (width, n_rows)."""
    layers = block.chain.stages[layer].after
    if len(layers) == 1 and type(layers[0]) is nn.ReLU:
        return block.across[0][layer][:, rows].sign()
    z = block.across[1][layer - 1][:, rows]
    # Tensors made in inference mode cannot enter a graph: the copy can.
    with torch.inference_mode(False), torch.enable_grad():
        z = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(run_across(layers, z).sum(), z)
    return slope


class _Rise:
    """Rise of the loss from what neurons reach.

    Parameters
    ----------
    block : Block
    generator : torch.Generator
        Draws labels.

    Attributes
    ----------
    directions : Tensor of shape (n_outputs, k, n_rows or 1)
        Gradients of the k functions of the raw outputs whose reaches are wanted.
    """

    directions: Tensor

    def __init__(self, block: Block, generator: torch.Generator):
        self.block = block

    def __call__(self, residual: Tensor, reach: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """Weighted sums over rows of the loss's rise, float64.

        Parameters
        ----------
        residual : Tensor of shape (n_units, n_rows)
        reach : Tensor of shape (n_units, k, n_rows or 1)
        rows : slice
            Which of the block's rows these are.
        weights : Tensor of float64, shape (n_rows, n_sums)

        Returns
        -------
        Tensor of shape (n_units, n_sums)
        """
        raise NotImplementedError


class _MovedLoss(_Rise):
    """The true loss at outputs that are moved: any loss."""

    def __init__(self, block: Block, generator: torch.Generator):
        super().__init__(block, generator)
        chain = block.chain
        eye = torch.eye(chain.n_outputs, dtype=chain.dtype, device=chain.device)
        self.directions = eye.unsqueeze(-1)

    def __call__(self, residual: Tensor, reach: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """As described."""
        block = self.block
        moved = block.across[1][-1][:, None, rows] - (residual[:, None] * reach).transpose(0, 1)
        losses = losses_across(block.chain, moved, block.rows.targets[rows], block.rows.loss)
        return (losses - block.base[rows]) @ weights


class _MovedCrossEntropy(_Rise):
    """Cross-entropy of logits, which only their differences to the last class decide.

    With p a row's probabilities and m the moves, the loss rises by log(sum p exp m) - m_y,
    here without the cancellation of two losses that are almost the same.
    """

    def __init__(self, block: Block, generator: torch.Generator):
        super().__init__(block, generator)
        logits = block.across[1][-1]
        directions = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)[:, :-1]
        directions[-1] = -1
        self.directions = directions.unsqueeze(-1)
        self.of_all = logits.softmax(0)
        self.probabilities = self.of_all[:-1]
        limits = torch.finfo(logits.dtype)
        self.most, self.least = 0.9 * math.log(limits.max), limits.eps - 1

    def __call__(self, residual: Tensor, reach: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """As described."""
        residual = residual.neg()
        moves = scratch("moves", (*reach.shape[:2], residual.shape[1]), residual)
        torch.mul(residual[:, None], reach, out=moves)
        # The last class does not move.
        every = torch.cat([reach, reach.new_zeros(len(reach), 1, reach.shape[2])], 1)
        targets = self.block.rows.targets[rows]
        if reach.shape[2] == 1:
            own = every[..., 0].index_select(1, targets)
        else:
            own = every.gather(1, targets.expand(len(reach), 1, -1))[:, 0]
        return self._added_up(moves, self.probabilities[:, rows], own.mul_(residual), weights)

    def _added_up(
        self, moves: Tensor, probabilities: Tensor, own: Tensor | None, weights: Tensor
    ) -> Tensor:
        """Weighted sums; what exp and log cannot hold is cut there.

        The sum of the probabilities is taken off as it came out, not as 1: with it goes its
        rounding error, and what does not move has no rise.
        """
        rise = moves.clamp_(max=self.most).exp_().mul_(probabilities)
        if rise.shape[1] == 1:
            rise = rise[:, 0].sub_(probabilities[0])
        else:
            rise = rise.sum(1).sub_(probabilities.sum(0))
        rise = rise.clamp_(min=self.least).log1p_()
        return ((rise if own is None else rise.sub_(own)) @ weights.to(rise.dtype)).double()


class _MovedLikely(_MovedCrossEntropy):
    """The same of many classes: the least likely ones of each row share their mean move.

    Moves are those of differences to the label, which itself does not move then.
    """

    def __init__(self, near: _MovedCrossEntropy):
        self.block, self.most, self.least = near.block, near.most, near.least
        labels = self.block.rows.targets[None]
        others = near.of_all.scatter(0, labels, 0.0)
        directions = others.new_zeros(len(others), _DIRECTIONS, others.shape[1])
        likely = others.new_empty(_DIRECTIONS, others.shape[1])
        # One after the other: a partial sort of few classes takes three times as long.
        for k in range(_DIRECTIONS - 1):
            likely[k], its = others.max(0, keepdim=True)
            directions[:, k].scatter_(0, its, 1.0)
            others.scatter_(0, its, 0.0)
        # The label is among the rest, with no probability and no move.
        total = torch.sum(others, 0, out=likely[-1])
        directions[:, -1] = others / total.clamp_min(torch.finfo(total.dtype).tiny)
        taken = directions.sum(0, keepdim=True)
        directions.scatter_add_(0, labels.expand(1, _DIRECTIONS, -1), -taken)
        self.directions = directions
        self.probabilities = likely

    def __call__(self, residual: Tensor, reach: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """As described."""
        moves = reach.mul_(residual.neg()[:, None])
        return self._added_up(moves, self.probabilities[:, rows], None, weights)


class _MovedSquares(_MovedLoss):
    """Squared error, the mean or the sum over outputs: a parabola in the moves."""

    def __call__(self, residual: Tensor, reach: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """As described."""
        outputs, targets = self.block.across[1][-1][:, rows], self.block.rows.targets[rows]
        twice = 2 * (outputs - targets.view(len(targets), -1).T)
        moves = residual.neg()[:, None] * reach
        moves.mul_(moves + twice)
        rise = moves.sum(1) if self.block.rows.loss.summed else moves.mean(1)
        return (rise @ weights.to(rise.dtype)).double()


class _SecondOrder(_Rise):
    """First order plus half of the squared gradient at drawn targets."""

    def __init__(self, block: Block, generator: torch.Generator):
        super().__init__(block, generator)
        rows, tail = block.rows, block.chain.stages[-1].after
        with torch.inference_mode(False), torch.enable_grad():
            outputs = block.behind[-1].clone().requires_grad_()
            loss = rows.loss
            drawn = draw_targets(loss.criterion, outputs, tail, generator, loss.summed)
            found = [
                torch.autograd.grad(loss(run(tail, outputs), targets).sum(), outputs)[0].T
                for targets in (rows.targets.clone(), drawn)
            ]
        self.directions = torch.stack(found, dim=1)

    def __call__(self, residual: Tensor, reach: Tensor, rows: slice, weights: Tensor) -> Tensor:
        """As described."""
        slope, curve = residual.neg() * reach[:, 0], residual * reach[:, 1]
        rise = slope.addcmul_(curve, curve, value=0.5)
        return (rise @ weights.to(rise.dtype)).double()


def _moved_loss(block: Block) -> type[_Rise]:
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


def draw_targets(
    criterion: nn.Module,
    outputs: Tensor,
    tail: list[nn.Module],
    generator: torch.Generator,
    summed: bool = False,
) -> Tensor:
    """Targets as the network itself expects them, one draw a row.

    Classes and labels by their probabilities; several labels, and real targets, as far
    around what is expected as gives the squared gradient of a row's loss, a mean (or the
    sum, if `summed`) over outputs, the loss's curvature as its mean.

    Raises
    ------
    ValueError
        If the criterion is neither a loss of classes or labels nor the squared error.
    """
    n_averaged = 1 if summed else outputs.shape[1]
    with torch.no_grad():
        if isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
            found = run(tail, outputs)
            probabilities = found if isinstance(criterion, nn.NLLLoss) else found.softmax(-1)
            # Drawn on the host, so that every device draws the same.
            drawn = torch.multinomial(probabilities.double().cpu(), 1, generator=generator)
            return drawn[:, 0].to(outputs.device)
        if isinstance(criterion, nn.MSELoss):
            noise = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
            spread = (n_averaged / 2) ** 0.5
            return run(tail, outputs) + spread * noise.to(outputs)
        if isinstance(criterion, nn.BCEWithLogitsLoss):
            expected = run(tail, outputs).sigmoid()
            drawn = torch.bernoulli(expected.double().cpu(), generator=generator)
            # The loss is linear in its target, which need not be 0 or 1 then.
            return expected + n_averaged**0.5 * (drawn.to(outputs) - expected)
    raise ValueError(
        f"control_variate='fisher' knows CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss and MSELoss, "
        f"the net has {type(criterion).__name__}. Use control_variate='linear' or None."
    )
