"""The rows that pulls and statistics come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .chain import Chain
from .layers import run
from .losses import RowLoss
from .sparse_rows import SparseRows


@dataclass
class Rows:
    """The rows that pulls and statistics come from, on the network's device.

    Parameters
    ----------
    x : Tensor or SparseRows of shape (n_rows, n_features)
    targets : Tensor of shape (n_rows,) or (n_rows, n_outputs)
        As the criterion wants them.
    weights : Tensor of shape (n_rows,), float64
    loss : RowLoss
    """

    x: Tensor | SparseRows
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
            outputs = chain.outputs_across(self.x)
            losses = losses_across(chain, outputs, self.targets, self.loss)
            return float(losses @ self.weights / self.weights.sum())


def losses_across(chain: Chain, outputs: Tensor, targets: Tensor, loss: RowLoss) -> Tensor:
    """Losses in float64 of raw outputs that lie in columns.

    Parameters
    ----------
    chain : Chain
        Says what stands behind the last Linear.
    outputs : Tensor of shape (n_outputs, ..., n_rows)
    targets : Tensor of shape (n_rows,) or (n_rows, n_outputs)
    loss : RowLoss

    Returns
    -------
    Tensor of float64, shape (..., n_rows)
    """
    tail = chain.stages[-1].after
    if not tail and loss.knows_columns(targets):
        return loss.across(outputs, targets).double()
    flat = run(tail, outputs.flatten(1).T)
    repeated = targets.repeat(len(flat) // len(targets), *[1] * (targets.dim() - 1))
    return loss(flat, repeated).double().view(outputs.shape[1:])
