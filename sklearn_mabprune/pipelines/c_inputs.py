"""Samples as inputs of the C form of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..utils.columns import as_objects, has_numeric_dtype, is_missing
from .kinds import read_categories, read_numbers


def numbers_of(
    X: Any,
    names: list[Any],
    codes: Mapping[int, Mapping[str, int]],
    read: Set[int],
    kinds: Mapping[Any, Any],
) -> NDArray[Any]:
    """Samples as C functions read them: numbers, and codes of categories.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
    names : list
        Names of the columns, or their indices, in the order of the C function.
    codes : dict of int to dict of str to int
        By column of categories: code of each string.
    read : set of int
        Columns that are read; the others become 0.
    kinds : dict
        By name: what `make_tabular_pipeline` knows of a column; empty for other pipelines.

    Returns
    -------
    ndarray of float32, shape (n_samples, n_columns)
    """
    X = X.toarray() if issparse(X) else X
    X = X if hasattr(X, "columns") else np.asarray(X)
    found = np.zeros((len(X), len(names)), dtype=np.float32)
    for k in sorted(read):
        name = names[k]
        column = X[name] if hasattr(X, "columns") else X[:, k]
        known, kind = codes.get(k), kinds.get(name)
        if kind is not None and kind.is_number:
            found[:, k] = np.asarray(read_numbers(name, column, kind.style))
        elif known is not None:
            cells = read_categories(name, column)[0] if kind is not None else as_objects(column)
            found[:, k] = [np.nan if is_missing(c) else known.get(c, -1) for c in cells.tolist()]
        else:
            found[:, k] = [np.nan if is_missing(c) else float(c) for c in as_objects(column)]
    return found


def rounded(X: Any) -> Any:
    """The samples with floats that float32 has too, as the C function sees them."""
    if issparse(X):
        X = X.toarray()
    if not hasattr(X, "assign"):
        is_float = getattr(getattr(X, "dtype", None), "kind", "") == "f"
        return X.astype(np.float32).astype(X.dtype) if is_float else X
    floats = {
        name: X[name].astype(np.float32).astype(X[name].dtype)
        for name in X.columns
        if has_numeric_dtype(X[name]) and X[name].dtype.kind == "f"
    }
    X = X.copy()
    for name, column in floats.items():
        X[name] = column
    return X
