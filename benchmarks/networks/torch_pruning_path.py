"""Torch-Pruning's Taylor pruner on a trained net: smaller modules at several budgets."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import Tensor, nn

#: Fractions of the channels that are tried until so many MACs are gone.
RATIOS = np.arange(0.025, 1.0, 0.025)


def taylor_path(
    net: Any, X: Any, y: Any, budgets: Sequence[float], of_macs: bool
) -> Iterator[tuple[nn.Module, float, float]]:
    """Modules with these fractions of their channels or MACs removed.

    Channels are ranked over all layers together, by first-order Taylor importance on all samples,
    and removed in one step, as is the pruner's default; the output layer is left alone.

    Parameters
    ----------
    net : NeuralNetClassifier
        Trained; left alone.
    X, y : ndarray
        Training samples.
    budgets : sequence of float
        Increasing.
    of_macs : bool
        Whether budgets count MACs; else channels and hidden units, as the pruner counts them.

    Yields
    ------
    module : nn.Module
    macs, parameters : float
        Those that are left, as fractions.
    """
    peer = importlib.import_module("torch_pruning")
    module = copy.deepcopy(net.module_).eval()
    device = next(module.parameters()).device
    x, labels = torch.as_tensor(X, device=device), torch.as_tensor(y, device=device)
    gradients = _gradients(module, x, labels)
    before = peer.utils.count_ops_and_params(module, x[:1])
    for budget in budgets:
        for ratio in RATIOS if of_macs else [budget]:
            smaller = _pruned(peer, module, gradients, x[:2], float(ratio))
            macs, parameters = peer.utils.count_ops_and_params(smaller, x[:1])
            if not of_macs or macs <= (1 - budget) * before[0]:
                break
        yield smaller, macs / before[0], parameters / before[1]


def _pruned(
    peer: Any, module: nn.Module, gradients: list[Tensor], x: Tensor, ratio: float
) -> nn.Module:
    module = copy.deepcopy(module)
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        parameter.grad = gradient
    outputs = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
    peer.pruner.BasePruner(
        module, x, importance=peer.importance.TaylorImportance(), global_pruning=True,
        pruning_ratio=ratio, ignored_layers=[outputs],
    ).step()  # fmt: skip
    return module


def _gradients(module: nn.Module, x: Tensor, labels: Tensor) -> list[Tensor]:
    """Of the mean loss with respect to all parameters."""
    for part in torch.arange(len(x), device=x.device).split(256):
        loss = nn.functional.cross_entropy(module(x[part]), labels[part], reduction="sum")
        (loss / len(x)).backward()
    return [parameter.grad.clone() for parameter in module.parameters()]


def accuracy_of(
    module: nn.Module, net: Any, data: tuple[Any, Any, Any, Any], epochs: int, seed: int
) -> float:
    """Accuracy on test samples, after fine-tuning at the net's rate, which falls to zero.

    Parameters
    ----------
    module : nn.Module
    net : NeuralNetClassifier
        Whose criterion, optimizer, rate and batches are used.
    data : tuple of (X, y, X_test, y_test)
    epochs : int
        Of fine-tuning; 0: none.
    seed : int
    """
    X, y, X_test, y_test = data
    torch.manual_seed(seed)
    tuned = NeuralNetClassifier(
        module, criterion=net.criterion, optimizer=net.optimizer, lr=net.lr,
        batch_size=net.batch_size, max_epochs=epochs, train_split=None, device=net.device,
        verbose=0, callbacks=[LRScheduler("LambdaLR", lr_lambda=lambda e: 1 - e / max(1, epochs))],
    ).initialize()  # fmt: skip
    if epochs:
        tuned.fit(X, y)
    return float(np.mean(tuned.predict(X_test) == y_test))


def widths(module: nn.Module) -> str:
    """Outputs of all layers."""
    sizes = [
        part.weight.shape[0] for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    return "-".join(map(str, sizes))
