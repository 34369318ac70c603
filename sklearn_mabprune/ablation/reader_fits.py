"""What the weights of a reader become when units are removed, for readers of any form.

A reader is a product of patches x, a row for each sample and position, with a matrix W: see
:class:`~sklearn_mabprune.graph.readers.Reader`.  Removing a set S of its columns changes what it
returns by -W_S r, with r the ablated part of these columns:

- ``"zero"``: the columns themselves;
- ``"mean"``: the columns minus their means over all rows, padding included;
- ``"least_squares"``: (x - m) T' with T = P_SS^-1 P_S: and P = (G + ridge I)^-1, where G is the
  Gram matrix of the rows: centred, with the means m, where the reader has a bias or a batch norm
  behind it has one, and not centred without m where there is none.

The change of the weights is therefore -W_S T, and that of the bias +W_S T m: a pull and the
surgery use the same numbers.

With least squares the kept columns are fitted again, whenever what the reader reads has changed,
to what it returned in the unpruned network on the same samples: (C' + ridge W) P, with C the
products of rows and those targets.  (Targets from the reader itself would fit the errors of the
layers upstream as well.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .compensation import RIDGE_FLOOR, kept


@dataclass
class Rows:
    """Sums over rows, with weights that sum to 1, of a reader's live columns; float64.

    Parameters
    ----------
    mean : Tensor of shape (n_blocks, n_columns)
    gram : Tensor of shape (n_blocks, n_columns, n_columns)
        The lower half may be all there is.
    targets : Tensor of shape (n_blocks, n_outputs)
        Mean of what the reader returned in the unpruned network.
    cross : Tensor of shape (n_blocks, n_columns, n_outputs)
        Products of columns and targets.
    """

    mean: Tensor
    gram: Tensor
    targets: Tensor
    cross: Tensor


class ZeroFit:
    """Removed columns count as zero.  Also the base of the others.

    Parameters
    ----------
    live : Tensor of int, shape (n_live,)
        Columns of the matrix that are there.
    biased : bool
        Whether there is a bias that may change, the reader's own or a batch norm's.
    """

    needs_rows = False
    needs_gram = False

    def __init__(self, live: Tensor, biased: bool):
        self.live, self.biased = live, biased

    def positions(self, columns: Tensor) -> Tensor:
        """Places of these columns among the live ones."""
        return torch.searchsorted(self.live, columns)

    @property
    def sampled(self) -> list[Tensor]:
        """Of each sample of rows, the columns that are there."""
        return [self.live]

    def measure(self, rows: Sequence[Rows], ridge: float) -> None:
        """Statistics of the live columns from rows, one for each of `sampled`."""

    def refitted(self, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
        """The matrix with its live columns fitted to the unpruned network, and the bias.

        None: the bias stays.
        """
        return matrix, None

    def residuals(self, columns: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Ablated parts of units, each removed alone.

        Parameters
        ----------
        columns : Tensor of int, shape (n_units, n_each)
        dtype : torch.dtype
            Of the rows.

        Returns
        -------
        callable
            From rows, (n_blocks, n_rows, n_live), to (n_blocks, n_rows, n_units, n_each).
        """
        places = self.positions(columns).flatten()
        if len(places) == len(self.live) and bool((places.diff() == 1).all()):
            return lambda rows: rows.unflatten(-1, columns.shape)
        return lambda rows: rows.index_select(-1, places).unflatten(-1, columns.shape)

    def deltas(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Changes of the live columns and of the bias when each unit alone is removed.

        Returns
        -------
        Tensor of shape (n_blocks, n_units, n_outputs, n_live)
        Tensor of shape (n_blocks, n_units, n_outputs)
        """
        own = matrix[:, :, columns].transpose(1, 2)
        spread = own.new_zeros(*own.shape[:3], len(self.live))
        places = self.positions(columns)[None, :, None].expand(own.shape)
        spread.scatter_(-1, places, -own)
        return spread, self._bias_deltas(own)

    def _bias_deltas(self, own: Tensor) -> Tensor:
        return own.new_zeros(own.shape[:3])

    def together(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """The matrix without these columns, and what the bias grows by; None: it stays."""
        return matrix.index_fill(-1, columns, 0.0), None

    def residual_variance(self, columns: Tensor) -> Tensor:
        """Variance of each unit's columns that the others cannot predict, (n_units,)."""
        return torch.zeros(len(columns), dtype=torch.float64, device=columns.device)

    def remove(self, columns: Tensor) -> None:
        """These columns are gone."""
        self.live = self.live[kept(self.positions(columns), len(self.live))]


class MeanFit(ZeroFit):
    """Removed columns count as their means, where there is a bias that takes them."""

    needs_rows = True

    def measure(self, rows: Sequence[Rows], ridge: float) -> None:
        """Means of the live columns."""
        mean = rows[0].mean
        self.mean = mean if self.biased else torch.zeros_like(mean)

    def residuals(self, columns: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Columns minus their means."""
        own, means = super().residuals(columns, dtype), self._means(columns, dtype)[:, None]
        return lambda rows: own(rows) - means

    def _means(self, columns: Tensor, dtype: torch.dtype) -> Tensor:
        return self.mean[:, self.positions(columns)].to(dtype)

    def deltas(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The bias grows by the mean of what is removed."""
        spread, _ = super().deltas(matrix, columns)
        own = matrix[:, :, columns].transpose(1, 2)
        return spread, torch.einsum("buot,but->buo", own, self._means(columns, own.dtype))

    def together(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """The bias grows by the mean of what is removed."""
        smaller, _ = super().together(matrix, columns)
        means = self.mean[:, self.positions(columns)]
        grown = torch.einsum("bos,bs->bo", matrix[:, :, columns].double(), means)
        return smaller, grown if self.biased else None

    def remove(self, columns: Tensor) -> None:
        """Forget their means."""
        self.mean = self.mean[:, kept(self.positions(columns), len(self.live))]
        super().remove(columns)


class LeastSquaresFit(MeanFit):
    """Removed columns are predicted from the others, over all rows."""

    needs_gram = True

    def measure(self, rows: Sequence[Rows], ridge: float) -> None:
        """The inverse Gram matrix of the live columns, and their products with the targets."""
        super().measure(rows, ridge)
        (sums,) = rows
        gram, cross = sums.gram, sums.cross
        if self.biased:
            gram = gram - sums.mean[:, :, None] * sums.mean[:, None]
            cross = cross - sums.mean[:, :, None] * sums.targets[:, None]
        self.ridge = strengths(gram, ridge)
        self.inverse = inverse_of(gram, self.ridge)
        self._cross, self._targets = cross, sums.targets

    def refitted(self, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
        """Least squares towards what the reader returned in the unpruned network."""
        own = matrix.index_select(-1, self.live).double()
        towards = self._cross.transpose(1, 2) + self.ridge[:, None, None] * own
        fitted = towards @ self.inverse
        bias = self._targets - torch.einsum("boc,bc->bo", fitted, self.mean)
        wide = torch.zeros_like(matrix).index_copy(-1, self.live, fitted.to(matrix.dtype))
        return wide, bias if self.biased else None

    def residuals(self, columns: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Columns minus their prediction from all columns of other units."""
        slopes = self._alone(columns).flatten(1, 2)
        centre = torch.einsum("bsc,bc->bs", slopes, self.mean).to(dtype)[:, None]
        slopes = slopes.to(dtype).transpose(1, 2)
        return lambda rows: torch.baddbmm(centre, rows, slopes, beta=-1).unflatten(
            -1, columns.shape
        )

    def deltas(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """-W T, and W T m for the bias."""
        slopes = self._alone(columns)
        own = matrix[:, :, columns].permute(0, 2, 1, 3)
        centre = torch.einsum("butc,bc->but", slopes, self.mean).to(own.dtype)
        change = own @ slopes.to(own.dtype)
        return change.neg_(), torch.einsum("buot,but->buo", own, centre)

    def together(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """All other columns take over what these predict."""
        places = self.positions(columns)
        gone = self.inverse.index_select(1, places)
        slopes = torch.linalg.solve(gone.index_select(2, places), gone)
        change = matrix[:, :, columns].double() @ slopes
        smaller = matrix.index_select(-1, self.live).double() - change
        wide = torch.zeros_like(matrix).index_copy(-1, self.live, smaller.to(matrix.dtype))
        grown = torch.einsum("boc,bc->bo", change, self.mean)
        return wide.index_fill(-1, columns, 0.0), grown if self.biased else None

    def residual_variance(self, columns: Tensor) -> Tensor:
        """Variance of each unit's columns that the others cannot predict, (n_units,)."""
        alone, _ = self._of_each(columns)
        return alone.diagonal(dim1=-2, dim2=-1).sum((0, 2))

    def remove(self, columns: Tensor) -> None:
        """Down-date the inverse; the products with the targets stay what they are."""
        places = self.positions(columns)
        keep = kept(places, len(self.live)).nonzero()[:, 0]
        gone = self.inverse.index_select(1, places)
        factor = torch.linalg.cholesky(gone.index_select(2, places))
        half = torch.linalg.solve_triangular(factor, gone.index_select(2, keep), upper=False)
        inverse = self.inverse.index_select(1, keep).index_select(2, keep)
        self.inverse = inverse.baddbmm_(half.transpose(1, 2), half, alpha=-1)
        self._cross = self._cross.index_select(1, keep)
        super().remove(columns)

    def _alone(self, columns: Tensor) -> Tensor:
        """P_jj^-1 P_j: of each unit alone, (n_blocks, n_units, n_each, n_live)."""
        alone, own = self._of_each(columns)
        return alone @ own

    def _of_each(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """P_jj^-1 and P_j: of each unit."""
        places = self.positions(columns)
        own = self.inverse.index_select(1, places.flatten()).unflatten(1, places.shape)
        where = places[None, :, None].expand(*own.shape[:3], places.shape[1])
        # Of few columns each: an inverse and a product take less time than a solution.
        return torch.linalg.inv(own.gather(-1, where)), own


FITS = {"zero": ZeroFit, "mean": MeanFit, "least_squares": LeastSquaresFit}


def strengths(gram: Tensor, ridge: float) -> Tensor:
    """That fraction of the mean of each Gram matrix's diagonal, (n_blocks,)."""
    mean = gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    return (max(ridge, RIDGE_FLOOR) * mean).clamp_min(RIDGE_FLOOR)


def inverse_of(gram: Tensor, strength: Tensor) -> Tensor:
    """(G + s I)^-1 of each Gram matrix; the lower half suffices."""
    gram = gram.clone()
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    diagonal += strength[:, None]
    try:
        return torch.cholesky_inverse(torch.linalg.cholesky(gram))
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"Values that a layer reads, up to {float(diagonal.max()) ** 0.5:.3g}, are too large "
            "for ablation='least_squares'. Scale the features, lower the net's lr, or take "
            "ablation='mean'."
        ) from error
