"""Trained networks, kept in files, and the rows of one method on one of them."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_mabprune import MABPrunedClassifier

from ..torch_pruning_path import accuracy_of, taylor_path
from .methods import DEFAULT, METHODS, PEER
from .settings import Network, Settings

#: X and y of training, validation and test samples.
Data = tuple[Any, Any, Any, Any, Any, Any]


def trained(network: Network, data: Data, seed: int, folder: Path) -> Any:
    """The trained net of a seed: from its file, or trained with Adam and written there."""
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        network.kind,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=network.learning_rate,
        batch_size=64,
        max_epochs=network.epochs,
        train_split=None,
        verbose=0,
        **{f"module__{name}": value for name, value in network.arguments.items()},
    )
    file = folder / f"{network.trained_as}_{seed}"
    weights, history = file.with_suffix(".pt"), file.with_suffix(".json")
    if weights.exists():
        net.initialize().load_params(f_params=weights, f_history=history)
        return net
    net.fit(data[0], data[1])
    folder.mkdir(parents=True, exist_ok=True)
    net.save_params(f_history=history)
    net.save_params(f_params=weights)
    return net


def rows_of(
    net: Any, network: Network, method: str, data: Data, seed: int, settings: Settings, tuned: bool
) -> Iterator[dict[str, Any]]:
    """A row for each budget, all from one path; first those without fine-tuning.

    Parameters
    ----------
    net : NeuralNetClassifier
        Trained; left alone.
    network : Network
    method : str
        A key of `METHODS`.
    data : tuple of arrays
    seed : int
    settings : Settings
    tuned : bool
        Whether to measure with fine-tuning as well.
    """
    known = {
        "unpruned": _accuracy(net, data),
        "epoch_seconds": _epoch_seconds(net, data) if method == DEFAULT else float("nan"),
    }
    make = _of_peer if method == PEER else _of_package
    for row in make(net, network, method, data, seed, settings, tuned):
        yield {"net": network.name, "seed": seed, "method": method, **known, **row}


def _of_package(
    net: Any, network: Network, method: str, data: Data, seed: int, settings: Settings, tuned: bool
) -> Iterator[dict[str, Any]]:
    X, y, X_val, y_val, *_ = data
    largest = max(settings.budgets)
    model = MABPrunedClassifier(
        FrozenEstimator(net),
        pruning_budget=largest,
        layers=network.layers,
        fine_tune_epochs=0,
        tolerance=1.0,
        max_pruning_samples=settings.pruning_samples,
        random_state=seed,
        **METHODS[method],
    ).fit(X, y, X_val=X_val, y_val=y_val)
    for epochs in (0, max(1, round(settings.fine_tuning * network.epochs)))[: 1 + tuned]:
        model.set_params(fine_tune_epochs=epochs)
        for budget in settings.budgets:
            if epochs or budget != largest:
                smaller = model.at_budget(budget, X, y, X_val=X_val, y_val=y_val)
            else:
                smaller = model
            yield _row(smaller, budget, epochs, data, of_path=method == DEFAULT)


def _row(model: Any, budget: float, epochs: int, data: Data, of_path: bool) -> dict[str, Any]:
    report, path = model.pruning_report_, model.pruning_path_
    before, after = report.before, report.after
    # Only the default's path to a budget is the beginning of that to the next one.
    seconds = float(path.seconds.sum()) if of_path else report.seconds_pruning
    return {
        "budget": budget,
        "epochs": epochs,
        "accuracy": float(np.mean(model.predict(data[4]) == data[5])),
        "units": sum(after.hidden_layer_sizes) / sum(before.hidden_layer_sizes),
        "macs": after.n_macs / before.n_macs,
        "parameters": after.n_parameters / before.n_parameters,
        "seconds": seconds,
        "failed": "",
    }


def _of_peer(
    net: Any, network: Network, method: str, data: Data, seed: int, settings: Settings, tuned: bool
) -> Iterator[dict[str, Any]]:
    """Torch-Pruning's Taylor pruner, or why it did not run."""
    none = dict.fromkeys(("accuracy", "units", "macs", "parameters", "seconds"), float("nan"))
    started = time.perf_counter()
    found: Sequence[Any]
    try:
        found = list(taylor_path(net, data[0], data[1], settings.budgets, of_macs=False))
        samples = data[0], data[1], data[4], data[5]
        scores = [accuracy_of(module, net, samples, 0, seed) for module, *_ in found]
        if any(parameters == 1 for *_, parameters in found):
            raise ValueError("nothing was removed")
    except Exception as error:  # whatever a peer raises for a network that it does not read
        text = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        for budget in settings.budgets:
            yield {"budget": budget, "epochs": 0, **none, "failed": text}
        return
    seconds = (time.perf_counter() - started) / len(found)
    for budget, (_, macs, parameters), accuracy in zip(
        settings.budgets, found, scores, strict=True
    ):
        kept = {"accuracy": accuracy, "macs": macs, "parameters": parameters}
        yield {"budget": budget, "epochs": 0, **none, **kept, "seconds": seconds, "failed": ""}


def _epoch_seconds(net: Any, data: Data) -> float:
    """Median of three more epochs of a copy, measured beside the prune they are compared with."""
    copied = copy.deepcopy(net).set_params(max_epochs=3)
    copied.partial_fit(data[0], data[1])
    return float(np.median([epoch["dur"] for epoch in copied.history[-3:]]))


def _accuracy(net: Any, data: Data) -> float:
    return float(np.mean(net.predict(data[4]) == data[5]))
