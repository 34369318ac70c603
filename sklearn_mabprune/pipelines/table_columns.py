"""ColumnTransformer for tables as people have them: reads and checks the columns by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from ..data.table import Column, Table
from ..exceptions import PruningWarning
from ..utils.columns import as_objects, has_numeric_dtype
from ..utils.compat import num_samples, output_container, set_output_container
from ..utils.words import counted
from .far_values import warn_of_far_values
from .kinds import (
    MISSING,
    ColumnKind,
    kind_of,
    read_categories,
    read_numbers,
    warn_of_doubts,
    warn_of_identifiers,
)


@dataclass(frozen=True)
class ColumnSelector:
    """Selector of the columns of numbers, or of strings, of a table that `TableColumns` has read.

    Parameters
    ----------
    numbers : bool
        Whether to select the numeric columns; False selects all others.
    """

    numbers: bool

    def __call__(self, X: Any) -> list[Any]:
        """Names of the selected columns of a DataFrame, or their indices in an array."""
        names = list(X.columns) if hasattr(X, "columns") else list(range(X.shape[1]))
        return [name for name in names if self._selects(X, name)]

    def _selects(self, X: Any, name: Any) -> bool:
        if hasattr(X, "columns"):
            is_number = has_numeric_dtype(X[name])
            is_left_out = str(X[name].dtype).lower().startswith("bool")
        else:
            # In an array of objects all cells of a column are of one class.
            is_number, is_left_out = not isinstance(X[0, name], str), X[0, name] is False
        return is_number == self.numbers and not is_left_out


class CategoryEncoder(OneHotEncoder):
    """OneHotEncoder of strings from `read_categories`, in which equal numbers are one category.

    The class tells the export to ONNX that its categories may be numbers.
    """


class TableColumns(ColumnTransformer):
    """ColumnTransformer that reads the columns first: names, numbers, categories, missing values.

    Columns of numbers become floats with NaN for missing values, all others strings, in which
    missing values are "missing"; identifiers become False, and no step gets them.  Columns are
    found by name in ``transform``, whatever their order and the type of their names; integer names
    are names, not positions.

    Attributes
    ----------
    kinds_ : dict
        Name of each column (index, if ``fit`` was given an array): its :class:`ColumnKind`.
    container_ : type or None
        Class of the DataFrame that ``fit`` was given; None for an array.
    all_differ_ : list
        Names of the columns of categories in which each sample had one of its own; of few samples,
        since those of many are identifiers.
    """

    def set_output(self, *, transform: str | None = None) -> TableColumns:
        """Set the container of the output; the steps inside keep sparse categories.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional

        Returns
        -------
        self
        """
        set_output_container(self, transform)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit the steps and return their output.

        Parameters
        ----------
        X : DataFrame (pandas or polars) or array of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), optional
        **params
            Metadata for the steps.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples, n_outputs)

        Raises
        ------
        TypeError
            If X is a dictionary.
        ValueError
            If X is not two-dimensional or is sparse, if names of columns are not distinct, if
            a column contains dates, infinite numbers, or cells that hold several values, or if all
            columns are identifiers.
        """
        columns = _columns(X)
        self.container_ = type(X) if hasattr(X, "columns") else None
        self.kinds_ = {name: kind_of(name, column) for name, column in columns.items()}
        warn_of_doubts(self.kinds_.values())
        warn_of_identifiers(self.kinds_.values())
        table, categories = self._read(X, columns)
        warn_of_far_values(self._numbers(table))
        # All are unknown in new samples.
        self.all_differ_ = [n for n, found in categories.items() if len(found) == num_samples(X)]
        threshold = self.get_params(deep=False)["sparse_threshold"]
        try:
            if output_container(self) != "default":
                self.set_params(sparse_threshold=0)  # dataframes are dense
            return super().fit_transform(table, y, **params)
        finally:
            self.set_params(sparse_threshold=threshold)

    def transform(self, X: Any, **params: Any) -> Any:
        """Output of the steps; warns if no category of a column is known.

        Parameters
        ----------
        X : DataFrame (pandas or polars) or array of shape (n_samples, n_features)
        **params
            Metadata for the steps.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples, n_outputs)

        Raises
        ------
        TypeError, ValueError
            As ``fit_transform``, and if a column is missing or a column of numbers contains
            other values.
        """
        check_is_fitted(self)
        table, categories = self._read(X, self._aligned(X))
        if num_samples(X) > 1:
            self._warn_of_unknown(categories)
        return super().transform(table, **params)

    def table(self, X: Any, encode: Callable[[Any], Any]) -> Table:
        """The columns as they are read, before they are scaled and encoded.

        Parameters
        ----------
        X : DataFrame (pandas or polars) or array of shape (n_samples, n_features)
            The samples of ``fit``.
        encode : callable
            From such samples to the features of the network.

        Returns
        -------
        Table
        """
        read, columns = [], []
        for name, cells in self._aligned(X).items():
            kind: ColumnKind = self.kinds_[name]
            if cells is None:  # identifiers that X lacks
                cells = np.full(num_samples(X), None, dtype=object)
            if kind.is_number:
                read.append(np.asarray(read_numbers(name, cells, kind.style), dtype=np.float64))
                columns.append(Column(name))
            else:
                strings, _ = read_categories(name, cells)
                found = np.unique(strings, return_index=True, return_inverse=True)
                categories, first, codes = found
                read.append(codes.astype(np.float64))
                given = cells.iloc[first] if hasattr(cells, "iloc") else as_objects(cells)[first]
                identifies = bool(kind.identifier)
                columns.append(Column(name, tuple(categories.tolist()), given, identifies))
        values = np.column_stack(read)
        return Table(values, tuple(columns), self.container_ is not None, encode)

    def _aligned(self, X: Any) -> dict[Any, Any]:
        """The columns that ``fit`` has seen, in its order; None for identifiers that X lacks."""
        columns, known = _columns(X), list(self.kinds_)
        needed = [name for name in known if not self.kinds_[name].identifier]
        if columns.keys() >= set(needed):
            return {name: columns.get(name) for name in known}
        # Names 0, 1, ... are the indices of an array.
        is_array = list(columns) == list(range(len(columns)))
        by_string = {str(name): column for name, column in columns.items()}
        numbered = set(map(str, known)) == set(map(str, range(len(known))))
        # A file makes strings of names that are numbers.
        if (numbered or not is_array) and by_string.keys() >= set(map(str, needed)):
            return {name: by_string.get(str(name)) for name in known}
        unnamed = numbered and isinstance(known[0], int)
        if unnamed and not is_array and len(known) == len(columns):
            return dict(zip(known, columns.values(), strict=True))  # fitted without names
        if is_array or unnamed:
            raise ValueError(
                f"X has {counted(len(columns), 'feature' if is_array else 'column')}"
                f"{' without names' if is_array else ''}, but "
                f"fit has seen {counted(len(known), 'column')}: {', '.join(map(repr, known[:5]))}"
                f"{', ...' if len(known) > 5 else ''}. Pass X in the format of fit."
            )
        missing = [name for name in needed if str(name) not in by_string]
        raise ValueError(
            f"columns are missing: {', '.join(map(repr, missing))}. Pass X with all columns that "
            "fit has seen."
        )

    def _read(self, X: Any, columns: dict[Any, Any]) -> tuple[Any, dict[Any, list[str]]]:
        """The table with floats and strings, and the distinct categories of each column."""
        categories: dict[Any, list[str]] = {}
        read = {}
        for name, column in columns.items():
            kind: ColumnKind = self.kinds_[name]
            if kind.identifier:
                read[name] = np.zeros(num_samples(X), dtype=bool)
            elif kind.is_number:
                read[name] = read_numbers(name, column, kind.style)
            else:
                read[name], categories[name] = read_categories(name, column)
        if self.container_ is not None:
            named = {str(name): values for name, values in read.items()}
            options = {"index": X.index} if hasattr(X, "index") else {}
            container = type(X) if hasattr(X, "columns") else self.container_
            return container(named, **options), categories
        if not categories and not hasattr(X, "columns") and has_numeric_dtype(np.asarray(X)):
            return np.asarray(X), categories
        table = np.empty((num_samples(X), len(read)), dtype=object)
        for k, values in enumerate(read.values()):
            table[:, k] = values
        return table, categories

    def _numbers(self, table: Any) -> dict[Any, Any]:
        """The columns of numbers of a table that was read."""
        is_frame = hasattr(table, "columns")
        return {
            name: table[str(name)] if is_frame else table[:, k]
            for k, (name, kind) in enumerate(self.kinds_.items())
            if kind.is_number
        }

    def _warn_of_unknown(self, categories: dict[Any, list[str]]) -> None:
        """Warn of columns without any known category."""
        encoder = self.named_transformers_.get("categories")
        if not hasattr(encoder, "categories_"):
            return
        names = [
            name for name, kind in self.kinds_.items() if not (kind.is_number or kind.identifier)
        ]
        unknown = []
        for name, known in zip(names, encoder.categories_, strict=True):
            found = categories[name]
            if not found or name in self.all_differ_ or known.tolist() == [MISSING]:
                continue
            if not set(known.tolist()).intersection(found):
                now, then = (
                    ", ".join(repr(value)[:30] for value in values[:3]) for values in (found, known)
                )
                unknown.append(f"column {name!r} (now {now}, in fit {then})")
        if unknown:
            warnings.warn(
                f"No category is known from fit in {'; '.join(unknown)}. Check how the values are "
                "written, and that X has the columns of fit.",
                PruningWarning,
                stacklevel=4,
            )


