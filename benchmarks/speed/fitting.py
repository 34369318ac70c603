"""Whole fits: training, pruning, and a grid search with `memory`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import torch
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.neural_network import MLPClassifier

from benchmarks.speed import naive
from benchmarks.speed.timing import Result, in_turns
from benchmarks.speed.workload import EPOCHS, HIDDEN, net, table
from sklearn_mabprune import MABPrunedClassifier

BATCH = 200
POLICIES = ("ucb1", "thompson", "lucb", "uniform", "magnitude")
BUDGETS = (0.25, 0.5, 0.75, 0.9)


def training(repeats: int, device: str) -> Iterator[Result]:
    """Epochs of the default net against scikit-learn and against a bare loop of torch."""
    X, y = table()
    for dtype, bound in (("float32", 1.0), ("float64", 0.7)):
        rows = X.astype(dtype)
        theirs = MLPClassifier(HIDDEN, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0)
        ours = net(device=device, train_split=None)
        found = in_turns(
            {
                "ours": partial(ours.fit, rows, y),
                "scikit-learn": partial(theirs.fit, rows, y),
            },
            repeats,
            device,
        )
        yield Result(
            f"training, {dtype}, against MLPClassifier",
            found["ours"] / found["scikit-learn"],
            bound,
            False,
            f"{found['ours']:.2f} s, scikit-learn {found['scikit-learn']:.2f} s",
        )
    x, targets = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)

    def bare(**adam: Any) -> None:
        module = naive.network((X.shape[1], *HIDDEN, 10), device)
        naive.train(module, x, targets, EPOCHS, BATCH, **adam)

    found = in_turns(
        {
            "ours": partial(net(device=device, train_split=None).fit, X, y),
            "bare": bare,
            "fused": partial(bare, fused=True),
        },
        repeats,
        device,
    )
    for name, bound in (("bare", 1.0), ("fused", None)):
        yield Result(
            f"training, against a {name} torch loop",
            found["ours"] / found[name],
            bound,
            False,
            f"{found['ours']:.2f} s, loop {found[name]:.2f} s",
        )


def pruning(repeats: int, device: str) -> Iterator[Result]:
    """Seconds of pruning to 75 % against seconds of the initial training."""
    X, y = table()
    model = MABPrunedClassifier(net(device=device), pruning_budget=0.75, random_state=0)
    model.fit(X[:2000], y[:2000])
    reports = [model.fit(X, y).pruning_report_ for _ in range(repeats)]
    trained = median(report.seconds_training for report in reports)
    pruned = median(report.seconds_pruning for report in reports)
    yield Result(
        "pruning to 75 % / training",
        pruned / trained,
        0.15,
        False,
        f"{pruned:.2f} s in {reports[0].n_rounds} rounds, training {trained:.2f} s",
    )


def grid(repeats: int, device: str) -> Iterator[Result]:
    """A grid with `memory` against three trainings and sixty prunings timed apart."""
    X, y = table(4000)
    folds = StratifiedKFold(3)
    values = {"policy": list(POLICIES), "pruning_budget": list(BUDGETS)}
    estimator = net((128, 64), device=device)
    ratios, notes = [], []
    for _ in range(max(1, repeats // 2)):
        with tempfile.TemporaryDirectory() as folder:
            model = MABPrunedClassifier(estimator, memory=folder, random_state=0)
            started = time.perf_counter()
            GridSearchCV(model, values, cv=folds, refit=False).fit(X, y)
            together = time.perf_counter() - started
        trained = pruned = 0.0
        for train, test in folds.split(X, y):
            seconds_of_training = []
            for parameters in ParameterGrid(values):
                apart = MABPrunedClassifier(estimator, random_state=0, **parameters)
                started = time.perf_counter()
                apart.fit(X[train], y[train])
                apart.score(X[test], y[test])
                spent = time.perf_counter() - started
                seconds_of_training.append(apart.pruning_report_.seconds_training)
                pruned += spent - seconds_of_training[-1]
            trained += median(seconds_of_training)
        ratios.append(together / (trained + pruned))
        notes.append(f"{together:.1f} s; trainings {trained:.1f} s, the rest {pruned:.1f} s")
    yield Result("grid of 60 fits with memory", median(ratios), 1.1, False, notes[-1])


ROWS = {"training": training, "pruning": pruning, "grid": grid}
