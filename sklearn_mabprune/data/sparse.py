"""CSR matrices as tensors on the network's device, never converted to dense as a whole.

A Linear as first layer is computed from the sparse rows; all other code that needs the
features receives dense chunks of rows.
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

from .named import NamedSamples

# Number of values of a dense chunk: 64 MB of float32.
_CHUNK = 2**24
# Number of samples on which a module is run to recover its graph.
_N_FIRST = 64


def is_consistent(X: Any) -> bool:
    """Whether the index arrays of a compressed sparse matrix lead to its values alone.

    SciPy does not look when it converts one, and reads and writes outside the arrays.

    Parameters
    ----------
    X : sparse matrix or array
        Of a format other than CSR, CSC and BSR it is True.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn_mabprune.data.sparse import is_consistent
    >>> X = sparse.csr_matrix(np.eye(3))
    >>> X.indices[0] = 7
    >>> is_consistent(X)
    False
    """
    if X.format not in ("csr", "csc", "bsr"):
        return True
    starts, columns = X.indptr, X.indices
    sizes = np.array(X.shape) // (X.blocksize if X.format == "bsr" else 1)
    n_rows, n_columns = sizes if X.format != "csc" else sizes[::-1]
    if len(starts) != n_rows + 1 or starts[0] != 0 or (starts[1:] < starts[:-1]).any():
        return False
    if starts[-1] > min(len(columns), len(X.data)):
        return False
    used = columns[: starts[-1]]
    return not used.size or bool(used.min() >= 0 and used.max() < n_columns)


def as_csr(X: Any) -> Any:
    """A copy as CSR matrix with sorted column indices and without duplicate entries.

    Parameters
    ----------
    X : sparse matrix or array, or ndarray, of shape (n_samples, n_features)
        Features.

    Returns
    -------
    scipy.sparse.csr_matrix
        A matrix, not a sparse array, because the data sets of skorch need that interface.
    """
    # A copy, because sum_duplicates sorts and adds in place.
    X = sparse.csr_matrix(X, copy=True)
    X.sum_duplicates()
    return X


class SparseRows:
    """Rows of a CSR matrix as tensors, which can be indexed like the rows of a dense tensor.

    Parameters
    ----------
    starts : Tensor of int64, shape (n_rows + 1,)
        Index of the first stored value of each row (``indptr``).
    columns : Tensor of int64, shape (n_stored,)
        Column index of each stored value, increasing within a row (``indices``).
    values : Tensor of shape (n_stored,)
        Stored values (``data``).
    n_features : int
        Number of columns.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, n_features).

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
        """Rows of a CSR matrix from :func:`as_csr`, on a device."""
        starts, columns = (
            torch.from_numpy(index.astype(np.int64)).to(device) for index in (X.indptr, X.indices)
        )
        values = torch.from_numpy(np.require(X.data, requirements=["C", "W"]))
        return cls(starts, columns, values.to(device, dtype), X.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.values.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the values."""
        return self.values.dtype

    def __getitem__(self, index: slice | Tensor) -> SparseRows:
        """The rows of a slice with step 1, or of a tensor of indices."""
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
        """The rows on a device, with values of a dtype."""
        starts, columns = self.starts.to(device), self.columns.to(device)
        return SparseRows(starts, columns, self.values.to(device, dtype), self.shape[1])

    def split(self, n_rows: int) -> Iterator[SparseRows]:
        """Iterate over chunks of `n_rows` rows."""
        for first in range(0, len(self), n_rows):
            yield self[first : first + n_rows]

    def through(self, layer: nn.Linear) -> Tensor:
        """Outputs of a Linear layer for the rows, differentiable, (n_rows, n_outputs).

        ``embedding_bag`` sums the weights of the stored features.  It is the fastest sparse
        product of torch, including the copy of the weights that it needs.
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
        """The rows as a dense tensor, (n_rows, n_features)."""
        lengths = self.starts[1:] - self.starts[:-1]
        rows = torch.repeat_interleave(torch.arange(len(self), device=self.device), lengths)
        dense = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        dense[rows, self.columns] = self.values
        return dense

    def pieces(self) -> Iterator[SparseRows]:
        """Iterate over chunks of rows that are small enough to convert to dense."""
        return self.split(max(1, _CHUNK // self.shape[1]))

    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of each feature, (n_features,)."""
        n_rows, n_features = self.shape
        columns, values = self.columns.cpu().numpy(), self.values.double().cpu().numpy()
        mean = np.bincount(columns, values, n_features) / n_rows
        stored = np.bincount(columns, minlength=n_features)
        # Two passes, so that a constant feature has a standard deviation of exactly 0.
        squares = np.bincount(columns, (values - mean[columns]) ** 2, n_features)
        return np.sqrt((squares + (n_rows - stored) * mean**2) / n_rows)


def few(x: Tensor | SparseRows) -> Tensor:
    """The first samples, at most 64, as a dense tensor: input to recover the graph of a module."""
    if isinstance(x, SparseRows):
        return x[: max(2, min(_N_FIRST, _CHUNK // 4 // x.shape[1]))].dense()
    return x[:_N_FIRST]


def reads_sparse(module: Any) -> bool:
    """Whether a module is an nn.Sequential that starts with a Linear layer.

    A custom ``forward`` may read the features in other ways, so it needs them dense.
    """
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and len(module) > 0
        and type(module[0]) is nn.Linear
    )


def batch_for(module: Any, x: Tensor | SparseRows) -> Tensor | SparseRows:
    """A batch for :func:`outputs_of`: sparse if the module reads sparse rows, else dense."""
    return x.dense() if isinstance(x, SparseRows) and not reads_sparse(module) else x


def outputs_of(module: Any, x: Tensor | SparseRows | NamedSamples) -> Tensor:
    """Outputs of a module for dense, sparse or named samples, (n_samples, n_outputs).

    A module that returns a number for each sample, (n_samples,), has a column of outputs.  In
    evaluation mode a module that cannot read sparse rows is run on dense chunks; in training mode
    it is run on the whole dense batch, as BatchNorm requires.
    """
    if isinstance(x, NamedSamples):
        return as_columns(module(**x.parts))
    if not isinstance(x, SparseRows):
        return as_columns(module(x))
    if reads_sparse(module):
        z = x.through(module[0])
        for layer in module[1:]:
            z = layer(z)
        return z
    if module.training:
        return as_columns(module(x.dense()))
    return torch.cat([as_columns(module(chunk.dense())) for chunk in x.pieces()])


def as_columns(outputs: Tensor) -> Tensor:
    """Outputs as (n_samples, n_outputs), also of a number for each sample."""
    return outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
