"""Upper confidence bounds sharper than UCB1's: MOSS, KL-UCB and Bayes-UCB."""

from __future__ import annotations

from numbers import Real
from statistics import NormalDist

import numpy as np

from ..utils.compat import Interval, StrOptions
from .base import Arms, Floats, IndexPolicy

_EXPLORATION = [Interval(Real, 0, None, closed="left"), StrOptions({"noise"})]


class MOSS(IndexPolicy):
    """Minimax-optimal UCB: no bonus for arms with T / K pulls or more.

    The index is ``mean + R sqrt(max(0, ln(T / (K n))) / n)`` with n pulls of the arm, K
    remaining arms, the horizon T, that is, the pulls known at the round's start and those to
    come, and a range R of the noise.  R = 1 is the formula of the source.

    When to use it: instead of UCB1 when rounds are short: an arm is no longer explored after
    T / K pulls.

    Parameters
    ----------
    exploration : float or "noise", default="noise"
        The range R.  "noise" is the estimated standard deviation of a pull.

    References
    ----------
    J.-Y. Audibert, S. Bubeck, "Minimax policies for adversarial and stochastic bandits",
    COLT 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import MOSS
    >>> policy = MOSS(exploration=1.0).start(np.arange(2), rng=0)
    >>> policy.begin_round(n_remove=1, budget=6)
    >>> policy.update([0, 1], [0.2, 0.6])
    >>> policy.index(np.arange(2))  # ln(8 / (2 * 1)) is 1.386
    array([1.3774, 1.7774])
    """

    _parameter_constraints = {"exploration": _EXPLORATION}

    def __init__(self, *, exploration: float | str = "noise"):
        self.exploration = exploration

    def index(self, arms: Arms) -> Floats:
        """Mean plus bonus, shape (n_arms,)."""
        n = self.counts_[arms]
        pulls_per_arm = max(self.horizon_, self.time_) / self.live_arms().size
        bonus = np.sqrt(np.maximum(0.0, np.log(pulls_per_arm / n)) / n)
        return self.mean(arms) + self.reward_range(self.exploration, 1.0) * bonus


class KLUCB(IndexPolicy):
    """Upper confidence bound from the Kullback-Leibler divergence of Bernoulli rewards.

    The index is the largest q with ``n kl(mean, q) <= R^2 (ln t + c ln ln t)``, with the
    divergence kl of Bernoulli distributions, n pulls of the arm, t pulls of all arms, and a
    range R of the noise; R = 1 is the formula of the source.  kl needs a mean in [0, 1]: the
    bonus is that of the clipped mean, added to the mean itself.

    When to use it: instead of UCB1, whose bonus is the same for all means; here the bonus is
    smaller for means close to 1.

    Parameters
    ----------
    exploration : float or "noise", default="noise"
        The range R.  "noise" is the estimated standard deviation of a pull.
    c : float, default=0.0
        Factor on ln ln t: 3 in the source's theorem, 0 in its recommendation for practice.

    References
    ----------
    A. Garivier, O. Cappe, "The KL-UCB algorithm for bounded stochastic bandits and
    beyond", COLT 2011, arXiv 1102.2490.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import KLUCB
    >>> policy = KLUCB(exploration=1.0).start(np.arange(2), rng=0)
    >>> for _ in range(4):
    ...     policy.update([0, 1], [0.5, 0.9])
    >>> q = policy.index(np.arange(2))
    >>> q
    array([0.9020, 0.9998])
    >>> float(4 * (0.5 * np.log(0.5 / q[0]) + 0.5 * np.log(0.5 / (1 - q[0])))), float(np.log(8))
    (2.0794..., 2.0794...)
    """

    _parameter_constraints = {
        "exploration": _EXPLORATION,
        "c": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, exploration: float | str = "noise", c: float = 0.0):
        self.exploration = exploration
        self.c = c

    def index(self, arms: Arms) -> Floats:
        """Mean plus bonus, shape (n_arms,)."""
        log_t = np.log(max(self.time_, 1.0))
        level = log_t + self.c * np.log(max(log_t, 1.0))
        mean = self.mean(arms)
        inside = np.clip(mean, 0.0, 1.0)
        square = self.reward_range(self.exploration, 1.0) ** 2
        return mean + _largest_within(inside, square * level / self.counts_[arms]) - inside


