"""References: pull everything equally, or everything on every row."""

from __future__ import annotations

from .base import Arms, Floats, IndexPolicy, Policy


class Uniform(IndexPolicy):
    """Round robin: the arm with the fewest pulls is next, ties to the lower id.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Uniform
    >>> policy = Uniform().start(np.arange(3))
    >>> policy.update([0, 1], [0.1, 0.9])
    >>> policy.select(2)
    array([2])
    """

    def index(self, arms: Arms) -> Floats:
        """Minus the effective number of pulls, shape (n_arms,)."""
        return -self.counts_[arms]


class Exhaustive(Policy):
    """Measure every live neuron on every row, whatever the budget says.

    The exact ranking for the network as it stands: the reference that others are
    compared with.  What it spends is reported like anybody's pulls.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Exhaustive
    >>> policy = Exhaustive().start(np.arange(3))
    >>> policy.select(3)
    array([0, 1, 2])
    """

    budgeted = False
    initial_pulls = 0

    def choose(self, arms: Arms, n: int) -> Arms:
        """The first `n` open arms; what was measured on every row is open no more."""
        return arms[:n]
