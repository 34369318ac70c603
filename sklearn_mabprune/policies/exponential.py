"""Exponential weights: Hedge, EXP3 and EXP3-IX.

Weights are kept as logarithms, sums of rewards or losses: a product of ten thousand factors
would overflow.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from ..utils.compat import Interval
from .base import Arms, Floats, Policy, ProbabilityPolicy

_RATE = [Interval(Real, 0, None, closed="neither"), None]


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


class Hedge(Policy):
    """Hedge: exponential weights with full information, all arms on every block.

    Full information: a block of samples is measured for all arms or for none, so that a
    round needs at least as many pulls as there are arms (smaller rounds are merged).  ``p ~
    exp(eta * sum of clipped rewards)``.  Since all arms are measured on all blocks, the ranking
    by weights is the ranking by mean reward, except where clipping hides a difference; units
    are recommended by the unclipped mean, and the weights show how distinct the candidates are.

    When to use it: when a block for all units costs hardly more than for a few, or as the
    multiplicative-weights baseline of the paper with full information.

    Parameters
    ----------
    eta : float or None, default=None
        Learning rate.  None: ``sqrt(8 ln K / t)`` after t blocks.

    References
    ----------
    Y. Freund, R. Schapire, "A decision-theoretic generalization of on-line learning and an
    application to boosting", JCSS 55, 1997; N. Cesa-Bianchi, G. Lugosi, "Prediction,
    learning, and games", 2006, theorem 2.3, for the rate.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Hedge
    >>> policy = Hedge(eta=1.0).start(np.arange(3), rng=0)
    >>> policy.begin_round(n_remove=1, budget=6)
    >>> policy.update([0, 1, 2], [0.0, 1.0, 0.5])
    >>> policy.probabilities(np.arange(3))
    array([0.1863, 0.5065, 0.3072])
    >>> policy.select(3)
    array([0, 1, 2])
    """

    full_information = True
    bounded_rewards = True
    extra_sums = 1  # clipped rewards
    _parameter_constraints = {"eta": _RATE}

    def __init__(self, *, eta: float | None = None):
        self.eta = eta

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Start a round; `left_` is the number of pulls left for whole blocks."""
        super().begin_round(n_remove, budget)
        self.left_ = self.budget_

    def choose(self, arms: Arms, n: int) -> Arms:
        """All open arms, or none if the budget does not suffice for a whole block."""
        if arms.size > min(n, self.left_):
            return arms[:0]
        self.left_ -= arms.size
        return arms

    def min_round_budget(self) -> int:
        """Pulls of one block: the number of remaining arms."""
        return self.live_arms().size

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Add the clipped rewards to the sums."""
        pulled, first = np.unique(arms, return_index=True)
        self.seen_[3, pulled] += weights[first] * rewards[first]

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """The clipped rewards: the contribution of a pull to ``seen_[3]``."""
        return [rewards]

    def rescale(self, slope: float, intercept: float) -> None:
        """Convert all statistics to a new reward scale; clipped sums are clipped again."""
        for seen in (self.seen_, self.carried_):
            seen[3] = np.clip(slope * seen[3] + intercept * seen[0], 0.0, seen[0])
        super().rescale(slope, intercept)

    def probabilities(self, arms: Arms) -> Floats:
        """Normalised weights, shape (n_arms,)."""
        eta = self.eta
        if eta is None:
            n_arms = self.live_arms().size
            eta = np.sqrt(8.0 * np.log(n_arms) * n_arms / max(self.time_, 1.0))
        return _softmax(eta * (self.seen_[3, arms] + self.carried_[3, arms]))


class _ImportanceWeighted(ProbabilityPolicy):
    """Base class of EXP3 policies: importance-weighted sums, value / probability of the draw.

    For each arm, the sum of value / probability and the sum of 1 / probability over its
    draws; a new reward scale needs the second sum to convert the first.  Initial pulls have
    the probability 1.
    """

    bounded_rewards = True
    extra_sums = 2  # sums of value / probability and of 1 / probability

    def value(self, rewards: Floats) -> Floats:
        """Summand of a draw: the reward, or the loss."""
        return rewards

    def divisor(self, p: Floats) -> Floats:
        """Divisor of a value that was drawn with probability `p`."""
        return p

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Add every draw to the sums, repeated ones of an arm as well."""
        importance = weights / self.divisor(self.drawn_with_[arms])
        np.add.at(self.seen_[3], arms, importance * self.value(rewards))
        np.add.at(self.seen_[4], arms, importance)
        # Exact arms are not drawn any more, but their rewards are known: without them their
        # sums would fall behind those of the other arms.
        exact = np.flatnonzero(self.live_ & self.settled_)
        steps = float(weights.sum())
        self.seen_[3, exact] += steps * self.value(np.clip(self.mean(exact), 0.0, 1.0))
        self.seen_[4, exact] += steps

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """Contributions of a pull with probability 1: its value, and 1."""
        return [self.value(rewards), np.ones_like(rewards)]

    def settle(self, arms: ArrayLike) -> None:
        """Mark arms as exact: past draws stay counted, with the exact mean as their value."""
        ids = np.asarray(arms, dtype=np.intp)
        draws = self.carried_[4, ids].copy()
        super().settle(ids)
        self.carried_[4, ids] = draws
        self.carried_[3, ids] = draws * self.value(np.clip(self.mean(ids), 0.0, 1.0))

    def total(self, arms: Arms) -> Floats:
        """Importance-weighted estimate of each arm's sum of values over all draws."""
        return self.seen_[3, arms] + self.carried_[3, arms]


