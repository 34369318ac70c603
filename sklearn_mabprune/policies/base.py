"""What every policy shares: which arms live, what was seen of them, who looks safest.

A policy never sees a network.  It is told which arms exist, asked which of them to
pull, told the rewards, and asked which look safest to remove.  Rewards are high for
neurons that are safe to remove (see :mod:`sklearn_mabprune.pruning.rewards`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from ..utils.validation import check_parameters

Arms = NDArray[np.intp]
Floats = NDArray[np.float64]

# Rewards closer than this count as equal, and ties go to the lower arm id: without it
# the last bits of a sum, which depend on the order of the rows, would choose neurons.
_RESOLUTION = 1e-8

# Below this an effective count is no memory any more: sums divided by it are rounding errors.
_FORGOTTEN = 1e-6

# Expected noise of a pull, in rewards, until arms have been pulled twice.
_PRIOR_NOISE = 0.05


def ordered(arms: Arms, keys: Floats) -> Arms:
    """Arms by decreasing key; keys within 1e-8 are ties, which go to the lower id.

    Parameters
    ----------
    arms : ndarray of int, shape (n_arms,)
        Arm ids, increasing.
    keys : ndarray of float, shape (n_arms,)
        What to order by.

    Returns
    -------
    ndarray of int, shape (n_arms,)
    """
    # Absolute for keys of the usual size (rewards live around [0, 1]), relative beyond,
    # where 1e-8 is below the resolution of a float.
    scale = np.maximum(1.0, np.abs(keys))
    with np.errstate(invalid="ignore"):
        rounded = np.where(
            np.isfinite(keys), np.round(keys / scale / _RESOLUTION) * _RESOLUTION * scale, keys
        )
    return arms[np.argsort(-rounded, kind="stable")]


class Policy(BaseEstimator):
    """Base of all policies: discounted statistics of paired, shared pulls.

    A subclass needs one method: :meth:`choose`, or, one level down,
    :meth:`IndexPolicy.index` or :meth:`ProbabilityPolicy.probabilities`.

    Class attributes declare what a policy is, so that nobody asks for its type:

    ``full_information``
        Every live arm is measured on each block (hedge).
    ``bounded_rewards``
        :meth:`observe` gets rewards clipped to [0, 1].
    ``budgeted``
        False: pulls until every arm is exact, whatever the budget.
    ``needs_pulls``
        False for criteria, which score neurons from weights or activations.
    ``initial_pulls``
        Pulls that every arm gets before the policy can start; they come on top of the
        budget and are reported.
    ``extra_sums``
        How many further sums an arm :meth:`observe` keeps in ``seen_[3:]``.
    ``uses_estimates``
        ``control_variate="auto"`` gives it estimates before pulls.
    ``_parameter_constraints``
        What each hyper-parameter may be, as in scikit-learn; checked by :meth:`start`.

    Attributes
    ----------
    live_ : ndarray of bool, shape (n_ids,)
        Which arm ids may still be removed.
    counts_ : ndarray of float, shape (n_ids,)
        Effective number of pulls: the sum of their weights, discounted after removals.
    """

    full_information = False
    bounded_rewards = False
    budgeted = True
    needs_pulls = True
    initial_pulls = 1
    extra_sums = 0
    uses_estimates = False
    _parameter_constraints: dict[str, Any] = {}

    # ------------------------------------------------------------------ the contract

    def start(
        self,
        arms: ArrayLike,
        rng: np.random.Generator | int | None = None,
        groups: ArrayLike | None = None,
    ) -> Policy:
        """Begin a search over these arms.

        Parameters
        ----------
        arms : array-like of int, shape (n_arms,)
            Arm ids (neurons of the original network); they keep their ids for ever.
        rng : numpy.random.Generator, int or None
            Where the policy's own draws come from.
        groups : array-like of int, shape (n_ids,), optional
            Group of every id (a neuron's layer), for policies that learn about groups.

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
            raise ValueError("A policy needs at least one arm, got none.")
        n_ids = int(ids.max()) + 1
        self.rng_ = np.random.default_rng(rng)
        self.live_ = np.zeros(n_ids, dtype=bool)
        self.live_[ids] = True
        self.settled_ = np.zeros(n_ids, dtype=bool)
        self.groups_ = np.zeros(n_ids, dtype=np.intp)
        if groups is not None:
            self.groups_[ids] = np.asarray(groups, dtype=np.intp)[ids]
        # rows: effective count, sums of rewards and of their squares, a policy's own sums
        self.seen_ = np.zeros((3 + self.extra_sums, n_ids))
        self.carried_ = np.zeros_like(self.seen_)
        self.begin_round(1, 0)
        return self

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Say what this round is for: `n_remove` arms will go, `budget` pulls may be spent.

        Sets `horizon_`: the pulls known and to come, initial ones included.
        """
        self.n_remove_ = int(n_remove)
        self.budget_ = int(budget)
        self.horizon_ = self.time_ + self.unready().size + self.budget_

    def select(self, n: int) -> Arms:
        """Arms to pull next.

        Parameters
        ----------
        n : int
            At most this many.  Policies that draw by probability may name an arm
            twice; it is measured once.

        Returns
        -------
        ndarray of int, shape (<= n,)
            Live arms that are not exact yet; empty when there is nothing left to learn.
        """
        arms = self.open_arms()
        if arms.size == 0 or n < 1:
            return arms[:0]
        fresh = self.unready()
        if fresh.size:
            return fresh[:n]
        return self.choose(arms, int(n))

    def update(self, arms: ArrayLike, rewards: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Take in the rewards of pulled arms: one call for what one call of `select` named.

        Parameters
        ----------
        arms : array-like of int, shape (n,)
            As selected.  An arm named twice was drawn twice but measured once, and
            counts as one pull, or the mean over all blocks would not be that over all
            rows; :meth:`observe` is told of every draw, for the estimators that need it.
        rewards : array-like of float, shape (n,)
            High = safe to remove; affine in the loss increase, not clipped.
        weights : array-like of float, shape (n,), optional
            Total row weight of the block behind each pull, 1 for an average block.

        Raises
        ------
        ValueError
            If an arm is named twice with different rewards: those are two pulls.
        """
        ids = np.asarray(arms, dtype=np.intp)
        values = np.asarray(rewards, dtype=np.float64)
        scale = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
        pulled, first, where = np.unique(ids, return_index=True, return_inverse=True)
        if pulled.size < ids.size and (values != values[first][where]).any():
            raise ValueError(
                "An arm was named twice with different rewards: pass its second pull in "
                "another update."
            )
        count, reward = scale[first], values[first]
        self.seen_[0, pulled] += count
        self.seen_[1, pulled] += count * reward
        self.seen_[2, pulled] += count * reward**2
        self.observe(ids, np.clip(values, 0.0, 1.0) if self.bounded_rewards else values, scale)

    def settle(self, arms: ArrayLike) -> None:
        """These arms were measured on every row: exact until the next removal.

        What was carried over from earlier rounds is forgotten for them, and they are
        not selected again this round.
        """
        ids = np.asarray(arms, dtype=np.intp)
        self.settled_[ids] = True
        self.carried_[:, ids] = 0.0

    def recommend(self, m: int) -> Arms:
        """The `m` arms that look safest, safest first; ties go to the lower id.

        Arms are ranked by their estimated mean reward, never by how often they were
        pulled; an arm never measured comes last.
        """
        arms = self.live_arms()
        return ordered(arms, self.mean(arms))[:m]

    def remove(self, arms: ArrayLike, discount: float = 1.0) -> None:
        """Arms are gone (or protected); what is known of the others gets older.

        Parameters
        ----------
        arms : array-like of int
        discount : float in [0, 1]
            Multiplies effective counts and sums: 1 keeps everything, 0 starts afresh.
        """
        self.live_[np.asarray(arms, dtype=np.intp)] = False
        self.carried_ = (self.carried_ + self.seen_) * discount
        self.carried_[:, self.carried_[0] < _FORGOTTEN] = 0.0
        self.seen_ = np.zeros_like(self.seen_)
        self.settled_[:] = False

    def expect(self, arms: ArrayLike, rewards: ArrayLike, count: float = 1.0) -> None:
        """Estimated rewards replace what earlier rounds saw; each is worth `count` pulls."""
        ids = np.asarray(arms, dtype=np.intp)
        values = np.asarray(rewards, dtype=np.float64)
        further = self.further_sums(np.clip(values, 0.0, 1.0) if self.bounded_rewards else values)
        self.carried_[:, ids] = count * np.stack(
            [np.ones_like(values), values, values**2, *further]
        )

    def rescale(self, slope: float, intercept: float) -> None:
        """Express what is known in new units: reward <- slope * reward + intercept."""
        for seen in (self.seen_, self.carried_):
            counts, sums = seen[0], seen[1].copy()
            seen[1] = slope * sums + intercept * counts
            seen[2] = slope**2 * seen[2] + 2 * slope * intercept * sums + intercept**2 * counts

    def deviation(self, arms: Arms) -> Floats | None:
        """Standard deviation of beliefs; None where only the spread of pulls is known."""
        return None

    def to_estimate(self, n_remove: int) -> Arms:
        """Arms whose estimates a round that removes `n_remove` needs; all live ones."""
        return self.live_arms()

    def finalists(self, n_remove: int) -> int | None:
        """How many of these, the safest, need estimates from all rows; None: all of them."""
        return None

    def close(self, arms: ArrayLike) -> None:
        """These arms have no estimates of some blocks: for policies that ask for a part."""

    def confidence(self) -> float:
        """Expected share of right choices, for policies that say; NaN otherwise."""
        return np.nan

    def min_round_budget(self) -> int:
        """Fewest pulls with which a round makes sense; smaller rounds are merged."""
        return 0

    # ------------------------------------------------------- what a subclass fills in

    def choose(self, arms: Arms, n: int) -> Arms:
        """At most `n` of these open arms, every one of them seen at least once."""
        raise NotImplementedError(f"{type(self).__name__} does not say which arms to pull.")

    def observe(self, arms: Arms, rewards: Floats, weights: Floats) -> None:
        """Keep what a policy needs beyond counts, means and variances; nothing by default.

        Sums belong in ``self.seen_[3:]`` (see ``extra_sums``); :meth:`rescale` and
        :meth:`further_sums` must then know them too.

        Parameters
        ----------
        arms : ndarray of int, shape (n_draws,)
            A repeated arm was drawn more than once.
        rewards : ndarray of float, shape (n_draws,)
            Clipped to [0, 1] if the policy has ``bounded_rewards``.
        weights : ndarray of float, shape (n_draws,)
        """

    def further_sums(self, rewards: Floats) -> list[Floats]:
        """What these rewards, were they certain, add to each of ``seen_[3:]`` a pull."""
        return []

    # ------------------------------------------------------------ what a subclass reads

    @property
    def counts_(self) -> Floats:
        """Effective number of pulls of every arm id."""
        return self.seen_[0] + self.carried_[0]

    @property
    def time_(self) -> float:
        """Sum of the effective counts of the live arms."""
        return float(self.counts_[self.live_].sum())

    def live_arms(self) -> Arms:
        """Ids that may still be removed, increasing."""
        return np.flatnonzero(self.live_)

    def open_arms(self) -> Arms:
        """Live ids that are not exact, increasing."""
        return np.flatnonzero(self.live_ & ~self.settled_)

    def unready(self) -> Arms:
        """Open arms that still lack their initial pulls."""
        arms = self.open_arms()
        return arms[self.counts_[arms] <= 0] if self.initial_pulls else arms[:0]

    def mean(self, arms: Arms) -> Floats:
        """Mean reward of these arms; -inf where nothing was seen."""
        counts = self.counts_[arms]
        sums = self.seen_[1, arms] + self.carried_[1, arms]
        return np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), -np.inf)

    def variance(self, arms: Arms) -> Floats:
        """Variance of the rewards of these arms around their means; 0 where unknown."""
        counts = np.maximum(self.counts_[arms], np.finfo(float).tiny)
        squares = self.seen_[2, arms] + self.carried_[2, arms]
        sums = self.seen_[1, arms] + self.carried_[1, arms]
        return np.maximum(squares / counts - (sums / counts) ** 2, 0.0)

    def noise(self) -> float:
        """Standard deviation of a pull around its arm's mean, in the safer half of the arms.

        Pooled; neurons that matter scatter more, which says nothing about the candidates.
        A prior of one degree of freedom and standard deviation 0.05 stands in until arms
        have been pulled twice.
        """
        arms = self.live_arms()
        mean = self.mean(arms)
        arms = arms[mean >= np.median(mean)]
        counts = self.counts_[arms]
        freedom = np.maximum(counts - 1.0, 0.0)
        # what lies between one pull and two has no freedom to speak of
        spread = np.where(freedom > 0, counts * self.variance(arms), 0.0)
        return float(np.sqrt((_PRIOR_NOISE**2 + spread.sum()) / (1.0 + freedom.sum())))

    def reward_range(self, exploration: float | str, deviations: float) -> float:
        """Factor on bonuses, whose formulas are made for rewards that fill [0, 1].

        A number stands for itself, "noise" for so many measured standard deviations of a
        pull; 2 is what guarantees ask for, since in [0, 1] it is at most 1/2.
        """
        return deviations * self.noise() if isinstance(exploration, str) else float(exploration)


class IndexPolicy(Policy):
    """A policy that pulls the arms with the highest index."""

    def index(self, arms: Arms) -> Floats:
        """One number an arm; the highest are pulled.  All arms have been seen."""
        raise NotImplementedError(f"{type(self).__name__} has no index.")

    def choose(self, arms: Arms, n: int) -> Arms:
        """The `n` arms with the highest index, ties to the lower id."""
        return ordered(arms, self.index(arms))[:n]


class ProbabilityPolicy(Policy):
    """A policy that draws arms, with replacement, by their probabilities."""

    def probabilities(self, arms: Arms) -> Floats:
        """One probability an arm, summing to 1.  All arms have been seen."""
        raise NotImplementedError(f"{type(self).__name__} has no probabilities.")

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Initial pulls, which come first, are not drawn but certain: probability 1."""
        super().begin_round(n_remove, budget)
        self.drawn_with_ = np.ones(self.live_.size)

    def choose(self, arms: Arms, n: int) -> Arms:
        """Draw `n` arms with replacement; `drawn_with_` keeps the probabilities."""
        p = self.probabilities(arms)
        self.drawn_with_[arms] = p
        return self.rng_.choice(arms, size=n, p=p)
