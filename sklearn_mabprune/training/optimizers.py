"""Optimizers of skorch nets."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from ..graph.kinds.registry import layers_of
from ..utils.compat import uncompiled

#: Rate of lr="auto", and with an input stage: it needs fewer epochs then.
_RATE, _RATE_BEHIND_INPUTS = 0.001, 0.003


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step of the optimizer evaluates the loss by itself, as LBFGS does.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune.training.optimizers import needs_closure
    >>> weights = [torch.zeros(1, requires_grad=True)]
    >>> needs_closure(torch.optim.LBFGS(weights)), needs_closure(torch.optim.SGD(weights))
    (True, False)
    """
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def learning_rate(net: Any) -> Any:
    """Learning rate of a net's initial training; "auto" depends on the network's input stage."""
    if not isinstance(net.lr, str):
        return net.lr
    staged = bool(layers_of(uncompiled(net.module_), "encodes"))
    return _RATE_BEHIND_INPUTS if staged else _RATE


def renew_optimizer(net: Any) -> None:
    """Give a net an optimizer without state, from which its schedules can continue."""
    net.initialize_optimizer()
    for group in net.optimizer_.param_groups:
        # Schedules that continue after epoch 0, as those of a net with a history do, read it.
        group["initial_lr"] = group["lr"]
