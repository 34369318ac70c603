"""The loss of each row, as the network's own criterion counts it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RowLoss:
    """A criterion without its final mean: one loss a row.

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
                "a loss for each row. Use a loss of torch.nn, or give yours a `reduction` "
                "parameter that understands 'none'."
            )
        own: Any = copy.deepcopy(criterion).eval()
        own.reduction = "none"
        self.criterion: nn.Module = own

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses of shape (n_rows,); several outputs are averaged."""
        losses = self.criterion(self._logits(outputs), targets)
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far a network's outputs are from another one's, (n_rows,).

        For classes the Kullback-Leibler divergence of the softened probabilities, times
        the squared temperature, so that its gradients keep their size (Hinton et al. 2015);
        otherwise the criterion itself, with the other's outputs as targets.
        """
        if not isinstance(self.criterion, (nn.NLLLoss, nn.CrossEntropyLoss)):
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
