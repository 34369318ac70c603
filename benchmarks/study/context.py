"""What else a user could take: scikit-learn's networks and boosting, in score, bytes and time."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.shared.data_sets import DataSet
from benchmarks.shared.whole import whole_fit
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
)

_REPEATS = 20


def models(task: str, sizes: tuple[int, ...], *, ours: bool) -> Iterator[tuple[str, Any]]:
    """Names and unfitted estimators."""
    classify = task == "classification"
    mlp = MLPClassifier if classify else MLPRegressor
    boosting = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    pruned = MABPrunedClassifier if classify else MABPrunedRegressor
    net = MLPNetClassifier if classify else MLPNetRegressor
    yield "sklearn_mlp", mlp
    yield "sklearn_mlp_same", lambda **seed: mlp(hidden_layer_sizes=sizes, **seed)
    yield "hgb", boosting
    for name, budget in (
        ("mlp", 0),
        ("default 50", 0.5),
        ("default 75", 0.75),
        ("default 90", 0.9),
    ):
        yield (
            name,
            lambda budget=budget, **seed: pruned(
                net(module__hidden_layer_sizes=sizes),
                pruning_budget=budget,
                keep_path="never",
                **seed,
            ),
        )


def context_rows(
    data: DataSet, seed: int, sizes: tuple[int, ...], most: int, *, ours: bool
) -> Iterator[dict[str, Any]]:
    """A row for each: points on the same unseen rows, bytes of its pickle, milliseconds a row.

    The training rows are those of the study; every estimator validates as it likes.  Our own
    are left out unless asked for: what they score is in the study, and only takes time here.
    """
    X, X_test, y, y_test = data.split(seed)
    prepare = data.preprocessing()
    X = prepare.fit_transform(X[:most]).astype(np.float32)
    X_test = prepare.transform(X_test).astype(np.float32)
    for name, make in models(data.task, sizes, ours=ours):
        with warnings.catch_warnings():
            # Training that has not converged, networks that are not faster.
            warnings.simplefilter("ignore")
            model = whole_fit(make(random_state=seed).fit(X, y[:most]))
        some = X_test[:1000]
        yield {
            "model": name,
            "score": 100 * model.score(X_test, y_test),
            "n_bytes": len(pickle.dumps(model)),
            "ms_row": _milliseconds(model, some) / len(some),
            "ms_single": _milliseconds(model, some[:1]),
        }


def _milliseconds(model: Any, X: np.ndarray) -> float:
    """Processor time of a prediction, the median of some."""
    model.predict(X)
    taken = []
    for _ in range(_REPEATS):
        started = time.process_time()
        model.predict(X)
        taken.append(time.process_time() - started)
    return 1000 * median(taken)
