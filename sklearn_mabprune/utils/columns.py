"""Columns of data frames and arrays: dtypes, distinct values and missing values."""

from __future__ import annotations

import datetime as dt
import importlib.util
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DATES = (dt.date, dt.time, dt.timedelta, np.datetime64, np.timedelta64)

# Below so many cells a dict is faster than pandas.
_FEW_CELLS = 200


def has_numeric_dtype(column: Any) -> bool:
    """Whether a column or array is of an integer or float dtype; booleans are categories."""
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        return bool(dtype.is_numeric())
    # NumPy's dtypes and pandas' nullable ones; a categorical one has kind "O".
    return getattr(dtype, "kind", "O") in "iuf"


def has_date_dtype(column: Any) -> bool:
    """Whether a column or array is of a dtype of dates, times, durations or periods."""
    dtype = column.dtype
    if hasattr(dtype, "is_temporal"):  # polars
        return bool(dtype.is_temporal())
    return getattr(dtype, "kind", "O") in "mM" or str(dtype).startswith("period")


def is_date(value: Any) -> bool:
    """Whether a value is a date, a time or a duration."""
    return isinstance(value, _DATES)


def is_number(value: Any) -> bool:
    """Whether a value is a number; booleans are not."""
    return isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.bool_))


def is_container(value: Any) -> bool:
    """Whether a value holds several values: a list, array, dictionary, set, tuple or series."""
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def is_missing(value: Any) -> bool:
    """Whether a value is missing: None, NaN, or pandas' NA or NaT."""
    if value is None:
        return True
    # Missing values are not equal to themselves; NA == NA is NA, which is not a boolean.
    same = value == value
    return same is not True and not (isinstance(same, np.bool_) and bool(same))


def distinct(column: Any) -> tuple[list[Any], NDArray[np.intp]]:
    """Distinct values of a column; equal numbers, such as 1, 1.0 and True, are one value.

    Parameters
    ----------
    column : Series (pandas or polars) or ndarray of shape (n_samples,)

    Returns
    -------
    values : list
        In the order of appearance, without missing values.
    codes : ndarray of shape (n_samples,)
        Index of each cell's value in `values`; -1 for a missing value.

    Raises
    ------
    TypeError
        If a cell holds several values, as a list does.
    """
    if len(column) < _FEW_CELLS or importlib.util.find_spec("pandas") is None:
        return _distinct_by_dict(as_objects(column))
    if hasattr(column, "factorize"):
        codes, found = column.factorize()
    else:
        import pandas as pd

        codes, found = pd.factorize(as_objects(column))
    return list(found), np.asarray(codes, dtype=np.intp)


def as_objects(column: Any) -> NDArray[Any]:
    """The cells of a column as Python objects; of an array of numbers as they are."""
    if isinstance(column, np.ndarray):
        return column.astype(object) if column.dtype.kind in "USV" else column
    if hasattr(column, "to_list") and hasattr(column.dtype, "is_temporal"):  # polars
        cells = np.empty(len(column), dtype=object)
        cells[:] = column.to_list()
        return cells
    return np.asarray(column.to_numpy(dtype=object))


def _distinct_by_dict(cells: NDArray[Any]) -> tuple[list[Any], NDArray[np.intp]]:
    """As :func:`distinct`, without pandas."""
    table: dict[Any, int] = {}
    values: list[Any] = []
    codes = np.empty(len(cells), dtype=np.intp)
    for row, value in enumerate(cells.tolist()):
        if is_container(value):
            raise TypeError(f"unhashable type: {type(value).__name__!r}")
        if is_missing(value):
            codes[row] = -1
            continue
        codes[row] = table.setdefault(value, len(values))
        if codes[row] == len(values):
            values.append(value)
    return values, codes
