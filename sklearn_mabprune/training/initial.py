"""Initial training and fine-tuning of a skorch net."""

from __future__ import annotations

import linecache
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.batches import SparseDataset, as_tensor
from ..data.losses import SampleLoss, check_criterion
from ..data.samples import Data, Samples
from ..data.sparse import few
from ..graph.graph import Graph
from ..graph.kinds.registry import kind_of, layers_of
from ..graph.tracing import recover_graph
from ..utils.compat import uncompiled
from ..utils.randomness import global_generators
from .auto_size import SelfSizing
from .mlp import MLP
from .optimizers import renew_optimizer
from .weighted_loss import WeightedLossMixin


def train(
    net: Any,
    data: Data,
    validation: Data,
    seed: int,
    on_start: Callable[[Any, Graph], Any] = lambda net, graph: None,
    on_epoch: Callable[[Any], None] | None = None,
) -> Any:
    """Train a copy of a net from scratch.

    Parameters
    ----------
    net : skorch net
        Left as it is.
    data, validation : Data
        The validation rows take the place of the net's own split.
    seed : int
        Of everything drawn.
    on_start : callable
        Told the untrained net and its graph, to refuse them before time is spent.
    on_epoch : callable, optional
        Told the net after each epoch, for progress.

    Returns
    -------
    skorch net
        Initialised and trained, its optimizer without state.

    Raises
    ------
    ValueError
        If the loss stops being finite, or if weights are given to a net without
        :class:`WeightedLossMixin`.
    """
    net = clone(net)
    check_weights(net, data, validation)
    ours = isinstance(net, SelfSizing)
    if ours:
        net.set_params(random_state=seed)
        net.size_from(_features(data), data.y)
    # A net of ours without Dropout draws from its own generators alone.
    alone = ours and net.module is MLP and not getattr(net, "module__dropout", 0)
    with nullcontext() if alone else global_generators(seed, net.device):
        net.initialize()
        dtype = next(net.module_.parameters()).dtype
        x, y = _features(data, dtype), _targets(data.y, dtype)
        held_out = _dataset(_features(validation, dtype), _targets(validation.y, dtype))
        first = few(as_tensor((x["X"] if isinstance(x, dict) else x)[:64], net.device))
        # Refused now rather than after the training.
        SampleLoss(uncompiled(net.criterion_))
        check_criterion(uncompiled(net.criterion_), data.y)
        on_start(net, check_fits(net.module_, first, data.n_outputs))
        own_split, net.train_split = net.train_split, predefined_split(held_out)
        watch = _Watch(on_epoch)
        net.callbacks_.append(("watch", watch))
        try:
            net.notify("on_train_begin", X=x, y=y)
            with _whole_batches(net, len(data)):
                net.fit_loop(_dataset(x, y) if issparse(data.x) else x, y)
        except KeyboardInterrupt as stop:
            if not _raised_by_callback(stop):
                raise
        net.notify("on_train_end", X=x, y=y)
    # The last step may have been the one too far.
    if not all(bool(torch.isfinite(p).all()) for p in net.module_.parameters()):
        raise _diverged(net, "The weights are no longer finite")
    net.callbacks_.remove(("watch", watch))
    net.train_split = own_split
    return lighten(net)


@contextmanager
def _whole_batches(net: Any, n_rows: int) -> Iterator[None]:
    """Keep a batch of one row from a user's net with BatchNorm, which cannot train on it.

    How many rows are left for training is not the user's choice.  Our own batches see to
    it themselves.
    """
    norms = bool(layers_of(net.module_, "batch_statistics"))
    name = "iterator_train__drop_last"
    if not (norms and net.iterator_train is DataLoader and not hasattr(net, name)):
        yield
        return
    setattr(net, name, net.batch_size > 1 and n_rows % net.batch_size == 1)
    try:
        yield
    finally:
        delattr(net, name)


