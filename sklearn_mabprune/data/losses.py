"""The loss of each sample, as the network's own criterion defines it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..utils.compat import predict_nonlinearity, uncompiled

#: Criteria of classes that exclude each other, and of labels that do not.
ONE_LABEL = (nn.CrossEntropyLoss, nn.NLLLoss)
SEVERAL_LABELS = (nn.BCEWithLogitsLoss, nn.BCELoss, nn.MultiLabelSoftMarginLoss)


def check_criterion(criterion: nn.Module, y: np.ndarray) -> None:
    """Refuse a criterion for class numbers with an indicator matrix, and the other way round."""
    name = type(criterion).__name__
    if y.ndim == 2 and isinstance(criterion, ONE_LABEL):
        raise ValueError(
            f"y has {y.shape[1]} labels a row, the net's criterion {name} is for one. Pass "
            "criterion=nn.BCEWithLogitsLoss."
        )
    if y.ndim == 1 and isinstance(criterion, SEVERAL_LABELS):
        raise ValueError(
            f"y has one label a row, the net's criterion {name} is for several that do not exclude "
            "each other. Pass criterion=nn.CrossEntropyLoss, with an output for each class."
        )


def output_nonlinearity(net: Any) -> Callable[[Tensor], Tensor]:
    """From a module's outputs to probabilities or values, as the net would have it.

    skorch takes a binary loss for two classes; here it is for several labels a row.
    """
    criterion = uncompiled(net.criterion_)
    if net.predict_nonlinearity == "auto" and isinstance(criterion, SEVERAL_LABELS):
        return nn.Identity() if isinstance(criterion, nn.BCELoss) else torch.sigmoid
    return predict_nonlinearity(net)


def is_softmax(nonlinearity: Any) -> bool:
    """Whether this is skorch's way from logits to the probabilities of classes."""
    given = getattr(nonlinearity, "func", None), getattr(nonlinearity, "keywords", None)
    return given == (torch.softmax, {"dim": -1})


class SampleLoss:
    """A criterion without its final mean: one loss per sample.

    Parameters
    ----------
    criterion : nn.Module
        With a `reduction` attribute, as all losses of torch have.  Left as it is.

    Raises
    ------
    ValueError
        If the criterion has no `reduction`.
    """

    def __init__(self, criterion: nn.Module):
        if not hasattr(criterion, "reduction"):
            raise ValueError(
                f"The net's criterion {type(criterion).__name__} has no `reduction`: pruning needs "
                "a loss for each sample. Use a loss of torch.nn, or give yours a `reduction` "
                "parameter that understands 'none'."
            )
        own: Any = copy.deepcopy(criterion).eval()
        self.summed = own.reduction == "sum"
        own.reduction = "none"
        self.criterion: nn.Module = own
        plain = type(own) is nn.CrossEntropyLoss and own.weight is None
        self._classes = plain and own.label_smoothing == 0.0 and own.ignore_index < 0
        self._squares = type(own) is nn.MSELoss

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses of shape (n_samples,); several outputs as the criterion has it, mean or sum."""
        return self._per_sample(self.criterion(self._logits(outputs), targets))

    def _per_sample(self, losses: Tensor) -> Tensor:
        if losses.dim() == 1:
            return losses
        losses = losses.flatten(1)
        return losses.sum(1) if self.summed else losses.mean(1)

    def takes_feature_major(self, targets: Tensor) -> bool:
        """Whether :meth:`feature_major` can be used for such targets."""
        return self._squares or (self._classes and targets.dim() == 1)

    def feature_major(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses from outputs in the feature-major layout, several times faster for few outputs.

        Parameters
        ----------
        outputs : Tensor of shape (n_outputs, ..., n_samples)
            Dimensions in the middle share the targets.
        targets : Tensor of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        Tensor of shape (..., n_samples)
        """
        if self._squares:
            wanted = targets.reshape(len(targets), -1).T
            wanted = wanted.reshape(len(wanted), *[1] * (outputs.dim() - 2), -1)
            squares = (outputs - wanted).square_()
            return squares.sum(0) if self.summed else squares.mean(0)
        if len(outputs) == 2:
            return self.of_two(outputs[0] - outputs[1], self.signs(targets, outputs.dtype))
        index = targets.expand(1, *outputs.shape[1:])
        return F.log_softmax(outputs, dim=0).gather(0, index)[0].neg_()

    def has_two(self, n_outputs: int, targets: Tensor) -> bool:
        """Whether the loss depends on the difference of two outputs alone."""
        return self._classes and n_outputs == 2 and targets.dim() == 1

    def signs(self, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """1 for the first of two classes, -1 for the second."""
        return targets.to(dtype, copy=True).mul_(-2).add_(1)

    def of_two(self, difference: Tensor, signs: Tensor) -> Tensor:
        """Losses from the first class's output minus the second's, which is overwritten.

        Half as many exponentials as for two outputs.

        Parameters
        ----------
        difference : Tensor of shape (..., n_samples)
        signs : Tensor of shape (n_samples,)
        """
        return F.logsigmoid(difference.mul_(signs)).neg_()

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far a network's outputs are from another one's, (n_samples,).

        For classes the Kullback-Leibler divergence of the softened probabilities, times
        the squared temperature, so that its gradients keep their size (Hinton et al. 2015);
        for several labels the same for each of them; otherwise the criterion itself, with
        the other's outputs as targets.
        """
        if isinstance(self.criterion, SEVERAL_LABELS):
            if isinstance(self.criterion, nn.BCELoss):
                eps = torch.finfo(outputs.dtype).eps
                outputs, teacher = torch.logit(outputs, eps), torch.logit(teacher, eps)
            student, wanted = outputs / temperature, teacher / temperature
            aim = wanted.sigmoid()
            there = F.binary_cross_entropy_with_logits(student, aim, reduction="none")
            least = F.binary_cross_entropy_with_logits(wanted, aim, reduction="none")
            return self._per_sample(there - least) * temperature**2
        if not isinstance(self.criterion, ONE_LABEL):
            return self(outputs, teacher)
        student = F.log_softmax(self._logits(outputs) / temperature, dim=-1)
        wanted = F.log_softmax(self._logits(teacher) / temperature, dim=-1)
        divergence = F.kl_div(student, wanted, reduction="none", log_target=True).sum(-1)
        return divergence * temperature**2

    def _logits(self, outputs: Tensor) -> Tensor:
        if isinstance(self.criterion, nn.NLLLoss):
            # As skorch does: with NLLLoss the module returns probabilities.
            return torch.log(outputs + torch.finfo(outputs.dtype).eps)
        return outputs
