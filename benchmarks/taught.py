"""What teachers, inputs and patience give on tables: whole fits, 75 % of the units removed.

Only training samples are used: 70 % of a data set with seed 0, of two thirds of which at most so
many are fitted on, and at most 4,000 of the rest scored.

    python -m benchmarks.taught --data FOLDER --sets phoneme adult california_housing --seeds 2

A variant is compared with the first one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from benchmarks.first_training import options, print_table, score_and_loss
from benchmarks.shared.data_sets import DataSet, load
from benchmarks.tables.models import MODELS
from benchmarks.tables.samples import Split, take
from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.estimators import peers
from sklearn_mabprune.training.inputs import N_FUNCTIONS
from sklearn_mabprune.training.teacher_targets import ClassTargets

#: Samples that are scored, at most.
_SCORED = 4000


@contextmanager
def _as_they_are() -> Iterator[None]:
    """Class probabilities of teachers are not calibrated."""
    own = ClassTargets.temperature
    ClassTargets.temperature = lambda *args: 1.0  # type: ignore[method-assign]
    try:
        yield
    finally:
        ClassTargets.temperature = own  # type: ignore[method-assign]


@contextmanager
def _patiently() -> Iterator[None]:
    """Networks beside the teacher are trained as patiently as the one that it teaches."""
    with patch.object(peers, "_PATIENCE", 10**9):
        yield


def _ours(split: Split, seed: int, **params: Any) -> Any:
    model = MODELS["ours"].make(split, seed)
    return model.set_params(**{f"{model.steps[-1][0]}__{k}": v for k, v in params.items()})


def _three_functions(split: Split, seed: int, **params: Any) -> Any:
    net = MLPNetClassifier if split.classify else MLPNetRegressor
    return _ours(split, seed, teacher=None, estimator=net(n_functions=N_FUNCTIONS, **params))


def _impatient(split: Split, seed: int) -> Any:
    net = MLPNetClassifier if split.classify else MLPNetRegressor
    return _ours(split, seed, teacher=None, estimator=net(patience=10))


_SMOOTH = {"criterion__label_smoothing": 0.05}
_NARROW = {"module__hidden_layer_sizes": (128, 64)}

#: name: how the model is made, and in which surroundings it is fitted.
VARIANTS: dict[str, tuple[Callable[[Split, int], Any], Any]] = {
    "no teacher, patience 10": (_impatient, nullcontext),
    "no teacher, three functions": (_three_functions, nullcontext),
    "no teacher": (lambda split, seed: _ours(split, seed, teacher=None), nullcontext),
    "teacher": (_ours, nullcontext),
    # A weight that is given needs no networks to compare with, and they do not label.
    "teacher without networks": (
        lambda split, seed: _ours(split, seed, teacher_weight=0.5),
        nullcontext,
    ),
    "teacher as sure as it is": (_ours, _as_they_are),
    "patient networks": (_ours, _patiently),
    "no synthetic samples": (lambda split, seed: _ours(split, seed, n_synthetic=0), nullcontext),
    "narrow": (lambda split, seed: _three_functions(split, seed, **_NARROW), nullcontext),
    "smoothed": (lambda split, seed: _three_functions(split, seed, **_SMOOTH), nullcontext),
    "trees": (MODELS["hist gradient boosting"].make, nullcontext),
}
# Those of classes alone are asked for by name.
_ALL = [name for name in VARIANTS if name not in ("narrow", "smoothed")]


def inner_split(data: DataSet, seed: int, most: int) -> Split:
    """Two parts of the training samples: at most so many to fit on, and those to score."""
    classify = data.task == "classification"

    def apart(index: np.ndarray, size: float, state: int) -> Any:
        classes = data.y[index] if classify else None
        return train_test_split(index, test_size=size, random_state=state, stratify=classes)

    training, _ = apart(np.arange(len(data.y)), 0.3, 0)
    fitted, scored = apart(training, 1 / 3, seed)
    # The split was shuffled: the first samples are as good as any.
    parts = [(take(data.X, part), data.y[part]) for part in (fitted[:most], scored[:_SCORED])]
    return Split(data.task, *parts)


def measured(split: Split, seed: int, variant: str) -> list[float]:
    """Score x 100, loss (log-loss, or 1 - R2), seconds, and epochs of the first training."""
    make, around = VARIANTS[variant]
    (X, y), (X_scored, wanted) = split.train, split.test
    started = time.process_time()
    with around():
        model = make(split, seed).fit(X, y)
    seconds = time.process_time() - started
    epochs = float(getattr(model[-1], "n_iter_", 0)) if hasattr(model, "steps") else 0.0
    if split.classify:
        found, wanted = model.predict_proba(X_scored), np.searchsorted(model.classes_, wanted)
    else:
        found = model.predict(X_scored)
    return [*score_and_loss(found, wanted, split.classify), seconds, epochs]


def main() -> None:
    """Print a line a set, then the means."""
    args = options(__doc__, _ALL)
    found: dict[str, dict[tuple[str, int], list[float]]] = {name: {} for name in args.variants}
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in args.sets:
            data = load(name, args.data)
            for seed in range(args.seeds):
                split = inner_split(data, seed, args.samples)
                for variant in args.variants:
                    found[variant][name, seed] = measured(split, seed, variant)
                scores = [f"{found[each][name, seed][0]:.2f}" for each in args.variants]
                print(f"{name}, split {seed}: {' '.join(scores)}", flush=True)
    print_table(found, args.sets, args.variants)


if __name__ == "__main__":
    main()
