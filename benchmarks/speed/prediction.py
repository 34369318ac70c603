"""Predictions before and after pruning, and of a single sample."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.neural_network import MLPClassifier

from benchmarks.speed.timing import Result, in_turns, milliseconds
from benchmarks.speed.workload import HIDDEN, net, table
from sklearn_mabprune import MABPrunedClassifier


def predict(repeats: int, device: str) -> Iterator[Result]:
    """Samples per second before and after."""
    X, y = table()
    hidden = (512, 256)
    shared = {"estimator": net(hidden, 2, device=device), "fine_tune_epochs": 0}
    before = MABPrunedClassifier(**shared, pruning_budget=0, random_state=0).fit(X, y)
    after = MABPrunedClassifier(**shared, pruning_budget=0.75, random_state=0).fit(X, y)
    many = X[:10_000]
    found = in_turns(
        {
            "before": lambda: before.predict_proba(many),
            "after": lambda: after.predict_proba(many),
        },
        10 * repeats,
        device,
    )
    yield Result(
        "predict, 10,000 samples, 75 % removed",
        found["before"] / found["after"],
        3.0,
        True,
        f"before {milliseconds(found['before'])}, after {milliseconds(found['after'])}",
    )


def single(repeats: int, device: str) -> Iterator[Result]:
    """One sample against scikit-learn, in the forms that samples come in, and by size."""
    X, y = table()
    shared = {"pruning_budget": 0, "fine_tune_epochs": 0, "tolerance": 10.0, "random_state": 0}
    models = {
        "array": MABPrunedClassifier(net(epochs=2, device=device), **shared).fit(X, y),
        "frame": MABPrunedClassifier(net(epochs=2, device=device), **shared).fit(named(X), y),
    }
    theirs = {
        "array": MLPClassifier(HIDDEN, max_iter=2).fit(X, y),
        "frame": MLPClassifier(HIDDEN, max_iter=2).fit(named(X), y),
    }
    one, found = X[:1], {}
    for form, fitted, x in (
        ("an array", "array", one),
        ("an array of integers", "array", one.round().astype(int)),
        ("a list", "array", one.tolist()),
        ("a sparse matrix", "array", csr_matrix(one)),
        ("a frame", "frame", named(one)),
    ):
        sides = {
            "ours": partial(models[fitted].predict_proba, x),
            "scikit-learn": partial(theirs[fitted].predict_proba, x),
        }
        taken = in_turns(sides, 3 * repeats, device)
        yield Result(
            f"predict, one sample in {form}, against MLPClassifier",
            taken["ours"] / taken["scikit-learn"],
            1 / 3 if form.startswith("an array") else 0.75,
            False,
            f"{milliseconds(taken['ours'])}, scikit-learn {milliseconds(taken['scikit-learn'])}",
        )
    hidden = net((512, 256), 2, device=device)
    sizes = {
        "before": MABPrunedClassifier(hidden, **shared).fit(X, y),
        "after": MABPrunedClassifier(hidden, **shared | {"pruning_budget": 0.75}).fit(X, y),
    }
    found = in_turns(
        {name: partial(model.predict_proba, one) for name, model in sizes.items()},
        10 * repeats,
        device,
    )
    yield Result(
        "predict, one sample, 75 % removed",
        found["before"] / found["after"],
        1.0,
        True,
        f"before {milliseconds(found['before'])}, after {milliseconds(found['after'])}",
    )


def named(X: NDArray[Any]) -> pd.DataFrame:
    """A frame with names of columns."""
    return pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])])


ROWS = {"predict": predict, "one sample": single}
