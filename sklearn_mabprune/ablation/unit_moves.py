"""What readers return when units of a group are removed, each alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from ..graph.module_network import ModuleNetwork
from ..graph.readers import Reader
from .reader_fits import ZeroFit
from .reader_rows import live_patches
from .reader_statistics import ReaderStatistics
from .reads import Read


class UnitMoves:
    """Units, each removed alone, as the readers of one weight notice it.

    Parameters
    ----------
    read : Read
        Of the weight.
    fit : ZeroFit
        Says what takes over; frozen while this is used.
    columns : Tensor of int, shape (n_units, n_each)
        Columns of the units.
    matrix : Tensor of shape (n_blocks, n_outputs, n_columns)
        The weight, for those outputs that values have.
    """

    def __init__(self, read: Read, fit: ZeroFit, columns: Tensor, matrix: Tensor):
        self.readers, self.fit, self.columns, self.matrix = read.readers, fit, columns, matrix

    @cached_property
    def _own(self) -> Tensor:
        """Weights of the units, (n_blocks, n_units, n_each, n_outputs)."""
        chosen = self.matrix.index_select(2, self.columns.flatten())
        return chosen.unflatten(2, self.columns.shape).permute(0, 2, 3, 1).contiguous()

    @cached_property
    def _residuals(self) -> Callable[[Tensor], Tensor]:
        return self.fit.residuals(self.columns, self.matrix.dtype)

    @cached_property
    def _deltas(self) -> tuple[Tensor, Tensor]:
        return self.fit.deltas(self.matrix, self.columns)

    # ------------------------------------------------------------------------ as it is

    def residual(self, reader: Reader, x: Tensor) -> Tensor:
        """Ablated parts in all rows of what a reader reads.

        Returns
        -------
        Tensor of shape (n_blocks, n_samples * n_positions, n_units, n_each)
        """
        return self._of_patches(live_patches(reader, x, self.fit.live))

    def _of_patches(self, patches: Tensor) -> Tensor:
        return self._residuals(patches.transpose(0, 1).flatten(1, 2))

    def moved(self, reader: Reader, residual: Tensor, some: slice, like: Tensor) -> Tensor:
        """What a reader returns without some of the units.

        Parameters
        ----------
        reader : Reader
        residual : Tensor
            Of all units.
        some : slice
            Units.
        like : Tensor
            What it returns with all units.

        Returns
        -------
        Tensor of shape (n_units * n_samples, ...)
        """
        rows, found = reader.rows(like), []
        for block, own in enumerate(self._own):
            base, weights = rows[:, block].flatten(0, 1), own[some]
            parts = residual[block, :, some].transpose(0, 1)
            moved = torch.baddbmm(base.expand(len(weights), -1, -1), parts, weights, alpha=-1)
            found.append(moved.unflatten(1, (len(rows), -1)).flatten(0, 1))
        return reader.outputs(found, like.shape)

    # ------------------------------------------------------------------------ first order

    def first_order(
        self, values: Mapping[int, Tensor], gradients: Mapping[int, Sequence[Tensor]]
    ) -> Tensor:
        """Moves of functions of the logits, to first order, (n_units, k, n_samples).

        Parameters
        ----------
        values : mapping of int to Tensor
            What readers read.
        gradients : mapping of int to list of Tensor
            Of each of k functions, where the readers return.
        """
        total = None
        for reader in self.readers:
            near = torch.stack([reader.rows(g) for g in gradients[reader.gradient]], 3)
            patches = live_patches(reader, values[reader.reads], self.fit.live)
            moves = self._first_order(patches, near)
            total = moves if total is None else total + moves
        assert total is not None
        return total.permute(2, 1, 0).contiguous()

    def _first_order(self, patches: Tensor, near: Tensor) -> Tensor:
        """Through one reader, (n_samples, k, n_units).

        Either with the weights' gradients of each sample, or, for few positions, with ablated
        parts; patches are (n_samples, n_blocks, n_positions, n_columns), and near is
        (n_samples, n_blocks, n_positions, k, n_outputs).
        """
        n_positions, n_live = patches.shape[2:]
        n_units, n_each = self.columns.shape
        n_near = near.shape[3] * near.shape[4]
        if (n_positions + n_units) * n_live * n_near < n_positions * n_units * n_each * (
            n_live + n_near
        ):
            return self._by_weights(patches, near)
        pulled = torch.einsum("nblko,buto->nblkut", near, self._own)
        residual = self._of_patches(patches).unflatten(1, (len(patches), -1)).transpose(0, 1)
        return (pulled * residual[:, :, :, None]).sum((1, 2, 5)).neg_()

    def _by_weights(self, patches: Tensor, near: Tensor) -> Tensor:
        change, grown = self._deltas
        gradients = near.flatten(3).transpose(2, 3) @ patches
        # (n_samples, k, n_blocks * n_outputs * n_columns)
        flat = gradients.unflatten(2, near.shape[3:]).transpose(1, 2).flatten(2)
        found = flat @ change.permute(0, 2, 3, 1).flatten(0, 2)
        sums = near.sum(2).transpose(1, 2).flatten(2)
        return found + sums @ grown.permute(0, 2, 1).flatten(0, 1)


def unit_moves(
    network: ModuleNetwork, statistics: ReaderStatistics, number: int, units: Tensor
) -> list[UnitMoves]:
    """Units of a group as it stands, each removed alone, by the weights that read them."""
    columns_of = statistics.columns(network, number, units) or []
    found = []
    for read, columns in zip(statistics.reads[number] or [], columns_of, strict=True):
        matrix = read.matrix(network.weights[read.weight])
        if network.small is not None:
            left = network.outputs_left(read.weight, read.readers[0].outputs_axis)
            matrix = matrix.index_select(1, torch.as_tensor(left, device=matrix.device))
        found.append(UnitMoves(read, statistics.fits[read.weight], columns, matrix))
    return found
