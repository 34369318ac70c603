"""Initial training of a skorch net."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from itertools import chain
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader

from ..data.batches import SparseDataset, as_tensor
from ..data.losses import SampleLoss, SoftNLLLoss, check_criterion, check_soft_labels
from ..data.samples import Data, Samples
from ..data.sparse import few
from ..exceptions import UnsupportedModuleError
from ..graph.compact import with_trained
from ..graph.kinds.registry import layers_of
from ..graph.recovery import network_of
from ..utils.compat import uncompiled
from ..utils.interruptions import Interruptions, UserInterrupt
from ..utils.progress import is_open
from ..utils.randomness import global_generators
from .auto_size import SelfSizing
from .mlp import MLP
from .optimizers import learning_rate, renew_optimizer
from .outside_module import batches_of_training, check_batch_statistics
from .weighted_loss import WeightedLossMixin


def train(
    net: Any,
    data: Data,
    validation: Data,
    seed: int,
    on_start: Callable[[Any, Any], Any] = lambda net, network: None,
    on_epoch: Callable[[Any], None] | None = None,
    interruptions: Interruptions | None = None,
    taught: Data | None = None,
) -> tuple[Any, Any]:
    """Train a copy of a net from scratch.

    A KeyboardInterrupt of a callback ends the training and keeps the weights, as in skorch;
    Ctrl-C, which `interruptions` tell apart, is raised.

    Parameters
    ----------
    net : skorch net
        Left as it is.
    data, validation : Data
        The validation samples replace the net's own split.
    seed : int
        Of everything that is drawn.
    on_start : callable
        Called with the untrained net and its network, to refuse them before time is spent.
    on_epoch : callable, optional
        Called with the net after each epoch, for progress.
    interruptions : Interruptions, optional
        Of the fit; Ctrl-C is raised in the epochs, and deferred before and after them.
    taught : Data, optional
        Samples with soft labels to train on in place of `data`, from which sizes and scales of
        the net are still taken.

    Returns
    -------
    net : skorch net
        Initialised and trained, its optimizer without state.
    network : Graph or ModuleNetwork
        Of its module.

    Raises
    ------
    ValueError
        If the loss stops being finite, or if weights are given to a net without
        :class:`WeightedLossMixin`.
    UserInterrupt
        If Ctrl-C was pressed.
    """
    net = clone(net)
    check_weights(net, data, validation)
    ours = isinstance(net, SelfSizing)
    if ours:
        net.set_params(random_state=seed)
        net.size_from(with_weights(data.x, data), data.y)
    # A net of ours without Dropout draws from its own generators alone.
    alone = ours and net.module is MLP
    alone = alone and not getattr(net, "module__dropout", net.input_stage_ is not None)
    with nullcontext() if alone else global_generators(seed, net.device):
        net.initialize()
        dtype = dtype_of(net.module_)
        note_integers(net, data.x)
        seen = data if taught is None else taught
        x, y = _features(net, seen), _targets(net, seen.y, dtype)
        first = few(as_tensor((x["X"] if isinstance(x, dict) else x)[:64], net.device))
        # Refused now rather than after the training.
        SampleLoss(uncompiled(net.criterion_))
        check_criterion(uncompiled(net.criterion_), data.y)
        network = check_fits(net.module_, first, data.n_outputs)
        check_batch_statistics(net, len(data))
        if taught is not None:
            check_soft_labels(uncompiled(net.criterion_), y[:2])
        on_start(net, network)
        held_out = _dataset(_features(net, validation), _targets(net, validation.y, dtype))
        with _soft_labels(net, taught):
            _train_epochs(net, x, y, held_out, on_epoch, interruptions or Interruptions())
    # The last step may have diverged.
    if not all(bool(torch.isfinite(p).all()) for p in net.module_.parameters()):
        raise _diverged(net, "The weights are no longer finite")
    return lighten(net), with_trained(network, uncompiled(net.module_))


@contextmanager
def _soft_labels(net: Any, taught: Data | None) -> Iterator[None]:
    """Have a net's criterion take soft labels, and its epochs draw from all samples."""
    if taught is None:
        yield
        return
    criterion = net.criterion_
    if isinstance(criterion, nn.NLLLoss):
        net.criterion_ = SoftNLLLoss.of(criterion)
    net.per_epoch_ = taught.per_epoch
    try:
        yield
    finally:
        net.criterion_ = criterion
        del net.per_epoch_


