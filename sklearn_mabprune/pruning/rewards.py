"""Rewards from loss increases: high for neurons that are safe to remove."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The least width of a scale, for increases up to a million; else this fraction of them.
_LEAST_WIDTH, _LEAST_FRACTION = 1e-6, 1e-12


@dataclass(frozen=True)
class RewardScale:
    """Affine map from loss increase to reward: `safest` to 1 and `doubtful` to 0.

    Parameters
    ----------
    safest : float
        Loss increase of the safest neurons.
    doubtful : float
        Loss increase of a typical neuron: those above it will not be removed soon.

    Examples
    --------
    >>> from sklearn_mabprune.pruning.rewards import RewardScale
    >>> RewardScale(0.0, 0.2).reward([0.0, 0.1, 0.4])
    array([ 1. ,  0.5, -1. ])
    """

    safest: float
    doubtful: float

    @classmethod
    def of(cls, increases: ArrayLike) -> RewardScale:
        """Scale so that the safer half of the neurons spans [0, 1].

        Exploration bonuses of policies assume rewards in [0, 1].  On a scale over *all*
        neurons, a few very important ones would leave the safe ones so close together that no
        policy could tell them apart.
        """
        values = np.asarray(increases, dtype=np.float64)
        low, high = float(values.min()), float(np.median(values))
        # Where all neurons matter equally, or hardly at all, rounding errors must not be
        # stretched to the whole range of rewards.
        return cls(low, max(high, low + max(_LEAST_WIDTH, _LEAST_FRACTION * abs(low))))

    @property
    def width(self) -> float:
        """Loss increase that makes a difference of 1 in reward."""
        return self.doubtful - self.safest

    def reward(self, increase: ArrayLike) -> NDArray[np.float64]:
        """Rewards of loss increases, not clipped."""
        return (self.doubtful - np.asarray(increase, dtype=np.float64)) / self.width

    def increase(self, reward: ArrayLike) -> NDArray[np.float64]:
        """Loss increases of rewards."""
        return self.doubtful - np.asarray(reward, dtype=np.float64) * self.width

    def change_to(self, new: RewardScale) -> tuple[float, float]:
        """Slope and intercept that turn rewards of this scale into those of `new`."""
        return self.width / new.width, (new.doubtful - self.doubtful) / new.width
