"""Groups of units as criteria see them: weights, and on demand activations, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..ablation.activations import Activations, predictions
from ..ablation.compensation import LeastSquaresAblation, make_ablation
from ..criteria import LayerView
from ..graph.graph import Graph
from ..graph.groups import Group


def layer_views(
    activations: Activations, needs: frozenset[str] = frozenset(), ridge: float = 0.001
) -> list[LayerView]:
    """Every group of the network as it stands.

    Parameters
    ----------
    activations : Activations
        The network on the pruning samples.
    needs : frozenset of {"activations", "gradients", "residual_variance"}
        What to fill in beyond weights.
    ridge : float
        Of the least squares behind residual variances.
    """
    graph, weights = activations.graph, activations.samples.weights
    groups = graph.groups
    gradients = _gradients(activations) if "gradients" in needs else [None] * len(groups)
    return [
        LayerView(
            **_weights(graph, group),
            row_weights=_array(weights / weights.sum()),
            activations=_array(activations.hidden(k).T) if "activations" in needs else None,
            gradients=None if gradient is None else _array(gradient),
            residual_variance=(
                _residual_variance(activations.hidden(k), weights, ridge)
                if "residual_variance" in needs
                else None
            ),
        )
        for k, (group, gradient) in enumerate(zip(groups, gradients, strict=True))
    ]


def _weights(graph: Graph, group: Group) -> dict[str, Any]:
    """Incoming weights and biases of a group's units, and outgoing weights."""
    producer, reader = graph.producer(group), graph.reader(group)
    weight, bias = producer.kind.weights(producer.layer)
    return {
        "incoming": _array(weight),
        "bias": np.zeros(len(weight)) if bias is None else _array(bias),
        "outgoing": _array(reader.kind.weights(reader.layer)[0]),
    }


def _gradients(activations: Activations) -> list[Tensor]:
    """Gradients of each sample's loss with respect to activations, (n_samples, n_units)."""
    graph, samples = activations.graph, activations.samples
    values = [group.value for group in graph.groups]
    found = graph.run({0: samples.x}, [*values, graph.logits])
    losses = samples.loss(predictions(graph, found[graph.logits]), samples.targets)
    return list(torch.autograd.grad(losses.sum(), [found[value] for value in values]))


def _residual_variance(activations: Tensor, weights: Tensor, ridge: float) -> NDArray[np.float64]:
    """1 / P_jj: the variance of each unit that the rest of its group cannot predict."""
    ablation = make_ablation("least_squares", activations, weights, ridge)
    assert isinstance(ablation, LeastSquaresAblation)
    return 1.0 / _array(ablation.inverse.diagonal())


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
