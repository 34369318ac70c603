"""Seconds of a whole fit on 30,000 samples of 20 features, stage by stage, beside RealMLP-TD-S.

    python -m benchmarks.tables.speed --check

All models in one process of two threads, each fitted once after a small warm-up: minutes, for which
the machine should have nothing else to do.  Without pytabkit RealMLP is left out.  The goals, for
the default and with a teacher, whose own seconds stand apart: at most 60 seconds, and at most a
third of RealMLP's.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from sklearn.datasets import make_classification, make_friedman1

from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor

N_THREADS, N_TEST = 2, 10_000
SECONDS, RATIO = 60.0, 1 / 3


@dataclass(frozen=True)
class Timed:
    """One fit."""

    seconds: float
    stages: dict[str, float]
    score: float

    @property
    def own(self) -> float:
        """Seconds without those of the teacher."""
        return self.seconds - self.stages.get("teacher", 0.0)


def samples(task: str, n_samples: int, n_features: int) -> tuple[Any, Any]:
    """Samples of a task, with noise, of which half of the features matter."""
    if task == "classification":
        X, y = make_classification(
            n_samples, n_features, n_informative=n_features // 2, n_redundant=0,
            n_clusters_per_class=4, flip_y=0.05, random_state=0,
        )  # fmt: skip
    else:
        X, y = make_friedman1(n_samples, n_features, noise=1.0, random_state=0)
    return X.astype(np.float32), y


def models(task: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and maker of unfitted estimators."""
    ours = MABPrunedClassifier if task == "classification" else MABPrunedRegressor
    yield "ours", lambda: ours(pruning_budget=0.75, random_state=0)
    yield "ours, teacher", lambda: ours(pruning_budget=0.75, teacher="auto", random_state=0)
    if find_spec("pytabkit"):
        import pytabkit

        kind = "Classifier" if task == "classification" else "Regressor"
        peer = getattr(pytabkit, f"RealMLP_TD_S_{kind}")
        yield "RealMLP-TD-S", lambda: peer(random_state=0, device="cpu", n_threads=N_THREADS)


def timed(model: Any, X: Any, y: Any, n_test: int) -> Timed:
    """Fit a model to all but the last samples."""
    started = time.perf_counter()
    model.fit(X[:-n_test], y[:-n_test])
    seconds = time.perf_counter() - started
    report, stages = getattr(model, "pruning_report_", None), {}
    if report is not None:
        stages = {
            "training": report.seconds_training,
            "pruning": report.seconds_pruning,
            "fine-tuning": report.seconds_fine_tuning,
        }
        if report.inputs is not None:
            stages["inputs"] = report.inputs.seconds
        if report.teacher is not None:
            stages["teacher"] = report.teacher.seconds_teacher
            stages["comparison"] = report.teacher.seconds_comparison
    return Timed(seconds, stages, model.score(X[-n_test:], y[-n_test:]))


def lines(task: str, found: dict[str, Timed]) -> Iterator[tuple[str, bool]]:
    """A sentence for each model, and whether its goals are missed."""
    peer = found.get("RealMLP-TD-S")
    for name, fit in found.items():
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in fit.stages.items())
        line = f"{task}, {name}: {fit.seconds:.1f} s, score {fit.score:.4f}"
        line += f" ({stages})" if stages else ""
        if name.startswith("ours"):
            missed = fit.own > SECONDS
            line += f"; without the teacher {fit.own:.1f} s (goal {SECONDS:.0f})"
            if peer is not None:
                ratio = fit.own / peer.seconds
                missed |= ratio > RATIO
                line += f", {ratio:.2f} of RealMLP-TD-S (goal {RATIO:.2f})"
            yield line, missed
        else:
            yield line, False


def main() -> None:
    """Measure and print; with --check the exit status is 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--n-samples", type=int, default=30_000)
    parser.add_argument("--n-features", type=int, default=20)
    parser.add_argument("--check", action="store_true", help="exit status 1 if a goal is missed")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(N_THREADS)
    missed = False
    for task in ("classification", "regression"):
        X, y = samples(task, args.n_samples + N_TEST, args.n_features)
        found = {}
        for name, make in models(task):
            timed(make(), X[:600], y[:600], 200)
            found[name] = timed(make(), X, y, N_TEST)
        for line, missing in lines(task, found):
            missed |= missing
            print(line, flush=True)
    sys.exit(int(args.check and missed))


if __name__ == "__main__":
    main()
