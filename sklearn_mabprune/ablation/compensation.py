"""What a removal takes away, and what the rest of the layer does about it.

Three ways to remove neuron j with activation a: take it as zero, as its mean, or as what
the other neurons of its layer predict (least squares with ridge and intercept).  A pull
measures exactly what the surgery will do, because both come from the same statistics,
frozen for the round: the mean and P = (G + ridge I)^-1, with G the weighted covariance of
the layer's activations.  The residual of neuron j alone is (a - mean) P[:, j] / P[j, j];
of a set S removed together (a - mean) P[:, S] P[S, S]^-1; after S is gone P is down-dated
to P[R, R] - P[R, S] P[S, S]^-1 P[S, R].
"""

from __future__ import annotations

import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

ABLATIONS = ("least_squares", "mean", "zero")

# The least ridge, as a share and outright: without the first a layer wider than its rows
# are many could not be factorised, without the second one whose units are all dead.
_RIDGE_FLOOR = 1e-10

# Rows of a large matrix that are gone through at once.
_STRIP = 1024


class ZeroAblation:
    """A removed neuron's activation is taken as zero.  Also the base of the others.

    Parameters
    ----------
    activations : Tensor of shape (n_rows, width)
        Of one layer, on the rows that the statistics come from.
    weights : Tensor of shape (n_rows,)
        Row weights, summing to 1, float64.
    ridge : float
        Only least squares reads it.

    Attributes
    ----------
    sparse : bool
        Whether the ablated part is exactly zero where the activation is.
    """

    sparse = True

    def __init__(self, activations: Tensor, weights: Tensor, ridge: float = 0.0):
        self.width = activations.shape[1]

    def residual(self, activations: Tensor, units: Tensor) -> Tensor:
        """Ablated part of each unit's activation, each removed alone, (n_rows, n_units)."""
        return self.residual_across(activations.T, units).T

    def residual_across(self, activations: Tensor, units: Tensor) -> Tensor:
        """As :meth:`residual`, from (width, n_rows) to (n_units, n_rows)."""
        return activations.index_select(0, units)

    def residual_together(self, activations: Tensor, units: Tensor) -> Tensor:
        """Ablated part of these units' activations, removed together, (n_rows, n_units)."""
        return activations[:, units]

    def fold(self, units: Tensor) -> tuple[Tensor | None, Tensor] | None:
        """Slopes (n_kept, n_removed) and constants (n_removed,) that predict the removed."""
        return None

    def remove(self, units: Tensor) -> None:
        """These units are gone; the statistics of the others are kept up to date."""
        self.width -= len(units)


class MeanAblation(ZeroAblation):
    """A removed neuron's activation is taken as its mean, which goes into the next bias."""

    sparse = False

    def __init__(self, activations: Tensor, weights: Tensor, ridge: float = 0.0):
        super().__init__(activations, weights)
        self.mean = weights @ activations.double()

    def residual_across(self, activations: Tensor, units: Tensor) -> Tensor:
        """Activation minus its mean."""
        mean = self.mean[units].to(activations.dtype)
        return activations.index_select(0, units) - mean[:, None]

    def residual_together(self, activations: Tensor, units: Tensor) -> Tensor:
        """Activation minus its mean."""
        return self.residual(activations, units)

    def fold(self, units: Tensor) -> tuple[Tensor | None, Tensor] | None:
        """No slopes; the constants are the means."""
        return None, self.mean[units]

    def remove(self, units: Tensor) -> None:
        """Forget their means."""
        super().remove(units)
        self.mean = self.mean[kept(units, len(self.mean))]


class LeastSquaresAblation(MeanAblation):
    """A removed neuron's activation is predicted from the rest of its layer."""

    def __init__(self, activations: Tensor, weights: Tensor, ridge: float = 0.0):
        super().__init__(activations, weights)
        scaled = activations.to(torch.float64, copy=True)
        scaled.sub_(self.mean).mul_(weights.sqrt()[:, None])
        try:
            self.inverse = _inverse(scaled, max(ridge, _RIDGE_FLOOR))
        except torch.linalg.LinAlgError as error:
            raise ValueError(
                f"Activations of a hidden layer, up to {float(activations.abs().max()):.3g}, are "
                "too large for ablation='least_squares'. Scale the features (StandardScaler), "
                "lower the net's lr, or take ablation='mean'."
            ) from error
        # For rounds that ask for most neurons again and again.
        self._every: tuple[Tensor, Tensor] | None = None

    def residual_across(self, activations: Tensor, units: Tensor) -> Tensor:
        """Activation minus its prediction from all other neurons of the layer."""
        single, centre = self._rows(units, activations.dtype)
        return torch.addmm(centre[:, None], single, activations, beta=-1)

    def residual_together(self, activations: Tensor, units: Tensor) -> Tensor:
        """Activations minus their predictions from the neurons outside the set."""
        return self._centred(activations) @ self._together(units).to(activations.dtype)

    def fold(self, units: Tensor) -> tuple[Tensor | None, Tensor] | None:
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

    def _centred(self, activations: Tensor) -> Tensor:
        return activations - self.mean.to(activations.dtype)

    def _together(self, units: Tensor) -> Tensor:
        """P[:, S] P[S, S]^-1, shape (width, n_units)."""
        block = self.inverse[units][:, units]
        return torch.linalg.solve(block, self.inverse[units]).T


def _inverse(a: Tensor, share: float) -> Tensor:
    """(A' A + s I)^-1, of a matrix with more columns than rows as (I - A' (A A' + s I)^-1 A) / s.

    The second way factorises a matrix as wide as the rows are many (Woodbury's identity).
    s is that share of the mean of A' A's diagonal.
    """
    n_rows, width = a.shape
    gram = _gram(a) if width <= n_rows else _gram(a.T)
    # Both products have the same trace, the sum of all squares.
    strength = max(share * float(gram.diagonal().sum()) / width, _RIDGE_FLOOR)
    gram.diagonal().add_(strength)
    factor = torch.linalg.cholesky(gram)
    if width <= n_rows:
        return torch.cholesky_inverse(factor)
    half = torch.linalg.solve_triangular(factor, a, upper=False)
    inverse = _gram(half).div_(-strength)
    inverse.diagonal().add_(1 / strength)
    # Only the lower half is there.
    for first in range(0, width, _STRIP):
        last = min(first + _STRIP, width)
        square = inverse[first:last, first:last]
        square.copy_(square.tril() + square.tril(-1).T)
        inverse[first:last, last:] = inverse[last:, first:last].T
    return inverse


def _gram(a: Tensor) -> Tensor:
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
    """The named ablation of one layer, its statistics taken from these rows.

    Parameters
    ----------
    name : {"least_squares", "mean", "zero"}
    activations : Tensor of shape (n_rows, width)
    weights : Tensor of shape (n_rows,)
        Row weights of any scale.
    ridge : float
        Share of the mean variance of the layer's activations.
    """
    normalised = weights.double() / weights.double().sum()
    return _CLASSES[name](activations, normalised, ridge)
