"""Warnings and remarks of a report on a pruned network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.named import NamedSamples
from ..data.sparse import SparseRows
from ..graph.graph import Graph
from ..pruning.budget import Budget
from ..utils.words import be, counted

# Samples that are copied in float64 at a time: a copy of all would be the largest array in memory.
_PART = 2**13
# Larger values have squares whose sum may be infinite.
_SQUARED = 1e140


def pruning_interrupted(n_gone: int, n_neurons: int) -> str:
    """A warning that Ctrl-C ended the rounds."""
    return (
        f"Pruning was interrupted: the network of the last finished round is kept, {n_gone:,} of "
        f"{counted(n_neurons, 'neuron')} {be(n_gone)} gone, and it was not fine-tuned."
    )


def fine_tuning_interrupted(n_epochs: int, budget: float | int | str, finished: bool) -> str:
    """A warning that Ctrl-C ended the fine-tuning, and which network is kept."""
    if budget == "auto":
        kept = "the smallest network that was good enough by then is kept."
    elif finished:
        kept = "the network was finished, and is kept."
    else:
        kept = "the pruned network is kept as it was before."
    return f"Fine-tuning was interrupted after {counted(n_epochs, 'epoch')}: {kept}"


def beyond_tolerance(
    budget: float | int | str,
    tolerance: float,
    n_validation: int,
    unpruned: float,
    score: float,
) -> list[str]:
    """A warning if a budget costs more validation score than `tolerance`; "auto" never does."""
    # One validation sample more or less is not significant.
    if budget == "auto" or not score < unpruned - max(tolerance, 1.0001 / n_validation):
        return []
    return [
        f"pruning_budget={budget!r} costs more than tolerance={tolerance}: the score on "
        f"{counted(n_validation, 'validation sample')} fell from {unpruned:.4f} to {score:.4f}. "
        "Lower pruning_budget, raise fine_tune_epochs, or let pruning_budget='auto' find the "
        "smallest network within tolerance."
    ]


def outliers(n_samples: int) -> list[str]:
    """A warning if samples were left out because their activations dwarf all others."""
    if not n_samples:
        return []
    return [
        f"{counted(n_samples, 'sample')} of those that pruning measures on "
        f"{'was' if n_samples == 1 else 'were'} left out: hidden activations are more than 10,000 "
        "times as large there as for most samples."
    ]


def behind_constant(
    answer: str,
    own: NDArray[np.float64],
    constant: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> list[str]:
    """A warning if a constant answer has clearly smaller errors than the trained network."""
    # Errors may be infinite, or too large to be squared; only their ratios count here.
    own = np.minimum(own, np.finfo(np.float64).max)
    largest = max(1.0, own.max(initial=0.0))
    own, constant = own / largest, constant / largest
    excess = own - constant
    mean = np.average(excess, weights=weights)
    error = excess.std() / np.sqrt(len(excess))
    # Where there is nothing to learn, networks are a little worse by chance.
    if not (mean > 3 * error and np.average(own, weights=weights) > 1.2 * constant.mean()):
        return []
    return [
        f"The trained network is worse than {answer} for all of the "
        f"{counted(len(own), 'validation sample')}. Are the features scaled (StandardScaler)? If "
        "they are, lower the net's lr, or raise max_epochs."
    ]


def auto_beside_constant(
    answer: str, score: float, constant: float, tolerance: float, score_name: str
) -> list[str]:
    """A warning if a constant answer is good enough for ``pruning_budget="auto"``."""
    # A tolerance of 1 and more allows any network on purpose.
    if tolerance >= 1 or not constant >= score - tolerance:
        return []
    way = "Lower tolerance, or pass a scoring that rewards more than a constant answer"
    if score_name == "accuracy":
        way = 'Pass scoring="average_precision" or scoring="balanced_accuracy", or lower tolerance'
    return [
        f'pruning_budget="auto" may end in a constant answer: {answer} for all validation samples '
        f"scores {constant:.4f} ({score_name}), within tolerance={tolerance} of the unpruned "
        f"network's {score:.4f}. {way}."
    ]


def large_features(spread: NDArray[np.float64], names: Any = None) -> str:
    """The end of a message: which features, by name if they have one, may be too large."""
    large = np.flatnonzero(spread >= 1e3)
    if not len(large):
        return ""
    largest = large[np.argsort(-spread[large])]
    called = [str(k) if names is None else repr(str(names[k])) for k in largest[:5]]
    listed = ", ".join(called) + f" and {len(large) - 5} more" * (len(large) > 5)
    origin = ", counted from 0" * (names is None)
    return (
        f" Features with a large standard deviation (up to {spread.max():.3g}){origin}: "
        f"{listed}. Look for wrong values in them, and scale the features."
    )


def unscored(score: float, name: str) -> list[str]:
    """A warning if the score of the unpruned network is NaN, so that tolerance has no meaning."""
    if not np.isnan(score):
        return []
    return [
        f"The score of the unpruned network ({name}) is nan on the validation samples: `tolerance` "
        'cannot be checked, and pruning_budget="auto" removes nothing. Pass more or other '
        "samples as X_val and y_val, or another scoring."
    ]


def rounded_away(asked: float | int | str, budget: Budget) -> list[str]:
    """A warning if the budget is a fraction that amounts to less than one neuron."""
    if isinstance(asked, str) or asked == 0 or budget.target > 0:
        return []
    if not budget.gone(budget.limits.least):
        said = budget.limits.said
        min_neurons, inside = said["min_neurons"], " in layers" if "layers" in said else ""
        return [
            f"pruning_budget={asked!r} removed nothing, and no budget could: no hidden layer"
            f"{inside} is wider than min_neurons={min_neurons}. Train a wider network"
            f"{', or lower min_neurons' * (min_neurons != 1)}; with pruning_budget=0 nothing is "
            "removed without this warning."
        ]
    # The smallest fraction that amounts to one, rounded up.
    fraction = np.ceil(1e4 / budget.total) / 1e4
    return [
        f"pruning_budget={asked!r} of {budget.total:,} {budget.called} is less than one, so "
        f"nothing was removed. Pass a count, such as pruning_budget=1, or a fraction of at least "
        f"{fraction:g}; with pruning_budget=0 nothing is removed without this warning."
    ]


def unfinished(net: Any) -> list[str]:
    """A warning if early stopping did not end the training before its last epoch."""
    if not getattr(net, "early_stopping", False) or len(net.history or []) < net.max_epochs:
        return []
    epochs = "epoch" if net.max_epochs == 1 else "epochs"
    return [
        f"The training took all of its max_epochs={net.max_epochs} {epochs}: a larger "
        "max_epochs may give a better network. Are the features scaled?"
    ]


def first_epoch_best(net: Any) -> list[str]:
    """A remark if early stopping kept the weights of the first of several epochs."""
    history = net.history or []
    if not getattr(net, "early_stopping", False) or len(history) < 2:
        return []
    losses = [row.get("valid_loss", np.nan) for row in history]
    if not min(losses[1:]) >= losses[0]:
        return []
    return [
        f"early stopping kept the first of {len(history)} epochs, since the validation loss rose "
        "after it: a lower lr, more samples or other validation samples (X_val, y_val) may give a "
        "better network."
    ]


def mean_confidence(confidence: NDArray[np.float64]) -> float:
    """Mean over rounds; NaN where no round has one."""
    known = confidence[np.isfinite(confidence)]
    return float(known.mean()) if known.size else np.nan


def spread_of(x: torch.Tensor | SparseRows | NamedSamples) -> NDArray[np.float64]:
    """Standard deviation of each feature, (n_features,); none of several inputs."""
    if isinstance(x, NamedSamples):
        return np.empty(0)
    if isinstance(x, SparseRows):
        return x.spread()
    parts = x.flatten(1).split(_PART)
    largest = torch.stack([part.abs().amax(dim=0) for part in parts]).amax(dim=0).double()
    if bool((largest > _SQUARED).any()):
        scaled = spread_of(x.flatten(1).double() / largest.clamp_min(1.0))
        return np.minimum(scaled * largest.clamp_min(1.0).cpu().numpy(), np.finfo(np.float64).max)
    mean = sum(part.double().sum(dim=0) for part in parts) / len(x)
    squares = sum((part.double() - mean).square().sum(dim=0) for part in parts)
    spread: NDArray[np.float64] = torch.as_tensor(squares / len(x)).sqrt().cpu().numpy()
    return spread


def unused_features(graph: Graph, spread: NDArray[np.float64]) -> tuple[int, ...]:
    """Features whose standard deviation times largest weight is negligible beside the others'."""
    weights = graph.input_weights()
    if weights is None:
        return tuple(graph.unread_features())
    used = weights.detach().double().abs().amax(dim=0).cpu().numpy() * spread
    return tuple(int(k) for k in np.flatnonzero(used <= 1e-9 * max(used.max(), 1e-300)))