def _columns(X: Any) -> dict[Any, Any]:
    """Columns of a table by name, or by index in an array."""
    if isinstance(X, Mapping):
        raise TypeError(
            "X is a dictionary, but make_tabular_pipeline needs a DataFrame or a dense array of "
            "shape (n_samples, n_features). Pass pandas.DataFrame(X)."
        )
    if hasattr(X, "columns"):
        return {name: X[name] for name in _names(X.columns)}
    if issparse(X) or np.ndim(X) != 2:
        got, way_out = f"an array of {np.ndim(X)} dimensions", "Pass a table of two dimensions."
        if issparse(X):
            got, way_out = "a sparse matrix", "Pass sparse data to the estimator directly."
        elif np.ndim(X) == 1:
            way_out = "Of a DataFrame, one sample is frame.iloc[[0]], one column frame[[name]]."
        raise ValueError(
            f"X is {got}, but make_tabular_pipeline needs a DataFrame or a dense array of "
            f"shape (n_samples, n_features). {way_out}"
        )
    X = np.asarray(X)
    return {k: X[:, k] for k in range(X.shape[1])}


def _names(columns: Any) -> list[Any]:
    """Names of the columns of a DataFrame, which differ as strings."""
    names = list(columns)
    nested = [name for name in names if isinstance(name, tuple)]
    if nested:
        raise ValueError(
            f"The columns of X have names of several levels, such as {nested[0]!r}. Join them: "
            "X.columns = ['_'.join(map(str, name)) for name in X.columns]."
        )
    seen: dict[str, Any] = {}
    for name in names:
        if str(name) in seen:
            first = seen[str(name)]
            raise ValueError(
                f"Two columns of X have the name {name!r}. Rename or drop one."
                if type(first) is type(name)
                else f"The names {first!r} and {name!r} of columns of X differ in their type "
                "alone. Rename one."
            )
        seen[str(name)] = name
    return names
