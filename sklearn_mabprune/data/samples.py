"""Samples of a fit: as arrays for training, and as tensors for pruning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from .losses import SampleLoss
from .sparse import SparseRows
from .table import Table


@dataclass(frozen=True)
class Data:
    """Samples as NumPy arrays: features, targets as a net wants them, weights of mean 1.

    Parameters
    ----------
    x : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    weights : ndarray of shape (n_samples,) or None
        None where all samples count the same.
    n_outputs : int
        Classes or targets.
    per_epoch : int or None
        Samples that an epoch of training draws at random; None: each sample once.
    table : Table or None
        The columns that the features were encoded from, where they are known.
    groups : ndarray of int, shape (n_samples,), or None
        Groups that the user named: folds do not divide them.
    """

    x: Any
    y: np.ndarray
    weights: np.ndarray | None
    n_outputs: int
    per_epoch: int | None = None
    table: Table | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_bytes(self) -> int:
        """Bytes of the features; of sparse ones, those of their values."""
        return int(self.x.data.nbytes)

    @property
    def encoded(self) -> Data:
        """The same without table and groups: what a network is trained on."""
        return replace(self, table=None, groups=None)

    @property
    def bare(self) -> Data:
        """The same, with the columns of a table but not what encodes them."""
        return self if self.table is None else replace(self, table=self.table.bare)

    def at(self, index: np.ndarray) -> Data:
        """These samples only, in this order."""
        weights = None if self.weights is None else self.weights[index]
        table = None if self.table is None else self.table.at(index)
        groups = None if self.groups is None else self.groups[index]
        samples = self.x[index], self.y[index], weights, self.n_outputs
        return Data(*samples, table=table, groups=groups)


@dataclass(frozen=True)
class Samples:
    """Samples that pulls and statistics come from, on the network's device.

    Parameters
    ----------
    x : Tensor or SparseRows of shape (n_samples, n_features)
    targets : Tensor of shape (n_samples,) or (n_samples, n_outputs)
        As the criterion wants them.
    weights : Tensor of shape (n_samples,), float64
    loss : SampleLoss
    per_epoch : int or None
        Samples that an epoch of fine-tuning draws at random; None: each sample once.
    """

    x: Tensor | SparseRows
    targets: Tensor
    weights: Tensor
    loss: SampleLoss
    per_epoch: int | None = None

    def __len__(self) -> int:
        return len(self.x)

    def at(self, index: Tensor | slice) -> Samples:
        """These samples only, in this order."""
        return Samples(self.x[index], self.targets[index], self.weights[index], self.loss)
