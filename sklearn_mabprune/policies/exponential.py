"""Exponential weights: Hedge, EXP3 and EXP3-IX.

Weights are kept as sums of rewards or losses, that is, as logarithms: a product of ten
thousand factors is no float.
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
    """Every live arm on each block, and weights multiplied by exp(eta * reward).

    Full information: a block is measured for all arms or for none, so that a round needs
    at least as many pulls as there are arms (rounds are merged for it).  ``p ~ exp(eta *
    sum of clipped rewards)``.  Since all arms see all blocks, ranking by weights is ranking
    by mean reward, except where clipping hides a difference; neurons are recommended by
    the unclipped mean, and the weights say how far apart the candidates are.

    When to use it: when a block of all neurons costs hardly more than a block of few, or
    as the multiplicative-weights baseline of the paper with the information it is due.

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
        """Also counts what is left for whole blocks."""
        super().begin_round(n_remove, budget)
        self.left_ = self.budget_

    def choose(self, arms: Arms, n: int) -> Arms:
        """All open arms, or none when there is no budget left for a whole block."""
        if arms.size > min(n, self.left_):
            return arms[:0]
        self.left_ -= arms.size
        return arms

    def min_round_budget(self) -> int:
        """One block of all live arms."""
        return self.live_arms().size

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Add up the clipped rewards."""
        pulled, first = np.unique(arms, return_index=True)
        self.seen_[3, pulled] += weights[first] * rewards[first]

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """Clipped rewards."""
        return [rewards]

    def rescale(self, slope: float, intercept: float) -> None:
        """Also the clipped sums, clipped again."""
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
    """EXP3 and its kin: sums of values divided by the probability of having been drawn.

    Keeps, an arm, the sum of value / probability and the sum of 1 / probability over its
    draws; the second is what a change of units adds to the first.  An arm measured before
    the drawing starts was certain to be: probability 1.
    """

    bounded_rewards = True
    extra_sums = 2  # weighted values, weighted ones

    def value(self, rewards: Floats) -> Floats:
        """What is summed up: the reward, or the loss."""
        return rewards

    def certainty(self, p: Floats) -> Floats:
        """What a value is divided by."""
        return p

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Every draw counts, also the second of the same arm."""
        share = weights / self.certainty(self.drawn_with_[arms])
        np.add.at(self.seen_[3], arms, share * self.value(rewards))
        np.add.at(self.seen_[4], arms, share)
        # An exact arm is drawn no more, but its reward is known: without this it would
        # fall behind by what the others gain while it waits.
        exact = np.flatnonzero(self.live_ & self.settled_)
        steps = float(weights.sum())
        self.seen_[3, exact] += steps * self.value(np.clip(self.mean(exact), 0.0, 1.0))
        self.seen_[4, exact] += steps

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """Values of certain pulls, and how many they are."""
        return [self.value(rewards), np.ones_like(rewards)]

    def settle(self, arms: ArrayLike) -> None:
        """Of the draws carried over, only the values are forgotten: they are known now."""
        ids = np.asarray(arms, dtype=np.intp)
        draws = self.carried_[4, ids].copy()
        super().settle(ids)
        self.carried_[4, ids] = draws
        self.carried_[3, ids] = draws * self.value(np.clip(self.mean(ids), 0.0, 1.0))

    def total(self, arms: Arms) -> Floats:
        """Estimated sum of each arm's values over all draws of any arm."""
        return self.seen_[3, arms] + self.carried_[3, arms]


class Exp3(_ImportanceWeighted):
    """Exponential weights on rewards divided by the probability of their draw.

    With G the sum of reward / p over an arm's draws, ``p = (1 - gamma) softmax(gamma G / K)
    + gamma / K``; draws are with replacement, an arm drawn twice is measured once and
    counts twice here.  Rewards are clipped to [0, 1].  Neurons are recommended by their
    mean reward: the weights of so few draws rank them at chance.

    When to use it: as the paper's adversarial baseline.  Its guarantee needs no
    distribution of rewards, and pays for it with draws spread nearly evenly.

    Parameters
    ----------
    gamma : float or None, default=None
        Share of uniform draws and learning rate, in (0, 1].  None: the source's
        ``min(1, sqrt(K ln K / ((e - 1) T)))`` with T the pulls known and to come.

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
        """Gamma of this round."""
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
        """Also the estimated sums of rewards."""
        for seen in (self.seen_, self.carried_):
            seen[3] = slope * seen[3] + intercept * seen[4]
        super().rescale(slope, intercept)


class Exp3IX(_ImportanceWeighted):
    """EXP3 on losses, with the exploration hidden in the estimate.

    With L the sum of (1 - reward) / (p + gamma) over an arm's draws, ``p = softmax(-eta
    L)``: no uniform draws; the gamma in the denominator keeps the estimates from blowing
    up instead, at the price of a small bias.  Rewards are clipped to [0, 1]; draws are
    with replacement.

    When to use it: instead of EXP3, whose estimates vary more.

    Parameters
    ----------
    eta : float or None, default=None
        Learning rate.  None: ``sqrt(2 ln K / (K t))`` after t pulls.
    gamma : float or None, default=None
        Implicit exploration.  None: half of eta.

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
        """Eta of the next draw."""
        if self.eta is not None:
            return float(self.eta)
        k = self.live_arms().size
        return float(np.sqrt(2.0 * np.log(max(k, 2)) / (k * max(self.time_, 1.0))))

    def value(self, rewards: Floats) -> Floats:
        """Losses."""
        return 1.0 - rewards

    def certainty(self, p: Floats) -> Floats:
        """The probability of a draw plus gamma."""
        return p + (self.rate() / 2.0 if self.gamma is None else self.gamma)

    def probabilities(self, arms: Arms) -> Floats:
        """Probability of each open arm to be drawn, shape (n_arms,)."""
        return _softmax(-self.rate() * self.total(arms))

    def rescale(self, slope: float, intercept: float) -> None:
        """Also the estimated sums of losses, which are one minus rewards."""
        for seen in (self.seen_, self.carried_):
            seen[3] = slope * seen[3] + (1.0 - slope - intercept) * seen[4]
        super().rescale(slope, intercept)
