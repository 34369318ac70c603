"""A source of pulls that looks up values which were measured before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_mabprune.pruning.pulls import Pulled


class FrozenPulls:
    """Pulls whose values are known: the k-th pull of an arm is the k-th row of its column.

    Parameters
    ----------
    values : ndarray of shape (n_blocks, n_arms)
        What the pulls return, in their order.
    expected : ndarray of shape (n_arms,), default=None
        Estimates before any pull; None: there are none.
    """

    def __init__(self, values: NDArray[np.float64], expected: NDArray[np.float64] | None = None):
        self.values, self.expected = values, expected
        self.done = np.zeros(values.shape[1], dtype=np.intp)

    @property
    def corrected(self) -> NDArray[np.bool_]:
        """Whether each arm has an estimate: all of them or none."""
        return np.full(self.values.shape[1], self.expected is not None)

    def pull(self, arms: NDArray[np.intp]) -> Pulled:
        """The next block of each arm."""
        values = self.values[self.done[arms], arms]
        self.done[arms] += 1
        return Pulled(values, np.ones(len(arms)), self.done[arms] == len(self.values))
