"""What tests of policies share: histories, test beds, and the loop that pulls arms."""

from __future__ import annotations

import numpy as np
from mabwiser.mab import MAB
from sklearn.base import clone

from sklearn_mabprune.policies import (
    POLICIES,
    UCB1,
    EpsilonGreedy,
    Exp3,
    Exp3IX,
    Hedge,
    Softmax,
    Thompson,
    TopTwoThompson,
)

# Settings under which a policy runs other code than with its defaults.
VARIANTS = {
    "ucb1 (fixed)": UCB1(exploration=0.3),
    "epsilon_greedy (decaying)": EpsilonGreedy(schedule="decaying"),
    "softmax (decaying)": Softmax(schedule="decaying"),
    "thompson (noise)": Thompson(prior_scale="noise"),
    "top_two_thompson (coin)": TopTwoThompson(leader_share=0.5),
    "hedge (eta)": Hedge(eta=0.5),
    "exp3 (gamma)": Exp3(gamma=0.1),
    "exp3_ix (fixed)": Exp3IX(eta=0.05, gamma=0.01),
}
CASES = {name: policy() for name, policy in POLICIES.items()} | VARIANTS
# SAR hands over the arms that it has accepted; all others go by the estimated mean.
BY_MEAN = [name for name in CASES if name != "sar"]

N_ARMS = 5


def history(n_pulls=60, n_arms=N_ARMS, seed=0):
    """Every arm once, then arms at random, with rewards in [0, 1]."""
    rng = np.random.default_rng(seed)
    arms = np.concatenate([np.arange(n_arms), rng.integers(0, n_arms, n_pulls - n_arms)])
    return arms, rng.beta(2 + arms, 3)


def fed(policy, arms, rewards, n_arms=N_ARMS):
    """A policy that has seen this history, one pull at a time."""
    policy.start(np.arange(n_arms), rng=0)
    for arm, reward in zip(arms, rewards, strict=True):
        policy.update([arm], [reward])
    return policy


def mabwiser(learning_policy, arms, rewards, n_arms=N_ARMS):
    bandit = MAB(arms=list(range(n_arms)), learning_policy=learning_policy, seed=0)
    bandit.fit(decisions=arms, rewards=rewards)
    return bandit


class Bed:
    """Arms with known mean rewards; an arm's i-th pull of a round sees block i.

    The noise of a block averages to zero over the blocks, so that after all of them the
    mean of an arm's rewards is its mean exactly, as with a network's rows.

    Parameters
    ----------
    means : array-like of shape (n_arms,)
    noise : float
        Standard deviation of a pull.
    n_blocks : int or None
        Pulls after which an arm is exact; None: it never is.
    seed : int
    """

    def __init__(self, means, noise=0.0, n_blocks=None, seed=0):
        self.means = np.asarray(means, dtype=float)
        self.noise = noise
        self.n_blocks = n_blocks
        self.rng = np.random.default_rng(seed)
        self.new_round()

    def new_round(self):
        self.done = np.zeros(len(self.means), dtype=int)
        if self.n_blocks is not None:
            table = self.noise * self.rng.normal(size=(self.n_blocks, len(self.means)))
            self.table = self.means + table - table.mean(axis=0)

    def pull(self, arms):
        """Rewards of distinct arms, and which of them are exact now."""
        if self.n_blocks is None:
            rewards = self.means[arms] + self.noise * self.rng.normal(size=len(arms))
        else:
            rewards = self.table[self.done[arms], arms]
        self.done[arms] += 1
        return rewards, self.done[arms] == (self.n_blocks or -1)


def play(policy, bed, n_remove, budget, batch=None):
    """One round as the search runs it; returns what was selected, one array a selection.

    The first entries are the initial pulls, which are not part of the budget.
    """
    policy.begin_round(n_remove, budget)
    bed.new_round()
    initial, selected = [], []
    fresh = policy.unready()
    while fresh.size:
        initial.append(fresh)
        _measure(policy, bed, fresh)
        fresh = policy.unready()
    spent = 0
    while spent < budget or not policy.budgeted:
        n = min(batch or max(1, budget // 4), budget - spent)
        if policy.full_information or not policy.budgeted:
            n = int(policy.live_.sum())
        arms = policy.select(n)
        if arms.size == 0:
            break
        assert arms.ndim == 1
        assert arms.size <= n
        assert policy.live_[arms].all(), "an arm that is gone was selected"
        assert not policy.settled_[arms].any(), "an arm that is exact was selected"
        selected.append(arms)
        spent += _measure(policy, bed, arms)
    return initial, selected


def _measure(policy, bed, arms):
    distinct, where = np.unique(arms, return_inverse=True)
    rewards, exact = bed.pull(distinct)
    policy.update(arms, rewards[where])
    policy.settle(distinct[exact])
    return len(distinct)


def n_pulls(selected):
    """Pulls made: an arm named twice in one selection is measured once."""
    return sum(np.unique(arms).size for arms in selected)


def started(name, n_arms, seed=0):
    return clone(CASES[name]).start(np.arange(n_arms), rng=seed)


def spread_means(n_arms, seed=0):
    """The safer half spans [0, 1] as RewardScale makes it; the others trail off."""
    increases = np.sort(np.random.default_rng(seed).lognormal(sigma=1.0, size=n_arms))
    return (np.median(increases) - increases) / (np.median(increases) - increases[0] + 1e-12)
