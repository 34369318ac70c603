"""The only loop between a policy and what measures its pulls."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..policies.base import Policy
from .rewards import RewardScale

# Estimates closer than this, in rewards, are ties.
_RESOLUTION = 1e-8


class _Pulled(Protocol):
    @property
    def increase(self) -> NDArray[np.float64]: ...
    @property
    def weight(self) -> NDArray[np.float64]: ...
    @property
    def exact(self) -> NDArray[np.bool_]: ...


class Pulls(Protocol):
    """What measures arms: anything with these two."""

    @property
    def expected(self) -> NDArray[np.float64] | None:
        """Estimated loss increase of every arm id before any pull, or None."""
        ...

    @property
    def corrected(self) -> NDArray[np.bool_]:
        """Arm ids whose pulls are all corrected by estimates on the same samples."""
        ...

    def pull(self, arms: NDArray[np.intp]) -> _Pulled:
        """Measure these distinct arms once."""
        ...


class Search:
    """A policy at work over the rounds of one path.

    Parameters
    ----------
    policy : Policy
        Not started yet.
    arms : ndarray of int
        All arm ids.
    rng : numpy.random.Generator
        For the policy's own draws.
    arms_per_pull : int or "auto"
        Arms that the policy names before it sees their rewards.  "auto": a quarter of
        the round's pulls, and of the live arms at most.
    groups : ndarray of int, shape (n_ids,), optional
        Layer of every arm id, for policies that learn about layers.

    Attributes
    ----------
    scale : RewardScale or None
        Of the present round.
    """

    def __init__(
        self,
        policy: Policy,
        arms: NDArray[np.intp],
        rng: np.random.Generator,
        arms_per_pull: int | str = "auto",
        groups: NDArray[np.intp] | None = None,
    ):
        self.policy = policy
        self.policy.start(arms, rng, groups)
        self.arms_per_pull = arms_per_pull
        self.scale: RewardScale | None = None

    def run_round(
        self, pulls: Pulls, n_remove: int, budget: int, worth: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        """Spend a round's pulls and return the live arms, safest first.

        Parameters
        ----------
        pulls : Pulls
            Measures arms on the network as it stands.
        n_remove : int
            Arms that will go.
        budget : int
            Pulls to spend; what a policy needs before it can start comes on top.
        worth : ndarray of shape (n_ids,)
            Factor on each arm's loss increase: 1, or less where a removal saves more.  It
            reorders what was learnt; policies and their statistics know losses only.

        Returns
        -------
        ndarray of int, shape (n_live,)
        """
        policy = self.policy
        policy.begin_round(n_remove, budget)
        self._rescale()
        self._expect(pulls)
        fresh = policy.unready()
        while fresh.size:
            self._pull(pulls, fresh)
            fresh = policy.unready()
        spent = 0
        while spent < budget or not policy.budgeted:
            wanted = self._batch(budget, budget - spent)
            if policy.budgeted and wanted > budget - spent:
                break  # full information wants a whole block or nothing
            arms = policy.select(wanted)
            if arms.size == 0:
                break
            spent += self._pull(pulls, arms)
        safest = policy.recommend(n_remove)
        rest = policy.recommend(int(policy.live_.sum()))
        return self._by_worth(np.concatenate([safest, rest[~np.isin(rest, safest)]]), worth)

    def estimates(self, arms: NDArray[np.intp]) -> NDArray[np.float64]:
        """Estimated loss increase of arms; NaN where nothing was seen."""
        if self.scale is None:
            return np.full(len(arms), np.nan)
        mean = self.policy.mean(arms)
        return np.where(np.isfinite(mean), self.scale.increase(mean), np.nan)

    def standard_errors(self, arms: NDArray[np.intp]) -> NDArray[np.float64]:
        """Standard errors of :meth:`estimates`: 0 for exact arms, NaN where nothing was seen.

        The spread of an arm's pulls, over the root of its effective number of pulls.  To
        its own spread each arm adds, with the weight of one pull, the spread pooled over
        all live arms: a single pull says nothing about its own.  NaN for all as long as no
        arm has been pulled twice.  A policy with beliefs of its own says itself.
        """
        policy = self.policy
        believed = policy.deviation(arms)
        if believed is not None and self.scale is not None:
            return believed * self.scale.width
        live = policy.live_arms()
        freedom = np.maximum(policy.counts_[live] - 1.0, 0.0)
        if self.scale is None or not freedom.any():
            return np.where(policy.settled_[arms], 0.0, np.nan)
        squares = np.where(freedom > 0, policy.counts_[live] * policy.variance(live), 0.0)
        pooled = squares.sum() / freedom.sum()
        counts = policy.counts_[arms]
        own = np.maximum(counts - 1.0, 0.0)
        spread = (pooled + np.where(own > 0, counts * policy.variance(arms), 0.0)) / (1.0 + own)
        seen = np.where(counts > 0, counts, np.nan)
        return np.where(policy.settled_[arms], 0.0, np.sqrt(spread / seen) * self.scale.width)

    def _by_worth(self, order: NDArray[np.intp], worth: NDArray[np.float64]) -> NDArray[np.intp]:
        """Order by loss increase times worth; among equals those that save more come first."""
        factor = worth[order]
        if self.scale is None or np.ptp(factor) == 0:
            return order
        increase = self.estimates(order)
        # Where a removal lowers the loss, saving more must not make it look worse.
        increase = np.where(increase < 0, increase / factor, increase * factor)
        ties = np.round(increase / (_RESOLUTION * self.scale.width))
        return order[np.lexsort((factor, ties))]

    def _batch(self, budget: int, left: int) -> int:
        if not self.policy.budgeted or self.policy.full_information:
            return int(self.policy.live_.sum())
        if isinstance(self.arms_per_pull, str):
            # Naming all arms at once would make every policy a uniform one.
            size = max(1, min(budget, int(self.policy.live_.sum())) // 4)
        else:
            size = self.arms_per_pull
        return min(size, left)

    def _pull(self, pulls: Pulls, arms: NDArray[np.intp]) -> int:
        """Measure arms and update the policy; a repeated arm is measured once."""
        distinct, where = np.unique(arms, return_inverse=True)
        pulled = pulls.pull(distinct)
        if self.scale is None:
            self.scale = RewardScale.of(pulled.increase)
        rewards = self.scale.reward(pulled.increase)
        self.policy.update(arms, rewards[where], pulled.weight[where])
        self.policy.settle(distinct[pulled.exact])
        return len(distinct)

    def _expect(self, pulls: Pulls) -> None:
        """Replace the policy's statistics by estimates, where there are any."""
        if pulls.expected is None:
            return
        live = self.policy.live_arms()
        self.policy.close(live[~pulls.corrected[live]])
        arms = live[np.isfinite(pulls.expected[live])]
        if self.scale is None:
            self.scale = RewardScale.of(pulls.expected[arms])
        self.policy.expect(arms, self.scale.reward(pulls.expected[arms]))

    def _rescale(self) -> None:
        """One reward scale per round, from the live arms' estimated loss increases at its start."""
        if self.scale is None:
            return
        mean = self.policy.mean(self.policy.live_arms())
        known = mean[np.isfinite(mean)]
        if known.size == 0:
            self.scale = None
            return
        new = RewardScale.of(self.scale.increase(known))
        self.policy.rescale(*self.scale.change_to(new))
        self.scale = new