def check_weights(net: Any, *sides: Data) -> None:
    """Weights need a net that can use them."""
    weighted = any(side.weights is not None for side in sides)
    if weighted and not isinstance(net, WeightedLossMixin):
        raise ValueError(
            f"sample_weight or class_weight was given, but {type(net).__name__} cannot use "
            "weights. Derive your net from WeightedLossMixin: class WeightedNet("
            f"WeightedLossMixin, {type(net).__name__}): ..."
        )


def check_fits(module: nn.Module, x: Tensor, n_outputs: int) -> Graph:
    """The module's graph; refuses what cannot be pruned or does not fit the data."""
    producing = layers_of(uncompiled(module), "produces")
    n_inputs = kind_of(producing[0]).n_inputs(producing[0]) if producing else x.shape[1]
    if n_inputs != x.shape[1]:
        raise ValueError(f"The net's module reads {n_inputs} features, X has {x.shape[1]}.")
    mode = module.training
    graph = recover_graph(module, x)
    module.train(mode)
    if graph.n_outputs != n_outputs:
        raise ValueError(
            f"The net's module has {graph.n_outputs} outputs, y needs {n_outputs}: one for each "
            "class, or one for each target."
        )
    with torch.no_grad():
        shape = tuple(graph.forward(x).shape)
    if shape != (len(x), n_outputs):
        # Flat outputs against a column of targets would broadcast in the loss.
        raise ValueError(
            f"The net's module returns shape {shape} for {len(x)} rows, which must be "
            f"{(len(x), n_outputs)}: leave out what flattens its output."
        )
    return graph


def lighten(net: Any) -> Any:
    """Drop what prediction and further training do not need."""
    for row in net.history or []:
        row.pop("batches", None)
    renew_optimizer(net)
    return net


class _Watch(Callback):
    """Ends a training that went wrong, and reports epochs."""

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
        # skorch takes the logarithm; that of a logit, or of a logarithm, is often nan.
        what += " (NLLLoss reads probabilities in skorch: does the module end in a Softmax? If it "
        what += "ends in logits, use CrossEntropyLoss)"
    return ValueError(
        f"{what} in epoch {len(net.history)}: with lr={net.lr} the training diverges. Lower the "
        "net's lr, and scale the features (StandardScaler); a regression net of your own needs "
        "scaled targets too (TransformedTargetRegressor)."
    )


def _raised_by_callback(stop: BaseException) -> bool:
    """Whether a callback ended the training, as skorch's do, and not a person's Ctrl-C."""
    trace = stop.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not isinstance(trace.tb_frame.f_locals.get("self"), Callback):
        return False
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    return re.search(r"\braise\b", line) is not None


def _features(data: Data, dtype: torch.dtype | None = None) -> Any:
    """Features as the net takes them: with weights in a dict."""
    x = data.x
    if dtype is not None:
        x = x.astype(str(dtype).removeprefix("torch."), copy=False)
    return x if data.weights is None else {"X": x, "sample_weight": data.weights}


def _dataset(x: Any, y: np.ndarray) -> Dataset:
    return (SparseDataset if issparse(x["X"] if isinstance(x, dict) else x) else Dataset)(x, y)


def _targets(y: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Class indices as they are; regression targets in the module's precision."""
    return y if y.dtype.kind == "i" else y.astype(str(dtype).removeprefix("torch."))


def samples_of(net: Any, data: Data) -> Samples:
    """Rows on the net's device, targets and losses in the units it is trained in."""
    parameter = next(net.module_.parameters())
    x = as_tensor(data.x, net.device, parameter.dtype)
    y = as_tensor(_targets(data.y, parameter.dtype), net.device)
    if hasattr(net, "standardise"):
        y = net.standardise(y)
    weights = np.ones(len(data)) if data.weights is None else data.weights
    # A compiled criterion hides its kind.
    loss = SampleLoss(uncompiled(net.criterion_))
    return Samples(x, y, as_tensor(weights, net.device).double(), loss)
