"""Data sets, our pipelines at several budgets, and rivals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_selection import SelectKBest, f_classif, f_regression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.shared.data_sets import load
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    make_tabular_pipeline,
)

#: Fractions of hidden units that are removed.
REMOVED = (0.0, 0.5, 0.75, 0.9, 0.95)

#: Columns that the small pipelines of tables read.
COLUMNS = 12

#: Training samples, at most; with --quick.
MOST, FEW = 3000, 1000


@dataclass(frozen=True)
class Task:
    """Training and test samples."""

    name: str
    classify: bool
    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray

    @classmethod
    def of(cls, name: str, folder: Path | None, most: int) -> Task:
        """A data set by name; test samples are those of the common split, at most `most`."""
        data = load(name, folder)
        X, X_test, y, y_test = data.split(0)
        if isinstance(X, np.ndarray):
            X, X_test = X.astype(np.float32), X_test.astype(np.float32)
        return cls(
            name, data.task == "classification", X[:most], y[:most], X_test[:most], y_test[:most]
        )

    def points(self, predicted: Any) -> float:
        """Accuracy or R2, x 100, of labels or values for the test samples."""
        if self.classify:
            return 100 * float(np.mean(np.asarray(predicted) == self.y_test))
        residual = np.asarray(predicted, dtype=float).ravel() - self.y_test
        return 100 * float(1 - np.mean(residual**2) / np.var(self.y_test))


def pipelines(task: Task) -> dict[float, Any]:
    """Our pipeline at every budget: one training, one path."""
    estimator = (MABPrunedClassifier if task.classify else MABPrunedRegressor)(
        pruning_budget=REMOVED[-1], tolerance=100.0, random_state=0
    )
    around = make_pipeline(StandardScaler(), estimator)
    model = around if isinstance(task.X, np.ndarray) else make_tabular_pipeline(estimator)
    model.fit(task.X, task.y)
    features = model[:-1].transform(task.X)
    return {
        budget: make_pipeline(*model[:-1], model[-1].at_budget(budget, features, task.y))
        if budget < REMOVED[-1]
        else model
        for budget in REMOVED
    }


def small_pipeline(task: Task) -> Any:
    """A pipeline for a microcontroller: few columns, no input stage, the smallest network."""
    network = (MLPNetClassifier if task.classify else MLPNetRegressor)(inputs=None)
    estimator = (MABPrunedClassifier if task.classify else MABPrunedRegressor)(
        network, pruning_budget=REMOVED[-1], tolerance=100.0, random_state=0
    )
    chosen = SelectKBest(f_classif if task.classify else f_regression, k=COLUMNS)
    return make_pipeline(_scaled_columns(), chosen, estimator).fit(task.X, task.y)


def rivals(task: Task) -> dict[str, Any]:
    """scikit-learn's network and boosted trees, with their defaults."""
    if isinstance(task.X, np.ndarray):
        columns: Any = StandardScaler()
    else:
        columns = _scaled_columns()
    network = (MLPClassifier if task.classify else MLPRegressor)(
        hidden_layer_sizes=(128, 64), early_stopping=True, random_state=0
    )
    trees = (HistGradientBoostingClassifier if task.classify else HistGradientBoostingRegressor)(
        random_state=0, categorical_features="from_dtype"
    )
    scaled = network if task.classify else _scaled_target(network)
    return {
        "scikit-learn MLP": make_pipeline(columns, scaled).fit(task.X, task.y),
        "HistGradientBoosting": _on_columns(trees, task).fit(task.X, task.y),
    }


def _scaled_columns() -> Any:
    return make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )


def _scaled_target(network: Any) -> Any:
    from sklearn.compose import TransformedTargetRegressor

    return TransformedTargetRegressor(network, transformer=StandardScaler())


def _on_columns(trees: Any, task: Task) -> Any:
    """Trees that read strings as categories."""
    if isinstance(task.X, np.ndarray):
        return trees
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(_with_categories), trees)


def _with_categories(X: Any) -> Any:
    return X.astype(dict.fromkeys(X.select_dtypes(exclude="number").columns, "category"))
