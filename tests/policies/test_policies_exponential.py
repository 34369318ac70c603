"""Exponential weights against the products that their sources write, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from policy_oracles import Bed, n_pulls, play

from sklearn_mabprune.policies import Exp3, Exp3IX, Hedge

REWARDS = np.array([0.1, 0.9, 0.5, 0.3])


def started(policy, n_arms=4, seed=0, n_remove=1, budget=100):
    policy.start(np.arange(n_arms), rng=seed)
    policy.begin_round(n_remove, budget)
    return policy


# ---------------------------------------------------------------------------------- EXP3


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 5])
def test_exp3_multiplies_weights_as_the_source_does(gamma, n):
    policy, rng = started(Exp3(gamma=gamma)), np.random.default_rng(1)
    arms = np.arange(4)
    policy.update(arms, REWARDS)
    w = np.exp(gamma * REWARDS / 4)  # the initial pulls are certain: divided by 1
    for _ in range(60):
        p = (1 - gamma) * w / w.sum() + gamma / 4
        np.testing.assert_allclose(policy.probabilities(arms), p, rtol=1e-10)
        drawn = policy.select(n)
        assert drawn.size == n
        reward = rng.random(4)
        for arm in drawn:  # every draw, also the second of the same arm
            w[arm] *= np.exp(gamma * reward[arm] / p[arm] / 4)
        policy.update(drawn, reward[drawn])


def test_exp3_estimates_are_unbiased():
    policy = started(Exp3(gamma=0.3))
    policy.update(np.arange(4), REWARDS)
    before = policy.total(np.arange(4))
    drawn = policy.select(40_000)
    policy.update(drawn, REWARDS[drawn])
    gained = policy.total(np.arange(4)) - before
    np.testing.assert_allclose(gained / 40_000, REWARDS, atol=0.02)


def test_exp3_rate_of_the_source():
    policy = started(Exp3(), budget=1000)
    horizon = 1004
    assert policy.rate() == pytest.approx(np.sqrt(4 * np.log(4) / ((np.e - 1) * horizon)))
    assert started(Exp3(), n_arms=50, budget=0).rate() == 1.0


def test_exp3_counts_weights():
    once, twice = started(Exp3(gamma=0.5)), started(Exp3(gamma=0.5))
    once.update(np.arange(4), REWARDS, np.full(4, 2.0))
    for _ in range(2):
        twice.update(np.arange(4), REWARDS)
    np.testing.assert_allclose(once.seen_, twice.seen_)


def test_exp3_clips_rewards_for_its_estimates_alone():
    policy = started(Exp3(gamma=0.5))
    policy.update(np.arange(4), [-7.0, 1.4, 0.5, 0.2])
    np.testing.assert_allclose(policy.total(np.arange(4)), [0.0, 1.0, 0.5, 0.2])
    np.testing.assert_allclose(policy.mean(np.arange(4)), [-7.0, 1.4, 0.5, 0.2])
    assert policy.recommend(4).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("policy", [Exp3(gamma=1.0), Exp3IX(eta=1e-12, gamma=0.1)])
def test_new_units_are_as_if_rewards_had_come_in_them(policy):
    # the probabilities are uniform, so that both draw alike
    old = started(policy)
    new = started(type(policy)(**policy.get_params()))
    for seen, slope, intercept in ((old, 1.0, 0.0), (new, 0.5, 0.2)):
        rng = np.random.default_rng(3)
        seen.update(np.arange(4), slope * REWARDS + intercept)
        for _ in range(20):
            drawn = seen.select(3)
            reward = rng.random(4)
            seen.update(drawn, slope * reward[drawn] + intercept)
    old.rescale(0.5, 0.2)
    np.testing.assert_allclose(old.seen_, new.seen_)


@pytest.mark.parametrize("policy", [Exp3(gamma=0.5), Exp3IX(eta=0.1, gamma=0.1)])
def test_an_exact_arm_gains_its_known_value_while_others_are_drawn(policy):
    started(policy)
    policy.update(np.arange(4), REWARDS)
    policy.settle([1])
    before = policy.total(np.arange(4))
    drawn = policy.select(10)
    assert 1 not in drawn
    policy.update(drawn, REWARDS[drawn])
    value = 0.9 if isinstance(policy, Exp3) else 0.1
    assert policy.total(np.array([1]))[0] == pytest.approx(before[1] + 10 * value)


def test_settling_replaces_carried_estimates_by_the_exact_value():
    policy = started(Exp3(gamma=0.5))
    policy.update(np.arange(4), REWARDS, np.full(4, 3.0))
    policy.remove([], 0.5)
    policy.update(np.arange(4), [0.6, 0.6, 0.6, 0.6])
    policy.settle([0])
    # 1.5 effective draws at the exact 0.6, and this round's
    np.testing.assert_allclose(policy.total(np.arange(2)), [1.5 * 0.6 + 0.6, 1.5 * 0.9 + 0.6])


@pytest.mark.parametrize("policy", [Exp3(gamma=0.5), Exp3IX(eta=0.1, gamma=0.0), Hedge(eta=1.0)])
def test_estimates_count_as_certain_pulls(policy):
    # one update of weight 3 before any draw, carried over to the next round
    expected = started(type(policy)(**policy.get_params()))
    expected.update(np.arange(4), REWARDS, np.full(4, 3.0))
    expected.remove([], 1.0)
    started(policy)
    policy.expect(np.arange(4), REWARDS, 3.0)
    np.testing.assert_allclose(policy.carried_, expected.carried_)


# ------------------------------------------------------------------------------- EXP3-IX


@pytest.mark.parametrize(("eta", "gamma"), [(0.2, 0.05), (0.05, 0.0), (None, None)])
def test_exp3_ix_sums_losses_as_the_source_does(eta, gamma):
    policy, rng = started(Exp3IX(eta=eta, gamma=gamma)), np.random.default_rng(1)
    arms = np.arange(4)
    losses, t = np.zeros(4), 0

    def rates():
        rate = eta if eta is not None else np.sqrt(2 * np.log(4) / (4 * t))
        return rate, (gamma if gamma is not None else rate / 2)

    t = 4  # the first pulls count when their losses do
    losses += (1 - REWARDS) / (1 + rates()[1])
    policy.update(arms, REWARDS)
    for _ in range(60):
        rate, _ = rates()
        p = np.exp(-rate * losses)
        p /= p.sum()
        np.testing.assert_allclose(policy.probabilities(arms), p, rtol=1e-10)
        arm = policy.select(1)[0]
        reward = rng.random()
        t += 1
        losses[arm] += (1 - reward) / (p[arm] + rates()[1])
        policy.update([arm], [reward])


def test_exp3_ix_underestimates_losses_a_little():
    policy = started(Exp3IX(eta=0.1, gamma=0.05))
    policy.update(np.arange(4), REWARDS)
    before, p = policy.total(np.arange(4)), policy.probabilities(np.arange(4))
    drawn = policy.select(40_000)
    policy.update(drawn, REWARDS[drawn])
    gained = (policy.total(np.arange(4)) - before) / 40_000
    np.testing.assert_allclose(gained, (1 - REWARDS) * p / (p + 0.05), atol=0.02)


# --------------------------------------------------------------------------------- Hedge


def test_hedge_multiplies_weights_as_the_source_does():
    policy, rng = started(Hedge(eta=0.7), budget=400), np.random.default_rng(1)
    w = np.ones(4)
    for _ in range(20):
        reward = rng.normal(0.5, 0.5, size=4)
        w *= np.exp(0.7 * np.clip(reward, 0, 1))
        policy.update(np.arange(4), reward)
        np.testing.assert_allclose(policy.probabilities(np.arange(4)), w / w.sum())


def test_hedge_rate_falls_with_the_number_of_blocks():
    policy = started(Hedge(), budget=400)
    for t in range(1, 10):
        policy.update(np.arange(4), REWARDS)
        p = policy.probabilities(np.arange(4))
        eta = np.sqrt(8 * np.log(4) / t)
        assert np.log(p[1] / p[0]) == pytest.approx(eta * t * 0.8)


def test_hedge_measures_whole_blocks():
    policy, bed = Hedge().start(np.arange(5), rng=0), Bed(np.linspace(1, 0, 5), 0.1)
    assert policy.min_round_budget() == 5
    _, selected = play(policy, bed, 2, 14)
    assert [arms.tolist() for arms in selected] == [[0, 1, 2, 3, 4]] * 2
    policy.remove(policy.recommend(2), 0.9)
    assert policy.min_round_budget() == 3
    _, selected = play(policy, bed, 2, 2)
    assert n_pulls(selected) == 0
    policy.begin_round(2, 100)
    assert policy.select(2).size == 0, "a part of a block is not full information"


def test_hedge_in_new_units():
    policy = started(Hedge(eta=1.0))
    for _ in range(10):
        policy.update(np.arange(4), REWARDS)
    policy.rescale(2.0, -0.5)  # -0.3, 1.3, 0.5, 0.1: the ends are clipped
    p = policy.probabilities(np.arange(4))
    np.testing.assert_allclose(np.log(p / p[0]), [0.0, 10.0, 5.0, 1.0], atol=1e-9)


def test_weights_of_ten_thousand_blocks_are_finite():
    policy = started(Hedge(eta=5.0))
    policy.update(np.arange(4), REWARDS, np.full(4, 1e4))
    np.testing.assert_array_equal(policy.probabilities(np.arange(4)), [0, 1, 0, 0])
