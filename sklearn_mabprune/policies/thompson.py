"""Thompson sampling with Gaussian rewards, with Bernoulli trials, and top-two."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import NDArray

from ..utils.compat import Interval, StrOptions
from .base import Arms, Floats, IndexPolicy

_POSITIVE = Interval(Real, 0, None, closed="neither")

# Top-two: leading sets drawn per selection, and draws of challengers per leading set.
_LEADERS, _CHALLENGERS = 2, 24


class Thompson(IndexPolicy):
    """Thompson sampling with Gaussian rewards: pull the highest posterior draws.

    Rewards are Gaussian with unknown mean and variance under a normal-inverse-gamma
    prior, so that the mean has a Student t posterior: with n pulls of mean x and within-arm
    sum of squares S, ``kappa = prior_count + n``,
    ``m = (prior_count * prior_mean + n * x) / kappa``, ``alpha = prior_shape + n / 2``,
    ``beta = prior_scale + S / 2 + prior_count * n * (x - prior_mean)^2 / (2 * kappa)``,
    and the mean is ``m + sqrt(beta / (alpha * kappa)) * t(2 alpha)``.

    When to use it: the paper's other strong policy, better than UCB1 with delayed feedback
    (`arms_per_pull` above 1), since random draws diversify the batch.

    Parameters
    ----------
    prior_mean : float, default=0.5
        Expected reward before any pull; rewards are scaled so that the safer half of
        the units spans [0, 1].
    prior_count : float, default=0.01
        Weight of the prior mean, as a number of pulls.
    prior_shape : float, default=1.0
        Shape of the inverse-gamma prior of the variance: half the weight of the prior
        variance, as a number of pulls.
    prior_scale : float or "noise", default=0.001
        Scale of the inverse-gamma prior; prior_scale / prior_shape is about the expected
        variance of a pull.  "noise" sets that to the estimated variance of a pull in the safer
        half of the arms; a smaller number gives the first pulls more weight.

    References
    ----------
    J. Honda, A. Takemura, "Optimality of Thompson sampling for Gaussian bandits depends
    on priors", AISTATS 2014; K. Murphy, "Conjugate Bayesian analysis of the Gaussian
    distribution", 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Thompson
    >>> policy = Thompson().start(np.arange(3), rng=0)
    >>> for _ in range(20):
    ...     policy.update([0, 1, 2], [0.1, 0.9, 0.5])
    >>> policy.select(1)
    array([1])
    """

    _parameter_constraints = {
        "prior_mean": [Interval(Real, None, None, closed="neither")],
        "prior_count": [_POSITIVE],
        "prior_shape": [_POSITIVE],
        "prior_scale": [_POSITIVE, StrOptions({"noise"})],
    }

    def __init__(
        self,
        *,
        prior_mean: float = 0.5,
        prior_count: float = 0.01,
        prior_shape: float = 1.0,
        prior_scale: float | str = 0.001,
    ):
        self.prior_mean = prior_mean
        self.prior_count = prior_count
        self.prior_shape = prior_shape
        self.prior_scale = prior_scale

    def posterior(self, arms: Arms) -> tuple[Floats, Floats, Floats]:
        """Location, scale and degrees of freedom of each arm's Student t posterior, (n_arms,)."""
        n = self.counts_[arms]
        mean = np.where(n > 0, self.mean(arms), self.prior_mean)
        kappa = self.prior_count + n
        location = (self.prior_count * self.prior_mean + n * mean) / kappa
        alpha = self.prior_shape + n / 2
        prior_scale = self.prior_scale
        if isinstance(prior_scale, str):
            prior_scale = self.prior_shape * self.noise() ** 2
        shift = self.prior_count * n * (mean - self.prior_mean) ** 2 / kappa
        beta = prior_scale + (n * self.variance(arms) + shift) / 2
        return location, np.sqrt(beta / (alpha * kappa)), 2 * alpha

    def index(self, arms: Arms) -> Floats:
        """A posterior draw of each arm's mean, shape (n_arms,)."""
        location, scale, dof = self.posterior(arms)
        return location + scale * self.rng_.standard_t(dof)


