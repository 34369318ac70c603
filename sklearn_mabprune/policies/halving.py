"""Fixed-budget top-m identification: sequential halving, successive accepts and rejects."""

from __future__ import annotations

import numpy as np

from .base import Arms, Floats, Policy, ordered


class SequentialHalving(Policy):
    """Sequential halving: equal pulls for all candidates, keep the better half, repeat.

    The measurement budget of a round is divided equally between its phases, the halvings from
    all remaining arms to m.  In a phase every candidate gets ``floor(budget of the phase /
    candidates)`` pulls, the remainder goes to the next phase, and the half with the highest
    means is kept, but never fewer than m.  All candidates of a phase are pulled equally often
    and so on the same blocks of samples.  A phase whose budget is less than one pull per
    candidate is decided by the means of earlier rounds and initial pulls, and its budget goes
    to the later phases: a small budget is spent at the boundary.

    When to use it: when nothing is known about the noise: it has no parameters, only the
    budget of the round.

    References
    ----------
    Z. Karnin, T. Koren, O. Somekh, "Almost optimal exploration in multi-armed bandits",
    ICML 2013; T. Baharav, D. Tse, "Ultra fast medoid identification via correlated
    sequential halving", NeurIPS 2019, arXiv 1906.04356, for the shared samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import SequentialHalving
    >>> policy = SequentialHalving().start(np.arange(4), rng=0)
    >>> policy.begin_round(n_remove=1, budget=8)  # two phases: 4 arms once, 2 arms twice
    >>> policy.update([0, 1, 2, 3], [0.1, 0.8, 0.6, 0.7])
    >>> policy.select(8)
    array([0, 1, 2, 3])
    >>> policy.update([0, 1, 2, 3], [0.1, 0.8, 0.6, 0.7])
    >>> policy.select(8)
    array([1, 3])
    """

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Start a round; its phases begin after the initial pulls."""
        super().begin_round(n_remove, budget)
        self.candidates_: Arms | None = None

    def choose(self, arms: Arms, n: int) -> Arms:
        """The candidates with the fewest pulls in this phase."""
        if self.candidates_ is None:
            self.candidates_ = self.live_arms()
            self.left_ = self.budget_
            self._begin_phase()
        while True:
            waiting = self.candidates_[self.due_[self.candidates_] > 0]
            waiting = waiting[~self.settled_[waiting]]
            if waiting.size or not self._phases():
                break
            best = ordered(self.candidates_, self.mean(self.candidates_))
            self.candidates_ = np.sort(best[: self._kept(best.size)])
            self._begin_phase()
        # all get their first pull before any gets its second, for common blocks of samples
        chosen = ordered(waiting, self.due_[waiting].astype(float))[:n]
        self.due_[chosen] -= 1
        self.left_ -= chosen.size
        return chosen

    def _kept(self, size: int) -> int:
        return max(self.n_remove_, -(-size // 2))

    def _phases(self) -> int:
        """Number of halvings from the current candidates to the last m."""
        assert self.candidates_ is not None
        size, phases = self.candidates_.size, 0
        while size > self.n_remove_:
            size, phases = self._kept(size), phases + 1
        return phases

    def _begin_phase(self) -> None:
        """Set `due_`, the pulls of each candidate in this phase, from the remaining budget."""
        assert self.candidates_ is not None
        self.due_ = np.zeros(self.live_.size, dtype=np.intp)
        if phases := self._phases():
            self.due_[self.candidates_] = self.left_ // phases // self.candidates_.size


class SAR(Policy):
    """Successive accepts and rejects: one arm is decided per phase, the others are pulled on.

    K - 1 phases; in phase j each of the K + 1 - j active arms is brought to ``n_j =
    ceil((T - K) / (logbar(K) (K + 1 - j)))`` pulls of this round, ``logbar(K) = 1/2 + sum_{i
    = 2..K} 1 / i``; then the arm whose mean is farthest from the boundary between the
    arms still to be accepted and the rest is accepted or rejected.  Accepted arms are
    recommended first, then active ones, then rejected ones, each by mean.  A budget T of the
    round below 2 K does not suffice for K arms: arms are then decided by the means of earlier
    rounds and initial pulls until T / 2 are active.

    When to use it: in place of sequential halving, if the gaps between means are uneven: it
    decides one arm at a time.

    References
    ----------
    S. Bubeck, T. Wang, N. Viswanathan, "Multiple identifications in multi-armed bandits",
    ICML 2013, arXiv 1205.3181.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.policies import SAR
    >>> policy = SAR().start(np.arange(3), rng=0)
    >>> policy.begin_round(n_remove=1, budget=7)  # n_1 = 1, n_2 = 2
    >>> policy.update([0, 1, 2], [0.1, 0.8, 0.7])
    >>> policy.select(7)
    array([0, 1, 2])
    >>> policy.update([0, 1, 2], [0.1, 0.8, 0.7])
    >>> policy.select(7)  # 0 is farthest from the boundary between 1 and 2
    array([1, 2])
    """

    def begin_round(self, n_remove: int, budget: int) -> None:
        """Start a round; its phases begin after the initial pulls."""
        super().begin_round(n_remove, budget)
        self.standing_ = np.zeros(self.live_.size, dtype=np.intp)  # 1 accepted, -1 rejected
        self.due_: Arms | None = None

    def choose(self, arms: Arms, n: int) -> Arms:
        """Active arms with pulls left in this phase, those with most of them first."""
        if self.due_ is None:
            self.due_ = np.zeros(self.live_.size, dtype=np.intp)
            # the schedule of as many arms as the budget suffices for
            size = min(self.live_arms().size, max(self.budget_ // 2, 1))
            self._close_phases(self.live_arms().size - size)
            self.schedule_ = sar_schedule(size, self.budget_)
            self.phase_ = 0
        while self.phase_ <= self.schedule_.size:
            active = self._active()
            if self._wanted() in (0, active.size):
                break  # all active arms will be removed, or none
            waiting = active[(self.due_[active] > 0) & ~self.settled_[active]]
            if waiting.size:
                chosen = ordered(waiting, self.due_[waiting].astype(float))[:n]
                self.due_[chosen] -= 1
                return chosen
            self._next_phases()
        return arms[:0]

    def _next_phases(self) -> None:
        """Close this phase and the following ones without pulls."""
        assert self.due_ is not None
        pulls = np.diff(self.schedule_, prepend=0)
        ahead = np.flatnonzero(pulls[self.phase_ :])
        skipped = int(ahead[0]) if ahead.size else self.schedule_.size - self.phase_
        self._close_phases(skipped + (self.phase_ > 0))
        self.phase_ += skipped + 1
        if self.phase_ <= self.schedule_.size:
            self.due_[self._active()] = pulls[self.phase_ - 1]

    def _active(self) -> Arms:
        return np.flatnonzero(self.live_ & (self.standing_ == 0))

    def _wanted(self) -> int:
        """Number of active arms still to be accepted."""
        left = self.n_remove_ - int((self.standing_ == 1).sum())
        return min(left, self._active().size)

    def _close_phases(self, n_phases: int) -> None:
        """Accept or reject the arm farthest from the boundary, `n_phases` times."""
        active = self._active()
        order = ordered(active, self.mean(active))
        mean = self.mean(order)
        first, last = 0, order.size  # range of the active arms in `order`
        wanted = self._wanted()
        for _ in range(min(n_phases, order.size)):
            if wanted in (0, last - first):
                break  # all active arms will be removed, or none
            # The farthest arm has the highest or the lowest mean of the active ones.
            boundary = first + wanted
            accept = mean[first] - mean[boundary] > mean[boundary - 1] - mean[last - 1]
            if accept:
                self.standing_[order[first]] = 1
                first, wanted = first + 1, wanted - 1
            else:
                last -= 1
                self.standing_[order[last]] = -1

    def recommend(self, m: int) -> Arms:
        """Accepted arms, then active ones, then rejected ones, each safest first."""
        live = self.live_arms()
        groups = [live[self.standing_[live] == standing] for standing in (1, 0, -1)]
        return np.concatenate([ordered(arms, self.mean(arms)) for arms in groups])[:m]


def sar_schedule(n_arms: int, budget: int) -> Arms:
    """Pulls of each active arm at the end of each phase of successive accepts and rejects.

    Parameters
    ----------
    n_arms : int
        K, at the start of the round.
    budget : int
        T, the pulls of the round.

    Returns
    -------
    ndarray of int, shape (n_arms - 1,)

    Examples
    --------
    >>> from sklearn_mabprune.policies.halving import sar_schedule
    >>> sar_schedule(4, 40)  # logbar(4) = 1.583: 36 / 1.583 = 22.7, over 4, 3 and 2
    array([ 6,  8, 12])
    """
    if n_arms < 2:
        return np.zeros(0, dtype=np.intp)
    logbar = 0.5 + (1.0 / np.arange(2, n_arms + 1)).sum()
    pulls: Floats = max(budget - n_arms, 0) / (logbar * np.arange(n_arms, 1, -1))
    # 36 / (1.5 * 4) must be 6, not 7 because of a rounding error
    return np.ceil(pulls - 1e-9).astype(np.intp)
