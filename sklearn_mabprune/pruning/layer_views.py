"""Groups of units as criteria see them: weights, and on demand activations, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..criteria import LayerView


def layer_views(
    activations: Any, needs: frozenset[str] = frozenset(), ridge: float = 0.001
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
    n_groups = len(activations.graph.groups)
    gradients: list[Any] = [None] * n_groups
    if "gradients" in needs:
        gradients = activations.gradients()
    views = []
    for k in range(n_groups):
        incoming, bias, outgoing = activations.weights(k)
        hidden = activations.hidden(k) if "activations" in needs else None
        n_rows = len(gradients[k]) if hidden is None and gradients[k] is not None else 0
        n_rows = n_rows if hidden is None else hidden.shape[1]
        views.append(
            LayerView(
                incoming=_array(incoming),
                bias=np.zeros(len(incoming)) if bias is None else _array(bias),
                outgoing=_array(outgoing),
                row_weights=_array(activations.row_weights(n_rows)),
                activations=None if hidden is None else _array(hidden.T),
                gradients=None if gradients[k] is None else _array(gradients[k]),
                residual_variance=(
                    _array(activations.residual_variance(k, ridge))
                    if "residual_variance" in needs
                    else None
                ),
            )
        )
    return views


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
