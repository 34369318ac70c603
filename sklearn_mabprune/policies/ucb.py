"""Upper confidence bounds: UCB1 and UCB1-Tuned."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ..utils.compat import Interval, StrOptions
from .base import Arms, Floats, IndexPolicy

_EXPLORATION = [Interval(Real, 0, None, closed="left"), StrOptions({"noise"})]


class UCB1(IndexPolicy):
    """Upper confidence bound: mean plus a bonus that falls with the number of pulls.

    The index of an arm is ``mean + exploration * sqrt(2 ln t / n)`` with n its effective
    number of pulls and t the sum over the remaining arms.  Rewards are scaled so that the
    safer half of the units spans [0, 1].

    When to use it: the paper's best policy on tabular data, and the standard baseline.  It
    searches for the single safest unit; the boundary between units that are removed and
    kept is learnt as a by-product.

    Parameters
    ----------
    exploration : float or "noise", default="noise"
        Factor on the bonus.  1 is the formula of the source, for rewards whose noise
        covers [0, 1]; the noise of paired pulls is smaller, and a bonus far larger than the
        noise pulls every arm equally often.  0 is greedy.  "noise" is half the estimated
        standard deviation of a pull.

    References
    ----------
    P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit
    problem", Machine Learning 47, 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import UCB1
    >>> policy = UCB1(exploration=1.0).start(np.arange(3), rng=0)
    >>> policy.update([0, 1, 2], [0.1, 0.9, 0.5])
    >>> policy.select(1)
    array([1])
    >>> policy.recommend(2)
    array([1, 2])
    """

    _parameter_constraints = {"exploration": _EXPLORATION}

    def __init__(self, *, exploration: float | str = "noise"):
        self.exploration = exploration

    def index(self, arms: Arms) -> Floats:
        """Mean plus bonus, shape (n_arms,)."""
        bonus = np.sqrt(2.0 * np.log(max(self.time_, 1.0)) / self.counts_[arms])
        return self.mean(arms) + self.reward_range(self.exploration, 0.5) * bonus


class UCB1Tuned(IndexPolicy):
    """UCB1 with a bonus that depends on the variance of each arm's rewards.

    With the variance v of an arm's rewards, its n pulls, t pulls of all remaining arms and a
    range R of the noise, the index is ``mean + sqrt(ln t / n * min(R^2 / 4, V))`` with
    ``V = v + R^2 sqrt(2 ln t / n)``: an upper bound on the variance, which in an interval
    of width R cannot be above R^2 / 4.  R = 1 is the formula of the source.

    When to use it: instead of UCB1 when the noise differs much between units, for example
    because some are rarely active.

    Parameters
    ----------
    exploration : float or "noise", default="noise"
        The range R.  "noise" is the estimated standard deviation of a pull.

    References
    ----------
    P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit
    problem", Machine Learning 47, 2002, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import UCB1Tuned
    >>> policy = UCB1Tuned(exploration=1.0).start(np.arange(2), rng=0)
    >>> for reward in [0.0, 1.0, 0.0, 1.0]:
    ...     policy.update([0, 1], [reward, 0.5])
    >>> policy.select(1)  # equal means, but arm 0 varies more
    array([0])
    """

    _parameter_constraints = {"exploration": _EXPLORATION}

    def __init__(self, *, exploration: float | str = "noise"):
        self.exploration = exploration

    def index(self, arms: Arms) -> Floats:
        """Mean plus bonus, shape (n_arms,)."""
        square = self.reward_range(self.exploration, 1.0) ** 2
        ratio = np.log(max(self.time_, 1.0)) / self.counts_[arms]
        bound = self.variance(arms) + square * np.sqrt(2.0 * ratio)
        return self.mean(arms) + np.sqrt(ratio * np.minimum(square / 4.0, bound))
