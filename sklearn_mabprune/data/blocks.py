"""One-hot blocks among the columns of X, and their categories as codes.

Encoders write a category as a block of neighbouring columns of which one is 1.  Trees want the
category itself, and a new sample must have one category, too.  Blocks are found in the values, so
that it does not matter which encoder wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ColumnBlocks:
    """Columns of X in blocks: those of one category, and single columns.

    Parameters
    ----------
    starts : ndarray of int, shape (n_blocks,)
        First column of each block.
    n_columns : int
        Columns in all.
    """

    starts: NDArray[np.intp]
    n_columns: int

    @classmethod
    def of(cls, X: NDArray[Any]) -> ColumnBlocks:
        """The blocks of dense features: shortest runs of columns that are one-hot in each sample.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mabprune.data.blocks import ColumnBlocks
        >>> X = np.array([[0.3, 1, 0, 0], [0.1, 0, 0, 1], [1.0, 0, 1, 0]])
        >>> ColumnBlocks.of(X).codes(X)
        array([[0.3, 0. ],
               [0.1, 2. ],
               [1. , 1. ]])
        """
        n_columns = X.shape[1]
        binary = [bool(np.isin(X[:, k], (0, 1)).all()) for k in range(n_columns)]
        starts, first = [], 0
        while first < n_columns:
            starts.append(first)
            first = _end(X, binary, first)
        return cls(np.array(starts, dtype=np.intp), n_columns)

    @property
    def widths(self) -> NDArray[np.intp]:
        """Columns of each block, (n_blocks,)."""
        return np.diff(self.starts, append=self.n_columns)

    @property
    def are_categories(self) -> NDArray[np.bool_]:
        """Whether each block is a category of more than one column, (n_blocks,)."""
        return self.widths > 1

    def codes(self, X: NDArray[Any]) -> NDArray[Any]:
        """Features with one column for each block.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_columns)

        Returns
        -------
        ndarray of shape (n_samples, n_blocks)
            Codes of categories count from 0 and are NaN where no column of the block is 1; other
            columns are as they are.
        """
        if not self.are_categories.any():
            return X
        found = X[:, self.starts].astype(np.result_type(X.dtype, np.float32))
        for k in np.flatnonzero(self.are_categories):
            part = X[:, self.starts[k] : self.starts[k] + self.widths[k]]
            found[:, k] = np.where(part.any(axis=1), part.argmax(axis=1), np.nan)
        return found


def _end(X: NDArray[Any], binary: list[bool], first: int) -> int:
    """Where a block that starts at a column ends; the next column if it is not one-hot."""
    total = np.zeros(len(X), dtype=np.intp)
    for end in range(first, len(binary)):
        if not binary[end]:
            break
        total += X[:, end] != 0
        if total.max() > 1:
            break
        if end > first and total.min() == 1:
            return end + 1
    return first + 1