class Exp3(_ImportanceWeighted):
    """EXP3: exponential weights on importance-weighted rewards.

    With G the sum of reward / p over an arm's draws, ``p = (1 - gamma) softmax(gamma G / K)
    + gamma / K``; draws are with replacement, and an arm drawn twice is measured once and
    counts twice in G.  Rewards are clipped to [0, 1].  Units are recommended by their mean
    reward, since weights from few draws rank them almost randomly.

    When to use it: as the paper's adversarial baseline.  Its guarantee assumes no
    distribution of rewards, at the price of nearly uniform draws.

    Parameters
    ----------
    gamma : float or None, default=None
        Fraction of uniform draws and learning rate, in (0, 1].  None: the source's
        ``min(1, sqrt(K ln K / ((e - 1) T)))`` with T past and future pulls.

    References
    ----------
    P. Auer, N. Cesa-Bianchi, Y. Freund, R. Schapire, "The nonstochastic multiarmed bandit
    problem", SIAM Journal on Computing 32, 2002, figure 1 and corollary 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Exp3
    >>> policy = Exp3(gamma=0.5).start(np.arange(2), rng=0)
    >>> policy.update([0, 1], [0.0, 1.0])
    >>> policy.probabilities(np.arange(2))  # softmax of (0, 0.25), half of it, plus 1/4
    array([0.4689, 0.5311])
    """

    _parameter_constraints = {"gamma": [Interval(Real, 0, 1, closed="right"), None]}

    def __init__(self, *, gamma: float | None = None):
        self.gamma = gamma

    def rate(self) -> float:
        """The parameter gamma of this round."""
        if self.gamma is not None:
            return float(self.gamma)
        k = self.live_arms().size
        return min(1.0, np.sqrt(k * np.log(max(k, 2)) / ((np.e - 1) * max(self.horizon_, 1.0))))

    def probabilities(self, arms: Arms) -> Floats:
        """Probability of each open arm to be drawn, shape (n_arms,)."""
        gamma = self.rate()
        weights = _softmax(gamma * self.total(arms) / self.live_arms().size)
        return (1.0 - gamma) * weights + gamma / arms.size

    def rescale(self, slope: float, intercept: float) -> None:
        """Convert all statistics to a new reward scale, the estimated sums of rewards as well."""
        for seen in (self.seen_, self.carried_):
            seen[3] = slope * seen[3] + intercept * seen[4]
        super().rescale(slope, intercept)


class Exp3IX(_ImportanceWeighted):
    """EXP3-IX: EXP3 on losses, with implicit exploration.

    With L the sum of (1 - reward) / (p + gamma) over an arm's draws, ``p = softmax(-eta
    L)``.  There are no uniform draws; the gamma in the denominator bounds the variance of the
    estimates, at the price of a small bias.  Rewards are clipped to [0, 1]; draws are with
    replacement.

    When to use it: instead of EXP3, whose estimates have a higher variance.

    Parameters
    ----------
    eta : float or None, default=None
        Learning rate.  None: ``sqrt(2 ln K / (K t))`` after t pulls.
    gamma : float or None, default=None
        Implicit exploration, added to probabilities.  None: half of eta.

    References
    ----------
    G. Neu, "Explore no more: improved high-probability regret bounds for non-stochastic
    bandits", NeurIPS 2015, algorithm 1 and corollary 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Exp3IX
    >>> policy = Exp3IX(eta=1.0, gamma=0.0).start(np.arange(2), rng=0)
    >>> policy.update([0, 1], [0.0, 1.0])
    >>> policy.probabilities(np.arange(2))
    array([0.2689, 0.7311])
    """

    _parameter_constraints = {"eta": _RATE, "gamma": [Interval(Real, 0, None, closed="left"), None]}

    def __init__(self, *, eta: float | None = None, gamma: float | None = None):
        self.eta = eta
        self.gamma = gamma

    def rate(self) -> float:
        """The learning rate eta of the next draw."""
        if self.eta is not None:
            return float(self.eta)
        k = self.live_arms().size
        return float(np.sqrt(2.0 * np.log(max(k, 2)) / (k * max(self.time_, 1.0))))

    def value(self, rewards: Floats) -> Floats:
        """The loss of a draw: 1 - reward."""
        return 1.0 - rewards

    def divisor(self, p: Floats) -> Floats:
        """Probability of a draw plus gamma."""
        return p + (self.rate() / 2.0 if self.gamma is None else self.gamma)

    def probabilities(self, arms: Arms) -> Floats:
        """Probability of each open arm to be drawn, shape (n_arms,)."""
        return _softmax(-self.rate() * self.total(arms))

    def rescale(self, slope: float, intercept: float) -> None:
        """Convert all statistics to a new reward scale, the estimated sums of losses as well."""
        for seen in (self.seen_, self.carried_):
            seen[3] = slope * seen[3] + (1.0 - slope - intercept) * seen[4]
        super().rescale(slope, intercept)
