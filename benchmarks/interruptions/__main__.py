"""Ctrl-C before every line that small fits run, once and twice in a row.

    python -m benchmarks.interruptions                # ten minutes of one core
    python -m benchmarks.interruptions --each 10      # every tenth line
    python -m benchmarks.interruptions --presses 2    # two in a row only

Each line is struck at its first and its last run, in the first of the fits that runs it; "twice"
sends a second Ctrl-C before the next line.  After one Ctrl-C a trained network is kept and
reported, or nothing is fitted; after two the fit ends.  Fitted attributes are all there or none,
and handlers, random states and gradient modes as before.
"""

from __future__ import annotations

import argparse
import io
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.datasets import make_classification
from skorch import NeuralNetClassifier
from torch import nn

from benchmarks.interruptions.strikes import Strike, struck
from benchmarks.shared.results import RESULTS, Results
from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier, PruningWarning

X, y = make_classification(60, 6, n_informative=5, n_redundant=0, n_classes=3, random_state=0)


def _model(net: Any, **params: Any) -> MABPrunedClassifier:
    options = {"step": 0.3, "tolerance": 10.0, "fine_tune_epochs": 2, "random_state": 0}
    return MABPrunedClassifier(net, **{**options, **params})


def _mlp(**params: Any) -> MLPNetClassifier:
    return MLPNetClassifier(module__hidden_layer_sizes=(12, 8), max_epochs=2, lr=0.01, **params)


class _Module(nn.Sequential):
    """A module of a user's own, with random numbers."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 10), nn.Tanh(), nn.Dropout(0.1), nn.Linear(10, 3))


def _fit(model: Any) -> Any:
    return model.fit(X, y)


def cases(folder: str) -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], Any]]]:
    """Names, makers of estimators, and how they are fitted."""
    yield "built-in net", lambda: _model(_mlp(module__dropout=0.1), verbose=2), _fit
    own = {"criterion": nn.CrossEntropyLoss, "max_epochs": 2, "verbose": 0}
    yield "net of one's own", lambda: _model(NeuralNetClassifier(_Module, **own)), _fit
    yield "auto budget", lambda: _model(_mlp(), pruning_budget="auto"), _fit
    yield "cached training", lambda: _model(_mlp(), memory=folder, verbose=1), _fit
    whole = _fit(_model(_mlp()))
    yield "at_budget", lambda: _model(_mlp()), lambda _: whole.at_budget(0.7, X, y)


def lines_of(whole: Strike, known: set[str]) -> list[int]:
    """Numbers of the first and the last run of every line that is not known yet."""
    places = [place for place in whole.first if place not in known]
    known.update(places)
    return sorted({each[place] for place in places for each in (whole.first, whole.last)})


def main() -> None:
    """Strike, count, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interruptions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--each", type=int, default=1, help="strike every so-manieth line")
    parser.add_argument("--presses", type=int, nargs="+", choices=(1, 2), default=[1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS / "interruptions.csv")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore", PruningWarning)
    # Lines of fits go nowhere, and the handler that a fit lends itself is lent.
    sys.stderr = io.StringIO()
    args.out.unlink(missing_ok=True)
    results, known = Results(args.out, ("fit", "presses")), set[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name, make, fit in cases(folder):
            fit(make())  # fills caches, which later fits do without
            with Strike() as whole:
                fitted = fit(make())
            lines = lines_of(whole, known)[:: args.each]
            for presses in args.presses:
                strikes = [Strike(number, twice=presses == 2) for number in lines]
                counts = count(name, strikes, partial(struck, make, fit, fitted, X))
                results.add([{"fit": name, "presses": presses, "each": args.each, **counts}])
                print(results.rows[-1], flush=True)


def count(name: str, strikes: list[Strike], struck: Callable[[Strike], str]) -> dict[str, int]:
    """How many lines were struck, after how many of these a network was trained, and faults."""
    found = dict.fromkeys(("struck", "after_training", "faults"), 0)
    for strike in strikes:
        fault = struck(strike)
        found["struck"] += not strike.n_left
        found["after_training"] += not strike.n_left and strike.kept
        found["faults"] += bool(fault)
        if fault:
            print(f"{name}: {fault}: Ctrl-C before {', '.join(strike.where)}", flush=True)
    return found


if __name__ == "__main__":
    main()
