"""The policy made for this problem: doubtful neurons at the boundary, and no others."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..utils.compat import Interval
from .base import Arms, Floats, Policy, ordered

# Standard deviation of corrections and of pulls that is believed before the first pull, as
# strongly as one arm a group and one repeated pull teach: in rewards, where the safer half
# of the arms spans [0, 1].
_PRIOR = 0.05

# A variance that is none.
_CERTAIN = 1e-16

# At least so many arms are estimated for each that will go.
_CANDIDATES = 4

# A chance of being on the wrong side, or a share of variance, that counts for nothing.
_NEGLIGIBLE = 1e-3


class Boundary(Policy):
    """Pulls only at the boundary between the arms about to go and the next ones.

    Every arm has a belief: its estimate before pulls (``control_variate=``), plus a
    correction that is normal around the mean correction of its group, the layer.  How far
    corrections lie apart in a group, and how much pulls of one arm do, is learnt from the
    pulls made so far (empirical Bayes): where estimates proved exact, nothing is pulled.
    An arm's chance of standing on the wrong side of the boundary follows; the arms with the
    largest chance are pulled, as many at a time as asked for, until the expected share of
    wrong choices is at most `delta`.  :meth:`confidence` says how sure the choice is.
    Corrections and their spread are carried over removals, discounted.  Estimates far from
    the boundary are not renewed in every round: neurons that matter do not become safe
    overnight, and as others go they rather matter more.

    Without estimates every arm is pulled once to begin with, and beliefs are its own mean and
    the noise of a pull.

    When to use it: it is the default, and with ``control_variate="linear"``, which "auto"
    gives it, the cheapest way to the choices of `exhaustive`.

    Parameters
    ----------
    delta : float, default=0.1
        Expected share of wrong choices that ends a round, in (0, 1).
    tolerance : float, default=0.02
        Difference of reward that does not matter; 1 is that between the safest arm and
        the median one.
    candidates : float, default=0.25
        Share of the live arms, the safest, that is estimated in every round; at least
        four times as many as will go.
    refresh : int, default=8
        So many times only candidates are estimated; then all arms are.
    stale : float, default=0.0
        Share of the live arms that may go before estimates are renewed.  Until then nothing
        is estimated or pulled, as long as the choice is as sure as `delta` asks for, which saves
        time and may cost accuracy where most neurons go.

    References
    ----------
    The boundary as the place to pull is that of LUCB (Kalyanakrishnan et al. 2012), the
    shrinkage of noisy values towards their group's mean that of B. Efron, C. Morris, "Data
    analysis using Stein's estimator and its generalizations", JASA 70, 1975.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import Boundary
    >>> policy = Boundary().start(np.arange(4), rng=0)
    >>> policy.begin_round(n_remove=2, budget=10)
    >>> policy.expect([0, 1, 2, 3], [0.9, 0.52, 0.5, 0.1])
    >>> policy.select(4)  # nobody doubts 0 and 3
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
        """Begin; nothing is known of any group."""
        super().start(arms, rng, groups)
        self.expected_ = np.zeros(self.live_.size)
        self.estimated_ = False
        self.rounds_ = 0  # of estimates since all arms were estimated
        self.n_estimated_ = 0  # arms that lived when there were estimates last
        self.trusting_ = False  # whether this round goes by those
        # of earlier rounds' pulls: effective count, sums of corrections and of their squares
        self.corrections_ = np.zeros((3, self.live_.size))
        # of each group: arms, sums of their corrections and of the squares, less noise
        self.group_sums_ = np.zeros((3, int(self.groups_.max()) + 1))
        # degrees of freedom, and squares of pulls around their arm's mean
        self.noise_sums_ = np.zeros(2)
        self.known_: tuple[Floats, Floats] | None = None  # beliefs, until something changes
        return self

    def begin_round(self, n_remove: int, budget: int) -> None:
        """As ever; all arms may be pulled."""
        super().begin_round(n_remove, budget)
        self.closed_ = np.zeros(self.live_.size, dtype=bool)

    def close(self, arms: ArrayLike) -> None:
        """These are not pulled in this round.

        A pull without an estimate beside it has its rows' own share of the loss, which would
        pass for an error of estimates and spoil what is believed of the whole group.
        """
        self.closed_[np.asarray(arms, dtype=np.intp)] = True

    def expect(self, arms: ArrayLike, rewards: ArrayLike, count: float = 1.0) -> None:
        """Estimates for this round; what is known of their errors stays."""
        super().expect(arms, rewards, count)
        if not self.estimated_:
            # rewards of earlier rounds are no corrections
            self.estimated_ = True
            self.corrections_[:], self.group_sums_[:], self.noise_sums_[:] = 0.0, 0.0, 0.0
        self.rounds_ += 1
        self.n_estimated_ = int(self.live_.sum())
        self.known_ = None
        self.expected_[np.asarray(arms, dtype=np.intp)] = rewards

    def update(self, arms: ArrayLike, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """As ever; beliefs change."""
        super().update(arms, rewards, weights)
        self.known_ = None

    def to_estimate(self, n_remove: int) -> Arms:
        """All arms now and then, in between those that may come to stand at the boundary.

        None while few are gone since the last time and the choice is sure.
        """
        live = self.live_arms()
        unknown = not self.estimated_ or bool((self.counts_[live] <= 0).any())
        gone = self.n_estimated_ - live.size
        self.trusting_ = (
            not unknown
            and gone + n_remove <= self.stale * self.n_estimated_
            and self._doubts(live, n_remove)[1] <= self.delta
        )
        if self.trusting_:
            return live[:0]
        if unknown or self.rounds_ >= self.refresh:
            self.rounds_ = 0
            return live
        return np.sort(ordered(live, self.mean(live))[: self._n_candidates(n_remove)])

    def finalists(self, n_remove: int) -> int | None:
        """As many as are estimated in other rounds."""
        return self._n_candidates(n_remove)

    def _n_candidates(self, n_remove: int) -> int:
        return max(int(self.candidates * self.live_.sum()), _CANDIDATES * n_remove)

    def settle(self, arms: ArrayLike) -> None:
        """Exact arms need no memory of what they were."""
        super().settle(arms)
        self.known_ = None
        self.corrections_[:, np.asarray(arms, dtype=np.intp)] = 0.0

    def remove(self, arms: ArrayLike, discount: float = 1.0) -> None:
        """What the round taught about the groups outlives the arms it was learnt from."""
        groups, noise = self._groups_and_noise()
        self.group_sums_, self.noise_sums_ = discount * groups, discount * noise
        self.corrections_ = discount * (self.corrections_ + self._round_corrections())
        super().remove(arms, discount)
        self.known_ = None

    def rescale(self, slope: float, intercept: float) -> None:
        """Corrections are differences: only the slope changes them."""
        super().rescale(slope, intercept)
        self.known_ = None
        self.expected_ = slope * self.expected_ + intercept
        powers = np.array([1.0, slope, slope**2])
        self.corrections_ = powers[:, None] * self.corrections_
        self.group_sums_ = powers[:, None] * self.group_sums_
        self.noise_sums_ = powers[::2] * self.noise_sums_

    def mean(self, arms: Arms) -> Floats:
        """Posterior mean of the reward; -inf where nothing is known at all."""
        return self.beliefs(arms)[0] if self.estimated_ else super().mean(arms)

    def deviation(self, arms: Arms) -> Floats | None:
        """Of the posterior; without estimates as for any policy."""
        return self.beliefs(arms)[1] if self.estimated_ else None

    def choose(self, arms: Arms, n: int) -> Arms:
        """The `n` most doubtful arms, or nothing when the choice is settled."""
        live = self.live_arms()
        wrong, share = self._doubts(live, self.n_remove_)
        if share <= self.delta or self.trusting_:
            return arms[:0]
        arms = arms[~self.closed_[arms]]
        chances = wrong[np.isin(live, arms)]
        worth_it = chances > _NEGLIGIBLE
        return ordered(arms[worth_it], chances[worth_it])[:n]

    def confidence(self) -> float:
        """Expected share of the arms about to go that are among the safest indeed."""
        return 1.0 - self._doubts(self.live_arms(), self.n_remove_)[1]

    # ------------------------------------------------------------------- the beliefs

    def beliefs(self, arms: Arms) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation of arms' rewards, each (n_arms,)."""
        if self.known_ is None:
            self.known_ = self._posterior() if self.estimated_ else self._own_means()
        mean, deviation = self.known_
        return mean[arms], deviation[arms]

    def _own_means(self) -> tuple[Floats, Floats]:
        """Without estimates.  Rewards of a whole layer are no bell: nothing is borrowed."""
        counts = np.maximum(self.counts_, _CERTAIN)
        live = self.live_arms()
        mean = super().mean(live)
        safer = live[mean >= np.median(mean)]
        freedom = np.maximum(counts[safer] - 1.0, 0.0)
        around = np.where(freedom > 0, counts[safer] * self.variance(safer), 0.0)
        # Until many pulls were repeated, they may be all noise.
        noise = np.sqrt((1.0 + around.sum()) / (1.0 + freedom.sum()))
        error = noise**2 / counts
        # Some of what sets arms apart is this very noise (DerSimonian and Laird 1986): the
        # less is left for true differences, the less a distance says.  Arms that matter
        # stand far out, and are taken as if they did not.
        weights, near = 1.0 / error[live], np.clip(mean, -1.0, 2.0)
        total = weights.sum()
        excess = weights @ (near - weights @ near / total) ** 2 - (live.size - 1)
        true = max(excess / max(total - weights @ weights / total, _CERTAIN), 0.0)
        share = np.maximum(true / (true + error), _NEGLIGIBLE)
        deviation = np.where(self.settled_, 0.0, np.sqrt(error / share))
        return super().mean(np.arange(counts.size)), deviation

    def _posterior(self) -> tuple[Floats, Floats]:
        """Estimates and corrections, which are normal around their group's centre."""
        (n, total, squares), noise_sums = self._groups_and_noise()
        noise = self._noise(noise_sums)
        centre = total / (n + 1.0)
        apart = squares - 2.0 * centre * total + n * centre**2
        spread = (_PRIOR**2 + np.maximum(apart, 0.0)) / (1.0 + n)
        count, corrections, _ = self.corrections_ + self._round_corrections()
        # Arms that are exact have no doubt left, whatever the others' noise.
        pulls = count / np.where(self.settled_, _CERTAIN, max(noise, _CERTAIN))
        prior = 1.0 / np.maximum(spread, _CERTAIN)[self.groups_]
        own = np.divide(corrections, count, out=np.zeros_like(count), where=count > 0)
        correction = centre[self.groups_]
        correction = correction + pulls / (pulls + prior) * (own - correction)
        deviation = np.where(self.settled_, 0.0, np.sqrt(1.0 / (pulls + prior)))
        return self.expected_ + correction, deviation

    def _groups_and_noise(self) -> tuple[Floats, Floats]:
        """What is known of groups and noise, with this round's pulls."""
        pulled = np.flatnonzero(self.seen_[0] > 0)
        if pulled.size == 0:
            return self.group_sums_, self.noise_sums_
        count, total, squares = self._round_corrections()[:, pulled]
        around = np.maximum(squares - total**2 / count, 0.0)
        freedom = np.maximum(count - 1.0, 0.0)
        noise_sums = self.noise_sums_ + np.array([freedom.sum(), around[freedom > 0].sum()])
        means = total / count
        # an exact arm's mean has no noise
        own = np.where(self.settled_[pulled], 0.0, self._noise(noise_sums) / count)
        sums = self.group_sums_.copy()
        for row, values in enumerate((np.ones_like(means), means, means**2 - own)):
            np.add.at(sums[row], self.groups_[pulled], values)
        return sums, noise_sums

    def _noise(self, noise_sums: Floats) -> float:
        """Variance of a pull around its arm's mean."""
        freedom, squares = noise_sums
        return float((_PRIOR**2 + squares) / (1.0 + freedom))

    def _round_corrections(self) -> Floats:
        """Counts of this round, sums of corrections and of their squares, (3, n_ids)."""
        count, total, squares = self.seen_
        e = self.expected_
        return np.stack([count, total - count * e, squares - 2.0 * e * total + count * e**2])

    def _doubts(self, live: Arms, m: int) -> tuple[Floats, float]:
        """Chance of each live arm to stand on the wrong side of the `m` safest.

        And how large a share of those who stand there now that makes, in expectation.
        """
        wrong = np.zeros(live.size)
        if m >= live.size:
            return wrong, 0.0
        mean, deviation = self.beliefs(live)
        order = np.argsort(-mean, kind="stable")
        boundary = (mean[order[m - 1]] + mean[order[m]]) / 2.0
        apart = np.abs(mean - boundary) + self.tolerance
        doubtful = deviation > 0
        wrong[doubtful] = ndtr(-apart[doubtful] / deviation[doubtful])
        sides = wrong[order[:m]].sum(), wrong[order[m:]].sum()
        return wrong, float(min(max(sides) / m, 1.0))
