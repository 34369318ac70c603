"""Features as they come, arrays, frames and sparse matrices, checked and made ready."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from ..utils.compat import num_samples
from .sparse import as_csr

_DTYPES = [np.float64, np.float32]


def read_table(estimator: Any, X: Any, *y: Any, **options: Any) -> Any:
    """What ``validate_data`` gives, with sparse matrices in one form.

    Parameters
    ----------
    estimator : estimator
        Told the features, or asked about them with ``reset=False``.
    X : array-like, frame or sparse matrix of shape (n_samples, n_features)
        float32 stays what it is, other numbers become float64.
    *y : array-like
        Targets, if they are to be checked as well.
    **options
        Of ``validate_data``.

    Returns
    -------
    ndarray or CSR matrix, or a pair of it and the targets

    Raises
    ------
    ValueError
        If X does not hold numbers, or y where it must; the message names the columns.
    TypeError
        If X is a LazyFrame.
    """
    if type(X).__name__ == "LazyFrame":
        raise TypeError("X is a LazyFrame, which has no rows yet: pass X.collect().")
    if options.get("y_numeric") and _is_text(y[0]):
        raise ValueError(
            "y holds text, and the values that a regressor learns are numbers. For classes use a "
            "classifier."
        )
    dtype = [np.float32] if _is_float32(X) else _DTYPES
    try:
        read = validate_data(estimator, X, *y, dtype=dtype, accept_sparse="csr", **options)
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(_not_numbers(X)) from error
    if not y:
        return as_csr(read) if sparse.issparse(read) else read
    return (as_csr(read[0]), read[1]) if sparse.issparse(read[0]) else read


def read_validation(estimator: Any, X_val: Any, y_val: Any) -> Any:
    """Features of validation rows as :func:`read_table` reads them; errors say whose they are."""
    try:
        read = read_table(estimator, X_val, reset=False)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X_val cannot be used: {error}") from error
    if read.shape[0] != num_samples(y_val):
        raise ValueError(f"X_val has {read.shape[0]:,} rows, y_val has {num_samples(y_val):,}.")
    return read


def stacked(X: Any, below: Any) -> Any:
    """Rows and more rows below them, in the form and precision of the first."""
    if sparse.issparse(X):
        return sparse.vstack([X, as_csr(below).astype(X.dtype)], format="csr")
    below = below.toarray() if sparse.issparse(below) else below
    return np.concatenate([X, below.astype(X.dtype)])


def _not_numbers(X: Any) -> str:
    """What is wrong with a table that could not be read as numbers."""
    found = [f"{name!r}" for name in getattr(X, "columns", ()) if not _is_numeric(X[name])]
    which = f" in column{'s' * (len(found) > 1)} {', '.join(found[:5])}" if found else ""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return (
        f"X holds text or categories{which}{more}; a network needs numbers. Encode them, or let "
        "make_tabular_pipeline(estimator) do it: it takes frames with columns of any kind."
    )


def _is_text(y: Any) -> bool:
    """Whether targets are text that is no number; other faults scikit-learn knows how to tell."""
    try:
        y = np.asarray(y)
        if y.dtype.kind in "USO":
            y.astype(np.float64)
    except TypeError:
        return False
    except ValueError as error:
        return "could not convert string" in str(error)
    return False


def _is_float32(X: Any) -> bool:
    """Whether all columns of a frame are of a float32 that scikit-learn takes for float64."""
    kinds = X.dtypes if hasattr(X, "columns") and hasattr(X, "dtypes") else ()
    # polars and pandas' nullable columns; the plain ones of pandas are seen by scikit-learn.
    return {str(kind) for kind in kinds} == {"Float32"}


def _is_numeric(column: Any) -> bool:
    try:
        np.asarray(column).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True
