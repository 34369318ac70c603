"""What a removal takes away, and what the rest of the group does about it.

Three ways to remove unit j with activation a: take it as zero, as its mean, or as what the
other units of its group predict (least squares with ridge and intercept).  A pull measures
exactly what the surgery will do, because both come from the same statistics, frozen for the
round: the mean and P = (G + ridge I)^-1, with G the weighted covariance of the group's
activations.  The residual of unit j alone is (a - mean) P[:, j] / P[j, j]; of a set S removed
together (a - mean) P[:, S] P[S, S]^-1; after S is gone P is down-dated to
P[R, R] - P[R, S] P[S, S]^-1 P[S, R].

Activations and residuals are feature-major: a unit in each row, a sample in each column.
"""

from __future__ import annotations

import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from ..graph.kinds.base import Fold

ABLATIONS = ("least_squares", "mean", "zero")

#: The least ridge, as a fraction and outright: without the first a group with more units than
#: samples could not be factorised, without the second one whose units are all dead.
RIDGE_FLOOR = 1e-10

# Rows of a large matrix that are gone through at once.
_STRIP = 1024


class ZeroAblation:
    """A removed unit's activation is taken as zero.  Also the base of the others.

    Parameters
    ----------
    activations : Tensor of shape (width, n_samples)
        Of one group, on the samples that the statistics come from.
    weights : Tensor of shape (n_samples,)
        Sample weights that sum to 1, float64.
    ridge : float
        Ignored except by least squares.

    Attributes
    ----------
    sparse : bool
        Whether the ablated part is exactly zero where the activation is.
    """

    sparse = True

    def __init__(self, activations: Tensor, weights: Tensor, ridge: float = 0.0):
        self.width = len(activations)

    def residual(self, activations: Tensor, units: Tensor) -> Tensor:
        """Ablated part of each unit's activation, each removed alone, (n_units, n_samples)."""
        return activations.index_select(0, units)

    def fold(self, units: Tensor) -> Fold:
        """Slopes (n_kept, n_removed) and constants (n_removed,) that predict the removed."""
        return None

    def remove(self, units: Tensor) -> None:
        """These units are gone; the statistics of the others are kept up to date."""
        self.width -= len(units)


class MeanAblation(ZeroAblation):
    """A removed unit's activation is taken as its mean, which goes into the readers' biases."""

    sparse = False

    def __init__(self, activations: Tensor, weights: Tensor, ridge: float = 0.0):
        super().__init__(activations, weights)
        self.mean = activations.double() @ weights

    def residual(self, activations: Tensor, units: Tensor) -> Tensor:
        """Activation minus its mean."""
        mean = self.mean[units].to(activations.dtype)
        return activations.index_select(0, units) - mean[:, None]

    def fold(self, units: Tensor) -> Fold:
        """No slopes; the constants are the means."""
        return None, self.mean[units]

    def remove(self, units: Tensor) -> None:
        """Forget their means."""
        super().remove(units)
        self.mean = self.mean[kept(units, len(self.mean))]


