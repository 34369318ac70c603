"""Time of `make_tabular_pipeline`'s preprocessing against a plain ColumnTransformer.

    python -m benchmarks.raw_tables.speed --check

The same steps in the same process, in turns; processor time, so that other programs do not count.
The goals: one sample of a mixed table in at most 1.3 times, 20,000 in at most twice the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mabprune import make_tabular_pipeline

#: Samples: (number, calls in a turn, largest ratio).
SIZES = ((1, 20, 1.3), (20_000, 2, 2.0))


def mixed(n_samples: int) -> pd.DataFrame:
    """Eight columns of numbers, one with missing values, and six of categories."""
    rng = np.random.default_rng(0)
    numbers = {f"n{k}": rng.normal(size=n_samples) for k in range(8)}
    words = [f"v{k}" for k in range(12)]
    table = pd.DataFrame(numbers | {f"c{k}": rng.choice(words, n_samples) for k in range(6)})
    table.loc[rng.random(n_samples) < 0.05, "n0"] = np.nan
    return table


def plain(table: pd.DataFrame) -> ColumnTransformer:
    """The steps of `make_tabular_pipeline`, with columns named by hand."""
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    words = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64)
    names = [[c for c in table if c.startswith(letter)] for letter in "nc"]
    steps = [("numbers", numbers, names[0]), ("categories", words, names[1])]
    return ColumnTransformer(steps, sparse_threshold=0).fit(table)


def seconds(call: Callable[[], object], n_calls: int) -> float:
    """Processor seconds of a call."""
    started = time.process_time()
    for _ in range(n_calls):
        call()
    return (time.process_time() - started) / n_calls


def ratio(ours: Callable[[], object], theirs: Callable[[], object], n_calls: int) -> np.ndarray:
    """Quartiles of the ratios of nine turns, and the median seconds of both."""
    turns = np.array([[seconds(call, n_calls) for call in (ours, theirs)] for _ in range(9)])
    return np.r_[
        np.quantile(turns[:, 0] / turns[:, 1], [0.25, 0.5, 0.75]), np.median(turns, axis=0)
    ]


def main() -> None:
    """Measure and print; with --check the exit status is 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.raw_tables.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="exit status 1 if a goal is missed")
    args = parser.parse_args()
    table = mixed(max(n for n, _, _ in SIZES))
    ours = make_tabular_pipeline(LogisticRegression())[:-1].fit(table)
    theirs = plain(table)
    np.testing.assert_allclose(ours.transform(table), theirs.transform(table))
    missed = False
    for n_samples, n_calls, goal in SIZES:
        some = table[:n_samples]
        low, middle, high, own, other = ratio(
            lambda some=some: ours.transform(some),
            lambda some=some: theirs.transform(some),
            n_calls,
        )
        missed |= bool(middle > goal)
        print(
            f"{n_samples:,} samples: {own * 1e3:.2f} ms, ColumnTransformer {other * 1e3:.2f} ms, "
            f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}; goal {goal})"
        )
    sys.exit(args.check and missed)


if __name__ == "__main__":
    main()
