"""Predictions from validated samples: one module call, no DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from ..data.batches import as_tensor
from ..data.losses import is_softmax, output_nonlinearity
from ..data.sparse import SparseRows
from ..utils.torch_settings import no_autocast

# Samples per call: hidden activations stay in the processor's cache, and memory small.
_AT_ONCE = {"cpu": 2**11, "cuda": 2**16}
# Fewer classes do not fill a vector register; for fewer samples transposing does not pay.
_FEW_CLASSES, _MANY_SAMPLES = 16, 64


def softmax(outputs: Tensor) -> Tensor:
    """Class probabilities, (n_samples, n_classes).

    For few classes torch takes four times as long as in the feature-major layout.
    """
    n_samples, n_classes = outputs.shape
    if outputs.device.type == "cpu" and n_classes < _FEW_CLASSES and n_samples >= _MANY_SAMPLES:
        return outputs.T.softmax(0).T.contiguous()
    return outputs.softmax(-1)


def run_in_parts(forward: Callable[[Any], Tensor], x: Tensor | SparseRows) -> Tensor:
    """Outputs for many samples, some at a time."""
    # For sparse samples every call copies the first layer's weights: fewer calls, then.
    kind = "cuda" if isinstance(x, SparseRows) else x.device.type
    at_once = _AT_ONCE.get(kind, _AT_ONCE["cuda"])
    if len(x) <= at_once:
        return forward(x)
    return torch.cat([forward(part) for part in x.split(at_once)])


def needs_no_check(estimator: Any, X: Any) -> bool:
    """Whether samples can be predicted without any conversion.

    The checks of scikit-learn's ``validate_data`` for the plainest input, at a tenth of
    their time, which matters for single samples.  All other input goes through ``validate_data``,
    which says what is wrong.
    """
    plain = (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and X.shape[0] > 0
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
        and len(getattr(estimator, "input_shape_", "1")) == 1
    )
    if not plain:
        return False
    # So does a sum that overflows.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def check_outputs(
    outputs: NDArray[Any], x: Any, dtype: torch.dtype, names: Sequence[str] | None = None
) -> None:
    """Refuse samples for which a network returns infinity or NaN.

    Parameters
    ----------
    outputs : ndarray of shape (n_samples, ...)
        Predictions of the network.
    x : ndarray or CSR matrix of shape (n_samples, n_features)
        The samples; for an infinite one the message names its largest feature.
    dtype : torch.dtype
        Precision of the network.
    names : sequence of str, optional
        Names of the features.

    Raises
    ------
    ValueError
        It names the sample, the feature and its value.
    """
    if np.isfinite(outputs).all():
        return
    bad = np.flatnonzero(~np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))
    sample = x[[bad[0]]]
    sample = (sample.toarray() if issparse(sample) else np.asarray(sample)).ravel()
    column = int(np.nanargmax(np.abs(sample)))
    name = "" if names is None else f" ({names[column]!r})"
    also = f" (and {len(bad) - 1:,} more of {len(outputs):,})" if len(bad) > 1 else ""
    raise ValueError(
        f"Sample {bad[0]} of X{also} is too large for the network, which computes in "
        f"{str(dtype).removeprefix('torch.')} and returns infinity or NaN for it: its largest "
        f"feature, column {column}{name}, is {sample[column]:.6g}. Replace values that mark "
        "missing ones, or clip the features (numpy.clip); fit on scaled ones (StandardScaler)."
    )


def network_outputs(
    net: Any, forward: Callable[[Any], Tensor], x: Any, names: Sequence[str] | None = None
) -> NDArray[Any]:
    """A net's predictions: class probabilities, or values in original units.

    Parameters
    ----------
    net : skorch net
        Says how the module's outputs become predictions.
    forward : callable
        From samples, dense or sparse, to the module's outputs in evaluation mode: see
        :func:`~sklearn_mabprune.data.sparse.outputs_of`, or ``Graph.forward``.
    x : ndarray or CSR matrix of shape (n_samples, n_features)
    names : sequence of str, optional
        Names of the features, for messages.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs)

    Raises
    ------
    ValueError
        If a prediction is not finite; the message names the sample and its largest feature.
    """
    nonlinearity = output_nonlinearity(net)
    if is_softmax(nonlinearity):
        nonlinearity = softmax
    dtype = next(net.module_.parameters()).dtype
    kind = torch.int64 if getattr(net, "reads_integers_", False) else dtype
    with no_autocast(), torch.inference_mode():
        found = run_in_parts(
            lambda part: nonlinearity(forward(part.to(net.device, kind))), as_tensor(x, "cpu")
        )
    outputs = found.cpu().numpy()
    if hasattr(net, "target_scale_"):
        outputs = outputs * net.target_scale_ + net.target_mean_
    outputs = outputs.reshape(x.shape[0], -1)
    check_outputs(outputs, x, dtype, names)
    return outputs
