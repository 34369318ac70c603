"""The same network, and a forest of equal accuracy, as emlearn writes them in C."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from benchmarks.deploy.models import Task
from sklearn_mabprune import UnsupportedModuleError

#: Numbers of trees and leaves per tree of the forests that are tried, and their most leaves.
_TREES, _LEAVES, _MOST = (1, 3, 5, 10, 20, 40), (8, 16, 32, 64, 256), 5000


@dataclass(frozen=True)
class Code:
    """C code and an expression that predicts a sample of it; points are x 100."""

    header: str
    call: str
    points: float
    include: Path


def is_installed() -> bool:
    """Whether emlearn is there."""
    return importlib.util.find_spec("emlearn") is not None


def network_code(task: Task, model: Any) -> Code | None:
    """The network of a pipeline, without the steps before it; None if emlearn lacks its form."""
    try:
        mlp = model[-1].to_sklearn()
    except UnsupportedModuleError:
        return None
    if hasattr(mlp, "steps"):  # an input stage stands before the network
        return None
    kind = {"return_type": "classifier" if task.classify else "regressor"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes files
        made = _emlearn().convert(mlp, method="loadable", **kind)
    call = "(float)net_predict(sample, N)" if task.classify else "net_regress1(sample, N)"
    features = np.asarray(_dense(model[:-1].transform(task.X_test)), dtype=float)
    return _code(made.save(name="net"), call, features.shape[1], task.points(mlp.predict(features)))


def forest_code(task: Task, model: Any, wanted: float) -> Code:
    """The smallest random forest of a grid that reaches an accuracy on the test samples.

    It reads what the network reads.  If none reaches it: the most accurate one.
    """
    kind = RandomForestClassifier if task.classify else RandomForestRegressor
    X, X_test = (
        np.asarray(_dense(model[:-1].transform(x)), dtype=np.float32) for x in (task.X, task.X_test)
    )
    sizes = sorted(
        (size for size in product(_TREES, _LEAVES) if size[0] * size[1] <= _MOST),
        key=lambda size: size[0] * size[1],
    )
    best: tuple[float, Any] = (-np.inf, None)
    for n_trees, n_leaves in sizes:
        forest = kind(n_trees, max_leaf_nodes=n_leaves, random_state=0).fit(X, task.y)
        points = task.points(forest.predict(X_test))
        best = max(best, (points, forest), key=lambda pair: pair[0])
        if points >= wanted:
            break
    points, forest = best
    # emlearn reads classes that are numbers.
    labels = np.unique(task.y, return_inverse=True)[1] if task.classify else task.y
    forest.fit(X, labels)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        made = _emlearn().convert(forest, method="inline", dtype="float")
    text = made.save(name="forest", inference=["inline"])
    return _code(text, "(float)forest_predict(sample, N)", X.shape[1], points)


def _code(text: str, call: str, n_features: int, points: float) -> Code:
    # Not constant: a compiler would predict it.
    sample = f"float sample[{n_features}] = {{{', '.join(['1.0f'] * n_features)}}};"
    header = f"{text}\n#define N {n_features}\n{sample}\n"
    return Code(header, call, points, Path(_emlearn().__file__).parent)


def _dense(X: Any) -> Any:
    return X.toarray() if hasattr(X, "toarray") else X


def _emlearn() -> Any:
    import emlearn

    return emlearn
