"""Sparse rows on the network's device, never made dense as a whole.

The first Linear of a network reads them as they are; whatever else has to see features
gets a few rows at a time, dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

# Numbers in a dense piece: 64 MB of float32.
_PIECE = 2**24


def as_csr(X: Any) -> Any:
    """A CSR matrix whose rows have sorted indices and no index twice; `X` is left as it is.

    Parameters
    ----------
    X : sparse matrix or array, or ndarray, of shape (n_rows, n_features)

    Returns
    -------
    scipy.sparse.csr_matrix
        The interface that skorch's data sets know.
    """
    # A copy: sorting and adding up are done in place.
    X = sparse.csr_matrix(X, copy=True)
    X.sum_duplicates()
    return X


class SparseRows:
    """Rows in CSR form as tensors, indexed like a dense tensor's rows.

    Parameters
    ----------
    starts : Tensor of int64, shape (n_rows + 1,)
        Where each row begins among the stored values.
    columns : Tensor of int64, shape (n_stored,)
        Increasing within a row.
    values : Tensor of shape (n_stored,)
    n_features : int

    Examples
    --------
    >>> from scipy import sparse
    >>> from sklearn_mabprune.data.sparse import SparseRows
    >>> rows = SparseRows.of(sparse.csr_matrix([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]]), "cpu")
    >>> rows[1:].dense()
    tensor([[1., 0.],
            [0., 0.]], dtype=torch.float64)
    """

    def __init__(self, starts: Tensor, columns: Tensor, values: Tensor, n_features: int):
        self.starts, self.columns, self.values = starts, columns, values
        self.shape = (len(starts) - 1, n_features)

    @classmethod
    def of(cls, X: Any, device: str | torch.device, dtype: torch.dtype | None = None) -> SparseRows:
        """From what :func:`as_csr` gives, on a device."""
        starts, columns = (
            torch.from_numpy(index.astype(np.int64)).to(device) for index in (X.indptr, X.indices)
        )
        values = torch.from_numpy(np.require(X.data, requirements=["C", "W"]))
        return cls(starts, columns, values.to(device, dtype), X.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.values.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return self.values.dtype

    def __getitem__(self, index: slice | Tensor) -> SparseRows:
        """Some rows: a slice of step 1, or their numbers."""
        if isinstance(index, slice):
            first, stop, _ = index.indices(len(self))
            stop = max(first, stop)
            starts = self.starts[first : stop + 1]
            where: Any = slice(int(starts[0]), int(starts[-1]))
            starts = starts - starts[0]
        else:
            lengths = (self.starts[1:] - self.starts[:-1])[index]
            starts = torch.zeros(len(index) + 1, dtype=torch.int64, device=self.device)
            torch.cumsum(lengths, 0, out=starts[1:])
            shift = torch.repeat_interleave(self.starts[:-1][index] - starts[:-1], lengths)
            where = torch.arange(len(shift), device=self.device) + shift
        return SparseRows(starts, self.columns[where], self.values[where], self.shape[1])

    def to(self, device: str | torch.device, dtype: torch.dtype) -> SparseRows:
        """On a device, with values of a dtype."""
        starts, columns = self.starts.to(device), self.columns.to(device)
        return SparseRows(starts, columns, self.values.to(device, dtype), self.shape[1])

    def split(self, n_rows: int) -> Iterator[SparseRows]:
        """All rows in parts of so many."""
        for first in range(0, len(self), n_rows):
            yield self[first : first + n_rows]

    def through(self, layer: nn.Linear) -> Tensor:
        """What a Linear makes of the rows, with a graph for its gradients, (n_rows, n_outputs).

        A row is a bag of weighted features: of torch's sparse products this one is the
        fastest, with the copy of the weights that it needs.
        """
        weighted = functional.embedding_bag(
            self.columns,
            layer.weight.T.contiguous(),
            self.starts,
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )
        return weighted if layer.bias is None else weighted + layer.bias

    def dense(self) -> Tensor:
        """As a dense tensor: for a few rows."""
        lengths = self.starts[1:] - self.starts[:-1]
        rows = torch.repeat_interleave(torch.arange(len(self), device=self.device), lengths)
        found = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        found[rows, self.columns] = self.values
        return found

    def pieces(self) -> Iterator[SparseRows]:
        """All rows in parts that may be made dense."""
        return self.split(max(1, _PIECE // self.shape[1]))

    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of each feature, (n_features,)."""
        n_rows, n_features = self.shape
        columns, values = self.columns.cpu().numpy(), self.values.double().cpu().numpy()
        mean = np.bincount(columns, values, n_features) / n_rows
        stored = np.bincount(columns, minlength=n_features)
        # Around the mean, in two passes: a constant feature has none.
        squares = np.bincount(columns, (values - mean[columns]) ** 2, n_features)
        return np.sqrt((squares + (n_rows - stored) * mean**2) / n_rows)


def few(x: Tensor | SparseRows) -> Tensor:
    """Up to 64 rows, dense: what a module is run on beside its chain."""
    if isinstance(x, SparseRows):
        return x[: max(2, min(64, _PIECE // 4 // x.shape[1]))].dense()
    return x[:64]


def reads_sparse(module: Any) -> bool:
    """Whether a module hands what it is given straight to a Linear, and does nothing else.

    Only torch's own ``Sequential.forward`` is known not to look at the features.
    """
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and len(module) > 0
        and type(module[0]) is nn.Linear
    )


def batch_for(module: Any, x: Tensor | SparseRows) -> Tensor | SparseRows:
    """A batch for :func:`outputs_of`, or for a module that can only have it dense."""
    return x.dense() if isinstance(x, SparseRows) and not reads_sparse(module) else x


def outputs_of(module: Any, x: Tensor | SparseRows) -> Tensor:
    """A module's outputs for rows of either kind.

    In evaluation mode a module that has to see the features gets them in dense pieces; in
    training mode a batch stays whole.
    """
    if not isinstance(x, SparseRows):
        return module(x)
    if reads_sparse(module):
        z = x.through(module[0])
        for layer in module[1:]:
            z = layer(z)
        return z
    if module.training:
        return module(x.dense())
    return torch.cat([module(piece.dense()) for piece in x.pieces()])
