"""Base classes of bandit policies: remaining arms, statistics of rewards, recommendations.

A policy never sees a network.  It gets the ids of the arms (hidden units), selects arms to
pull, gets their rewards, and recommends arms to remove.  A high reward means that a unit is
safe to remove (see :mod:`sklearn_mabprune.pruning.rewards`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from ..utils.validation import check_parameters

Arms = NDArray[np.intp]
Floats = NDArray[np.float64]

# Keys are rounded to this, so that summation order cannot change the ranking: keys that are
# equal after rounding are ties, which go to the lower arm id.
_RESOLUTION = 1e-8

# Effective counts below this are set to 0: sums divided by them are rounding errors.
_FORGOTTEN = 1e-6

# Prior standard deviation of a pull, in rewards, until arms have been pulled twice.
_PRIOR_NOISE = 0.05


def ordered(arms: Arms, keys: Floats) -> Arms:
    """Arms sorted by decreasing key; keys within 1e-8 are ties, which go to the lower id.

    Parameters
    ----------
    arms : ndarray of int, shape (n_arms,)
        Arm ids, increasing.
    keys : ndarray of float, shape (n_arms,)
        Sort keys.

    Returns
    -------
    ndarray of int, shape (n_arms,)
    """
    # Absolute for keys of the usual size (most rewards are in [0, 1]), relative for larger
    # ones, where 1e-8 is below the resolution of a float.
    scale = np.maximum(1.0, np.abs(keys))
    with np.errstate(invalid="ignore"):
        rounded = np.where(
            np.isfinite(keys), np.round(keys / scale / _RESOLUTION) * _RESOLUTION * scale, keys
        )
    return arms[np.argsort(-rounded, kind="stable")]


class Policy(BaseEstimator):
    """Base class of policies: discounted counts, means and variances of rewards per arm.

    A subclass needs one method: :meth:`choose`, or, one level down,
    :meth:`IndexPolicy.index` or :meth:`ProbabilityPolicy.probabilities`.

    Class attributes declare the properties of a policy, so that no code checks its type:

    ``full_information``
        Every remaining arm is measured on each block of samples (hedge).
    ``bounded_rewards``
        :meth:`observe` gets rewards clipped to [0, 1].
    ``budgeted``
        False: pulls until every arm is exact, whatever the measurement budget.
    ``needs_pulls``
        False for criteria, which score units from weights or activations.
    ``initial_pulls``
        Pulls that every arm gets before the policy starts, in addition to the measurement
        budget; they are reported.
    ``extra_sums``
        Number of further sums per arm that :meth:`observe` keeps in ``seen_[3:]``.
    ``uses_estimates``
        Whether ``control_variate="auto"`` makes estimates before pulls.
    ``_parameter_constraints``
        Allowed types and values of hyper-parameters, as in scikit-learn; :meth:`start`
        checks them.

    Attributes
    ----------
    live_ : ndarray of bool, shape (n_ids,)
        Whether each arm id may still be removed.
    counts_ : ndarray of float, shape (n_ids,)
        Effective number of pulls: the sum of pull weights, discounted after removals.
    """

    full_information = False
    bounded_rewards = False
    budgeted = True
    needs_pulls = True
    initial_pulls = 1
    extra_sums = 0
    uses_estimates = False
    _parameter_constraints: dict[str, Any] = {}

    # ------------------------------------------------------------ the public contract

    def start(
        self,
        arms: ArrayLike,
        rng: np.random.Generator | int | None = None,
        groups: ArrayLike | None = None,
    ) -> Policy:
        """Reset the policy and start it on these arms.

        Parameters
        ----------
        arms : array-like of int, shape (n_arms,)
            Arm ids: numbers of units in the original network; they never change.
        rng : numpy.random.Generator, int or None
            Source of the policy's randomness.
        groups : array-like of int, shape (n_ids,), optional
            Group of every id (the layer of the unit), for policies that learn by group.

        Returns
        -------
        Policy
            Itself.

        Raises
        ------
        ValueError
            If a hyper-parameter does not satisfy its constraints, or there is no arm.
        """
        check_parameters(self)
        ids = np.asarray(arms, dtype=np.intp)
        if ids.size == 0:
            raise ValueError("arms is empty: pass at least one arm.")
        n_ids = int(ids.max()) + 1
        self.rng_ = np.random.default_rng(rng)
        self.live_ = np.zeros(n_ids, dtype=bool)
        self.live_[ids] = True
        self.settled_ = np.zeros(n_ids, dtype=bool)
        self.groups_ = np.zeros(n_ids, dtype=np.intp)
        if groups is not None:
            self.groups_[ids] = np.asarray(groups, dtype=np.intp)[ids]
        # by row: effective count, sums of rewards and of their squares, the policy's extra sums
        self.seen_ = np.zeros((3 + self.extra_sums, n_ids))
        self.carried_ = np.zeros_like(self.seen_)
        self.begin_round(1, 0)
        return self

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Start a round that removes `n_remove` arms and may spend `budget` pulls.

        Sets `horizon_`, the number of past and future pulls, initial ones included.
        """
        self.n_remove_ = int(n_remove)
        self.budget_ = int(budget)
        self.horizon_ = self.time_ + self.unready().size + self.budget_

    def select(self, n: int) -> Arms:
        """Arms to pull next, at most `n`.

        Parameters
        ----------
        n : int
            Largest number of arms.  Policies that draw with replacement may return an arm
            twice; it is measured once.

        Returns
        -------
        ndarray of int, shape (<= n,)
            Remaining arms that are not exact yet; empty if the policy stops pulling.
        """
        arms = self.open_arms()
        if arms.size == 0 or n < 1:
            return arms[:0]
        fresh = self.unready()
        if fresh.size:
            return fresh[:n]
        return self.choose(arms, int(n))

    def update(self, arms: ArrayLike, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Update the statistics with the rewards of the arms that one `select` returned.

        Parameters
        ----------
        arms : array-like of int, shape (n,)
            As selected.  An arm that was drawn twice is measured once and counts as one
            pull, so that the mean over all blocks is the mean over all samples;
            :meth:`observe` gets every draw, for importance-weighted estimators.
        rewards : array-like of float, shape (n,)
            High = safe to remove; affine in the negative loss increase, not clipped.
        weights : array-like of float, shape (n,), optional
            Total sample weight of the block of each pull, 1 for an average block.

        Raises
        ------
        ValueError
            If an arm is given twice with different rewards.
        """
        ids = np.asarray(arms, dtype=np.intp)
        values = np.asarray(rewards, dtype=np.float64)
        scale = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
        pulled, first, where = np.unique(ids, return_index=True, return_inverse=True)
        if pulled.size < ids.size and (values != values[first][where]).any():
            raise ValueError(
                "arms has an arm twice with different rewards, which are two pulls: pass the "
                "second pull in another update."
            )
        count, reward = scale[first], values[first]
        self.seen_[0, pulled] += count
        self.seen_[1, pulled] += count * reward
        self.seen_[2, pulled] += count * reward**2
        self.observe(ids, np.clip(values, 0.0, 1.0) if self.bounded_rewards else values, scale)

    def settle(self, arms: ArrayLike) -> None:
        """Mark arms as exact, measured on every sample, until the next removal.

        Their statistics of earlier rounds are dropped, and they are not selected again in
        this round.
        """
        ids = np.asarray(arms, dtype=np.intp)
        self.settled_[ids] = True
        self.carried_[:, ids] = 0.0

    def recommend(self, m: int) -> Arms:
        """The `m` arms with the highest mean reward, highest first; ties go to the lower id.

        The number of pulls does not count; an arm without pulls or estimate comes last.
        """
        arms = self.live_arms()
        return ordered(arms, self.mean(arms))[:m]

    def remove(self, arms: ArrayLike, discount: float = 1.0) -> None:
        """Drop arms that were removed (or protected), and discount the statistics of the others.

        Parameters
        ----------
        arms : array-like of int
        discount : float in [0, 1]
            Factor on effective counts and sums: 1 keeps them, 0 drops them.
        """
        self.live_[np.asarray(arms, dtype=np.intp)] = False
        self.carried_ = (self.carried_ + self.seen_) * discount
        self.carried_[:, self.carried_[0] < _FORGOTTEN] = 0.0
        self.seen_ = np.zeros_like(self.seen_)
        self.settled_[:] = False

    def expect(self, arms: ArrayLike, rewards: ArrayLike, count: float = 1.0) -> None:
        """Replace the statistics of earlier rounds by estimates, each worth `count` pulls."""
        ids = np.asarray(arms, dtype=np.intp)
        values = np.asarray(rewards, dtype=np.float64)
        further = self.further_sums(np.clip(values, 0.0, 1.0) if self.bounded_rewards else values)
        self.carried_[:, ids] = count * np.stack(
            [np.ones_like(values), values, values**2, *further]
        )

    def rescale(self, slope: float, intercept: float) -> None:
        """Convert all statistics to a new reward scale: slope * reward + intercept."""
        for seen in (self.seen_, self.carried_):
            counts, sums = seen[0], seen[1].copy()
            seen[1] = slope * sums + intercept * counts
            seen[2] = slope**2 * seen[2] + 2 * slope * intercept * sums + intercept**2 * counts

    def deviation(self, arms: Arms) -> Floats | None:
        """Posterior standard deviation of each arm's mean; None: use the spread of its pulls."""
        return None

    def to_estimate(self, n_remove: int) -> Arms:
        """Arms to estimate in a round that removes `n_remove`; by default all remaining ones."""
        return self.live_arms()

    def finalists(self, n_remove: int) -> int | None:
        """Number of arms, the safest ones, that need estimates from all samples; None: all."""
        return None

    def close(self, arms: ArrayLike) -> None:
        """Exclude arms from pulls in this round: their estimates miss some blocks."""

    def confidence(self) -> float:
        """Expected fraction of correct choices; NaN if the policy does not estimate it."""
        return np.nan

    def min_round_budget(self) -> int:
        """Smallest useful number of pulls of a round; smaller rounds are merged."""
        return 0

    # ------------------------------------------------------- for subclasses to override

    def choose(self, arms: Arms, n: int) -> Arms:
        """At most `n` of these open arms, all of which have their initial pulls."""
        raise NotImplementedError(f"{type(self).__name__} must implement choose(arms, n).")

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Update a policy's own statistics, beyond counts, means and variances.

        Sums belong in ``self.seen_[3:]`` (see ``extra_sums``); :meth:`rescale` and
        :meth:`further_sums` must then handle them, too.  The default does nothing.

        Parameters
        ----------
        arms : ndarray of int, shape (n_draws,)
            With an arm twice if it was drawn twice.
        rewards : ndarray of float, shape (n_draws,)
            Clipped to [0, 1] if the policy has ``bounded_rewards``.
        weights : ndarray of float, shape (n_draws,)
        """

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """Contribution per pull to each of ``seen_[3:]``, of arms with these mean rewards."""
        return []

    # ---------------------------------------------------------------- for subclasses to use

    @property
    def counts_(self) -> Floats:
        """Effective number of pulls of every arm id."""
        return self.seen_[0] + self.carried_[0]

    @property
    def time_(self) -> float:
        """Sum of the effective counts of the remaining arms."""
        return float(self.counts_[self.live_].sum())

    def live_arms(self) -> Arms:
        """Ids of the remaining arms, increasing."""
        return np.flatnonzero(self.live_)

    def open_arms(self) -> Arms:
        """Ids of the remaining arms that are not exact, increasing."""
        return np.flatnonzero(self.live_ & ~self.settled_)

    def unready(self) -> Arms:
        """Open arms that still lack their initial pulls."""
        arms = self.open_arms()
        return arms[self.counts_[arms] <= 0] if self.initial_pulls else arms[:0]

    def mean(self, arms: Arms) -> Floats:
        """Mean reward of these arms; -inf without pulls or estimates."""
        counts = self.counts_[arms]
        sums = self.seen_[1, arms] + self.carried_[1, arms]
        return np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), -np.inf)

    def variance(self, arms: Arms) -> Floats:
        """Within-arm variance of the rewards of these arms; 0 where unknown."""
        counts = np.maximum(self.counts_[arms], np.finfo(float).tiny)
        squares = self.seen_[2, arms] + self.carried_[2, arms]
        sums = self.seen_[1, arms] + self.carried_[1, arms]
        return np.maximum(squares / counts - (sums / counts) ** 2, 0.0)

    def noise(self) -> float:
        """Pooled within-arm standard deviation of a pull, over the safer half of the arms.

        Pulls of important units vary more, which says nothing about the candidates.  A prior
        with one degree of freedom and standard deviation 0.05 is used until arms have been
        pulled twice.
        """
        arms = self.live_arms()
        mean = self.mean(arms)
        arms = arms[mean >= np.median(mean)]
        counts = self.counts_[arms]
        dof = np.maximum(counts - 1.0, 0.0)
        # an effective count of at most one leaves no degree of freedom
        within = np.where(dof > 0, counts * self.variance(arms), 0.0)
        return float(np.sqrt((_PRIOR_NOISE**2 + within.sum()) / (1.0 + dof.sum())))

    def reward_range(self, exploration: float | str, deviations: float) -> float:
        """Factor on exploration bonuses, whose formulas assume rewards in [0, 1].

        `exploration` itself, or for "noise" `deviations` times the estimated standard deviation
        of a pull; the guarantees need 2, since in [0, 1] that deviation is at most 1/2.
        """
        return deviations * self.noise() if isinstance(exploration, str) else float(exploration)


class IndexPolicy(Policy):
    """Base class of index policies: they pull the arms with the highest index."""

    def index(self, arms: Arms) -> Floats:
        """Index of each arm, which has its initial pulls, shape (n_arms,)."""
        raise NotImplementedError(f"{type(self).__name__} must implement index(arms).")

    def choose(self, arms: Arms, n: int) -> Arms:
        """The `n` arms with the highest index; ties go to the lower id."""
        return ordered(arms, self.index(arms))[:n]


class ProbabilityPolicy(Policy):
    """Base class of policies that draw arms with replacement, by their probabilities."""

    def probabilities(self, arms: Arms) -> Floats:
        """Probability of each arm, which has its initial pulls, shape (n_arms,); they sum to 1."""
        raise NotImplementedError(f"{type(self).__name__} must implement probabilities(arms).")

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Start a round; initial pulls, which come first, have the probability 1."""
        super().begin_round(n_remove, budget)
        self.drawn_with_ = np.ones(self.live_.size)

    def choose(self, arms: Arms, n: int) -> Arms:
        """Arms drawn with replacement; sets `drawn_with_`, their probabilities."""
        p = self.probabilities(arms)
        self.drawn_with_[arms] = p
        return self.rng_.choice(arms, size=n, p=p)
