"""Least squares between channels, for readers with too many columns for a Gram matrix of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .compensation import kept
from .reader_fits import Rows, ZeroFit, inverse_of, strengths


class ChannelFit(ZeroFit):
    """Removed channels are predicted from the others, with the same numbers at every place.

    A channel has several columns, its places: the taps of a kernel, or the positions of what is
    flattened.  Removing channels S changes what the reader returns by -W_S (x_S - P_SS^-1 P_S: x)
    at each place, with P = (G + ridge I)^-1 and G the Gram matrix of the channels over samples,
    positions and places.  There is no intercept: it would be wrong where a kernel reads padding.

    The kept channels are fitted again to those of the unpruned network, x0: the weights become W0
    (C' + ridge M) P at each place, with W0 the unpruned weights, C the products of x and x0, and M
    what the weights were so far, W = W0 M.

    Parameters
    ----------
    live, biased
        As of :class:`ZeroFit`.
    families : sequence of Tensor of int, shape (n_channels, n_places)
        Columns of channels that have the same places.
    matrix : Tensor of shape (n_blocks, n_outputs, n_columns)
        The weights of the unpruned network.
    """

    needs_rows = needs_gram = True

    def __init__(self, live: Tensor, biased: bool, families: Sequence[Tensor], matrix: Tensor):
        super().__init__(live, biased)
        self._families = [_Family(columns, matrix) for columns in families]

    @property
    def sampled(self) -> list[Tensor]:
        """Channels of each family that are there."""
        return [family.live for family in self._families]

    def measure(self, rows: Sequence[Rows], ridge: float) -> None:
        """Statistics of the channels of each family."""
        for family, sums in zip(self._families, rows, strict=True):
            family.measure(sums, ridge)

    def refitted(self, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
        """Least squares towards the channels of the unpruned network."""
        matrix = matrix.clone()
        for family in self._families:
            family.refit()
            matrix[..., family.columns[family.live].flatten()] = family.weights().to(matrix.dtype)
        return matrix, None

    def residuals(self, columns: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Channels minus their predictions from all other channels of their family."""
        family, slopes = self._alone(columns)
        places, slopes = self.positions(family.columns[family.live].flatten()), slopes.to(dtype)
        in_order = len(places) == len(self.live) and bool((places.diff() == 1).all())
        turned = places.view(len(family.live), -1).T.flatten()
        taps_first = len(places) == len(self.live) and bool((turned.diff() == 1).all())

        def of(rows: Tensor) -> Tensor:
            if rows.shape[-1] == len(places) and taps_first:
                # (n_blocks, n_rows, n_places, n_live)
                found = rows.unflatten(-1, (-1, len(family.live))) @ slopes[:, None].mT
                return found.transpose(2, 3)
            rows = rows if in_order else rows.index_select(-1, places)
            # (n_blocks, n_rows, n_live, n_places)
            return slopes[:, None] @ rows.unflatten(-1, (len(family.live), -1))

        return of

    def deltas(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """-W_j P_jj^-1 P_j: at each place."""
        family, slopes = self._alone(columns)
        own = matrix[:, :, columns].transpose(1, 2)
        change = torch.einsum("buot,buc->buoct", own, slopes.to(own.dtype)).neg_()
        spread = own.new_zeros(*own.shape[:3], len(self.live))
        places = self.positions(family.columns[family.live].flatten())
        spread[..., places] = change.flatten(-2)
        return spread, self._bias_deltas(own)

    def together(self, matrix: Tensor, columns: Tensor) -> tuple[Tensor, Tensor | None]:
        """All other channels of a family take over what these predict."""
        matrix = matrix.clone()
        for family in self._families:
            units = family.units(columns)
            if len(units):
                slopes = family.together(units)
                own = matrix[:, :, family.columns[family.live[units]]].double()
                change = torch.einsum("bojt,bjc->boct", own, slopes).flatten(-2)
                at = family.columns[family.live].flatten()
                matrix[..., at] -= change.to(matrix.dtype)
        return matrix.index_fill(-1, columns, 0.0), None

    def remove(self, columns: Tensor) -> None:
        """Down-date the inverses."""
        for family in self._families:
            family.remove(family.units(columns))
        super().remove(columns)

    def residual_variance(self, columns: Tensor) -> Tensor:
        """Mean square of each unit's columns that the others cannot predict, (n_units,)."""
        family, units = self._family_of(columns)
        own = family.inverse.diagonal(dim1=-2, dim2=-1)[:, units]
        return (columns.shape[1] / own).sum(0)

    def _alone(self, columns: Tensor) -> tuple[_Family, Tensor]:
        """P_jj^-1 P_j: of each channel alone, (n_blocks, n_units, n_live), and its family."""
        family, units = self._family_of(columns)
        own = family.inverse[:, units]
        return family, own / own.gather(-1, units[None, :, None].expand(len(own), -1, 1))

    def _family_of(self, columns: Tensor) -> tuple[_Family, Tensor]:
        """The family of some units, (n_units, n_places), and where they are among its channels."""
        family = next(f for f in self._families if bool((f.columns == columns[0, 0]).any()))
        first = family.columns[family.live, 0]
        return family, (first[None] == columns[:, :1]).int().argmax(1)


class _Family:
    """Channels of the same places, which are predicted from each other.

    Parameters
    ----------
    columns : Tensor of int, shape (n_channels, n_places)
        Of all channels.
    matrix : Tensor of shape (n_blocks, n_outputs, n_columns)
        The weights of the unpruned network.

    Attributes
    ----------
    live : Tensor of int, shape (n_live,)
        Channels that are there.
    inverse : Tensor of shape (n_blocks, n_live, n_live)
        (G + ridge I)^-1.
    mixing : Tensor of shape (n_blocks, n_channels, n_live)
        What the channels of the unpruned network are predicted with.
    """

    def __init__(self, columns: Tensor, matrix: Tensor):
        self.columns, self.matrix = columns, matrix
        self.live = torch.arange(len(columns), device=columns.device)
        eye = torch.eye(len(columns), dtype=torch.float64, device=columns.device)
        self.mixing = eye.expand(len(matrix), -1, -1)
        self.inverse = self.mixing

    def measure(self, sums: Rows, ridge: float) -> None:
        self._ridge = strengths(sums.gram, ridge)
        self.inverse = inverse_of(sums.gram, self._ridge)
        self._cross = sums.cross

    def refit(self) -> None:
        towards = self._cross.transpose(1, 2) + self._ridge[:, None, None] * self.mixing
        self.mixing = towards @ self.inverse

    def weights(self) -> Tensor:
        """Weights of the live channels, (n_blocks, n_outputs, n_live * n_places)."""
        whole = self.matrix[:, :, self.columns].double()
        return torch.einsum("bojt,bjc->boct", whole, self.mixing).flatten(-2)

    def units(self, columns: Tensor) -> Tensor:
        """Places, among the live channels, of those whose columns these are."""
        return torch.isin(self.columns[self.live, 0], columns).nonzero()[:, 0]

    def together(self, units: Tensor) -> Tensor:
        """P_SS^-1 P_S:, (n_blocks, n_units, n_live)."""
        gone = self.inverse.index_select(1, units)
        return torch.linalg.solve(gone.index_select(2, units), gone)

    def remove(self, units: Tensor) -> None:
        keep = kept(units, len(self.live)).nonzero()[:, 0]
        slopes = self.together(units)
        self.mixing = (self.mixing - self.mixing[:, :, units] @ slopes).index_select(2, keep)
        smaller = self.inverse.index_select(1, keep).index_select(2, keep)
        gone = self.inverse.index_select(1, units).index_select(2, keep)
        self.inverse = smaller - gone.transpose(1, 2) @ slopes.index_select(2, keep)
        self._cross = self._cross.index_select(1, keep)
        self.live = self.live[keep]
