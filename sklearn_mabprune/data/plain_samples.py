"""Samples that need no validation by scikit-learn, which takes most of the time of one sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..utils.compat import check_feature_names
from .sparse import is_consistent

# Up to so many values all are looked at; of more a sum is faster.
_FEW = 2**12
# Sparse samples of so many values, zeros included, are faster dense.
_FEW_DENSE = 2**16
_NUMBERS = (float, int, bool)


def plain_samples(estimator: Any, X: Any) -> NDArray[Any] | None:
    """Samples as an array, where all that ``validate_data`` would do is to convert them to one.

    The rest goes through ``validate_data``, which says what is wrong with it.

    Parameters
    ----------
    estimator : estimator
        Fitted; its ``n_features_in_`` and ``feature_names_in_`` are compared with those of X.
    X : object
        What was passed to a prediction.  Arrays and lists of numbers, frames of pandas and
        polars, and small sparse matrices are read here.

    Returns
    -------
    ndarray of shape (n_samples, n_features) or None
        Finite, of dtype float32 or float64; None where scikit-learn has to decide.

    Raises
    ------
    ValueError
        If the names of the features are not those seen in fit, as in ``validate_data``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mabprune.data.plain_samples import plain_samples
    >>> scaler = StandardScaler().fit(np.eye(2))
    >>> plain_samples(scaler, [[1, 2]])
    array([[1., 2.]])
    >>> plain_samples(scaler, np.array([[1.0, np.nan]])) is None
    True
    """
    shape = vars(estimator).get("input_shape_")
    if shape is not None and (isinstance(shape, dict) or len(shape) != 1):
        return _plain_images(X, shape)
    array = _as_array(X, estimator.n_features_in_)
    if array is None or array.ndim != 2 or array.shape[1] != estimator.n_features_in_:
        return None
    if array.dtype.char not in "fd" or not array.dtype.isnative:
        # A module of the user's own may read integers as what they are.
        kinds = "biuf" if shape is None else "f"
        if array.dtype.kind not in kinds or array.dtype.itemsize > 8:
            return None
        array = array.astype(np.float64)
    if not (len(array) and _is_finite(array)):
        return None
    names, columns = vars(estimator).get("feature_names_in_"), getattr(X, "columns", None)
    if (names is not None or columns is not None) and not _are_equal(columns, names):
        check_feature_names(estimator, X, reset=False)
    return array


def _plain_images(X: Any, shape: Any) -> NDArray[Any] | None:
    """Samples of more than one axis, where they are a finite array of the shape of those of fit."""
    if type(X) is not np.ndarray or isinstance(shape, dict) or X.shape[1:] != shape:
        return None
    plain = X.dtype.char in "fd" and X.dtype.isnative and len(X) and _is_finite(X)
    return X if plain else None


def _as_array(X: Any, n_features: int) -> NDArray[Any] | None:
    """The values of X, which may be of any dtype; None where it is of another container."""
    kind = type(X)
    if kind is np.ndarray or kind is np.memmap:
        return _of_objects(X) if X.dtype.kind == "O" else X
    if kind is list:
        return _of_list(X)
    if kind.__name__ == "DataFrame":
        package = kind.__module__.partition(".")[0]
        if package == "pandas":
            # Of columns with dtypes of pandas' own, scikit-learn warns if they are sparse.
            return X.to_numpy() if all(isinstance(d, np.dtype) for d in X.dtypes) else None
        if package == "polars":
            return X.to_numpy() if all(dtype.is_numeric() for dtype in X.dtypes) else None
        return None
    few = issparse(X) and X.shape[-1] == n_features and X.shape[0] * n_features <= _FEW_DENSE
    if few and is_consistent(X):
        return X.toarray()
    return None


def _of_list(X: list[Any]) -> NDArray[Any] | None:
    """An array of a list of lists of numbers; None for other lists."""
    if not X or type(X[0]) not in (list, tuple) or not all(type(v) in _NUMBERS for v in X[0]):
        return None
    try:
        return np.array(X)
    except (ValueError, OverflowError):
        return None


def _of_objects(X: NDArray[Any]) -> NDArray[Any] | None:
    """An array of few objects that are Python's numbers; None for others."""
    if X.size > _FEW or not all(type(value) in _NUMBERS for value in X.ravel().tolist()):
        return None
    try:
        return X.astype(np.float64)
    except OverflowError:
        return None


def _is_finite(array: NDArray[Any]) -> bool:
    """Whether all values are finite; False as well where a sum of many overflows."""
    if array.size <= _FEW:
        return bool(np.isfinite(array).all())
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()))


def _are_equal(columns: Any, names: NDArray[Any] | None) -> bool:
    """Whether the columns of a frame have these names, in this order."""
    return columns is not None and names is not None and list(columns) == names.tolist()
