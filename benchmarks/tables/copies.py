"""Scores on test samples whose features are those of a training sample, and on the others.

    python -m benchmarks.tables.copies --data FOLDER --sets wine_quality letter

Trees learn samples by heart, and a test sample that was seen in training is predicted from that.
The validation split of our fits keeps copies on one side, so that a network which learns them gains
nothing there.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, r2_score
from threadpoolctl import threadpool_limits

from benchmarks.tables.models import MODELS
from benchmarks.tables.samples import Split, split

_MODELS = ("ours", "hist gradient boosting", "catboost")


def seen(data: Split) -> np.ndarray:
    """Whether the features of each test sample are also those of a training sample."""
    known, asked = (pd.DataFrame(X) for X, _ in (data.train, data.test))
    both = pd.concat([known, asked], ignore_index=True)
    groups = both.groupby(list(both.columns), dropna=False, sort=False).ngroup().to_numpy()
    return np.isin(groups[len(known) :], groups[: len(known)])


def scores(data: Split, found: np.ndarray, known: np.ndarray) -> list[float]:
    """Score x 100 on all test samples, on those that are known, and on the others."""
    score = accuracy_score if data.classify else r2_score
    wanted = data.test[1]
    return [100 * score(wanted[part], found[part]) for part in (np.ones_like(known), known, ~known)]


def main() -> None:
    """Print a line a set and model: means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", default=["digits"])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(_MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(f"{'set':20s} {'known':>6s}  {'model':24s} {'all':>6s} {'known':>6s} {'others':>6s}")
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in args.sets:
            splits = [split(name, args.data, seed) for seed in range(args.seeds)]
            known = [seen(data) for data in splits]
            share = 100 * np.mean(np.concatenate(known))
            for model in args.models:
                rows = []
                for seed, data in enumerate(splits):
                    fitted = MODELS[model].make(data, seed).fit(*data.train)
                    rows.append(scores(data, np.ravel(fitted.predict(data.test[0])), known[seed]))
                shown = " ".join(f"{value:6.1f}" for value in np.mean(rows, axis=0))
                print(f"{name:20s} {share:5.1f}%  {model:24s} {shown}", flush=True)


if __name__ == "__main__":
    main()
