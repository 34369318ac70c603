"""From validated rows to predictions: one module call, no DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from torch import Tensor

from .batches import as_tensor
from .chain import Chain
from .losses import output_nonlinearity
from .targets import predicted

# Rows a call: bounds the memory of hidden activations, not worth a parameter.
_ROWS = 2**16


def network_outputs(net: Any, forward: Callable[[Any], Tensor], x: Any) -> NDArray[Any]:
    """What the net predicts: class probabilities, or values in original units.

    Parameters
    ----------
    net : skorch net
        Says how raw outputs become predictions.
    forward : callable
        Rows, sparse ones too, to raw outputs in evaluation mode: see
        :func:`~sklearn_mabprune.sparse_rows.outputs_of`, or of a chain.
    x : ndarray or CSR matrix of shape (n_rows, n_features)

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    nonlinearity = output_nonlinearity(net)
    dtype = next(net.module_.parameters()).dtype
    parts = []
    with torch.inference_mode():
        for first in range(0, x.shape[0], _ROWS):
            rows = as_tensor(x[first : first + _ROWS], net.device, dtype)
            parts.append(nonlinearity(forward(rows)).cpu().numpy())
    outputs = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if hasattr(net, "target_scale_"):
        outputs = outputs * net.target_scale_ + net.target_mean_
    return outputs.reshape(x.shape[0], -1)


class ClassifierView(ClassifierMixin, BaseEstimator):
    """A chain as a fitted classifier, for scorers."""

    def __init__(self, net: Any, chain: Chain, classes: NDArray[Any], several: bool = False):
        self.net, self.chain, self.classes_, self.several = net, chain, classes, several

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        """Class probabilities, (n_rows, n_classes)."""
        return network_outputs(self.net, self.chain.forward, X)

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Labels, (n_rows,), or an indicator matrix of several, (n_rows, n_classes)."""
        return predicted(self.predict_proba(X), self.classes_, self.several)


class RegressorView(RegressorMixin, BaseEstimator):
    """A chain as a fitted regressor, for scorers."""

    def __init__(self, net: Any, chain: Chain):
        self.net, self.chain = net, chain

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Values, (n_rows,) or (n_rows, n_outputs)."""
        outputs = network_outputs(self.net, self.chain.forward, X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
