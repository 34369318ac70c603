"""Losses and predictions from what the output layer returns."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..data.losses import SampleLoss


def sample_losses(graph: Any, logits: Tensor, targets: Tensor, loss: SampleLoss) -> Tensor:
    """Losses of raw outputs in the feature-major layout.

    Parameters
    ----------
    graph : Graph or ModuleNetwork
        Says what follows the output layer.
    logits : Tensor of shape (n_outputs, ..., n_samples)
    targets : Tensor of shape (n_samples,) or (n_samples, n_outputs)
    loss : SampleLoss

    Returns
    -------
    Tensor of float64, shape (..., n_samples)
    """
    if not graph.has_tail and loss.takes_feature_major(targets):
        return loss.feature_major(logits, targets).double()
    outputs = predictions(graph, logits.flatten(1).T)
    repeated = targets.repeat(len(outputs) // len(targets), *[1] * (targets.dim() - 1))
    return loss(outputs, repeated).double().view(logits.shape[1:])


def predictions(graph: Any, logits: Tensor) -> Tensor:
    """The network's outputs from those of the output layer, (n_samples, n_outputs)."""
    found: Any = graph.run({graph.logits: logits}, [graph.output])[graph.output]
    return found
