"""Columns of a table before they were encoded, as a teacher of the network sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..utils.optional import frames
from .sparse import as_csr


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name : str or int
    categories : tuple of str, or None
        Those of a column of categories, by code; None for numbers.
    cells : Series of pandas or ndarray of shape (n_categories,), or None
        A cell of each category, by code, as the user's table has it.
    identifies : bool
        Whether nearly each sample has a category of its own: a teacher that was not written for the
        column does not see it.
    """

    name: Any
    categories: tuple[str, ...] | None = None
    cells: Any = field(default=None, compare=False)
    identifies: bool = False


@dataclass(frozen=True)
class Table:
    """Samples whose features were encoded from columns of numbers and categories.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
        Numbers, NaN where they are missing, and codes of categories.
    columns : tuple of Column
    named : bool
        Whether the table is a DataFrame; an array of numbers alone stays one.
    encode : callable or None
        From a table with these columns to the features of the network; None where that is not
        asked for.
    """

    values: NDArray[np.float64]
    columns: tuple[Column, ...]
    named: bool
    encode: Callable[[Any], Any] | None

    def at(self, index: NDArray[Any]) -> Table:
        """These samples only, in this order."""
        return replace(self, values=self.values[index])

    @property
    def bare(self) -> Table:
        """The same without the encoder: of the same samples these are the same bytes."""
        return replace(self, encode=None)

    @property
    def names(self) -> list[str]:
        """Names of the columns, as strings."""
        return [str(column.name) for column in self.columns]

    @property
    def names_of_categories(self) -> list[str]:
        """Names of the columns of categories, without identifiers."""
        return [str(c.name) for c in self.columns if c.categories is not None and not c.identifies]

    def seen(self, as_given: bool = False) -> Any:
        """Samples as a teacher sees them.

        Parameters
        ----------
        as_given : bool, default=False
            Whether columns that are no numbers have the values and the dtype of the user's table,
            in place of pandas categories: for a teacher that was written for these.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples, n_columns)
            Numbers as floats.
        """
        if not as_given:
            kept = [k for k, column in enumerate(self.columns) if not column.identifies]
            columns = tuple(self.columns[k] for k in kept)
            some = replace(self, values=self.values[:, kept], columns=columns)
            return some._frame(some.names)
        frame = self._frame(self.names)
        if all(column.categories is None for column in self.columns):
            return frame
        pandas = frames("The teacher of a table with categories")
        for column, codes in zip(self.columns, self.values.T, strict=True):
            if column.cells is not None:
                cells = pandas.Series(column.cells.take(codes.astype(np.intp)))
                # Cells of pandas have a dtype, those of others are objects.
                found = cells if hasattr(column.cells, "iloc") else cells.infer_objects()
                frame[str(column.name)] = found.reset_index(drop=True)
        return frame if self.named else frame.to_numpy(dtype=object)

    def encoded(self, encode: Callable[[Any], Any], like: Any) -> Any:
        """Features of these samples, in the format and dtype of those of other samples."""
        found = encode(self._frame([column.name for column in self.columns]))
        if issparse(like):
            return as_csr(found).astype(like.dtype)
        return np.asarray(found, dtype=like.dtype)

    def _frame(self, names: list[Any]) -> Any:
        if not self.named and all(column.categories is None for column in self.columns):
            return self.values
        pandas = frames("The teacher of a table with categories")
        cells = {
            name: values
            if column.categories is None
            else pandas.Categorical.from_codes(values.astype(np.intp), list(column.categories))
            for name, column, values in zip(names, self.columns, self.values.T, strict=True)
        }
        return pandas.DataFrame(cells)
