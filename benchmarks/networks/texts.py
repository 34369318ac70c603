"""Units of recurrent networks for texts removed without fine-tuning, by several methods.

Each network is trained once for each seed; every method prunes the same trained network, which is
scored on unseen texts.  Rows are appended to a CSV file as they are measured, and what is there is
not measured again::

    python -m benchmarks.networks.texts --data FOLDER
    python -m benchmarks.networks.texts --data FOLDER --quick   # one seed of 1,500 messages
    python -m benchmarks.networks.texts --table                 # of what was measured so far

FOLDER holds ``sms_spam.csv.gz`` and ``movie_review_polarity.csv.gz``, with columns text and target.
"""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_mabprune import MABPrunedClassifier

from ..shared.intervals import interval
from ..shared.results import Results
from .options import parser_of, trained_aloud
from .text_modules import BothDirections, LastState, TwoLevels

#: How to make a module for so many words; texts; words of a text; epochs.
NETS: dict[str, tuple[Any, str, int, int]] = {
    "sms_lstm": (partial(LastState, nn.LSTM), "sms_spam", 40, 6),
    "sms_gru": (partial(LastState, nn.GRU), "sms_spam", 40, 6),
    "sms_bilstm": (BothDirections, "sms_spam", 40, 6),
    "reviews_bilstm": (BothDirections, "movie_review_polarity", 200, 12),
    "reviews_two_levels": (TwoLevels, "movie_review_polarity", 200, 12),
}
QUICK = ("sms_lstm", "sms_gru", "sms_bilstm")

#: Parameters of the estimator.
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "zero": {"ablation": "zero"},
    "magnitude": {"policy": "magnitude"},
    "random, zero": {"policy": "random", "ablation": "zero"},
}
BUDGETS = (0.25, 0.5, 0.75)
KEYS = ("net", "seed", "method", "budget")

#: Words that networks know: the most frequent ones of the training texts, and one for all others.
N_WORDS = 3000


def read(name: str, folder: Path) -> tuple[list[list[str]], np.ndarray]:
    """Words of texts, and their classes."""
    table = pd.read_csv(folder / f"{name}.csv.gz")
    texts = [re.findall(r"[a-z']+|[0-9]+|[!?£$]", text.lower()) for text in table["text"]]
    return texts, np.unique(table["target"], return_inverse=True)[1].astype(np.int64)


def numbered(texts: list[list[str]], words: dict[str, int], length: int) -> np.ndarray:
    """Numbers of words, (n_texts, length): the first words of a text, then zeros."""
    X = np.zeros((len(texts), length), dtype=np.int64)
    for row, text in zip(X, texts, strict=True):
        row[: len(text)] = [words.get(word, 1) for word in text[:length]]
    return X


def split(name: str, folder: Path, length: int, seed: int) -> tuple[np.ndarray, ...]:
    """X and y of training, validation and test texts."""
    texts, y = read(name, folder)
    places = np.arange(len(y))
    rest, test = train_test_split(places, test_size=0.25, random_state=0, stratify=y)
    train, val = train_test_split(rest, test_size=0.1, random_state=seed, stratify=y[rest])
    counts = Counter(word for place in train for word in texts[place])
    words = {word: k + 2 for k, (word, _) in enumerate(counts.most_common(N_WORDS - 2))}
    parts = [numbered([texts[k] for k in part], words, length) for part in (train, val, test)]
    return tuple(
        array for X, p in zip(parts, (train, val, test), strict=True) for array in (X, y[p])
    )


def trained(name: str, X: np.ndarray, y: np.ndarray, seed: int) -> Any:
    """A network trained with Adam, by seed."""
    torch.manual_seed(seed)
    return NeuralNetClassifier(
        NETS[name][0],
        module__n_words=N_WORDS,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        batch_size=32,
        max_epochs=NETS[name][3],
        train_split=None,
        verbose=0,
    ).fit(X, y)


def measured(
    net: Any, method: str, data: tuple[np.ndarray, ...], seed: int, budgets: list[float]
) -> Any:
    """Scores of one method at all budgets."""
    X, y, X_val, y_val, X_test, y_test = data
    unpruned = float(np.mean(net.predict(X_test) == y_test))
    model = MABPrunedClassifier(
        FrozenEstimator(net),
        pruning_budget=budgets[-1],
        fine_tune_epochs=0,
        tolerance=1.0,
        random_state=seed,
        **METHODS[method],
    )
    started = time.perf_counter()
    model.fit(X, y, X_val=X_val, y_val=y_val)
    seconds = time.perf_counter() - started
    for budget in budgets:
        if budget != budgets[-1]:
            smaller = model.at_budget(budget, X, y, X_val=X_val, y_val=y_val)
        else:
            smaller = model
        report = smaller.pruning_report_
        yield {
            "method": method,
            "budget": budget,
            "unpruned": unpruned,
            "accuracy": float(smaller.score(X_test, y_test)),
            "parameters": report.after.n_parameters / report.before.n_parameters,
            "sizes": "-".join(map(str, smaller.hidden_layer_sizes_)),
            "seconds": seconds,
        }


def table(results: Results) -> str:
    """Accuracies, and paired differences to the unpruned network, in points."""
    lines = [
        "| network | units left out | method | seeds | accuracy | points from unpruned | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for (net, budget, method), rows in results.groups("net", "budget", "method"):
        accuracy = [float(row["accuracy"]) for row in rows]
        points = [100 * (a - float(row["unpruned"])) for a, row in zip(accuracy, rows, strict=True)]
        seconds = np.mean([float(row["seconds"]) for row in rows])
        lines.append(
            f"| {net} | {float(budget):.0%} | {method} | {len(rows)} | {interval(accuracy, 3)} "
            f"| {interval(points, 1)} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = parser_of(__doc__, NETS, METHODS, list(NETS), "texts.csv")
    parser.add_argument("--budgets", nargs="+", type=float, default=list(BUDGETS))
    parser.add_argument("--samples", type=int, help="training texts; all when not given")
    parser.add_argument("--quick", action="store_true", help="one seed of 1,500 short messages")
    options = parser.parse_args()
    if options.quick:
        options.nets, options.seeds, options.samples = list(QUICK), 1, 1500
    results = Results(options.results, KEYS)
    warnings.simplefilter("ignore")
    for name in [] if options.table else options.nets:
        _, texts, length, _ = NETS[name]
        for seed in range(options.seeds):
            missing = [
                method
                for method in options.methods
                if (name, seed, method, options.budgets[-1]) not in results
            ]
            if not missing:
                continue
            X, y, *others = split(texts, options.data, length, seed)
            data = (X[: options.samples], y[: options.samples], *others)
            net = trained_aloud(name, seed, partial(trained, name, data[0], data[1], seed))
            for method in missing:
                rows = measured(net, method, data, seed, options.budgets)
                results.add({"net": name, "seed": seed, **row} for row in rows)
    print(table(results))


if __name__ == "__main__":
    main()
