"""Policies against other libraries, closed forms, tables written by hand and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mabwiser.mab import LearningPolicy
from policy_oracles import N_ARMS, fed, history, mabwiser
from scipy import optimize, stats

from sklearn_mabprune.policies import (
    KLUCB,
    MOSS,
    UCB1,
    BayesUCB,
    EpsilonGreedy,
    Softmax,
    UCB1Tuned,
)
from sklearn_mabprune.policies.bounds import _largest_within

# --------------------------------------------------------------------- UCB1 and its noise


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_ucb1_against_mabwiser(alpha, seed):
    arms, rewards = history(seed=seed)
    ours = fed(UCB1(exploration=alpha), arms, rewards)
    theirs = mabwiser(LearningPolicy.UCB1(alpha=alpha), arms, rewards)
    expected = theirs.predict_expectations()
    index = ours.index(np.arange(N_ARMS))
    np.testing.assert_allclose(index, [expected[k] for k in range(N_ARMS)], rtol=1e-12)
    assert ours.select(1)[0] == theirs.predict()


def test_ucb1_by_hand():
    policy = fed(UCB1(exploration=1.0), [0, 1, 1, 1], [0.5, 0.8, 0.9, 1.0], n_arms=2)
    log = np.log(4)
    np.testing.assert_allclose(
        policy.index(np.arange(2)), [0.5 + np.sqrt(2 * log), 0.9 + np.sqrt(2 * log / 3)]
    )


def test_ucb1_scales_its_bonus_with_the_measured_noise():
    # Ten times the rewards, ten times the bonus: once the noise has been measured, the
    # units of rewards do not matter.
    selections = []
    for scale in (1.0, 10.0):
        policy = UCB1(exploration="noise").start(np.arange(6), rng=0)
        rng = np.random.default_rng(1)
        for _ in range(400):
            policy.update(np.arange(6), scale * (0.1 * np.arange(6) + rng.normal(size=6)))
        selections.append(policy.index(np.arange(6)) / scale)
    np.testing.assert_allclose(selections[0], selections[1], rtol=1e-4)


def test_noise_is_the_pooled_standard_deviation_of_the_safer_half():
    rng = np.random.default_rng(0)
    policy = UCB1().start(np.arange(6))
    pulls = np.array([0.9, 0.8, 0.7, -1, -2, -30]) + rng.normal(size=(8, 6)) * [1, 2, 3, 50, 50, 50]
    for row in pulls:
        policy.update(np.arange(6), row)
    safer = np.argsort(-pulls.mean(axis=0))[:3]
    within = ((pulls - pulls.mean(axis=0))[:, safer] ** 2).sum()
    assert policy.noise() == pytest.approx(np.sqrt((0.05**2 + within) / (1 + 3 * 7)))


def test_noise_before_arms_were_pulled_twice_is_the_prior():
    policy = UCB1().start(np.arange(3))
    assert policy.noise() == pytest.approx(0.05)
    policy.update([0, 1, 2], [0.3, 0.1, -5.0])
    assert policy.noise() == pytest.approx(0.05)


# ----------------------------------------------------------------- greedy and its softening


def test_epsilon_greedy_against_mabwiser():
    arms, rewards = history()
    ours = fed(EpsilonGreedy(epsilon=0.0), arms, rewards)
    theirs = mabwiser(LearningPolicy.EpsilonGreedy(epsilon=0.0), arms, rewards)
    means = theirs.predict_expectations()
    np.testing.assert_allclose(ours.mean(np.arange(N_ARMS)), [means[k] for k in range(N_ARMS)])
    assert ours.select(1)[0] == theirs.predict()
    ours.set_params(epsilon=0.4)
    theirs = mabwiser(LearningPolicy.EpsilonGreedy(epsilon=0.4), arms, rewards)
    shares = np.bincount([ours.select(1)[0] for _ in range(4000)], minlength=N_ARMS) / 4000
    their_shares = np.bincount([theirs.predict() for _ in range(4000)], minlength=N_ARMS) / 4000
    np.testing.assert_allclose(shares, their_shares, atol=0.03)
    expected = np.full(N_ARMS, 0.4 / N_ARMS)
    expected[np.argmax(ours.mean(np.arange(N_ARMS)))] += 0.6
    np.testing.assert_allclose(shares, expected, atol=0.025)


def test_epsilon_greedy_explores_less_as_pulls_accumulate():
    policy = EpsilonGreedy(schedule="decaying", rate=2.0).start(np.arange(4), rng=0)
    shares = []
    for _ in range(20):
        policy.update(np.arange(4), np.zeros(4))
        shares.append(policy.exploration_probability())
    np.testing.assert_allclose(shares, [min(1, 2 / n) for n in range(1, 21)])


def test_epsilon_greedy_takes_several_different_arms():
    policy = fed(EpsilonGreedy(epsilon=0.0), range(5), [0.1, 0.5, 0.9, 0.3, 0.7])
    assert policy.select(3).tolist() == [2, 4, 1]
    policy.set_params(epsilon=1.0)
    seen = set()
    for _ in range(50):
        chosen = policy.select(3).tolist()
        assert len(set(chosen)) == 3
        seen |= set(chosen)
    assert seen == set(range(5))


@pytest.mark.parametrize("tau", [0.05, 0.3, 2.0])
def test_softmax_probabilities_against_mabwiser(tau):
    arms, rewards = history()
    ours = fed(Softmax(temperature=tau), arms, rewards)
    theirs = mabwiser(LearningPolicy.Softmax(tau=tau), arms, rewards)
    # its predict() draws from a Dirichlet distribution around these
    expected = theirs._imp.arm_to_expectation
    p = ours.probabilities(np.arange(N_ARMS))
    np.testing.assert_allclose(p, [expected[k] for k in range(N_ARMS)], rtol=1e-12)


def test_softmax_draws_with_its_probabilities():
    policy = fed(Softmax(temperature=0.5), range(3), [0.0, 0.4, 0.9], n_arms=3)
    p = policy.probabilities(np.arange(3))
    draws = np.array([policy.select(2) for _ in range(6000)])
    np.testing.assert_allclose(np.bincount(draws[:, 0], minlength=3) / 6000, p, atol=0.02)
    # the second without replacement: 0 first and then 1 has p0 * p1 / (1 - p0)
    pairs = ((draws == [0, 1]).all(axis=1)).mean()
    assert pairs == pytest.approx(p[0] * p[1] / (1 - p[0]), abs=0.015)


def test_softmax_cools_down():
    policy = Softmax(temperature=0.3, schedule="decaying").start(np.arange(2), rng=0)
    policy.update([0, 1], [0.2, 0.5])  # ln 2 is below 1: not hotter than at the start
    assert np.diff(policy.logits(np.arange(2)))[0] == pytest.approx(0.3 / 0.3)
    for _ in range(49):
        policy.update([0, 1], [0.2, 0.5])
    assert np.diff(policy.logits(np.arange(2)))[0] == pytest.approx(np.log(100) * 0.3 / 0.3)


# ------------------------------------------------------------------------ sharper bounds


def test_ucb1_tuned_by_the_formula():
    arms, rewards = history()
    policy = fed(UCB1Tuned(exploration=1.0), arms, rewards)
    for k in range(N_ARMS):
        x = rewards[arms == k]
        v = np.var(x) + np.sqrt(2 * np.log(60) / len(x))
        expected = x.mean() + np.sqrt(np.log(60) / len(x) * min(0.25, v))
        assert policy.index(np.array([k]))[0] == pytest.approx(expected)


def test_ucb1_tuned_gives_a_steady_arm_less():
    policy = UCB1Tuned(exploration=1.0).start(np.arange(2), rng=0)
    for reward in [0.0, 1.0] * 500:
        policy.update([0, 1], [reward, 0.5])
    bonus = policy.index(np.arange(2)) - 0.5
    assert bonus[1] < bonus[0] / 1.3


def test_moss_by_the_formula():
    arms, rewards = history()
    policy = MOSS(exploration=1.0).start(np.arange(N_ARMS), rng=0)
    policy.begin_round(1, 100)  # the initial pulls come on top: the horizon is 105
    for arm, reward in zip(arms, rewards, strict=True):
        policy.update([arm], [reward])
    for k in range(N_ARMS):
        x = rewards[arms == k]
        bonus = np.sqrt(max(0, np.log(105 / (5 * len(x)))) / len(x))
        assert policy.index(np.array([k]))[0] == pytest.approx(x.mean() + bonus)
    for _ in range(30):
        policy.update([0], [0.3])
    assert policy.index(np.array([0]))[0] == policy.mean(np.array([0]))[0], "its share is used up"


def _bernoulli_divergence(p, q):
    return stats.entropy([p, 1 - p], [q, 1 - q])


@pytest.mark.parametrize("c", [0.0, 3.0])
@pytest.mark.parametrize("exploration", [1.0, 0.2])
def test_kl_ucb_against_root_finding(c, exploration):
    arms, rewards = history(150)
    policy = fed(KLUCB(exploration=exploration, c=c), arms, rewards)
    level = np.log(150) + c * np.log(np.log(150))
    for k, found in enumerate(policy.index(np.arange(N_ARMS))):
        mean, n = rewards[arms == k].mean(), (arms == k).sum()
        allowed = exploration**2 * level / n
        root = optimize.brentq(
            lambda q, p=mean, d=allowed: _bernoulli_divergence(p, q) - d, mean, 1 - 1e-12
        )
        assert found == pytest.approx(root, abs=1e-9)


def test_kl_ucb_at_the_ends_of_the_scale():
    policy = KLUCB(exploration=1.0).start(np.arange(4), rng=0)
    for _ in range(5):
        policy.update(np.arange(4), [0.0, 1.0, 1.4, -2.0])
    index = policy.index(np.arange(4))
    # kl(0, q) = -ln(1 - q)
    q = 1 - np.exp(-np.log(20) / 5)
    np.testing.assert_allclose(index, [q, 1.0, 1.4, q - 2.0], atol=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(p=st.floats(0, 1), level=st.floats(0, 50))
def test_kl_ucb_stays_within_its_level(p, level):
    q = float(_largest_within(np.array([p]), np.array([level]))[0])
    assert p <= q <= 1
    if p < 1 - 1e-9 and q < 1 - 1e-9:
        assert _bernoulli_divergence(p, q) == pytest.approx(level, abs=1e-6)


@pytest.mark.parametrize("c", [0.0, 5.0])
def test_bayes_ucb_against_the_normal_quantile(c):
    arms, rewards = history()
    policy = BayesUCB(exploration=0.6, c=c).start(np.arange(N_ARMS), rng=0)
    policy.begin_round(1, 195)
    for arm, reward in zip(arms, rewards, strict=True):
        policy.update([arm], [reward])
    level = 1 - 1 / (61 * np.log(200) ** c)  # the pull to come is the 61st
    for k in range(N_ARMS):
        x = rewards[arms == k]
        expected = stats.norm.ppf(level, x.mean(), 0.3 / np.sqrt(len(x)))
        assert policy.index(np.array([k]))[0] == pytest.approx(expected)


def test_bayes_ucb_takes_half_of_the_measured_noise():
    rng = np.random.default_rng(0)
    policy = BayesUCB().start(np.arange(4), rng=0)
    for _ in range(50):
        policy.update(np.arange(4), rng.normal([0.3, 0.4, 0.5, 0.6], 0.2))
    z = stats.norm.isf(1 / 201)
    bonus = policy.index(np.arange(4)) - policy.mean(np.arange(4))
    np.testing.assert_allclose(bonus, z * policy.noise() / 2 / np.sqrt(50))
    assert policy.noise() == pytest.approx(0.2, rel=0.15)
