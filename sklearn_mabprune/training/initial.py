"""Initial training of a skorch net."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import DataLoader

from ..data.batches import SparseDataset
from ..data.class_losses import SoftNLLLoss
from ..data.losses import (
    SampleLoss,
    check_criterion,
    check_soft_labels,
    separates_two,
)
from ..data.named import NamedSamples
from ..data.samples import Data
from ..graph.compact import with_trained
from ..graph.kinds.registry import layers_of
from ..graph.recovery import network_of, returns_what
from ..graph.refusals import PADDING_ALONE, indices_named
from ..utils.compat import uncompiled
from ..utils.interruptions import Interruptions, UserInterrupt
from ..utils.modes import modes_kept
from ..utils.progress import is_open
from ..utils.words import counted
from .auto_size import SelfSizing
from .conversion import (
    dataset_of,
    dtype_of,
    features_of,
    few_samples,
    note_inputs,
    training_targets,
    with_weights,
)
from .loss_checks import check_losses
from .optimizers import learning_rate, renew_optimizer
from .outside_module import batches_of_training, check_batch_statistics
from .own_draws import seeded
from .weighted_loss import WeightedLossMixin

#: Arguments of `train` that watch a training, and do not change its result.
WATCHING = ["on_start", "on_epoch", "interruptions"]


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
    if ours and isinstance(data.x, NamedSamples):
        raise ValueError(
            f"X is a dictionary, and {type(net).__name__} reads one array. Pass your module in a "
            "skorch net: NeuralNetClassifier or NeuralNetRegressor."
        )
    if ours:
        net.set_params(random_state=seed)
        net.size_from(with_weights(data.x, data), data.y)
    with seeded(net, seed) as epochs:
        net.initialize()
        note_inputs(net, data)
        dtype = dtype_of(net.module_)
        # Refused now rather than after the training.
        SampleLoss(uncompiled(net.criterion_))
        check_criterion(net, data.y)
        network = check_fits(net, data)
        check_batch_statistics(net, len(data))
        seen = data if taught is None else taught
        x, y = features_of(net, seen), training_targets(net, seen.y, dtype)
        if taught is not None:
            check_soft_labels(uncompiled(net.criterion_), y[:2])
        on_start(net, network)
        held_out = dataset_of(
            features_of(net, validation), training_targets(net, validation.y, dtype)
        )
        with epochs(), _soft_labels(net, taught):
            _train_epochs(net, x, y, held_out, on_epoch, interruptions or Interruptions())
    # The last step may have diverged.
    if not all(bool(torch.isfinite(p).all()) for p in net.module_.parameters()):
        raise _diverged(net, "The weights are no longer finite")
    network = with_trained(network, uncompiled(net.module_))
    if not returns_what(network, net.module_, few_samples(net, data)):
        # A branch on what is learned goes another way now.
        network = check_fits(net, data)
    return lighten(net), network


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
    dataset = dataset_of(x, y)
    try:
        net.notify("on_train_begin", X=x, y=y)
        with (
            _some_stdout(),
            _whole_batches(net, len(y)),
            interruptions.raised(),
            indices_named(net.module_),
        ):
            if isinstance(dataset, SparseDataset):
                net.fit_loop(dataset, y)
            elif getattr(net, "flat_", False):
                # skorch's regressor takes no targets of one dimension, but any data set.
                net.fit_loop(dataset)
            else:
                net.fit_loop(x, y)
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


def check_fits(net: Any, data: Data) -> Any:
    """The network of a net's module; refuses modules that cannot be pruned or do not fit the data.

    Parameters
    ----------
    net : skorch net
        Initialised, its inputs noted.  ``one_output_``, whether one output stands for two classes,
        and ``flat_``, whether its loss is given outputs of shape (n_samples,), are set.
    data : Data

    Returns
    -------
    Graph or ModuleNetwork
    """
    module, criterion = net.module_, uncompiled(net.criterion_)
    x = few_samples(net, data)
    network = network_of(module, x)
    with torch.no_grad():
        outputs = network.forward(x)
    shape = tuple(outputs.shape)
    n_outputs, n_wanted = shape[1] if len(shape) == 2 else 0, data.n_outputs
    net.one_output_ = separates_two(criterion, data.y, n_outputs)
    if n_outputs and n_outputs != n_wanted - net.one_output_:
        hint = ""
        if n_outputs == 1 and data.y.ndim == 1:
            hint = " One output for two classes needs criterion=nn.BCEWithLogitsLoss."
        raise ValueError(
            f"The net's module has {counted(n_outputs, 'output')}, y needs {n_wanted}: one for "
            f"each class, or one for each target.{hint}"
        )
    if not n_outputs:
        raise ValueError(
            f"The net's module returns shape {shape} for {counted(len(x), 'sample')}, which must "
            f"be {(len(x), n_wanted)}: flatten its output, or take the mean over the other axes."
        )
    if net.one_output_ and isinstance(net, SelfSizing):
        raise ValueError(
            f"{type(net).__name__} has an output for each class, and its module one for two. Pass "
            "your module in a skorch NeuralNetBinaryClassifier."
        )
    net.flat_ = _is_flat(net, x)
    check_losses(net, outputs, replace(data, x=data.x[: len(x)], y=data.y[: len(x)]))
    return network


def _is_flat(net: Any, x: Any) -> bool:
    """Whether a net's loss is given outputs of shape (n_samples,); ours have two dimensions."""
    if isinstance(net, SelfSizing):
        return False
    with modes_kept(net.module_):
        found = net.evaluation_step((x.parts if isinstance(x, NamedSamples) else x, None))
    return bool(found.dim() == 1)


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
    if getattr(net, "reads_integers_", False) and what.endswith("nan"):
        # There is nothing to scale.
        return ValueError(f"{what} in epoch {len(net.history)}. {PADDING_ALONE} Or lower lr.")
    return ValueError(
        f"{what} in epoch {len(net.history)}: with lr={learning_rate(net)} the training diverges. "
        "Lower the net's lr, and scale the features (StandardScaler); a regression net of your own "
        "needs scaled targets too (TransformedTargetRegressor)."
    )
