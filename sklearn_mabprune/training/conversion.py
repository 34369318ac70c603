"""Features and targets as a net's module takes them: its precision, its integers, its shape."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from skorch import NeuralNetRegressor
from skorch.dataset import Dataset
from torch import Tensor, nn

from ..data.batches import SparseDataset, as_tensor
from ..data.losses import SampleLoss
from ..data.named import NamedSamples, mapped
from ..data.samples import Data, Samples
from ..data.sparse import few
from ..exceptions import UnsupportedModuleError
from ..graph.lazy import check_sized, form_of, give_sizes, unsized
from ..utils.compat import uncompiled

#: Samples that a module is read with.
_N_FIRST = 64


def dtype_of(module: nn.Module) -> torch.dtype:
    """Precision of a module: float32 or float64.

    Raises
    ------
    UnsupportedModuleError
        If it is another one, if layers have different ones, or if a layer has no size yet.
    """
    module = uncompiled(module)
    check_sized(module)
    return _precision(module)


def _precision(module: nn.Module) -> torch.dtype:
    """As :func:`dtype_of`, also of layers without a size."""
    found = {each.dtype: name for name, each in reversed([*module.named_parameters()])}
    *others, dtype = found
    if others or dtype not in (torch.float32, torch.float64):
        named = ", ".join(f"{name!r} is {str(each)[6:]}" for each, name in found.items())
        raise UnsupportedModuleError(
            f"Of the parameters of {type(module).__name__}, {named}, but networks are trained and "
            "pruned in float32 or float64, all layers in the same. Convert it: module.float()."
        )
    return dtype


def note_inputs(net: Any, data: Data) -> None:
    """Note what the module of an initialised net reads, and give its lazy layers their sizes.

    Of named inputs, integers and booleans stay what they are.  Integers that are one array are
    what the module takes: it is run on two samples, and those that it can be given as floats are
    rounded to its precision.

    Parameters
    ----------
    net : skorch net
        ``reads_integers_`` and ``input_form_`` are set.
    data : Data

    Raises
    ------
    UnsupportedModuleError
        If its precision is not supported, or if it has lazy layers and fails on two samples.
    """
    x, module = data.x, uncompiled(net.module_)
    dtype = _precision(module)
    if isinstance(x, NamedSamples):
        kinds = {name: part.dtype.name for name, part in x.parts.items() if _is_whole(part)}
        net.reads_integers_ = {
            name: "bool" if kind == "bool" else "int64" for name, kind in kinds.items()
        }
    elif not issparse(x) and _is_whole(x):
        floats = as_tensor(x[:2], net.device).to(dtype)
        net.reads_integers_ = _reads_integers(module, floats)
    if not issparse(x):
        net.input_form_ = form_of(mapped(in_precision(net, x[:2]), torch.as_tensor))
    if unsized(module):
        give_sizes(module, net.input_form_)
        # It was made for parameters without a size.
        net.initialize_optimizer()


def _as_whole(values: Any, dtype: str, name: str) -> Any:
    """Values as integers or booleans, as in fit; refuses others.

    Raises
    ------
    ValueError
        It names the first other value.
    """
    found = values.astype(dtype, copy=False)
    cells, whole = (each.data if issparse(each) else each for each in (values, found))
    other = whole != cells
    if other.any():
        raise ValueError(
            f"{name} contains {cells[other][0]}, but had {'booleans' * (dtype == 'bool')}"
            f"{'integers' * (dtype != 'bool')} in fit. Pass such values."
        )
    return found


def _is_whole(values: Any) -> bool:
    """Whether an array has integers or booleans."""
    return bool(values.dtype.kind in "iub")


def _reads_integers(module: nn.Module, floats: Tensor) -> bool:
    """Whether a module takes samples as integers, and not as floats."""
    if _error_on(module, floats) is None:
        return False
    # An index outside an embedding is said when the module is analysed.
    error = _error_on(module, floats.to(torch.int64))
    return error is None or "index out of range" in str(error)


def _error_on(module: nn.Module, x: Tensor) -> Exception | None:
    """What a copy of a module in evaluation mode raises for samples."""
    try:
        with torch.no_grad():
            copy.deepcopy(module).eval()(x)
    except Exception as error:  # said better when the module is analysed
        return error
    return None


def features_of(net: Any, data: Data) -> Any:
    """Features as the net takes them: in its precision, and in a dict if there are weights."""
    return with_weights(in_precision(net, data.x), data)


def with_weights(x: Any, data: Data) -> Any:
    """Features, in a dict by name, or beside the sample weights if there are any."""
    if isinstance(x, NamedSamples):
        x = x.parts
    elif data.weights is not None:
        x = {"X": x}
    return x if data.weights is None else {**x, "sample_weight": data.weights}


def in_precision(net: Any, x: Any) -> Any:
    """Features as integers where the net reads them, else rounded to its precision.

    Parameters
    ----------
    net : skorch net
        Initialised, its inputs noted.
    x : ndarray, CSR matrix or NamedSamples

    Raises
    ------
    ValueError
        If a value is too large for the precision, or is no integer where the net reads them.
    """
    integers: Any = getattr(net, "reads_integers_", False)
    dtype = next(net.module_.parameters()).dtype
    if isinstance(x, NamedSamples):
        parts = {}
        for name, part in x.parts.items():
            called = f"X[{name!r}]"
            whole = integers.get(name)
            parts[name] = _as_whole(part, whole, called) if whole else _rounded(part, dtype, called)
        return NamedSamples(parts)
    return _as_whole(x, "int64", "X") if integers else _rounded(x, dtype, "X")


def _rounded(x: Any, dtype: torch.dtype, name: str) -> Any:
    """Features in the net's precision; refuses those that it does not hold.

    Raises
    ------
    ValueError
        If a value is finite and its rounded one is not; the message names the column.
    """
    precision = str(dtype).removeprefix("torch.")
    with np.errstate(over="ignore"):
        rounded = x.astype(precision, copy=False)
    values = rounded.data if issparse(rounded) else rounded
    if rounded.dtype.itemsize < x.dtype.itemsize and not np.isfinite(values).all():
        place = np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape)
        column = x.indices[place[0]] if issparse(x) else place[-1]
        value = x.data[place] if issparse(x) else x[place]
        raise ValueError(
            f"Column {column} of {name} contains {value:.6g}, which is too large for a network in "
            f"{precision}. Replace values that mark missing ones, and scale the features "
            "(StandardScaler); a net with dtype='float64' holds larger values."
        )
    return rounded


def dataset_of(x: Any, y: np.ndarray) -> Dataset:
    """A data set of skorch over features, as the net takes them, and targets."""
    parts = x.values() if isinstance(x, dict) else [x]
    return (SparseDataset if any(issparse(part) for part in parts) else Dataset)(x, y)


def targets_of(net: Any, y: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Targets, (n_samples,) or (n_samples, n_outputs), as the net's loss takes them.

    Class indices, and targets that the net standardises, stay as they are; others are in its
    precision.  Of two classes that one output separates, 1 is the second.

    Raises
    ------
    ValueError
        If a target is too large for the precision of the net.
    """
    if getattr(net, "one_output_", False):
        second = y if y.ndim == 1 else y[:, 1]
        return second.reshape(-1, 1).astype(str(dtype).removeprefix("torch."))
    if y.dtype.kind == "i" or hasattr(net, "standardise"):
        return y
    with np.errstate(over="ignore"):
        rounded = y.astype(str(dtype).removeprefix("torch."))
    bad = np.flatnonzero(~np.isfinite(rounded).reshape(len(y), -1).all(axis=1))
    if bad.size:
        raise ValueError(
            f"The target {y[bad[0]].tolist()} in y is too large for the net's module in "
            f"{str(dtype).removeprefix('torch.')}. Scale the targets "
            "(TransformedTargetRegressor), or use a module in float64: module.double()."
        )
    return rounded


