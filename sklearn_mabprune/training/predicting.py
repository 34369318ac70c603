"""From validated rows to predictions: one module call, no DataLoader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from torch import Tensor

from ..data.batches import as_tensor
from ..data.losses import is_softmax, output_nonlinearity
from ..data.sparse import SparseRows
from ..data.targets import predicted
from ..graph.graph import Chain

# Rows a call: hidden activations stay in the processor's cache, and memory small.
_ROWS = {"cpu": 2**11, "cuda": 2**16}
# Classes that do not fill a vector register, and rows that are worth turning round.
_FEW_CLASSES, _MANY_ROWS = 16, 64


def softmax(outputs: Tensor) -> Tensor:
    """Class probabilities, (n_rows, n_classes).

    Of few classes torch takes four times as long row by row as with the rows side by side.
    """
    n_rows, n_classes = outputs.shape
    if outputs.device.type == "cpu" and n_classes < _FEW_CLASSES and n_rows >= _MANY_ROWS:
        return outputs.T.softmax(0).T.contiguous()
    return outputs.softmax(-1)


def run_rows(forward: Callable[[Any], Tensor], x: Tensor | SparseRows) -> Tensor:
    """Outputs for many rows, some rows at a time."""
    # Sparse rows have the first layer's weights copied in every call: fewer calls, then.
    kind = "cuda" if isinstance(x, SparseRows) else x.device.type
    at_once = _ROWS.get(kind, _ROWS["cuda"])
    if len(x) <= at_once:
        return forward(x)
    return torch.cat([forward(part) for part in x.split(at_once)])


def needs_no_check(estimator: Any, X: Any) -> bool:
    """Whether these rows are as a fitted estimator wants them, without any conversion.

    The checks of scikit-learn's ``validate_data`` for the plainest input, at a tenth of
    their time, which counts for single rows.  Whatever is not plain goes through the longer
    way, which says what is wrong.
    """
    plain = (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and X.shape[0] > 0
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
    )
    if not plain:
        return False
    # A sum that overflows goes the longer way too.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def network_outputs(net: Any, forward: Callable[[Any], Tensor], x: Any) -> NDArray[Any]:
    """What the net predicts: class probabilities, or values in original units.

    Parameters
    ----------
    net : skorch net
        Says how raw outputs become predictions.
    forward : callable
        Rows, sparse ones too, to raw outputs in evaluation mode: see
        :func:`~sklearn_mabprune.data.sparse.outputs_of`, or of a chain.
    x : ndarray or CSR matrix of shape (n_rows, n_features)

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    nonlinearity = output_nonlinearity(net)
    if is_softmax(nonlinearity):
        nonlinearity = softmax
    dtype = next(net.module_.parameters()).dtype
    with torch.inference_mode():
        found = run_rows(
            lambda rows: nonlinearity(forward(rows.to(net.device, dtype))), as_tensor(x, "cpu")
        )
    outputs = found.cpu().numpy()
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
