"""The two references, and what every policy must manage: arms that lie far apart."""

from __future__ import annotations

import numpy as np
import pytest
from policy_oracles import CASES, Bed, n_pulls, play
from sklearn.base import clone

from sklearn_mabprune.policies import Exhaustive, Uniform


def test_uniform_goes_round():
    policy, bed = Uniform().start(np.arange(4)), Bed([0.3, 0.1, 0.2, 0.0])
    initial, selected = play(policy, bed, 1, 8, batch=1)
    assert np.concatenate(initial).tolist() == [0, 1, 2, 3]
    assert np.concatenate(selected).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert (bed.done == 3).all()


def test_uniform_prefers_what_weighs_less():
    policy = Uniform().start(np.arange(3))
    policy.update([0, 1, 2], [0.1, 0.2, 0.3], [2.0, 1.0, 3.0])
    assert policy.select(3).tolist() == [1, 0, 2]


def test_exhaustive_measures_everything_whatever_the_budget():
    policy, bed = Exhaustive().start(np.arange(6)), Bed(np.linspace(1, 0, 6), 0.5, n_blocks=7)
    initial, selected = play(policy, bed, 2, 3)
    assert not initial
    assert n_pulls(selected) == 6 * 7
    np.testing.assert_allclose(policy.mean(np.arange(6)), bed.means, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_uniform_with_all_blocks_chooses_as_exhaustive(seed):
    choices = []
    for policy in (Uniform(), Exhaustive()):
        policy.start(np.arange(20), rng=0)
        bed = Bed(np.random.default_rng(seed).normal(size=20), noise=0.5, n_blocks=5, seed=seed)
        order = []
        for _ in range(4):
            play(policy, bed, 3, 20 * 5)
            order.append(policy.recommend(3))
            policy.remove(order[-1], 0.9)
        choices.append(np.concatenate(order))
    np.testing.assert_array_equal(*choices)


# ----------------------------------------------------------------------- all find the top


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("n_arms", "m"), [(12, 3), (20, 10)])
def test_every_policy_finds_the_top_where_gaps_are_wide(name, n_arms, m):
    means = np.where(np.arange(n_arms) % (n_arms // m) == 0, 1.0, 0.0)
    top = np.flatnonzero(means)[:m]
    for seed in range(5):
        policy = clone(CASES[name]).start(np.arange(n_arms), rng=seed)
        play(policy, Bed(means, noise=0.2, n_blocks=100, seed=seed), len(top), n_arms * 12)
        assert set(policy.recommend(len(top)).tolist()) == set(top.tolist())
