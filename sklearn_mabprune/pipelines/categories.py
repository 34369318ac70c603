"""Categories of fitted encoders: which output column each has, and how each may be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .table_columns import CategoryEncoder


@dataclass(frozen=True)
class OneHotColumns:
    """The output columns of one input column of a OneHotEncoder.

    Parameters
    ----------
    categories : list
    columns : ndarray of int, shape (n_categories,)
        The output column in which each category is 1; -1: it has none.
    width : int
        Number of output columns.
    unknown : int
        The output column of unknown categories; -1: they have none.
    """

    categories: list[Any]
    columns: NDArray[np.intp]
    width: int
    unknown: int


def one_hot_columns(encoder: Any) -> list[OneHotColumns]:
    """The output columns of each input column of a fitted OneHotEncoder.

    All infrequent categories share the last output column.
    """
    n_columns = len(encoder.categories_)
    infrequent = getattr(encoder, "infrequent_categories_", [None] * n_columns)
    dropped = encoder.drop_idx_ if encoder.drop_idx_ is not None else [None] * n_columns
    found = []
    for categories, shared, drop in zip(encoder.categories_, infrequent, dropped, strict=True):
        is_infrequent = np.isin(categories, [] if shared is None else shared)
        n_frequent = int((~is_infrequent).sum())
        columns = np.where(is_infrequent, n_frequent, np.cumsum(~is_infrequent) - 1)
        has_column = is_infrequent.any() and encoder.handle_unknown != "ignore"
        unknown = n_frequent if has_column else -1
        width = int(columns.max()) + 1
        if drop is not None:
            gone = columns[drop]
            unknown = -1 if unknown == gone else unknown - int(unknown > gone)
            columns = np.where(columns == gone, -1, columns - (columns > gone))
            width -= 1
        found.append(OneHotColumns(categories.tolist(), columns, width, unknown))
    return found


def written_forms(encoder: Any, known: Mapping[str, int]) -> dict[str, int]:
    """Codes of categories by all strings that stand for them.

    For the encoder of :func:`make_tabular_pipeline` "1", "1.0" and "True" are one category, as
    1, 1.0 and True; for others each category is written in one way.

    Parameters
    ----------
    encoder : OneHotEncoder
    known : dict of str to int
        Codes by category.
    """
    found = dict(known)
    if not isinstance(encoder, CategoryEncoder):
        return found
    forms = {"1": ("1.0", "True"), "0": ("0.0", "-0.0", "False")}
    for category, code in known.items():
        is_integer = category.removeprefix("-").isdecimal()
        for form in forms.get(category, (f"{category}.0",) if is_integer else ()):
            found.setdefault(form, code)
    return found
