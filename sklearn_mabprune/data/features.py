"""Validation of X: arrays, data frames and sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import validate_data

from ..utils.compat import num_samples
from .sparse import as_csr

_DTYPES = [np.float64, np.float32]


def read_table(estimator: Any, X: Any, *y: Any, **options: Any) -> Any:
    """Validate X, and y if given, with scikit-learn's ``validate_data``.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set, or with ``reset=False``
        compared with those of X.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        Features; float32 is kept, other dtypes are converted to float64.
    *y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets, if they are to be validated too.
    **options
        Passed to ``validate_data``.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        A CSR matrix has sorted column indices without duplicates.
    y : ndarray
        Only if targets are given.

    Raises
    ------
    ValueError
        If X is not numeric (the message names the columns), if y of a regressor is not, or if
        ``validate_data`` refuses them.
    TypeError
        If X is a LazyFrame.
    """
    if type(X).__name__ == "LazyFrame":
        raise TypeError("X is a LazyFrame, which contains no samples yet. Pass X.collect().")
    if options.get("y_numeric") and _has_strings(y[0]):
        raise ValueError(
            "y contains strings, but a regressor needs numeric targets. Use a classifier for "
            "classes."
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
    """Validate the features of validation samples like :func:`read_table`.

    Raises
    ------
    ValueError, TypeError
        As :func:`read_table`, with "X_val" in the message, and if X_val and y_val have
        different numbers of samples.
    """
    try:
        read = read_table(estimator, X_val, reset=False)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X_val cannot be used: {error}") from error
    if read.shape[0] != num_samples(y_val):
        raise ValueError(
            f"X_val has {read.shape[0]:,} samples, but y_val has {num_samples(y_val):,}. Pass one "
            "target per sample."
        )
    return read


def stacked(X: Any, below: Any) -> Any:
    """Concatenate two sets of samples, in the format (dense or CSR) and dtype of the first."""
    if sparse.issparse(X):
        return sparse.vstack([X, as_csr(below).astype(X.dtype)], format="csr")
    below = below.toarray() if sparse.issparse(below) else below
    return np.concatenate([X, below.astype(X.dtype)])


def _not_numbers(X: Any) -> str:
    """The message for X that could not be converted to numbers, with the columns at fault."""
    names = [f"{name!r}" for name in getattr(X, "columns", ()) if not _is_numeric(X[name])]
    which = f" in column{'s' * (len(names) > 1)} {', '.join(names[:5])}" if names else ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"X contains strings or categories{which}{more}, but a network needs numbers. Encode them, "
        "or use make_tabular_pipeline(estimator), which accepts columns of mixed types."
    )


def _has_strings(y: Any) -> bool:
    """Whether targets contain strings that are not numbers.

    Other invalid targets are left to ``validate_data``, whose messages describe them.
    """
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
    """Whether all columns of a DataFrame are float32 that scikit-learn would convert to float64."""
    dtypes = X.dtypes if hasattr(X, "columns") and hasattr(X, "dtypes") else ()
    # Of polars, or pandas' nullable ones; scikit-learn recognizes NumPy's float32 itself.
    return {str(dtype) for dtype in dtypes} == {"Float32"}


def _is_numeric(column: Any) -> bool:
    """Whether a column can be converted to float64."""
    try:
        np.asarray(column).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True
