"""What a report remarks on a pruned network, whether it was fine-tuned or taken from the path."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.sparse import SparseRows
from ..graph.graph import Chain
from ..pruning.schedules import Budget
from .report import Measured

# So many rows are copied in float64 at a time: of all rows it would be the largest thing in memory.
_PART = 2**13


def slower(before: Measured, after: Measured, batch_rows: int) -> list[str]:
    """That the smaller network is not faster, where it is not."""
    pruned = after.hidden_layer_sizes != before.hidden_layer_sizes
    if not pruned or after.ms_batch < before.ms_batch:
        return []
    return [
        f"The smaller network is not faster for {batch_rows:,} rows: at this size the cost of "
        "a call outweighs the arithmetic."
    ]


def unscored(score: float, name: str) -> list[str]:
    """That the unpruned network has no score, where it has none: then tolerance means nothing."""
    if not np.isnan(score):
        return []
    return [
        f"The score of the unpruned network ({name}) is nan on the validation rows: `tolerance` "
        'could not be looked at, and pruning_budget="auto" removes nothing. Pass more or other '
        "rows as X_val and y_val, or another scoring."
    ]


def rounded_away(asked: float | int | str, budget: Budget, min_neurons: int) -> list[str]:
    """That a share is less than one neuron, where it is: nothing goes, and nobody said so."""
    if isinstance(asked, str) or asked == 0 or budget.target > 0:
        return []
    removable = budget.gone(tuple(min(min_neurons, size) for size in budget.original))
    if not removable:
        return [
            f"pruning_budget={asked!r} removed nothing, and no budget could: no hidden layer is "
            f"wider than min_neurons={min_neurons}. Train a wider network"
            f"{', or lower min_neurons' * (min_neurons > 1)}; pruning_budget=0 says that nothing "
            "is to go."
        ]
    # The smallest share that is one, in digits that do not fall below it.
    share = np.ceil(1e4 / budget.total) / 1e4
    return [
        f"pruning_budget={asked!r} of {budget.total:,} {budget.unit} is less than one, so nothing "
        f"was removed. Pass a count, such as pruning_budget=1, or a share of at least {share:g}; "
        "pruning_budget=0 says that nothing is to go."
    ]


def unfinished(net: Any) -> list[str]:
    """That the training might have gone on, where it might."""
    if not getattr(net, "early_stopping", False) or len(net.history or []) < net.max_epochs:
        return []
    return [
        f"the training took all of its max_epochs={net.max_epochs} epochs: a larger max_epochs "
        "may give a better network. Are the features scaled?"
    ]


def mean_confidence(confidence: NDArray[np.float64]) -> float:
    """Over rounds; NaN where the policy does not say."""
    said = confidence[np.isfinite(confidence)]
    return float(said.mean()) if said.size else np.nan


def spread_of(x: torch.Tensor | SparseRows) -> NDArray[np.float64]:
    """Standard deviation of each feature, (n_features,)."""
    if isinstance(x, SparseRows):
        return x.spread()
    parts = x.split(_PART)
    mean = sum(part.double().sum(dim=0) for part in parts) / len(x)
    squares = sum((part.double() - mean).square().sum(dim=0) for part in parts)
    spread: NDArray[np.float64] = torch.as_tensor(squares / len(x)).sqrt().cpu().numpy()
    return spread


def unused_features(chain: Chain, spread: NDArray[np.float64]) -> tuple[int, ...]:
    """Features whose spread, times their largest weight, is nothing beside the others'."""
    if chain.head:
        return ()
    largest = chain.stages[0].linear.weight.detach().double().abs().amax(dim=0)
    used = largest.cpu().numpy() * spread
    return tuple(int(k) for k in np.flatnonzero(used <= 1e-9 * max(used.max(), 1e-300)))
