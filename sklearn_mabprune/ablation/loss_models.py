"""Losses at moved logits: the loss increase that follows from estimated moves.

The *reach* of a unit is the derivative of some functions of a sample's logits with respect to
the unit's activation.  A loss model says which functions it needs, and what loss increase follows
when the activation is ablated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from ..utils.scratch import scratch
from .outputs import predictions, sample_losses

if TYPE_CHECKING:
    from .block import Block
    from .module_block import ModuleBlock

    AnyBlock: TypeAlias = Block | ModuleBlock

#: Criteria whose targets can be drawn from the network's predictions.
_DRAWN = (nn.CrossEntropyLoss, nn.NLLLoss, nn.BCEWithLogitsLoss, nn.MSELoss)

#: Functions of the logits of many classes: those that are unlikely for a sample count as one.
DIRECTIONS = 3


class LossModel:
    """Loss increase of units from their reaches.

    Parameters
    ----------
    block : Block or ModuleBlock
    generator : torch.Generator
        Draws targets.

    Attributes
    ----------
    directions : Tensor of shape (n_outputs, k, n_samples or 1)
        Gradients of the k functions with respect to the logits.
    """

    directions: Tensor

    def __init__(self, block: AnyBlock, generator: torch.Generator):
        self.block = block

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """Weighted sums of the loss increase over samples, float64.

        Parameters
        ----------
        residual : Tensor of shape (n_units, n_samples)
            Ablated parts of activations.
        reach : Tensor of shape (n_units, k, n_samples or 1)
        part : slice
            Which of the block's samples these are.
        weights : Tensor of float64, shape (n_samples, n_sums)

        Returns
        -------
        Tensor of shape (n_units, n_sums)
        """
        raise NotImplementedError


class MovedLoss(LossModel):
    """The true loss at moved logits: any loss."""

    def __init__(self, block: AnyBlock, generator: torch.Generator):
        super().__init__(block, generator)
        graph = block.graph
        eye = torch.eye(len(block.logits), dtype=graph.dtype, device=graph.device)
        self.directions = eye.unsqueeze(-1)

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """Loss at the moved logits minus loss at the logits."""
        block, samples = self.block, self.block.samples
        moved = block.logits[:, None, part] - (residual[:, None] * reach).transpose(0, 1)
        losses = sample_losses(block.graph, moved, samples.targets[part], samples.loss)
        return (losses - block.base[part]) @ weights


class MovedCrossEntropy(LossModel):
    """Cross-entropy of logits, which depends on their differences to the last class only.

    With p a sample's probabilities and m the moves, the loss rises by log(sum p exp m) - m_y,
    here without the cancellation of two losses that are almost equal.
    """

    def __init__(self, block: AnyBlock, generator: torch.Generator):
        super().__init__(block, generator)
        logits = block.logits
        directions = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)[:, :-1]
        directions[-1] = -1
        self.directions = directions.unsqueeze(-1)
        self.of_all = logits.softmax(0)
        self.probabilities = self.of_all[:-1]
        limits = torch.finfo(logits.dtype)
        self.most, self.least = 0.9 * math.log(limits.max), limits.eps - 1

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """log(sum p exp m) - m_y."""
        residual = residual.neg()
        moves = scratch("moves", (*reach.shape[:2], residual.shape[1]), residual)
        torch.mul(residual[:, None], reach, out=moves)
        # The last class does not move.
        every = torch.cat([reach, reach.new_zeros(len(reach), 1, reach.shape[2])], 1)
        targets = self.block.samples.targets[part]
        if reach.shape[2] == 1:
            own = every[..., 0].index_select(1, targets)
        else:
            own = every.gather(1, targets.expand(len(reach), 1, -1))[:, 0]
        return self._added_up(moves, self.probabilities[:, part], own.mul_(residual), weights)

    def _added_up(
        self, moves: Tensor, probabilities: Tensor, own: Tensor | None, weights: Tensor
    ) -> Tensor:
        """Weighted sums; moves are clipped to what exp and log can represent.

        The sum of the probabilities is subtracted as it was computed, not as 1: its rounding
        error cancels, and a unit that moves nothing has a loss increase of exactly 0.
        """
        rise = moves.clamp_(max=self.most).exp_().mul_(probabilities)
        if rise.shape[1] == 1:
            rise = rise[:, 0].sub_(probabilities[0])
        else:
            rise = rise.sum(1).sub_(probabilities.sum(0))
        rise = rise.clamp_(min=self.least).log1p_()
        return ((rise if own is None else rise.sub_(own)) @ weights.to(rise.dtype)).double()


class MovedLikely(MovedCrossEntropy):
    """The same for many classes: the least likely ones of each sample share their mean move.

    Moves are those of differences to the label, which itself does not move then.
    """

    def __init__(self, near: MovedCrossEntropy):
        self.block, self.most, self.least = near.block, near.most, near.least
        labels = self.block.samples.targets[None]
        others = near.of_all.scatter(0, labels, 0.0)
        directions = others.new_zeros(len(others), DIRECTIONS, others.shape[1])
        likely = others.new_empty(DIRECTIONS, others.shape[1])
        # One after the other: a partial sort of few classes takes three times as long.
        for k in range(DIRECTIONS - 1):
            likely[k], its = others.max(0, keepdim=True)
            directions[:, k].scatter_(0, its, 1.0)
            others.scatter_(0, its, 0.0)
        # The label is among the rest, with no probability and no move.
        total = torch.sum(others, 0, out=likely[-1])
        directions[:, -1] = others / total.clamp_min(torch.finfo(total.dtype).tiny)
        taken = directions.sum(0, keepdim=True)
        directions.scatter_add_(0, labels.expand(1, DIRECTIONS, -1), -taken)
        self.directions = directions
        self.probabilities = likely

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """log(sum p exp m), with moves relative to the label."""
        moves = reach.mul_(residual.neg()[:, None])
        return self._added_up(moves, self.probabilities[:, part], None, weights)


class MovedSquares(MovedLoss):
    """Squared error, the mean or the sum over outputs: a parabola in the moves."""

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """M (m + 2 (output - target)), summed or averaged over outputs."""
        samples = self.block.samples
        outputs, targets = self.block.logits[:, part], samples.targets[part]
        twice = 2 * (outputs - targets.view(len(targets), -1).T)
        moves = residual.neg()[:, None] * reach
        moves.mul_(moves + twice)
        rise = moves.sum(1) if samples.loss.summed else moves.mean(1)
        return (rise @ weights.to(rise.dtype)).double()


class SecondOrder(LossModel):
    """First order plus half of the squared gradient at drawn targets."""

    def __init__(self, block: AnyBlock, generator: torch.Generator):
        super().__init__(block, generator)
        graph, samples = block.graph, block.samples
        with torch.inference_mode(False), torch.enable_grad():
            logits = block.logits.T.clone().requires_grad_()
            targets, drawn = samples.targets.clone(), draw_targets(block, generator)
            outputs = predictions(graph, logits)
            losses = samples.loss(outputs, targets), samples.loss.at_drawn(outputs, drawn, targets)
            found = [
                torch.autograd.grad(each.sum(), logits, retain_graph=True)[0].T for each in losses
            ]
        self.directions = torch.stack(found, dim=1)

    def __call__(self, residual: Tensor, reach: Tensor, part: slice, weights: Tensor) -> Tensor:
        """-d g + (d h)^2 / 2, with g and h the gradients at the targets and at drawn ones."""
        slope, curve = residual.neg() * reach[:, 0], residual * reach[:, 1]
        rise = slope.addcmul_(curve, curve, value=0.5)
        return (rise @ weights.to(rise.dtype)).double()


def moved_loss(block: AnyBlock) -> type[LossModel]:
    """The fastest model of the loss at moved logits."""
    samples = block.samples
    if block.graph.has_tail or not samples.loss.takes_feature_major(samples.targets):
        return MovedLoss
    squares = isinstance(samples.loss.criterion, nn.MSELoss)
    return MovedSquares if squares else MovedCrossEntropy


def loss_model(block: AnyBlock, kind: str, generator: torch.Generator) -> LossModel:
    """The model of an estimate of a kind, "linear" or "fisher"."""
    return (SecondOrder if kind == "fisher" else moved_loss(block))(block, generator)


def with_few_directions(model: LossModel) -> LossModel:
    """The model that takes fewer backward passes, where there are many classes."""
    if isinstance(model, MovedCrossEntropy) and len(model.block.logits) - 1 > DIRECTIONS:
        return MovedLikely(model)
    return model


def passes(kind: str, block: AnyBlock) -> int:
    """Backward passes that an estimate takes."""
    if kind == "fisher":
        return 2
    n = len(block.logits)
    return min(n - 1, DIRECTIONS) if moved_loss(block) is MovedCrossEntropy else n


def draw_targets(block: AnyBlock, generator: torch.Generator) -> Tensor:
    """Targets drawn from the network's own predictions, one for each sample.

    Classes and labels by their probabilities.  Multilabel and real targets are drawn so far from
    their expectation that the squared gradient of a sample's loss, which is a mean (or a sum)
    over outputs, has the loss's curvature as its mean.

    Parameters
    ----------
    block : Block or ModuleBlock
    generator : torch.Generator

    Returns
    -------
    Tensor of shape (n_samples,) or (n_samples, n_outputs)

    Raises
    ------
    ValueError
        If the criterion is neither a loss of classes or labels nor the squared error.
    """
    loss, criterion = block.samples.loss, block.samples.loss.criterion
    check_drawn(criterion)
    n_averaged = 1 if loss.summed else len(block.logits)
    with torch.no_grad():
        outputs = predictions(block.graph, block.logits.T.clone())
        if isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
            probabilities = outputs if isinstance(criterion, nn.NLLLoss) else outputs.softmax(-1)
            # Drawn on the host, so that every device draws the same.
            drawn = torch.multinomial(probabilities.double().cpu(), 1, generator=generator)
            return drawn[:, 0].to(outputs.device)
        if isinstance(criterion, nn.MSELoss):
            noise = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
            return outputs + (n_averaged / 2) ** 0.5 * noise.to(outputs)
        expected = outputs.sigmoid()
        drawn = torch.bernoulli(expected.double().cpu(), generator=generator)
        # The loss is linear in its target, which need not be 0 or 1 then.
        return expected + n_averaged**0.5 * (drawn.to(outputs) - expected)


def check_drawn(criterion: nn.Module) -> None:
    """Raise ValueError if `draw_targets` does not know a criterion."""
    if not isinstance(criterion, _DRAWN):
        raise ValueError(
            f"control_variate='fisher' knows {', '.join(kind.__name__ for kind in _DRAWN)}, the "
            f"net has {type(criterion).__name__}. Use control_variate='linear' or None."
        )
