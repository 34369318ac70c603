"""Losses of class indices: their class weights, and one that takes probabilities as well."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

#: Samples whose class weights are looked up at once.
_WEIGHED_AT_ONCE = 2**20


class SoftNLLLoss(nn.NLLLoss):
    """NLLLoss that also takes class probabilities as targets, as CrossEntropyLoss does."""

    @classmethod
    def of(cls, criterion: nn.NLLLoss) -> SoftNLLLoss:
        """A copy of a NLLLoss that takes both kinds of targets."""
        return cls(criterion.weight, None, criterion.ignore_index, None, criterion.reduction)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses of log-probabilities, (n_samples,) or reduced."""
        if not targets.is_floating_point():
            return super().forward(outputs, targets)
        weights = targets if self.weight is None else targets * self.weight
        losses = -(outputs * weights).sum(dim=1)
        if self.reduction == "none":
            return losses
        return losses.sum() if self.reduction == "sum" else losses.sum() / weights.sum()


def weighs_classes(criterion: nn.Module, targets: Tensor) -> bool:
    """Whether a criterion is a loss of torch for class indices, which may have weights."""
    plain = type(criterion) in (nn.CrossEntropyLoss, nn.NLLLoss, SoftNLLLoss)
    return plain and not targets.is_floating_point()


def class_weights(criterion: Any, targets: Tensor) -> Tensor:
    """Weights of samples in a loss of class indices, float64: 0 for the class that is ignored."""
    counted = (targets != criterion.ignore_index).double()
    if criterion.weight is None:
        return counted
    # The weight of a class that is ignored may be missing.
    chosen = targets.where(counted > 0, 0)
    return counted.mul_(criterion.weight.to(targets.device)[chosen])


def mean_weight(criterion: nn.Module, targets: Tensor) -> float:
    """Mean weight of samples by which a criterion's own mean over samples is divided.

    Of classes it is that of their weights, 0 for the one that is ignored; else 1.
    """
    own: Any = criterion
    if not weighs_classes(criterion, targets) or own.reduction != "mean":
        return 1.0
    if own.weight is None and own.ignore_index < 0:
        return 1.0
    if own.weight is not None and int(targets.max()) >= len(own.weight):
        return 1.0  # said better when the losses are computed
    parts = targets.split(_WEIGHED_AT_ONCE)
    total = sum(float(class_weights(own, part).sum()) for part in parts)
    return total / len(targets) or 1.0
