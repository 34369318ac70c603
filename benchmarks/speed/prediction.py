"""Predictions before and after pruning, and of a single sample."""

from __future__ import annotations

from collections.abc import Iterator

from sklearn.neural_network import MLPClassifier

from benchmarks.speed.timing import Result, in_turns, milliseconds
from benchmarks.speed.workload import HIDDEN, net, table
from sklearn_mabprune import MABPrunedClassifier


def predict(repeats: int, device: str) -> Iterator[Result]:
    """Samples per second before and after; one sample against scikit-learn."""
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
    one = X[:1]
    model = MABPrunedClassifier(net(epochs=2, device=device), pruning_budget=0).fit(X, y)
    theirs = MLPClassifier(HIDDEN, max_iter=2).fit(X, y)
    found = in_turns(
        {
            "ours": lambda: model.predict_proba(one),
            "scikit-learn": lambda: theirs.predict_proba(one),
        },
        10 * repeats,
        device,
    )
    yield Result(
        "predict, one sample, against MLPClassifier",
        found["ours"] / found["scikit-learn"],
        1.0,
        False,
        f"{milliseconds(found['ours'])}, scikit-learn {milliseconds(found['scikit-learn'])}",
    )


ROWS = {"predict": predict}
