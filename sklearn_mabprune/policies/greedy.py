"""Greedy policies with random exploration: epsilon-greedy and softmax."""

from __future__ import annotations

from numbers import Real

import numpy as np

from ..utils.compat import Interval, StrOptions
from .base import Arms, Floats, IndexPolicy, Policy, ordered

_SCHEDULES = [StrOptions({"fixed", "decaying"})]


class EpsilonGreedy(Policy):
    """Epsilon-greedy: a random arm with probability epsilon, else the highest mean.

    With a batch of arms each place is exploratory with probability epsilon; the greedy
    places take the arms with the highest means in turn, the exploratory ones random others.
    ``schedule="decaying"`` explores less as pulls accumulate, with
    ``epsilon_t = min(1, rate * K / t)`` for K remaining arms and t effective pulls; the
    source's c and d are ``rate = c / d^2``.

    When to use it: as the paper's simplest baseline.  Exploration is uniform: arms far from
    the boundary are explored as often as arms close to it.

    Parameters
    ----------
    epsilon : float, default=0.1
        Probability of an exploratory pull, in [0, 1], with the fixed schedule.
    schedule : {"fixed", "decaying"}, default="fixed"
        Whether the probability falls with the number of pulls.
    rate : float, default=1.0
        Factor of the decaying schedule: with 1, epsilon is 0.1 after ten pulls per arm.

    References
    ----------
    P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit
    problem", Machine Learning 47, 2002, section 3 for the decaying schedule.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import EpsilonGreedy
    >>> policy = EpsilonGreedy(epsilon=0.0).start(np.arange(3), rng=0)
    >>> policy.update([0, 1, 2], [0.1, 0.9, 0.5])
    >>> policy.select(2)
    array([1, 2])
    """

    _parameter_constraints = {
        "epsilon": [Interval(Real, 0, 1, closed="both")],
        "schedule": _SCHEDULES,
        "rate": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, *, epsilon: float = 0.1, schedule: str = "fixed", rate: float = 1.0):
        self.epsilon = epsilon
        self.schedule = schedule
        self.rate = rate

    def exploration_probability(self) -> float:
        """Epsilon of the next pull."""
        if self.schedule == "fixed":
            return float(self.epsilon)
        return min(1.0, self.rate * self.live_arms().size / max(self.time_, 1.0))

    def choose(self, arms: Arms, n: int) -> Arms:
        """`n` distinct arms, the greedy ones first."""
        n = min(n, arms.size)
        n_exploring = int((self.rng_.random(n) < self.exploration_probability()).sum())
        best = ordered(arms, self.mean(arms))
        greedy, others = best[: n - n_exploring], best[n - n_exploring :]
        return np.concatenate([greedy, self.rng_.choice(others, n_exploring, replace=False)])


class Softmax(IndexPolicy):
    """Softmax (Boltzmann) exploration: arms with probability proportional to exp(mean).

    ``p ~ exp(mean / temperature)``.  A batch of arms is drawn without replacement: the
    highest of ``mean / temperature + Gumbel noise``, which for one arm is a draw from p.
    ``schedule="decaying"`` lowers the temperature with t effective pulls, to
    ``temperature / max(1, ln t)``.

    When to use it: the paper's alternative to epsilon-greedy that explores arms with higher
    means more.  It ignores how often an arm was pulled.

    Parameters
    ----------
    temperature : float, default=0.2
        In units of the reward: a difference of one temperature in mean is a factor of e in
        probability.  The safer half of the units spans [0, 1].
    schedule : {"fixed", "decaying"}, default="fixed"
        Whether the temperature falls with the number of pulls.

    References
    ----------
    R. Sutton, A. Barto, "Reinforcement Learning", 2nd edition, 2018, section 2.8; and
    Satinder Singh, T. Jaakkola, M. Littman, C. Szepesvari, "Convergence results for single-step
    on-policy reinforcement-learning algorithms", Machine Learning 38, 2000, for the
    logarithmic cooling.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Softmax
    >>> policy = Softmax(temperature=0.5).start(np.arange(2), rng=0)
    >>> policy.update([0, 1], [0.0, 0.5])
    >>> policy.probabilities(np.arange(2))
    array([0.2689, 0.7311])
    """

    _parameter_constraints = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "schedule": _SCHEDULES,
    }

    def __init__(self, *, temperature: float = 0.2, schedule: str = "fixed"):
        self.temperature = temperature
        self.schedule = schedule

    def logits(self, arms: Arms) -> Floats:
        """Logarithms of the probabilities, up to a constant, shape (n_arms,)."""
        temperature = float(self.temperature)
        if self.schedule == "decaying":
            temperature /= max(1.0, np.log(max(self.time_, 1.0)))
        return self.mean(arms) / temperature

    def probabilities(self, arms: Arms) -> Floats:
        """Probability of each arm to be drawn first, shape (n_arms,)."""
        logits = self.logits(arms)
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def index(self, arms: Arms) -> Floats:
        """Logits plus Gumbel noise, shape (n_arms,)."""
        return self.logits(arms) + self.rng_.gumbel(size=arms.size)
