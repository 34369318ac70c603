"""Optimizers of skorch nets."""

from __future__ import annotations

import inspect
from typing import Any

import torch


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


def renew_optimizer(net: Any) -> None:
    """Give a net an optimizer without state, from which its schedules can continue."""
    net.initialize_optimizer()
    for group in net.optimizer_.param_groups:
        # Schedules that continue after epoch 0, as those of a net with a history do, read it.
        group["initial_lr"] = group["lr"]