class ThompsonBeta(IndexPolicy):
    """Thompson sampling with Beta posteriors, from a Bernoulli trial of every reward.

    A reward r, clipped to [0, 1], is turned into a success with probability r.  After S
    successes in n pulls the posterior of an arm is
    ``Beta(prior_success + S, prior_failure + n - S)``; the highest draws are pulled.  When
    the scale of rewards changes between rounds, S becomes its expected value on the new scale,
    ``slope * S + intercept * n``, clipped to [0, n].

    When to use it: to reproduce the paper exactly.  The trial reduces a reward to one bit, so
    that :class:`Thompson` needs far fewer pulls.

    Parameters
    ----------
    prior_success : float, default=1.0
        Prior number of successes.
    prior_failure : float, default=1.0
        Prior number of failures.

    References
    ----------
    S. Agrawal, N. Goyal, "Analysis of Thompson sampling for the multi-armed bandit
    problem", COLT 2012, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import ThompsonBeta
    >>> policy = ThompsonBeta().start(np.arange(2), rng=0)
    >>> for reward in [1.0, 0.0, 1.0, 1.0]:
    ...     policy.update([0, 1], [reward, 0.0])
    >>> successes, failures = policy.posterior(np.arange(2))
    >>> successes, failures
    (array([4., 1.]), array([2., 5.]))
    """

    bounded_rewards = True
    extra_sums = 1  # successes
    _parameter_constraints = {"prior_success": [_POSITIVE], "prior_failure": [_POSITIVE]}

    def __init__(self, *, prior_success: float = 1.0, prior_failure: float = 1.0):
        self.prior_success = prior_success
        self.prior_failure = prior_failure

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Add the result of one Bernoulli trial per pull to the successes."""
        pulled, first = np.unique(arms, return_index=True)
        success = self.rng_.random(pulled.size) < rewards[first]
        self.seen_[3, pulled] += weights[first] * success

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """Expected successes of a pull."""
        return [rewards]

    def rescale(self, slope: float, intercept: float) -> None:
        """Convert all statistics to a new reward scale; successes to their expected values."""
        for seen in (self.seen_, self.carried_):
            seen[3] = np.clip(slope * seen[3] + intercept * seen[0], 0.0, seen[0])
        super().rescale(slope, intercept)

    def posterior(self, arms: Arms) -> tuple[Floats, Floats]:
        """Both parameters of each arm's Beta posterior, each (n_arms,)."""
        successes = self.seen_[3, arms] + self.carried_[3, arms]
        failures = np.maximum(self.counts_[arms] - successes, 0.0)
        return self.prior_success + successes, self.prior_failure + failures

    def index(self, arms: Arms) -> Floats:
        """A posterior draw of each arm's success probability, shape (n_arms,)."""
        return self.rng_.beta(*self.posterior(arms))