def _largest_within(p: Floats, level: Floats) -> Floats:
    """Largest q with kl(p, q) <= level, by Newton steps from above.

    kl(p, .) is convex and increasing above p, so that steps from an upper bound decrease to
    the solution and never pass it.
    """
    room = np.maximum(1.0 - p, 1e-15)
    entropy = p * np.log(np.maximum(p, np.finfo(float).tiny))
    # kl >= 2 (q - p)^2, and kl >= p ln p + (1 - p) ln((1 - p) / (1 - q))
    bound = 1.0 - room * np.exp(-np.minimum((level - entropy) / room, 700.0))
    q = np.minimum(np.minimum(p + np.sqrt(level / 2.0), bound), 1.0 - 1e-15)
    moving = (p < 1.0 - 1e-15) & (level > 0)
    q = np.where(moving, np.maximum(q, p), p)
    for _ in range(60):
        if not moving.any():
            break
        a, b = p[moving], q[moving]
        # Where b is 0 by underflow, a is 0, too, and the term is 0.
        tiny = np.finfo(float).tiny
        log_ratio = np.log(np.maximum(a, tiny) / np.maximum(b, tiny))
        divergence = np.where(a > 0, a * log_ratio, 0.0) + (1 - a) * np.log((1 - a) / (1 - b))
        slope = (b - a) / np.maximum(b * (1 - b), tiny)
        step = np.where(slope > 0, (divergence - level[moving]) / np.where(slope > 0, slope, 1), 0)
        q[moving] = np.maximum(b - np.maximum(step, 0.0), a)
        moving[moving] = step > 1e-13
    return q


class BayesUCB(IndexPolicy):
    """Upper quantile of every arm's posterior, of a level that increases with time.

    The index is the quantile at ``1 - 1 / (t (ln T)^c)`` of the mean's posterior, with t
    pulls, including the next one, and T past and future pulls at the start of the round.
    Rewards are Gaussian with a common standard deviation s and a flat prior, so that the
    quantile is ``mean + z s / sqrt(n)`` with the same quantile z of the standard normal
    distribution for all arms.

    When to use it: as a compromise between UCB1 and Thompson sampling: the posterior
    determines the width, but nothing is drawn, so that pulls do not depend on a seed.

    Parameters
    ----------
    exploration : float or "noise", default="noise"
        Twice the standard deviation s, so that 1 is for rewards that cover [0, 1], as in
        the other policies.  "noise" is the estimated standard deviation of a pull, so that s
        is half of it, which explores less than s itself would.
    c : float, default=0.0
        Exponent of ln T: 5 in the source's theorem, 0 in its recommendation for practice.

    References
    ----------
    E. Kaufmann, O. Cappe, A. Garivier, "On Bayesian upper confidence bounds for bandit
    problems", AISTATS 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import BayesUCB
    >>> policy = BayesUCB(exploration=1.0).start(np.arange(2), rng=0)
    >>> for _ in range(4):
    ...     policy.update([0, 1], [0.5, 0.9])
    >>> policy.index(np.arange(2))  # 0.25 times the normal quantile of 8/9
    array([0.8052, 1.2052])
    """

    _parameter_constraints = {
        "exploration": _EXPLORATION,
        "c": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, exploration: float | str = "noise", c: float = 0.0):
        self.exploration = exploration
        self.c = c

    def index(self, arms: Arms) -> Floats:
        """Posterior quantiles, shape (n_arms,)."""
        log_horizon = max(1.0, np.log(max(self.horizon_, 1.0)))
        tail = 1.0 / ((1.0 + self.time_) * log_horizon**self.c)
        # the negative lower quantile: 1 - tail would round to 1 for small tails
        z = -NormalDist().inv_cdf(min(tail, 0.5))
        deviation = self.reward_range(self.exploration, 1.0) / 2.0
        return self.mean(arms) + z * deviation / np.sqrt(self.counts_[arms])
