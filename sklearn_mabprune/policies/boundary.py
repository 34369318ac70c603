"""Empirical-Bayes policy that pulls only arms close to the boundary of a removal."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..utils.compat import Interval
from .base import Arms, Floats, Policy, ordered

# Prior standard deviation of control-variate residuals between arms and of pulls within an
# arm, with one degree of freedom each: in rewards, where the safer half of the arms spans
# [0, 1].
_PRIOR = 0.05

# Variances and counts are at least this where they are divisors.
_TINY = 1e-16

# At least this many arms are estimated per arm that will be removed.
_CANDIDATES = 4

# Misranking probabilities below this are not worth a pull; also the lower limit of the fraction of
# variance that is between arms.
_NEGLIGIBLE = 1e-3


class Boundary(Policy):
    """Empirical-Bayes policy that pulls only arms close to the boundary of a removal.

    The boundary lies between the arms that the round removes and the next ones.  Every arm has
    a posterior: its estimate before pulls (``control_variate=``) plus its control-variate
    residual, reward minus estimate, with a normal prior around the mean residual of its group,
    the layer.  The between-arm variance of residuals in a group and the within-arm variance of
    pulls are learnt from the pulls so far (empirical Bayes): where estimates proved exact,
    nothing is pulled.  The posterior gives each arm's misranking probability: that it is on the
    wrong side of the boundary.  The arms with the largest ones are pulled, in batches, until
    the expected fraction of wrong choices is at most `delta`; :meth:`confidence` is one minus
    that fraction.  Residuals and their variance are carried over removals, discounted.
    Estimates far from the boundary are not renewed in every round: important units do not
    suddenly become safe, and tend to become more important as others are removed.

    Without estimates every arm is pulled once at the start, and its posterior comes from its own
    mean and the noise of a pull.

    When to use it: it is the default, and with ``control_variate="linear"``, the "auto" for this
    policy, the cheapest way to the choices of `exhaustive`.

    Parameters
    ----------
    delta : float, default=0.1
        Expected fraction of wrong choices at which a round ends, in (0, 1).
    tolerance : float, default=0.02
        Difference of reward that does not matter; 1 is the difference between the safest and
        the median arm.
    candidates : float, default=0.25
        Fraction of the remaining arms, the safest ones, that is estimated in every round; at
        least four times as many as the round removes.
    refresh : int, default=8
        Number of rounds from estimates of all arms to the next ones; in between only the
        candidates are estimated.
    stale : float, default=0.0
        Fraction of the arms that may be removed before estimates are renewed.  Until then
        nothing is estimated or pulled, as long as the expected fraction of wrong choices is at
        most `delta`, which saves time and may cost accuracy if most units are removed.

    References
    ----------
    Pulls at the boundary are from LUCB (Kalyanakrishnan et al. 2012), shrinkage of noisy values
    towards the mean of their group from B. Efron, C. Morris, "Data analysis using Stein's
    estimator and its generalizations", JASA 70, 1975.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Boundary
    >>> policy = Boundary().start(np.arange(4), rng=0)
    >>> policy.begin_round(n_remove=2, budget=10)
    >>> policy.expect([0, 1, 2, 3], [0.9, 0.52, 0.5, 0.1])
    >>> policy.select(4)  # 0 and 3 are far from the boundary
    array([1, 2])
    >>> policy.update([1, 2], [0.55, 0.50])
    >>> policy.recommend(2)
    array([0, 1])
    >>> policy.confidence() > 0.9
    True
    """

    uses_estimates = True
    _parameter_constraints = {
        "delta": [Interval(Real, 0, 1, closed="neither")],
        "tolerance": [Interval(Real, 0, None, closed="left")],
        "candidates": [Interval(Real, 0, 1, closed="right")],
        "refresh": [Interval(Integral, 1, None, closed="left")],
        "stale": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        *,
        delta: float = 0.1,
        tolerance: float = 0.02,
        candidates: float = 0.25,
        refresh: int = 8,
        stale: float = 0.0,
    ):
        self.delta = delta
        self.tolerance = tolerance
        self.candidates = candidates
        self.refresh = refresh
        self.stale = stale

    # ------------------------------------------------------------------ the contract

    def start(
        self,
        arms: ArrayLike,
        rng: np.random.Generator | int | None = None,
        groups: ArrayLike | None = None,
    ) -> Policy:
        """Reset the policy and start it on these arms, without knowledge of any group."""
        super().start(arms, rng, groups)
        self.expected_ = np.zeros(self.live_.size)
        self.estimated_ = False
        self.rounds_ = 0  # with estimates, from the last ones of all arms on
        self.n_estimated_ = 0  # remaining arms at the last estimates
        self.trusting_ = False  # whether this round reuses earlier estimates, without pulls
        # pulls of earlier rounds: effective count, sums of residuals and of their squares
        self.residuals_ = np.zeros((3, self.live_.size))
        # by group: arms, sum of their mean residuals, sum of squares less noise
        self.group_sums_ = np.zeros((3, int(self.groups_.max()) + 1))
        # within arms: degrees of freedom, sum of squares
        self.noise_sums_ = np.zeros(2)
        self.known_: tuple[Floats, Floats] | None = None  # cached posterior
        return self

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Start a round in which all arms may be pulled."""
        super().begin_round(n_remove, budget)
        self.closed_ = np.zeros(self.live_.size, dtype=bool)

    def close(self, arms: ArrayLike) -> None:
        """Exclude arms from pulls in this round.

        Without an estimate on the same samples, a pull's deviation due to its samples would
        count as a residual and distort the prior of the whole group.
        """
        self.closed_[np.asarray(arms, dtype=np.intp)] = True

    def expect(self, arms: ArrayLike, rewards: ArrayLike, count: float = 1.0) -> None:
        """Set the estimates of this round; statistics of residuals are kept."""
        super().expect(arms, rewards, count)
        if not self.estimated_:
            # rewards of earlier rounds are not residuals of estimates
            self.estimated_ = True
            self.residuals_[:], self.group_sums_[:], self.noise_sums_[:] = 0.0, 0.0, 0.0
        self.rounds_ += 1
        self.n_estimated_ = int(self.live_.sum())
        self.known_ = None
        self.expected_[np.asarray(arms, dtype=np.intp)] = rewards

    def update(self, arms: ArrayLike, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Update the statistics with the rewards of pulled arms; the posterior changes."""
        super().update(arms, rewards, weights)
        self.known_ = None

    def to_estimate(self, n_remove: int) -> Arms:
        """Arms to estimate: all every `refresh` rounds, otherwise the candidates.

        No arm if at most a fraction `stale` was removed since the last estimates, and the
        expected fraction of wrong choices is at most `delta`.
        """
        live = self.live_arms()
        unknown = not self.estimated_ or bool((self.counts_[live] <= 0).any())
        gone = self.n_estimated_ - live.size
        self.trusting_ = (
            not unknown
            and gone + n_remove <= self.stale * self.n_estimated_
            and self._misranking(live, n_remove)[1] <= self.delta
        )
        if self.trusting_:
            return live[:0]
        if unknown or self.rounds_ >= self.refresh:
            self.rounds_ = 0
            return live
        return np.sort(ordered(live, self.mean(live))[: self._n_candidates(n_remove)])

    def finalists(self, n_remove: int) -> int | None:
        """Number of arms that need estimates from all samples: the candidates."""
        return self._n_candidates(n_remove)

    def _n_candidates(self, n_remove: int) -> int:
        return max(int(self.candidates * self.live_.sum()), _CANDIDATES * n_remove)

    def settle(self, arms: ArrayLike) -> None:
        """Mark arms as exact, and drop their residuals of earlier rounds."""
        super().settle(arms)
        self.known_ = None
        self.residuals_[:, np.asarray(arms, dtype=np.intp)] = 0.0

    def remove(self, arms: ArrayLike, discount: float = 1.0) -> None:
        """Drop removed arms; their residuals stay in the statistics of the groups, discounted."""
        groups, noise = self._groups_and_noise()
        self.group_sums_, self.noise_sums_ = discount * groups, discount * noise
        self.residuals_ = discount * (self.residuals_ + self._round_residuals())
        super().remove(arms, discount)
        self.known_ = None

    def rescale(self, slope: float, intercept: float) -> None:
        """Convert all statistics to a new reward scale; residuals only depend on the slope."""
        super().rescale(slope, intercept)
        self.known_ = None
        self.expected_ = slope * self.expected_ + intercept
        powers = np.array([1.0, slope, slope**2])
        self.residuals_ = powers[:, None] * self.residuals_
        self.group_sums_ = powers[:, None] * self.group_sums_
        self.noise_sums_ = powers[::2] * self.noise_sums_

    def mean(self, arms: Arms) -> Floats:
        """Posterior mean of the reward; -inf without estimate or pull."""
        return self.posterior(arms)[0] if self.estimated_ else super().mean(arms)

    def deviation(self, arms: Arms) -> Floats | None:
        """Posterior standard deviation of each arm's mean; None without estimates."""
        return self.posterior(arms)[1] if self.estimated_ else None

    def choose(self, arms: Arms, n: int) -> Arms:
        """The `n` arms with the largest misranking probability; none if `delta` is reached."""
        live = self.live_arms()
        misranking, fraction = self._misranking(live, self.n_remove_)
        if fraction <= self.delta or self.trusting_:
            return arms[:0]
        arms = arms[~self.closed_[arms]]
        chances = misranking[np.isin(live, arms)]
        worth_it = chances > _NEGLIGIBLE
        return ordered(arms[worth_it], chances[worth_it])[:n]

    def confidence(self) -> float:
        """Expected fraction of correct choices among the arms that the round removes."""
        return 1.0 - self._misranking(self.live_arms(), self.n_remove_)[1]

    # ---------------------------------------------------------------- the posterior

    def posterior(self, arms: Arms) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation of each arm's mean reward, each (n_arms,)."""
        if self.known_ is None:
            self.known_ = self._with_estimates() if self.estimated_ else self._without_estimates()
        mean, deviation = self.known_
        return mean[arms], deviation[arms]

    def _without_estimates(self) -> tuple[Floats, Floats]:
        """Posterior without estimates: own means, of all ids.

        Rewards are not normal within a layer, so no empirical-Bayes shrinkage.
        """
        counts = np.maximum(self.counts_, _TINY)
        live = self.live_arms()
        mean = super().mean(live)
        safer = live[mean >= np.median(mean)]
        dof = np.maximum(counts[safer] - 1.0, 0.0)
        within = np.where(dof > 0, counts[safer] * self.variance(safer), 0.0)
        # The prior variance is 1: until many pulls were repeated, rewards may be all noise.
        noise = np.sqrt((1.0 + within.sum()) / (1.0 + dof.sum()))
        error = noise**2 / counts
        # A part of the between-arm sum of squares is noise of the means (DerSimonian and Laird
        # 1986): the smaller the true between-arm variance, the less reliable are differences.
        # Important arms are outliers, and are clipped.
        weights, clipped = 1.0 / error[live], np.clip(mean, -1.0, 2.0)
        total = weights.sum()
        excess = weights @ (clipped - weights @ clipped / total) ** 2 - (live.size - 1)
        between = max(excess / max(total - weights @ weights / total, _TINY), 0.0)
        fraction = np.maximum(between / (between + error), _NEGLIGIBLE)
        deviation = np.where(self.settled_, 0.0, np.sqrt(error / fraction))
        return super().mean(np.arange(counts.size)), deviation

    def _with_estimates(self) -> tuple[Floats, Floats]:
        """Posterior with estimates, of all ids: residuals shrunk towards their group's mean."""
        (n, total, squares), noise_sums = self._groups_and_noise()
        noise = self._noise(noise_sums)
        group_mean = total / (n + 1.0)
        between = squares - 2.0 * group_mean * total + n * group_mean**2
        variance = (_PRIOR**2 + np.maximum(between, 0.0)) / (1.0 + n)
        count, residuals, _ = self.residuals_ + self._round_residuals()
        # The residuals of exact arms have no noise.
        pulls = count / np.where(self.settled_, _TINY, max(noise, _TINY))
        prior = 1.0 / np.maximum(variance, _TINY)[self.groups_]
        own_mean = np.divide(residuals, count, out=np.zeros_like(count), where=count > 0)
        residual = group_mean[self.groups_]
        residual = residual + pulls / (pulls + prior) * (own_mean - residual)
        deviation = np.where(self.settled_, 0.0, np.sqrt(1.0 / (pulls + prior)))
        return self.expected_ + residual, deviation

    def _groups_and_noise(self) -> tuple[Floats, Floats]:
        """`group_sums_` and `noise_sums_` with the pulls of this round."""
        pulled = np.flatnonzero(self.seen_[0] > 0)
        if pulled.size == 0:
            return self.group_sums_, self.noise_sums_
        count, total, squares = self._round_residuals()[:, pulled]
        within = np.maximum(squares - total**2 / count, 0.0)
        dof = np.maximum(count - 1.0, 0.0)
        noise_sums = self.noise_sums_ + np.array([dof.sum(), within[dof > 0].sum()])
        means = total / count
        # an exact arm's mean has no noise
        noise = np.where(self.settled_[pulled], 0.0, self._noise(noise_sums) / count)
        sums = self.group_sums_.copy()
        for row, values in enumerate((np.ones_like(means), means, means**2 - noise)):
            np.add.at(sums[row], self.groups_[pulled], values)
        return sums, noise_sums

    def _noise(self, noise_sums: Floats) -> float:
        """Within-arm variance of a pull."""
        dof, squares = noise_sums
        return float((_PRIOR**2 + squares) / (1.0 + dof))

    def _round_residuals(self) -> Floats:
        """Counts of this round, sums of residuals and of their squares, (3, n_ids)."""
        count, total, squares = self.seen_
        e = self.expected_
        return np.stack([count, total - count * e, squares - 2.0 * e * total + count * e**2])

    def _misranking(self, live: Arms, m: int) -> tuple[Floats, float]:
        """Misranking probability of each arm, and the expected fraction of wrong choices.

        An arm is misranked if it is on the wrong side of the boundary of the `m` safest.
        """
        misranking = np.zeros(live.size)
        if m >= live.size:
            return misranking, 0.0
        mean, deviation = self.posterior(live)
        order = np.argsort(-mean, kind="stable")
        boundary = (mean[order[m - 1]] + mean[order[m]]) / 2.0
        distance = np.abs(mean - boundary) + self.tolerance
        uncertain = deviation > 0
        misranking[uncertain] = ndtr(-distance[uncertain] / deviation[uncertain])
        sides = misranking[order[:m]].sum(), misranking[order[m:]].sum()
        return misranking, float(min(max(sides) / m, 1.0))
