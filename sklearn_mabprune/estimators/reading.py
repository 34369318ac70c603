"""The part of a fit that reads its samples: validated, weighted, split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.features import read_validation, stacked
from ..data.samples import Data
from ..data.splitting import Split, content_split
from ..data.targets import scaled_weights
from ..data.user_groups import Groups, by_content, group_split, read_groups
from ..utils.compat import check_sample_weight
from ..utils.words import counted
from .plan import Task


@dataclass(frozen=True)
class Given:
    """Samples as ``fit`` was given them; all but `X` and `y` may be None."""

    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    groups: Any = None


def read(model: Any, given: Given, seed: int) -> tuple[Task, float]:
    """Validated training and validation data, and the fraction of samples held out.

    Parameters
    ----------
    model : MABPrunedClassifier or MABPrunedRegressor
        Notes the features and the classes.
    given : Given
    seed : int
        Of the split.

    Returns
    -------
    task : Task
    share : float

    Raises
    ------
    ValueError
        If the samples cannot be used.
    """
    if (given.X_val is None) != (given.y_val is None):
        there, missing = ("X_val", "y_val") if given.y_val is None else ("y_val", "X_val")
        raise ValueError(f"{there} was given without {missing}: pass both or neither.")
    X, y = model._validate_training(given.X, given.y)
    table, weights = model._table_of(X), None
    groups = None if given.groups is None else read_groups(given.groups, X.shape[0])
    if given.sample_weight is not None:
        weights = check_sample_weight(
            given.sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        some = weights > 0
        X, y, weights = X[some], y[some], scaled_weights(weights[some])
        table = None if table is None else table.at(some)
        groups = None if groups is None else groups[some]
    groups = None if groups is None else by_content(groups, X, seed)
    codes = model._encode(y)
    weights = model._weigh(codes, weights)
    if given.X_val is None:
        split = _split(model.validation_fraction, X, codes, groups, seed)
    else:
        X_val = read_validation(model, given.X_val, given.y_val, model._takes_any_shape())
        y_val = model._encode_validation(given.y_val)
        if y_val.shape[1:] != codes.shape[1:]:
            raise ValueError(
                f"y_val has {counted(y_val.shape[1], 'target')}, y has {codes.shape[1]}. "
                "Pass y_val with the targets of y."
            )
        first = len(codes)
        X, codes = stacked(X, X_val), np.concatenate([codes, y_val])
        if weights is not None:
            weights = np.concatenate([weights, np.ones(len(y_val))])
        split = Split(np.arange(first), np.arange(first, len(codes)), 0.0)

    def side(index: NDArray[np.intp]) -> Data:
        samples = X[index], codes[index], _unit_mean(weights, index)
        return Data(*samples, n_outputs=model._count_outputs(codes))

    data, validation = side(split.train), side(split.validation)
    if table is not None:
        data = replace(data, table=table.at(split.train))
    if groups is not None:
        data = replace(data, groups=groups[split.train])
        if given.X_val is None:
            validation = replace(validation, groups=groups[split.validation])
    task: Task = model._make_task(data, validation)
    return replace(task, names=getattr(model, "feature_names_in_", None)), split.share


def _split(fraction: float, X: Any, codes: NDArray[Any], groups: Groups | None, seed: int) -> Split:
    """Training and validation samples: whole groups, where they are known."""
    if groups is None:
        return content_split(X, codes, fraction, seed)
    return group_split(groups, codes, fraction)


def _unit_mean(
    weights: NDArray[np.float64] | None, index: NDArray[np.intp]
) -> NDArray[np.float64] | None:
    """Weights of these samples, scaled to mean 1; None if all are equal."""
    if weights is None:
        return None
    some = weights[index]
    return None if np.ptp(some) == 0 else some / some.mean()