def _train_epochs(
    net: Any,
    x: Any,
    y: np.ndarray,
    held_out: Dataset,
    on_epoch: Callable[[Any], None] | None,
    interruptions: Interruptions,
) -> None:
    """Run an initialised net's epochs, validated on samples that are held out."""
    own_split, net.train_split = net.train_split, predefined_split(held_out)
    watch = _Watch(on_epoch)
    net.callbacks_.append(("watch", watch))
    dataset = _dataset(x, y)
    try:
        net.notify("on_train_begin", X=x, y=y)
        with _some_stdout(), _whole_batches(net, len(y)), interruptions.raised():
            net.fit_loop(dataset if isinstance(dataset, SparseDataset) else x, y)
    except UserInterrupt:
        raise
    except KeyboardInterrupt:
        # What a callback raises ends the training, as everywhere in skorch.
        pass
    net.notify("on_train_end", X=x, y=y)
    net.callbacks_.remove(("watch", watch))
    net.train_split = own_split


@contextmanager
def _some_stdout() -> Iterator[None]:
    """Give skorch, which prints and flushes, a stdout where the program has none."""
    if is_open(sys.stdout):
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _whole_batches(net: Any, n_samples: int) -> Iterator[None]:
    """Spare a user's net with BatchNorm a batch of one sample, on which it cannot train.

    How many samples are left for training is not the user's choice.  Our own batches avoid it
    themselves.
    """
    norms = bool(layers_of(net.module_, "batch_statistics"))
    name = "iterator_train__drop_last"
    if not (norms and net.iterator_train is DataLoader and not hasattr(net, name)):
        yield
        return
    size, _ = batches_of_training(net, n_samples)
    setattr(net, name, 1 < size < n_samples and n_samples % size == 1)
    try:
        yield
    finally:
        delattr(net, name)


def check_weights(net: Any, *sides: Data) -> None:
    """Refuse sample weights for a net that cannot use them."""
    weighted = any(side.weights is not None for side in sides)
    if weighted and not isinstance(net, WeightedLossMixin):
        raise ValueError(
            f"sample_weight or class_weight was given, but {type(net).__name__} cannot use "
            "weights. Derive your net from WeightedLossMixin: class WeightedNet("
            f"WeightedLossMixin, {type(net).__name__}): ..."
        )


def dtype_of(module: nn.Module) -> torch.dtype:
    """Precision of a module: float32 or float64.

    Raises
    ------
    UnsupportedModuleError
        If it is another one, if layers have different ones, or if a layer has no size yet.
    """
    module = uncompiled(module)
    for name, layer in module.named_modules():
        own = chain(layer.parameters(recurse=False), layer.buffers(recurse=False))
        if any(is_lazy(each) for each in own):
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) of {type(module).__name__} has no size "
                "yet. Run the module once before it is passed, module(torch.zeros(2, n_features)), "
                "or pass a layer with its number of inputs: nn.Linear(n_features, n_units)."
            )
    found = {each.dtype: name for name, each in reversed([*module.named_parameters()])}
    *others, dtype = found
    if others or dtype not in (torch.float32, torch.float64):
        named = ", ".join(f"{name!r} is {str(each)[6:]}" for each, name in found.items())
        raise UnsupportedModuleError(
            f"Of the parameters of {type(module).__name__}, {named}, but networks are trained and "
            "pruned in float32 or float64, all layers in the same. Convert it: module.float()."
        )
    return dtype


def check_fits(module: nn.Module, x: Tensor, n_outputs: int) -> Any:
    """The module's network; refuses modules that cannot be pruned or do not fit the data."""
    mode = module.training
    network = network_of(module, x)
    module.train(mode)
    with torch.no_grad():
        shape = tuple(network.forward(x).shape)
    if len(shape) == 2 and shape[1] != n_outputs:
        raise ValueError(
            f"The net's module has {shape[1]} outputs, y needs {n_outputs}: one for each "
            "class, or one for each target."
        )
    if shape != (len(x), n_outputs):
        # Flat outputs against a column of targets would broadcast in the loss.
        raise ValueError(
            f"The net's module returns shape {shape} for {len(x)} samples, which must be "
            f"{(len(x), n_outputs)}: leave out the layer that flattens its output."
        )
    return network


def lighten(net: Any) -> Any:
    """Drop what prediction and further training do not need."""
    for epoch in net.history or []:
        epoch.pop("batches", None)
    renew_optimizer(net)
    return net


