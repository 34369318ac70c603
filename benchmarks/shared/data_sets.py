"""Data sets for benchmarks: those inside scikit-learn, or a folder of gzip CSV files.

A folder holds ``classification/NAME.csv.gz`` and ``regression/NAME.csv.gz``, the column
``target`` last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

INSIDE = {
    "digits": ("classification", load_digits),
    "breast cancer": ("classification", load_breast_cancer),
    "diabetes": ("regression", load_diabetes),
}


@dataclass(frozen=True)
class DataSet:
    """A table with its target; ``X`` is an array or a frame with string columns."""

    name: str
    task: str
    X: Any
    y: np.ndarray

    def split(self, seed: int) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """A quarter for testing, stratified by class."""
        stratify = self.y if self.task == "classification" else None
        return train_test_split(
            self.X, self.y, test_size=0.25, random_state=seed, stratify=stratify
        )

    def preprocessing(self) -> Any:
        """Scaling, and one-hot coding of string columns."""
        if isinstance(self.X, np.ndarray):
            return StandardScaler()
        return make_column_transformer(
            (StandardScaler(), make_column_selector(dtype_include="number")),
            (
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_exclude="number"),
            ),
        )


def load(name: str, folder: Path | None = None) -> DataSet:
    """A data set by name, from scikit-learn or from the folder."""
    if name in INSIDE:
        task, loader = INSIDE[name]
        return DataSet(name, task, *loader(return_X_y=True))
    if folder is None:
        raise SystemExit(f"{name!r} is not inside scikit-learn: name its folder with --data.")
    import pandas as pd

    for task in ("classification", "regression"):
        file = folder / task / f"{name}.csv.gz"
        if file.exists():
            frame = pd.read_csv(file)
            y = frame.pop("target").to_numpy()
            kind = str if task == "classification" else float
            return DataSet(name, task, frame, y.astype(kind))
    raise SystemExit(f"No {name}.csv.gz under {folder}.")
