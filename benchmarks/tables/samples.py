"""Data sets of the comparison: at most 50,000 samples, 70 / 30, raw columns."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.shared.data_sets import INSIDE, load

#: Samples of a set beyond so many are left out.
MOST = 50_000
#: Sets below so many samples get ten seeds, the others three.
FEW, SEEDS, SEEDS_OF_FEW = 1000, 3, 10


@dataclass(frozen=True)
class Split:
    """Training and test samples of a set, for one seed."""

    task: str
    train: tuple[Any, np.ndarray]
    test: tuple[Any, np.ndarray]

    @property
    def classify(self) -> bool:
        return self.task == "classification"


def names_of(folder: Path | None) -> list[tuple[str, int]]:
    """Data sets and their numbers of samples, small ones first."""
    if folder is None:
        return [("diabetes", 442), ("breast cancer", 569), ("digits", 1797)]
    files = [f for task in INSIDE_TASKS for f in (folder / task).glob("*.csv.gz")]
    found = [(f.name.removesuffix(".csv.gz"), _count(f)) for f in files]
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def _count(file: Path) -> int:
    """Lines of a file below its header."""
    with gzip.open(file) as lines:
        return sum(1 for _ in lines) - 1


INSIDE_TASKS = sorted({task for task, _ in INSIDE.values()})


def split(name: str, folder: Path | None, seed: int, most: int = MOST) -> Split:
    """30 % for testing, stratified by class.

    Parameters
    ----------
    name : str
    folder : Path or None
        None: data inside scikit-learn.
    seed : int
        Of the split, and of the samples that are left out.
    most : int
        Samples in all.
    """
    data = load(name, folder)
    classify = data.task == "classification"
    X, y = data.X, data.y
    if len(y) > most:
        chosen, _ = train_test_split(
            np.arange(len(y)), train_size=most, random_state=seed, stratify=y if classify else None
        )
        X, y = take(X, chosen), y[chosen]
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y if classify else None
    )
    return Split(data.task, (take(X, train), y[train]), (take(X, test), y[test]))


def take(X: Any, index: np.ndarray) -> Any:
    """Samples of an array or a frame, in this order."""
    return X.iloc[index].reset_index(drop=True) if hasattr(X, "iloc") else X[index]


def seeds(size: int) -> range:
    """Seeds of a set with so many samples."""
    return range(SEEDS_OF_FEW if size < FEW else SEEDS)
