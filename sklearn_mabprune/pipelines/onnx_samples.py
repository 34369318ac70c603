"""Samples on which a pipeline is compared with its ONNX form: those given, and others drawn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils import shuffle

from ..utils.columns import has_numeric_dtype
from ..utils.compat import num_samples, safe_indexing
from .table_columns import TableColumns

#: Samples that are compared; those given are taken from the whole of X.
_MAX_GIVEN, _N_DRAWN = 256, 64


def some_samples(X: Any, most: int = _MAX_GIVEN) -> Any:
    """At most so many samples of X, drawn."""
    return X if num_samples(X) <= most else shuffle(X, random_state=0, n_samples=most)


def drawn_samples(X: Any, table: TableColumns | None) -> Iterator[Any]:
    """Samples in the format of X that differ from those of X.

    First each column is permuted on its own.  Then numbers are moved about, and in a table the
    categories are drawn from those of ``fit``, an unknown one among them: not all pipelines accept
    these.

    Parameters
    ----------
    X : array, DataFrame or sparse matrix of shape (n_samples, n_features)
    table : TableColumns or None
        The fitted step of a tabular pipeline that reads the columns of X, if there is one.

    Yields
    ------
    array, DataFrame or sparse matrix of shape (64, n_features)
    """
    rng = np.random.default_rng(0)
    if not hasattr(X, "columns"):
        cells = X.toarray() if issparse(X) else np.asarray(X)
        if cells.ndim != 2 or not has_numeric_dtype(cells):
            return
        for change in (lambda column, rng: column, _moved):
            columns = [_permuted(cells[:, k], rng) for k in range(cells.shape[1])]
            found = np.stack([change(column, rng) for column in columns], axis=1)
            yield type(X)(found) if issparse(X) else found
        return
    permuted = {name: _permuted(X[name], rng) for name in X.columns}
    yield type(X)(permuted)
    moved = {name: _moved(column, rng) for name, column in permuted.items()}
    yield type(X)({**moved, **(_of_fit(table, rng, moved) if table else {})})


def predicts(pipeline: Any, X: Any) -> bool:
    """Whether a pipeline accepts samples: steps may refuse values that they do not know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline.predict(X)
    except (ValueError, TypeError):
        return False
    return True


def _permuted(column: Any, rng: np.random.Generator) -> Any:
    """64 cells of a column."""
    found = safe_indexing(column, rng.integers(num_samples(column), size=_N_DRAWN))
    return found.reset_index(drop=True) if hasattr(found, "reset_index") else found


def _moved(column: Any, rng: np.random.Generator) -> Any:
    """A column of floats with noise of its own standard deviation; any other as it is.

    Integers may be codes.
    """
    values = np.asarray(column)
    if not has_numeric_dtype(column) or values.dtype.kind != "f":
        return column
    values = np.asarray(column)
    known = values[np.isfinite(values)]
    scale = known.std() if known.size and known.std() > 0 else np.abs(known).max(initial=1.0)
    return (values + scale * rng.normal(size=len(values))).astype(values.dtype)


def _of_fit(table: TableColumns, rng: np.random.Generator, columns: Any) -> dict[Any, Any]:
    """Cells as ``fit`` has seen them, in columns of floats and of strings of a DataFrame."""
    found: dict[Any, Any] = {}
    for selected, names in _names_by_step(table).items():
        step = table.named_transformers_[selected]
        if selected == "categories":
            for name, known in zip(names, step.categories_, strict=True):
                values = np.array([*known, "a value that is not known"], dtype=object)
                found[name] = rng.choice(values, _N_DRAWN)
        elif isinstance(step[-1], StandardScaler):
            for name, mean, scale in zip(names, step[-1].mean_, step[-1].scale_, strict=False):
                cells = mean + scale * rng.normal(size=_N_DRAWN)
                found[name] = np.where(rng.random(_N_DRAWN) < 0.1, np.nan, cells)
    # In the type of the column, which decides that of the input of the model.
    dtypes = {name: np.asarray(column).dtype for name, column in columns.items()}
    return {
        name: cells if cells.dtype == object else cells.astype(dtypes[name])
        for name, cells in found.items()
        if name in columns and (cells.dtype == object or dtypes[name].kind == "f")
    }


def _names_by_step(table: TableColumns) -> dict[str, list[Any]]:
    """Names of the columns of numbers and of categories, in the order of the steps."""
    names: dict[str, list[Any]] = {"numbers": [], "categories": []}
    for name, kind in table.kinds_.items():
        if not kind.identifier:
            names["numbers" if kind.is_number else "categories"].append(name)
    return {step: found for step, found in names.items() if found}
