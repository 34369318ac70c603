"""The rows that pulls and statistics come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .chain import Chain
from .losses import RowLoss


@dataclass
class Rows:
    """The rows that pulls and statistics come from, on the network's device.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
    targets : Tensor of shape (n_rows,) or (n_rows, n_outputs)
        As the criterion wants them.
    weights : Tensor of shape (n_rows,), float64
    loss : RowLoss
    """

    x: Tensor
    targets: Tensor
    weights: Tensor
    loss: RowLoss

    def __len__(self) -> int:
        return len(self.x)

    def at(self, index: Tensor | slice) -> Rows:
        """These rows only, in this order."""
        return Rows(self.x[index], self.targets[index], self.weights[index], self.loss)

    def mean_loss(self, chain: Chain) -> float:
        """Weighted mean loss of a network on these rows."""
        with torch.inference_mode():
            losses = self.loss(chain.forward(self.x), self.targets).double()
            return float(losses @ self.weights / self.weights.sum())