def training_targets(net: Any, y: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """As :func:`targets_of`, of the dimensions of what the net compares them with."""
    found = targets_of(net, y, dtype)
    return found[:, 0] if getattr(net, "flat_", False) else found


def samples_of(net: Any, data: Data) -> Samples:
    """Samples on the net's device, with targets and losses as the net is trained on them."""
    dtype = dtype_of(net.module_)
    x = mapped(in_precision(net, data.x), lambda part: as_tensor(part, net.device))
    y = as_tensor(targets_of(net, data.y, dtype), net.device)
    if hasattr(net, "standardise"):
        y = net.standardise(y).to(dtype)
    weights = np.ones(len(data)) if data.weights is None else data.weights
    # A compiled criterion hides its kind.
    of_classes = not isinstance(net, NeuralNetRegressor)
    loss = SampleLoss(uncompiled(net.criterion_), of_classes)
    return Samples(x, y, as_tensor(weights, net.device).double(), loss, data.per_epoch)


def few_samples(net: Any, data: Data) -> Any:
    """The first samples, at most 64, dense, on the net's device: input to read a module with.

    Raises
    ------
    UnsupportedModuleError
        If the module's precision is not supported.
    """
    dtype_of(net.module_)
    x = in_precision(net, data.x[:_N_FIRST])
    return mapped(x, lambda part: few(as_tensor(part, net.device)))
