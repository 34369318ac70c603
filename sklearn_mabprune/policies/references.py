"""Reference policies: uniform allocation, and exact measurement of every arm."""

from __future__ import annotations

from .base import Arms, Floats, IndexPolicy, Policy


class Uniform(IndexPolicy):
    """Uniform allocation: the arm with the fewest pulls is next; ties go to the lower id.

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
        """Negative effective number of pulls, shape (n_arms,)."""
        return -self.counts_[arms]


class Exhaustive(Policy):
    """Exact measurement of every remaining unit on every sample, whatever the budget.

    Gives the exact ranking of the units of the current network, the reference for other
    policies.  Its pulls are reported like those of other policies.

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
        """The first `n` open arms; an arm that was measured on every sample is not open."""
        return arms[:n]