class LeastSquaresAblation(MeanAblation):
    """A removed unit's activation is predicted from the rest of its group."""

    def __init__(self, activations: Tensor, weights: Tensor, ridge: float = 0.0):
        super().__init__(activations, weights)
        scaled = activations.to(torch.float64, copy=True)
        scaled.sub_(self.mean[:, None]).mul_(weights.sqrt())
        try:
            self.inverse = _inverse(scaled.T, max(ridge, RIDGE_FLOOR))
        except torch.linalg.LinAlgError as error:
            raise ValueError(
                f"Activations of a hidden layer, up to {float(activations.abs().max()):.3g}, are "
                "too large for ablation='least_squares'. Scale the features (StandardScaler), "
                "lower the net's lr, or take ablation='mean'."
            ) from error
        # For rounds that ask for most units again and again.
        self._every: tuple[Tensor, Tensor] | None = None

    def residual(self, activations: Tensor, units: Tensor) -> Tensor:
        """Activation minus its prediction from all other units of the group."""
        single, centre = self._rows(units, activations.dtype)
        return torch.addmm(centre[:, None], single, activations, beta=-1)

    def fold(self, units: Tensor) -> Fold:
        """Regression of the removed units on the kept ones."""
        keep = kept(units, len(self.mean))
        slopes = -self._together(units)[keep]
        return slopes, self.mean[units] - slopes.T @ self.mean[keep]

    def remove(self, units: Tensor) -> None:
        """Down-date the inverse, without a new factorisation."""
        keep = kept(units, len(self.mean)).nonzero()[:, 0]
        gone = self.inverse.index_select(0, units)
        factor = torch.linalg.cholesky(gone.index_select(1, units))
        # A product with itself is symmetric, and so stays the inverse.
        half = torch.linalg.solve_triangular(factor, gone.index_select(1, keep), upper=False)
        inverse = self.inverse.index_select(0, keep).index_select(1, keep)
        self.inverse = inverse.addmm_(half.T, half, alpha=-1)
        self._every = None
        super().remove(units)

    def _rows(self, units: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Rows of P over its diagonal, and what they make of the mean."""
        width = len(self.mean)
        if len(units) < width // 2:
            return self._made(units, dtype)
        if self._every is None or self._every[0].dtype != dtype:
            self._every = self._made(torch.arange(width, device=units.device), dtype)
        single, centre = self._every
        return single.index_select(0, units), centre.index_select(0, units)

    def _made(self, units: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        # P is symmetric: its rows are its columns.
        single = self.inverse.index_select(0, units)
        single /= self.inverse.diagonal()[units, None]
        return single.to(dtype), (single @ self.mean).to(dtype)

    def _together(self, units: Tensor) -> Tensor:
        """P[:, S] P[S, S]^-1, shape (width, n_units)."""
        block = self.inverse[units][:, units]
        return torch.linalg.solve(block, self.inverse[units]).T


def _inverse(a: Tensor, fraction: float) -> Tensor:
    """(A' A + s I)^-1, of a matrix with more columns than rows as (I - A' (A A' + s I)^-1 A) / s.

    The second way factorises a matrix with as many columns as A has rows (Woodbury's identity).
    s is that fraction of the mean of A' A's diagonal.
    """
    n_rows, width = a.shape
    gram = gram_of(a) if width <= n_rows else gram_of(a.T)
    # Both products have the same trace, the sum of all squares.
    strength = max(fraction * float(gram.diagonal().sum()) / width, RIDGE_FLOOR)
    gram.diagonal().add_(strength)
    factor = torch.linalg.cholesky(gram)
    if width <= n_rows:
        return torch.cholesky_inverse(factor)
    half = torch.linalg.solve_triangular(factor, a, upper=False)
    inverse = gram_of(half).div_(-strength)
    inverse.diagonal().add_(1 / strength)
    # Only the lower half is there.
    for first in range(0, width, _STRIP):
        last = min(first + _STRIP, width)
        square = inverse[first:last, first:last]
        square.copy_(square.tril() + square.tril(-1).T)
        inverse[first:last, last:] = inverse[last:, first:last].T
    return inverse


def gram_of(a: Tensor) -> Tensor:
    """Products of columns; what is above the diagonal is not needed."""
    if a.device.type != "cpu":  # pragma: no cuda cover
        return a.T @ a
    # Half of the multiply-adds of a product that does not know it is symmetric.
    if a.T.is_contiguous():
        return torch.from_numpy(dsyrk(1.0, a.T.numpy().T, trans=1).T)
    return torch.from_numpy(dsyrk(1.0, a.contiguous().numpy().T).T)


def kept(units: Tensor, width: int) -> Tensor:
    """Mask of the units that are not in the list, (width,)."""
    mask = torch.ones(width, dtype=torch.bool, device=units.device)
    mask[units] = False
    return mask


_CLASSES = dict(zip(ABLATIONS, (LeastSquaresAblation, MeanAblation, ZeroAblation), strict=True))


def make_ablation(name: str, activations: Tensor, weights: Tensor, ridge: float) -> ZeroAblation:
    """The named ablation of one group, its statistics taken from these samples.

    Parameters
    ----------
    name : {"least_squares", "mean", "zero"}
    activations : Tensor of shape (width, n_samples)
    weights : Tensor of shape (n_samples,)
        Sample weights of any scale.
    ridge : float
        Fraction of the mean variance of the group's activations.
    """
    normalised = weights.double() / weights.double().sum()
    return _CLASSES[name](activations, normalised, ridge)
