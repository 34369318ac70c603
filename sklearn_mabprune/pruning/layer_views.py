"""Hidden layers as criteria see them: weights, and on demand what rows show, in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..ablation.compensation import LeastSquaresAblation, make_ablation
from ..criteria import LayerView
from ..data.rows import Rows
from ..graph.graph import Chain
from ..graph.kinds.registry import run


def layer_views(
    chain: Chain, rows: Rows, needs: frozenset[str] = frozenset(), ridge: float = 0.001
) -> list[LayerView]:
    """Every hidden layer of the network as it stands.

    Parameters
    ----------
    chain : Chain
    rows : Rows
        Pruning rows.
    needs : frozenset of {"activations", "gradients", "residual_variance"}
        What to fill in beyond weights.
    ridge : float
        Of the least squares behind residual variances.
    """
    hidden: list[Tensor] = []
    gradients: tuple[Tensor, ...] = ()
    if needs:
        hidden, losses = _run_with_graph(chain, rows)
        if "gradients" in needs:
            gradients = torch.autograd.grad(losses.sum(), hidden)
    views = []
    for layer, (before, after) in enumerate(zip(chain.stages[:-1], chain.stages[1:], strict=True)):
        weight, bias = before.linear.weight, before.linear.bias
        view = LayerView(
            incoming=_array(weight),
            bias=np.zeros(len(weight)) if bias is None else _array(bias),
            outgoing=_array(after.linear.weight),
            row_weights=_array(rows.weights / rows.weights.sum()),
            activations=_array(hidden[layer]) if "activations" in needs else None,
            gradients=_array(gradients[layer]) if gradients else None,
            residual_variance=(
                _residual_variance(hidden[layer].detach(), rows.weights, ridge)
                if "residual_variance" in needs
                else None
            ),
        )
        views.append(view)
    return views


def _run_with_graph(chain: Chain, rows: Rows) -> tuple[list[Tensor], Tensor]:
    """Activations that gradients can be taken of, and the loss of each row."""
    z = chain.enter(rows.x)
    hidden = []
    for stage, following in zip(chain.stages[:-1], chain.stages[1:], strict=True):
        hidden.append(run(stage.after, z))
        z = following.linear(hidden[-1])
    return hidden, rows.loss(run(chain.stages[-1].after, z), rows.targets)


def _residual_variance(activations: Tensor, weights: Tensor, ridge: float) -> NDArray[np.float64]:
    """1 / P_jj: what the rest of the layer cannot predict of each neuron."""
    ablation = make_ablation("least_squares", activations, weights, ridge)
    assert isinstance(ablation, LeastSquaresAblation)
    return 1.0 / _array(ablation.inverse.diagonal())


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
