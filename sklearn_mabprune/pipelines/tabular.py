"""Tables with columns of any kind: what stands between a frame and a network."""

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

#: What a missing category is called.
MISSING = "missing"


def make_tabular_pipeline(estimator: Any, *, max_categories: int = 64) -> Pipeline:
    """Put the preparation that a table of mixed columns needs before an estimator.

    Numbers (objects that are numbers, too): gaps become the median, with a column that says where they were; then all are
    scaled.  Everything else (text, categories, truth values): one column a category, the
    rarest together where there are many; gaps are a category, and so are categories that
    fit has not seen: they count as rare, or as none where no category is.

    Parameters
    ----------
    estimator : estimator
        Put last; any of scikit-learn's will do.
    max_categories : int, default=64
        Columns that a column of categories becomes at most.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Of a ``columntransformer`` and the estimator, of parts of scikit-learn: change it by
        ``set_params`` like any other.

    Raises
    ------
    TypeError
        If the estimator is none.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mabprune import MABPrunedClassifier, make_tabular_pipeline
    >>> X = pd.DataFrame({"age": [31, None, 58, 22] * 10, "job": ["cook", "nurse", None, "cook"] * 10})
    >>> y = ["no", "yes", "yes", "no"] * 10
    >>> model = make_tabular_pipeline(MABPrunedClassifier(random_state=0))
    >>> model[:-1].fit_transform(X).shape
    (40, 5)
    """  # noqa: E501
    if not hasattr(estimator, "fit"):
        got = estimator if estimator is None else type(estimator).__name__
        raise TypeError(
            f"estimator={got} is no estimator: pass an object with a fit, such as "
            "MABPrunedClassifier()."
        )
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    categories = make_pipeline(
        FunctionTransformer(as_text, feature_names_out="one-to-one"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=max_categories,
            sparse_output=False,
        ),
    )
    prepare = make_column_transformer((numbers, ColumnsOf(True)), (categories, ColumnsOf(False)))
    return make_pipeline(prepare, estimator)


@dataclass(frozen=True)
class ColumnsOf:
    """Selects columns of numbers, or all others; of pandas, polars, and arrays.

    Parameters
    ----------
    numbers : bool
        Which of the two.
    """

    numbers: bool

    def __call__(self, X: Any) -> list[Any]:
        """Names of the columns; of an array their positions.

        Raises
        ------
        ValueError
            If there are columns of dates or times, or numbers that cannot be read.
        """
        if hasattr(X, "columns"):
            columns = {name: X[name] for name in X.columns}
        elif issparse(X) or np.ndim(X) != 2:
            got = "a sparse matrix" if issparse(X) else f"an array of {np.ndim(X)} dimensions"
            raise ValueError(
                f"X is {got}, and make_tabular_pipeline is for tables with columns of any kind, of "
                "shape (n_samples, n_features). Sparse numbers go to the estimator as they are."
            )
        else:
            X = np.asarray(X)
            columns = {k: X[:, k] for k in range(X.shape[1])}
        dates = [name for name, values in columns.items() if _is_date(values)]
        if dates:
            raise ValueError(
                f"X has dates or times in {', '.join(map(repr, dates))}: as categories they would "
                "say nothing about later ones. Put numbers in their place, such as the month, the "
                "hour, or the days since a first date."
            )
        odd = [name for name, values in columns.items() if _has_odd_gaps(values)]
        if odd:
            raise ValueError(
                f"X holds numbers beside pandas.NA, as objects, in {', '.join(map(repr, odd))}. "
                "Make them a column of numbers: X[name].astype('Float64')."
            )
        return [name for name, values in columns.items() if _is_number(values) == self.numbers]


def has_number_type(column: Any) -> bool:
    """Whether the type of a column, or of an array, is of numbers; truth values are categories."""
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        return bool(dtype.is_numeric())
    # NumPy's, and those of pandas with gaps.
    return getattr(dtype, "kind", "O") in "iuf"


def _is_number(column: Any) -> bool:
    """Whether a column holds numbers, in a type of their own or as objects beside gaps."""
    if has_number_type(column):
        return True
    held = [value for value in _one_of_each_class(column) if not _is_gap(value)]
    return bool(held) and all(
        isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.bool_))
        for value in held
    )


def _has_odd_gaps(column: Any) -> bool:
    """Whether a column holds numbers beside gaps that are no NaN as a number, as pandas' NA."""
    return any(
        _is_gap(value) and not (value is None or isinstance(value, (Real, Decimal)))
        for value in _one_of_each_class(column)
    ) and _is_number(column)


def _is_date(column: Any) -> bool:
    dtype = column.dtype
    if hasattr(dtype, "is_temporal"):  # polars
        return bool(dtype.is_temporal())
    if getattr(dtype, "kind", "O") in "mM" or str(dtype).startswith("period"):
        return True
    held = [value for value in _one_of_each_class(column) if not _is_gap(value)]
    return any(isinstance(value, _DATES) for value in held)


def _one_of_each_class(column: Any) -> list[Any]:
    """A value of each class among objects, a gap only if there is nothing else of its class."""
    found: dict[type, Any] = {}
    for value in column if column.dtype == object else ():
        if type(value) not in found or _is_gap(found[type(value)]):
            found[type(value)] = value
    return list(found.values())


def as_text(X: Any) -> NDArray[np.object_]:
    """Columns of categories as text, gaps of any kind as ``"missing"``, (n_rows, n_columns)."""
    names = list(getattr(X, "columns", range(np.shape(X)[1])))
    found = np.empty((len(X), len(names)), dtype=object)
    for k, name in enumerate(names):
        values = X[name] if hasattr(X, "columns") else X[:, k]
        found[:, k] = [MISSING if _is_gap(value) else str(value) for value in values]
    return found


def _is_gap(value: Any) -> bool:
    """None, NaN, and pandas' NA and NaT, which are not equal to themselves either."""
    if value is None:
        return True
    same = value == value
    return same is not True and not (isinstance(same, np.bool_) and bool(same))
