"""Refusals of criteria without a loss for each sample, and of predictions beyond 0 and 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from sklearn.base import ClassifierMixin
from torch import Tensor, nn

from ..data.losses import output_nonlinearity
from ..data.samples import Data
from ..utils.compat import uncompiled
from ..utils.memory import out_of_memory
from ..utils.words import counted
from .conversion import samples_of
from .weighted_loss import WeightedLossMixin

#: By how much probabilities may be outside of 0 and 1: rounding.
_TOLERANCE = 1e-3


def check_losses(net: Any, outputs: Tensor, data: Data) -> None:
    """Refuse a criterion that cannot be measured by sample, before time is spent.

    Parameters
    ----------
    net : skorch net
        Initialised, its inputs noted, checked against the data.
    outputs : Tensor of shape (n_samples, n_outputs)
        Of its module, for some samples.
    data : Data
        These samples.

    Raises
    ------
    ValueError
        It names the criterion.
    """
    criterion = uncompiled(net.criterion_)
    if isinstance(net, ClassifierMixin) and not isinstance(criterion, nn.NLLLoss):
        # Before losses: BCELoss fails on logits.  The training tells logits of NLLLoss by itself.
        _check_probabilities(net, outputs)
    name, given = type(criterion).__name__, criterion.reduction
    if given == "none" and not isinstance(net, WeightedLossMixin):
        raise ValueError(
            f"criterion__reduction='none' of {type(net).__name__}: its training needs one number "
            f"for a batch, and {name} gives one for each sample. Leave it out: pruning takes "
            "losses of samples by itself. For sample weights derive the net from "
            "WeightedLossMixin."
        )
    samples = samples_of(net, replace(data, weights=None, table=None))
    try:
        with torch.no_grad():
            losses = samples.loss(outputs, samples.targets)
    except Exception as error:
        if out_of_memory(error):
            raise
        raise ValueError(
            f"The net's criterion {name} with reduction='none' fails on outputs of shape "
            f"{tuple(outputs.shape)} and targets of shape {tuple(samples.targets.shape)} "
            f"({samples.targets.dtype}): {error}. It is called with outputs and targets alone, and "
            "returns one loss for each sample then."
        ) from error
    if losses.shape != (len(outputs),):
        raise ValueError(
            f"The net's criterion {name} with reduction='none' returns shape "
            f"{tuple(losses.shape)} for {counted(len(outputs), 'sample')}, but pruning needs one "
            "loss per sample. Have its `reduction` parameter support 'none', as losses of torch do."
        )


def _check_probabilities(net: Any, outputs: Tensor) -> None:
    """Refuse a classifier that would predict numbers that are no probabilities.

    skorch applies a softmax or a sigmoid to outputs if it knows that a criterion reads logits.
    """
    criterion = uncompiled(net.criterion_)
    with torch.no_grad():
        found = output_nonlinearity(net)(outputs)
    bad = found[(found < -_TOLERANCE) | (found > 1 + _TOLERANCE)]
    if not len(bad):
        return
    way_out = (
        "Pass predict_nonlinearity=functools.partial(torch.softmax, dim=-1) to the net, or "
        "another function that makes probabilities of the module's outputs. For several labels "
        "pass torch.sigmoid, and callbacks__valid_acc=None: skorch's accuracy is of one label."
    )
    if isinstance(criterion, nn.BCELoss):
        way_out = "Pass criterion=nn.BCEWithLogitsLoss, or end the module in a Sigmoid."
    raise ValueError(
        f"The net predicts {float(bad[0]):.3g}, which is not a probability: skorch makes "
        "probabilities of logits for losses of torch that it knows, and criterion is "
        f"{type(criterion).__name__}. {way_out}"
    )
