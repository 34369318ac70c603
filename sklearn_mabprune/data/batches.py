"""Batches straight from tensors in memory: no workers, no row-wise fetching."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import Dataset
from skorch.utils import data_from_dataset
from torch import Tensor

from .sparse import SparseRows, batch_for


def as_tensor(values: Any, device: str | torch.device, dtype: torch.dtype | None = None) -> Any:
    """A tensor on the device; read-only or oddly laid out arrays are copied first.

    A sparse matrix becomes :class:`SparseRows`.
    """
    if sparse.issparse(values):
        return SparseRows.of(values, device, dtype)
    if not isinstance(values, Tensor):
        array = np.require(np.asarray(values), requirements=["C", "W"])
        values = torch.from_numpy(array)
    if dtype is not None and values.is_floating_point():
        return values.to(device=device, dtype=dtype)
    return values.to(device)


class SparseDataset(Dataset):
    """skorch's data set over a CSR matrix, also inside a dict: a batch is made dense at once."""

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.__getitems__([i])[0]

    def __getitems__(self, index: list[int]) -> list[tuple[Any, Any]]:
        """Rows of a batch, as ``DataLoader`` asks for them."""
        if isinstance(self.X, dict):
            parts = {name: _rows(values, index) for name, values in self.X.items()}
            x: Any = [{name: part[k] for name, part in parts.items()} for k in range(len(index))]
        else:
            x = _rows(self.X, index)
        return [self.transform(*row) for row in zip(x, self.y[index], strict=True)]


def _rows(values: Any, index: list[int]) -> Any:
    some = values[index]
    return some.toarray() if sparse.issparse(some) else some


def _picked(values: Any, index: slice | Tensor) -> Any:
    """Rows of tensors or sparse rows."""
    if isinstance(values, Tensor) and isinstance(index, Tensor):
        return values.index_select(0, index)  # whole rows: faster than indexing
    return values[index]


class TensorBatches:
    """Batches of a data set whose rows all lie on the device.

    Stands where skorch expects a ``DataLoader``.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        skorch's, or a subset of one, over arrays or a dict of arrays.
    batch_size : int, default=200
        -1: all rows in one batch.
    shuffle : bool, default=False
        A new order every epoch, from a generator of its own.
    seed : int, default=0
        Of that generator.
    device : str, default="cpu"
        Where the rows go, once.
    dtype : torch.dtype, optional
        Floating-point values become this.
    module : nn.Module, optional
        Who reads the batches: sparse rows stay :class:`SparseRows` where its first layer can
        take them, and become dense where not.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 200,
        shuffle: bool = False,
        seed: int = 0,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        module: Any = None,
    ):
        x, y = data_from_dataset(dataset)
        if not isinstance(x, dict):
            x = {"X": x}
        self.x = {name: as_tensor(values, device, dtype) for name, values in x.items()}
        n_rows = len(self.x["X"])
        # skorch predicts without targets.
        self.y = torch.zeros(n_rows) if y is None else as_tensor(y, device, dtype)
        self.n_rows = n_rows
        self.batch_size = n_rows if batch_size == -1 else batch_size
        self.shuffle = shuffle
        self.module = module
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Tensor]]:
        for index in epoch(self.n_rows, self.batch_size, self.generator if self.shuffle else None):
            where = index if isinstance(index, slice) else index.to(self.y.device)
            x = {
                name: batch_for(self.module, _picked(values, where))
                for name, values in self.x.items()
            }
            yield x, _picked(self.y, where)

    def __len__(self) -> int:
        return len(_starts(self.n_rows, self.batch_size))


def epoch(
    n_rows: int, batch_size: int, generator: torch.Generator | None
) -> Iterator[Tensor | slice]:
    """Row indices of each batch; a single row left over joins the batch before it."""
    starts = _starts(n_rows, batch_size)
    order = None
    if generator is not None and len(starts) > 1:
        order = torch.randperm(n_rows, generator=generator)
    for start, stop in zip(starts, [*starts[1:], n_rows], strict=True):
        yield slice(start, stop) if order is None else order[start:stop]


def _starts(n_rows: int, batch_size: int) -> list[int]:
    """First row of each batch; BatchNorm cannot train on a batch of one row."""
    starts = list(range(0, n_rows, batch_size))
    if len(starts) > 1 and n_rows - starts[-1] == 1:
        starts.pop()
    return starts