class TopTwoThompson(Thompson):
    """Top-two Thompson sampling for the top m: pulls arms on which two draws disagree.

    One draw of all means gives the leading set: its m highest arms, with m the number of units
    that the round removes.  Further draws are made until one has a different set.  Each arm
    that is only in the leading set is paired with one that is only in the other set, largest
    disagreement first, and one of the two is pulled: the leader with probability `leader_share`.
    After 48 draws with the same set, the two arms closest to the boundary are taken instead.
    For m = 1 this is the rule of the source; posteriors are those of :class:`Thompson`.

    When to use it: to identify the m safest units rather than the safest one, with few pulls
    and batches of arms.

    Parameters
    ----------
    leader_share : float or "information", default="information"
        Probability of pulling the leader of a pair.  0.5 is the usual choice; "information"
        is the leader's fraction of the pair's posterior variance, so that the less certain arm
        is pulled more often.
    prior_mean : float, default=0.5
        Expected reward before any pull, as in :class:`Thompson`.
    prior_count : float, default=0.01
        Weight of the prior mean, as a number of pulls.
    prior_shape : float, default=1.0
        Half the weight of the prior variance, as a number of pulls.
    prior_scale : float or "noise", default="noise"
        prior_scale / prior_shape is about the expected variance of a pull.

    References
    ----------
    D. Russo, "Simple Bayesian algorithms for best-arm identification", COLT 2016;
    C. Qin, W. You, "Dual-directed algorithm design for efficient pure exploration",
    arXiv 2310.19319, for ``leader_share="information"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import TopTwoThompson
    >>> policy = TopTwoThompson().start(np.arange(4), rng=0)
    >>> policy.begin_round(n_remove=2, budget=10)
    >>> for noise in [0.05, -0.05, 0.0]:
    ...     policy.update([0, 1, 2, 3], [0.9 + noise, 0.51 + noise, 0.49 - noise, 0.1])
    >>> bool(np.isin(policy.select(1), [1, 2]).all())  # 0 is in, 3 is out, 1 or 2?
    True
    """

    _parameter_constraints = {
        "leader_share": [Interval(Real, 0, 1, closed="both"), StrOptions({"information"})],
        **Thompson._parameter_constraints,
    }

    def __init__(
        self,
        *,
        leader_share: float | str = "information",
        prior_mean: float = 0.5,
        prior_count: float = 0.01,
        prior_shape: float = 1.0,
        prior_scale: float | str = "noise",
    ):
        super().__init__(
            prior_mean=prior_mean,
            prior_count=prior_count,
            prior_shape=prior_shape,
            prior_scale=prior_scale,
        )
        self.leader_share = leader_share

    def choose(self, arms: Arms, n: int) -> Arms:
        """At most `n` arms on which posterior draws disagree, largest disagreement first."""
        live = self.live_arms()
        m = self.n_remove_
        if m >= live.size:
            return arms[:0]  # all arms will be removed
        location, scale, dof = self.posterior(live)
        scale = np.where(self.settled_[live], 0.0, scale)
        picked: dict[int, None] = {}  # in the order of picking
        for _ in range(_LEADERS):
            shape = (1 + _CHALLENGERS, live.size)
            draws = location + scale * self.rng_.standard_t(dof, size=shape)
            top = np.zeros(shape, dtype=bool)
            np.put_along_axis(top, np.argpartition(-draws, m - 1, axis=1)[:, :m], True, axis=1)
            for row in np.flatnonzero((top != top[0]).any(axis=1)):
                self._pick(top[0] & ~top[row], top[row] & ~top[0], draws[row], scale, picked)
                if len(picked) >= n:
                    return live[list(picked)[:n]]
        if not picked:
            inside = np.zeros(live.size, dtype=bool)
            inside[np.argpartition(-location, m - 1)[:m]] = True
            bounds = np.where(inside, location - scale, location + scale)
            self._pick(inside, ~inside, bounds, scale, picked, most=1)
        return live[list(picked)[:n]]

    def _pick(
        self,
        out: NDArray[np.bool_],
        new: NDArray[np.bool_],
        draw: Floats,
        scale: Floats,
        picked: dict[int, None],
        most: int | None = None,
    ) -> None:
        """Pick one arm of each pair of `out` and `new`, largest disagreement in `draw` first."""
        leaders, challengers = np.flatnonzero(out), np.flatnonzero(new)
        leaders = leaders[np.argsort(draw[leaders], kind="stable")][:most]
        challengers = challengers[np.argsort(-draw[challengers], kind="stable")][:most]
        coins = self.rng_.random(leaders.size)
        for leader, challenger, coin in zip(leaders, challengers, coins, strict=True):
            variances = scale[leader] ** 2, scale[challenger] ** 2
            if max(variances) == 0.0:
                continue  # both are exact
            probability = variances[0] / sum(variances)
            if not isinstance(self.leader_share, str) and min(variances) > 0.0:
                probability = self.leader_share
            picked[int(leader if coin < probability else challenger)] = None
