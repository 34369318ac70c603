"""Predictions from validated samples: one module call, no DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.special import expit
from torch import Tensor

from ..data.batches import as_tensor
from ..data.losses import both_classes, is_softmax, output_nonlinearity
from ..data.named import NamedSamples, mapped
from ..data.sparse import SparseRows
from ..graph.array_chain import array_chain
from ..graph.kinds.outputs import softmax as softmax_of_arrays
from ..graph.kinds.silent import same
from ..graph.refusals import PADDING_ALONE, indices_named
from ..utils.compat import is_identity
from ..utils.forking import note_threads
from ..utils.torch_settings import no_autocast
from .conversion import in_precision

# Samples per call: hidden activations stay in the processor's cache, and memory small.
_AT_ONCE = {"cpu": 2**11, "cuda": 2**16}
# Fewer classes do not fill a vector register; for fewer samples transposing does not pay.
_FEW_CLASSES, _MANY_SAMPLES = 16, 64
# Up to so many samples NumPy takes less time than torch, for networks of any size.
_FEW_SAMPLES = 32
# Positions of samples that are numbers of words, or smaller than this, are not too large.
_LARGE = 1e6


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
    kind = "cuda" if isinstance(x, SparseRows) else torch.device(x.device).type
    at_once = _AT_ONCE.get(kind, _AT_ONCE["cuda"])
    if len(x) <= at_once:
        return forward(x)
    return torch.cat([forward(part) for part in x.split(at_once)])


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
    sample, given = x[[bad[0]]], "X"
    if isinstance(sample, NamedSamples):
        largest = max(sample.parts, key=lambda part: float(np.abs(sample.parts[part]).max()))
        sample, given = sample.parts[largest], f"X[{largest!r}]"
    sample = sample.toarray() if issparse(sample) else np.asarray(sample)
    sequence, sample = sample.dtype.kind in "iub" or sample.ndim > 2, sample.ravel()
    also = f" (and {len(bad) - 1:,} more of {len(outputs):,})" if len(bad) > 1 else ""
    if sample.dtype.kind == "f" and np.isnan(sample).any():
        raise ValueError(
            f"Sample {bad[0]} of {given}{also} contains NaN, first in column "
            f"{int(np.argmax(np.isnan(sample)))}. Fill missing values, as with "
            "sklearn.impute.SimpleImputer."
        )
    column = int(np.nanargmax(np.abs(sample)))
    name = "" if names is None else f" ({names[column]!r})"
    if sequence and abs(sample[column]) < _LARGE:
        raise ValueError(
            f"The network returns infinity or NaN for sample {bad[0]} of {given}{also}, whose "
            f"features are not large (at most {abs(sample[column]):.6g}). {PADDING_ALONE}"
        )
    raise ValueError(
        f"Sample {bad[0]} of {given}{also} is too large for the network, which computes in "
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
    note_threads()
    nonlinearity = output_nonlinearity(net)
    if is_softmax(nonlinearity):
        nonlinearity = softmax
    dtype = next(net.module_.parameters()).dtype
    kind = torch.int64 if getattr(net, "reads_integers_", False) else dtype
    if isinstance(x, NamedSamples):
        x, kind = in_precision(net, x), dtype
    elif kind is torch.int64:
        x = in_precision(net, x)
    with no_autocast(), torch.inference_mode(), indices_named(net.module_):
        found = run_in_parts(
            lambda part: nonlinearity(forward(part.to(net.device, kind))),
            mapped(x, lambda part: as_tensor(part, "cpu")),
        )
    outputs = found.cpu().numpy()
    if hasattr(net, "target_scale_"):
        outputs = outputs * net.target_scale_ + net.target_mean_
    outputs = outputs.reshape(x.shape[0], -1)
    check_outputs(outputs, x, dtype, names)
    if getattr(net, "one_output_", False):
        outputs = both_classes(outputs)
    return outputs


def few_outputs(net: Any, x: NDArray[Any]) -> NDArray[Any] | None:
    """A net's predictions for few samples, without torch where that is possible.

    Parameters
    ----------
    net : skorch net
    x : ndarray or CSR matrix of shape (n_samples, n_features)
        Finite.

    Returns
    -------
    ndarray of shape (n_samples, n_outputs) or None
        As :func:`network_outputs` has them, up to rounding; None where it has to compute them:
        for many or sparse samples, for a module with a forward pass of its own or with layers
        that have no form over arrays, and if a prediction is not finite.
    """
    if not isinstance(x, np.ndarray) or len(x) > _FEW_SAMPLES:
        return None
    module = net.module_
    nonlinearity = _over_arrays(net)
    chain = None if nonlinearity is None else array_chain(module)
    if chain is None:
        return None
    with np.errstate(all="ignore"):
        outputs = nonlinearity(chain(x))
        scale = getattr(net, "target_scale_", None)
        if scale is not None:
            outputs = outputs * scale + net.target_mean_
    if getattr(net, "one_output_", False):
        outputs = both_classes(outputs)
    return outputs if np.isfinite(outputs).all() else None


def _over_arrays(net: Any) -> Any:
    """Function over arrays from outputs to predictions; None where there is none."""
    criterion, given = net.criterion_, net.predict_nonlinearity
    known = _NONLINEARITIES.get(criterion)
    if known is None or known[0] is not given or known[1] is not type(net):
        known = given, type(net), _found_over_arrays(net)
        _NONLINEARITIES[criterion] = known
    return known[2]


# By criterion: the net's parameter and class that a function over arrays was found for.
_NONLINEARITIES: WeakKeyDictionary[torch.nn.Module, tuple[Any, type, Any]] = WeakKeyDictionary()


def _found_over_arrays(net: Any) -> Any:
    function = output_nonlinearity(net)
    if is_softmax(function):
        return softmax_of_arrays
    if function is torch.sigmoid:
        return expit
    if isinstance(function, torch.nn.Identity) or is_identity(function):
        return same
    return None