class _Watch(Callback):
    """Ends a training that diverged, and reports epochs."""

    def __init__(self, on_epoch: Callable[[Any], None] | None):
        self.on_epoch = on_epoch

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        loss = net.history[-1].get("train_loss", 0.0)
        if not math.isfinite(loss):
            raise _diverged(net, f"The training loss became {loss}")
        if self.on_epoch is not None:
            self.on_epoch(net)


def _diverged(net: Any, what: str) -> ValueError:
    if isinstance(uncompiled(net.criterion_), nn.NLLLoss):
        # skorch takes the logarithm: that of a logit is often nan.
        what += " (NLLLoss reads probabilities in skorch: does the module end in a Softmax? If it "
        what += "ends in logits, use CrossEntropyLoss)"
    return ValueError(
        f"{what} in epoch {len(net.history)}: with lr={learning_rate(net)} the training diverges. "
        "Lower the net's lr, and scale the features (StandardScaler); a regression net of your own "
        "needs scaled targets too (TransformedTargetRegressor)."
    )


def note_integers(net: Any, x: Any) -> None:
    """Note whether the module of an initialised net reads integers, as embeddings do.

    It is run on two samples: integers that it can be given as floats are rounded to its precision.
    """
    if issparse(x) or x.dtype.kind not in "iu":
        return
    module = uncompiled(net.module_)
    few_of_them = as_tensor(x[:2], net.device)
    modes = [part.training for part in module.modules()]
    module.eval()
    with torch.no_grad():
        net.reads_integers_ = not _runs(module, few_of_them.to(dtype_of(module))) and _runs(
            module, few_of_them.to(torch.int64)
        )
    for part, mode in zip(module.modules(), modes, strict=True):
        part.training = mode


def _runs(module: nn.Module, x: Tensor) -> bool:
    try:
        module(x)
    except Exception:  # said better when the module is analysed
        return False
    return True


def _features(net: Any, data: Data) -> Any:
    """Features as the net takes them: in its precision, and in a dict if there are weights."""
    return with_weights(_in_precision(net, data.x), data)


def with_weights(x: Any, data: Data) -> Any:
    """Features, in a dict beside the sample weights if there are any."""
    return x if data.weights is None else {"X": x, "sample_weight": data.weights}


def _in_precision(net: Any, x: Any) -> Any:
    """Features as integers for a net that reads them, or rounded to its precision."""
    if getattr(net, "reads_integers_", False):
        return x.astype(np.int64)
    return _rounded(x, dtype_of(net.module_))


def _rounded(x: Any, dtype: torch.dtype) -> Any:
    """Features in the net's precision; refuses those that it does not hold.

    Raises
    ------
    ValueError
        If a value is finite and its rounded one is not; the message names the column.
    """
    name = str(dtype).removeprefix("torch.")
    with np.errstate(over="ignore"):
        rounded = x.astype(name, copy=False)
    values = rounded.data if issparse(rounded) else rounded
    if rounded.dtype.itemsize < x.dtype.itemsize and not np.isfinite(values).all():
        place = np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape)
        column = x.indices[place[0]] if issparse(x) else place[1]
        value = x.data[place] if issparse(x) else x[place]
        raise ValueError(
            f"Column {column} of X contains {value:.6g}, which is too large for a network in "
            f"{name}. Replace values that mark missing ones, and scale the features "
            "(StandardScaler); a net with dtype='float64' holds larger values."
        )
    return rounded


def _dataset(x: Any, y: np.ndarray) -> Dataset:
    return (SparseDataset if issparse(x["X"] if isinstance(x, dict) else x) else Dataset)(x, y)


def _targets(net: Any, y: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Class indices, and targets that the net standardises, as they are; others in its precision.

    Raises
    ------
    ValueError
        If a target is too large for the precision of the net.
    """
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


def samples_of(net: Any, data: Data) -> Samples:
    """Samples on the net's device, with targets and losses as the net is trained on them."""
    dtype = dtype_of(net.module_)
    x = as_tensor(_in_precision(net, data.x), net.device)
    y = as_tensor(_targets(net, data.y, dtype), net.device)
    if hasattr(net, "standardise"):
        y = net.standardise(y).to(dtype)
    weights = np.ones(len(data)) if data.weights is None else data.weights
    # A compiled criterion hides its kind.
    loss = SampleLoss(uncompiled(net.criterion_))
    return Samples(x, y, as_tensor(weights, net.device).double(), loss, data.per_epoch)
