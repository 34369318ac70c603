"""Preprocessing of data frames with numeric and categorical columns."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

_DATES = (dt.date, dt.time, dt.timedelta, np.datetime64, np.timedelta64)

#: Category of missing values.
MISSING = "missing"


def make_tabular_pipeline(estimator: Any, *, max_categories: int = 64) -> Pipeline:
    """Pipeline of preprocessing for columns of mixed types, followed by an estimator.

    Numeric columns, also of object dtype: missing values are imputed with the median and marked
    in an indicator column; then all columns are standardized.  All other columns (strings,
    categories, booleans) are one-hot encoded.  If a column has more than `max_categories`
    categories, the least frequent share one column.  Missing values are a category of their
    own.  Categories that are unknown in ``fit`` are encoded as infrequent, or as all zeros if
    the column has no infrequent categories.

    Parameters
    ----------
    estimator : estimator
        Last step of the pipeline: any classifier or regressor with the API of scikit-learn.
    max_categories : int, default=64
        Maximum number of one-hot columns per categorical column.

    Returns
    -------
    sklearn.pipeline.Pipeline
        A ``columntransformer`` of scikit-learn's transformers, followed by the estimator.
        Change its parameters with ``set_params``.

    Raises
    ------
    TypeError
        If `estimator` has no ``fit`` method.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mabprune import MABPrunedClassifier, make_tabular_pipeline
    >>> age, job = [31, None, 58, 22], ["cook", "nurse", None, "cook"]
    >>> X = pd.DataFrame({"age": age * 10, "job": job * 10})
    >>> y = ["no", "yes", "yes", "no"] * 10
    >>> model = make_tabular_pipeline(MABPrunedClassifier(random_state=0))
    >>> model[:-1].fit_transform(X).shape
    (40, 5)
    """
    if not hasattr(estimator, "fit"):
        raise TypeError(
            f"estimator={repr(estimator)[:80]} is not an estimator: it has no fit method. Pass an "
            "estimator, such as MABPrunedClassifier()."
        )
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    categories = make_pipeline(
        FunctionTransformer(as_strings, feature_names_out="one-to-one"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=max_categories,
            sparse_output=False,
        ),
    )
    preprocessing = make_column_transformer(
        (numbers, ColumnSelector(True)), (categories, ColumnSelector(False))
    )
    return make_pipeline(preprocessing, estimator)


@dataclass(frozen=True)
class ColumnSelector:
    """Selector of the numeric columns, or of all others, of a DataFrame or an array.

    Parameters
    ----------
    numbers : bool
        Whether to select the numeric columns; False selects all others.
    """

    numbers: bool

    def __call__(self, X: Any) -> list[Any]:
        """Names of the selected columns of a DataFrame, or their indices in an array.

        Parameters
        ----------
        X : DataFrame (pandas or polars) or array of shape (n_samples, n_features)
            The samples.

        Raises
        ------
        ValueError
            If X is not two-dimensional or is sparse, if a column contains dates or times, or if
            a column of object dtype contains numbers and pandas.NA.
        """
        if hasattr(X, "columns"):
            columns = {name: X[name] for name in X.columns}
        elif issparse(X) or np.ndim(X) != 2:
            got = "a sparse matrix" if issparse(X) else f"an array of {np.ndim(X)} dimensions"
            raise ValueError(
                f"X is {got}, but make_tabular_pipeline needs a DataFrame or a dense array of "
                "shape (n_samples, n_features). Pass sparse data to the estimator directly."
            )
        else:
            X = np.asarray(X)
            columns = {k: X[:, k] for k in range(X.shape[1])}
        dates = [name for name, values in columns.items() if _is_date(values)]
        if dates:
            raise ValueError(
                f"X contains dates or times in {', '.join(map(repr, dates))}, which cannot be "
                "encoded as categories: later dates would be unknown. Replace them by numbers, "
                "such as the month, the hour, or the days since a first date."
            )
        unreadable = [name for name, values in columns.items() if _has_unreadable_missing(values)]
        if unreadable:
            raise ValueError(
                f"X contains numbers and pandas.NA as objects in "
                f"{', '.join(map(repr, unreadable))}, which scikit-learn cannot impute. Convert "
                "the columns: X[name] = X[name].astype('Float64')."
            )
        return [name for name, values in columns.items() if _is_numeric(values) == self.numbers]


def has_numeric_dtype(column: Any) -> bool:
    """Whether a column or array is of an integer or float dtype; booleans are categories."""
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        return bool(dtype.is_numeric())
    # NumPy's dtypes and pandas' nullable ones.
    return getattr(dtype, "kind", "O") in "iuf"


def _is_numeric(column: Any) -> bool:
    """Whether a column contains numbers: by dtype, or as objects next to missing values."""
    if has_numeric_dtype(column):
        return True
    present = [value for value in _one_of_each_class(column) if not is_missing(value)]
    return bool(present) and all(
        isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.bool_))
        for value in present
    )


def _has_unreadable_missing(column: Any) -> bool:
    """Whether a column contains numbers and missing values other than None and NaN."""
    return any(
        is_missing(value) and not (value is None or isinstance(value, (Real, Decimal)))
        for value in _one_of_each_class(column)
    ) and _is_numeric(column)


def _is_date(column: Any) -> bool:
    """Whether a column contains dates, times or durations."""
    dtype = column.dtype
    if hasattr(dtype, "is_temporal"):  # polars
        return bool(dtype.is_temporal())
    if getattr(dtype, "kind", "O") in "mM" or str(dtype).startswith("period"):
        return True
    present = [value for value in _one_of_each_class(column) if not is_missing(value)]
    return any(isinstance(value, _DATES) for value in present)


def _one_of_each_class(column: Any) -> list[Any]:
    """One value of each class in a column of objects; missing values only if there is no other."""
    found: dict[type, Any] = {}
    for value in column if column.dtype == object else ():
        if type(value) not in found or is_missing(found[type(value)]):
            found[type(value)] = value
    return list(found.values())


def as_strings(X: Any) -> NDArray[np.object_]:
    """Categorical columns as strings, (n_samples, n_columns); missing values as "missing"."""
    names = list(getattr(X, "columns", range(np.shape(X)[1])))
    strings = np.empty((len(X), len(names)), dtype=object)
    for k, name in enumerate(names):
        values = X[name] if hasattr(X, "columns") else X[:, k]
        strings[:, k] = [MISSING if is_missing(value) else str(value) for value in values]
    return strings


def is_missing(value: Any) -> bool:
    """Whether a value is missing: None, NaN, or pandas' NA or NaT."""
    if value is None:
        return True
    # Missing values are not equal to themselves; NA == NA is NA, which is not a boolean.
    same = value == value
    return same is not True and not (isinstance(same, np.bool_) and bool(same))
