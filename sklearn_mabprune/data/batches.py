"""Batches of tensors in memory, without workers and without fetching sample by sample."""

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
    """A tensor on the device, or :class:`SparseRows` for a sparse matrix.

    Arrays that are read-only, not aligned, not C-contiguous or of strides that torch does not
    know, such as those of a reversed view, are copied.  Only floating-point values are
    converted to `dtype`.
    """
    if sparse.issparse(values):
        return SparseRows.of(values, device, dtype)
    if not isinstance(values, Tensor):
        array = np.require(np.asarray(values), requirements=["C", "W", "A"])
        # A dimension of length 1 may have any stride in a C-contiguous array of NumPy.
        if any(stride < 0 or stride % array.itemsize for stride in array.strides):
            array = array.copy()
        values = torch.from_numpy(array)
    if dtype is not None and values.is_floating_point():
        return values.to(device=device, dtype=dtype)
    return values.to(device)


class SparseDataset(Dataset):
    """Data set over a CSR matrix, also inside a dict, that converts whole batches to dense."""

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.__getitems__([i])[0]

    def __getitems__(self, index: list[int]) -> list[tuple[Any, Any]]:
        """Samples of a batch of indices, the interface of ``DataLoader`` for whole batches."""
        if isinstance(self.X, dict):
            parts = {name: _dense_rows(values, index) for name, values in self.X.items()}
            x: Any = [{name: part[k] for name, part in parts.items()} for k in range(len(index))]
        else:
            x = _dense_rows(self.X, index)
        return [self.transform(*pair) for pair in zip(x, self.y[index], strict=True)]


def _dense_rows(values: Any, index: list[int]) -> Any:
    """Rows of an array or sparse matrix, dense."""
    rows = values[index]
    return rows.toarray() if sparse.issparse(rows) else rows


def _select(values: Any, index: slice | Tensor) -> Any:
    """Samples of a tensor or of sparse rows."""
    if isinstance(values, Tensor) and isinstance(index, Tensor):
        return values.index_select(0, index)  # faster than indexing
    return values[index]


class TensorBatches:
    """Iterable over batches of a data set that is copied to the device as a whole.

    It replaces the ``DataLoader`` of a skorch net.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Data set of skorch, or a subset of one, over arrays or a dict of arrays.
    batch_size : int, default=200
        Samples per batch; -1 for all samples in one batch.
    shuffle : bool, default=False
        Whether to shuffle the samples in every epoch.
    seed : int, default=0
        Seed of the generator that shuffles.
    device : str, default="cpu"
        Device that all samples are copied to, once.
    dtype : torch.dtype, optional
        Dtype of floating-point values.
    target_dtype : torch.dtype, optional
        Dtype of floating-point targets.
    module : nn.Module, optional
        Module that the batches are for.  Sparse batches stay :class:`SparseRows` if its first
        layer can read them, and are converted to dense otherwise.

    Attributes
    ----------
    n_samples : int
        Number of samples.
    per_epoch : int or None
        Samples that a pass draws if it shuffles; None: each sample once.
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
        target_dtype: torch.dtype | None = None,
    ):
        x, y = data_from_dataset(dataset)
        if not isinstance(x, dict):
            x = {"X": x}
        self.x = {name: as_tensor(values, device, dtype) for name, values in x.items()}
        self.n_samples = n_samples = len(next(iter(self.x.values())))
        # For predictions skorch passes a data set without targets.
        self.y = torch.zeros(n_samples) if y is None else as_tensor(y, device, target_dtype)
        self.batch_size = n_samples if batch_size == -1 else batch_size
        self.shuffle = shuffle
        self.module = module
        self.per_epoch: int | None = None
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Tensor]]:
        generator = self.generator if self.shuffle else None
        for index in epoch(self.n_samples, self.batch_size, generator, self.per_epoch):
            where = index if isinstance(index, slice) else index.to(self.y.device)
            x = {
                name: batch_for(self.module, _select(values, where))
                for name, values in self.x.items()
            }
            yield x, _select(self.y, where)

    def __len__(self) -> int:
        drawn = self.per_epoch if self.shuffle else None
        return len(_starts(drawn or self.n_samples, self.batch_size))


def epoch(
    n_samples: int,
    batch_size: int,
    generator: torch.Generator | None,
    per_epoch: int | None = None,
) -> Iterator[Tensor | slice]:
    """Sample indices of each batch of an epoch.

    A single remaining sample is added to the batch before it, because BatchNorm cannot train on
    a batch of one sample.

    Parameters
    ----------
    n_samples, batch_size : int
        Number of samples, in total and per batch.
    generator : torch.Generator or None
        Generator that shuffles the samples; None keeps their order.
    per_epoch : int, optional
        Samples that an epoch draws if it shuffles; None: each sample once.

    Yields
    ------
    slice, or Tensor of int64 of shape (n_samples_of_batch,) if the samples are shuffled
    """
    n_drawn = n_samples if per_epoch is None or generator is None else per_epoch
    starts = _starts(n_drawn, batch_size)
    order = None
    if generator is not None and (len(starts) > 1 or n_drawn < n_samples):
        order = torch.randperm(n_samples, generator=generator)
    for start, stop in zip(starts, [*starts[1:], n_drawn], strict=True):
        yield slice(start, stop) if order is None else order[start:stop]


def _starts(n_samples: int, batch_size: int) -> list[int]:
    """Index of the first sample of each batch."""
    starts = list(range(0, n_samples, batch_size))
    if len(starts) > 1 and n_samples - starts[-1] == 1:
        starts.pop()
    return starts
