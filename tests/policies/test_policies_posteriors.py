"""Thompson sampling against integration, conjugacy and MABWiser; top-two against its source."""

from __future__ import annotations

import numpy as np
import pytest
from mabwiser.mab import LearningPolicy
from policy_oracles import N_ARMS, fed, history, mabwiser
from scipy import integrate, stats

from sklearn_mabprune.policies import Thompson, ThompsonBeta, TopTwoThompson

# ------------------------------------------------------------------------ Gaussian rewards


def _posterior_by_integration(values, mean0, count0, shape0, scale0):
    """Density of the mean given Gaussian values: likelihood times prior over the variance."""

    def joint(mu):
        def integrand(log_variance):
            v = np.exp(log_variance)
            prior_v = stats.invgamma.pdf(v, shape0, scale=scale0)
            prior_mu = stats.norm.pdf(mu, mean0, np.sqrt(v / count0))
            likelihood = np.prod(stats.norm.pdf(values, mu, np.sqrt(v)))
            return likelihood * prior_mu * prior_v * v

        grid = np.linspace(-16, 8, 1501)
        return integrate.simpson([integrand(g) for g in grid], x=grid)

    return joint


@pytest.mark.slow
@pytest.mark.parametrize("values", [[0.7], [0.7, 0.4, 0.65], [0.1, 0.9, 0.5, 0.6, 0.2, 0.3]])
def test_thompson_posterior_against_integration(values):
    prior = {"prior_mean": 0.3, "prior_count": 0.5, "prior_shape": 1.5, "prior_scale": 0.02}
    policy = fed(Thompson(**prior), [0] * len(values), values, n_arms=1)
    location, scale, dof = (float(x[0]) for x in policy.posterior(np.arange(1)))
    joint = _posterior_by_integration(np.array(values), *prior.values())
    points = location + scale * np.array([-4.0, -1.0, 0.0, 0.5, 2.0])
    density = np.array([joint(mu) for mu in points])
    student = stats.t.pdf(points, dof, loc=location, scale=scale)
    # proportional everywhere: the same distribution
    np.testing.assert_allclose(density / density[2], student / student[2], rtol=1e-5)


def test_thompson_posterior_one_value_at_a_time():
    # Conjugacy: yesterday's posterior is today's prior, in the four hyper-parameters.
    values = np.random.default_rng(0).normal(0.4, 0.2, size=12)
    mean, count, shape, scale = 0.5, 0.01, 1.0, 0.001
    for x in values:
        scale += count * (x - mean) ** 2 / (2 * (count + 1))
        mean = (count * mean + x) / (count + 1)
        count, shape = count + 1, shape + 0.5
    policy = fed(Thompson(), np.zeros(12, dtype=int), values, n_arms=1)
    location, width, dof = policy.posterior(np.arange(1))
    np.testing.assert_allclose(
        [location[0], width[0], dof[0]], [mean, np.sqrt(scale / (shape * count)), 2 * shape]
    )


def test_thompson_draws_from_its_posterior():
    policy = fed(Thompson(), [0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.3, 0.8, 0.7, 0.9], n_arms=2)
    arms = np.arange(2)
    location, scale, dof = policy.posterior(arms)
    draws = np.array([policy.index(arms) for _ in range(4000)])
    for arm in arms:
        frozen = stats.t(dof[arm], loc=location[arm], scale=scale[arm])
        assert stats.kstest(draws[:, arm], frozen.cdf).pvalue > 0.01


def test_thompson_matches_the_probability_of_being_best():
    policy = fed(Thompson(), [0, 0, 1, 1], [0.5, 0.6, 0.55, 0.63], n_arms=2)
    (m0, m1), (s0, s1), (dof, _) = policy.posterior(np.arange(2))
    best = integrate.quad(
        lambda x: stats.t.pdf(x, dof, m1, s1) * stats.t.cdf(x, dof, m0, s0), -5, 5, points=[m0, m1]
    )[0]
    share = np.mean([policy.select(1)[0] for _ in range(4000)])
    assert share == pytest.approx(best, abs=0.03)


def test_thompson_prior_of_measured_noise():
    rng = np.random.default_rng(0)
    policy = Thompson(prior_scale="noise", prior_shape=2.0).start(np.arange(4), rng=0)
    for _ in range(9):
        policy.update(np.arange(4), rng.normal(0.5, 0.3, size=4))
    same = Thompson(prior_scale=2.0 * policy.noise() ** 2, prior_shape=2.0).start(np.arange(4))
    same.seen_ = policy.seen_
    np.testing.assert_allclose(policy.posterior(np.arange(4)), same.posterior(np.arange(4)))


# ----------------------------------------------------------------------- Bernoulli trials


def test_thompson_beta_counts_against_mabwiser():
    arms, rewards = history(200)
    outcomes = (rewards > 0.5).astype(int)
    ours = fed(ThompsonBeta(), arms, outcomes)  # a trial of 0 or 1 has no chance in it
    theirs = mabwiser(LearningPolicy.ThompsonSampling(), arms, outcomes)._imp
    successes, failures = ours.posterior(np.arange(N_ARMS))
    np.testing.assert_array_equal(successes, [theirs.arm_to_success_count[k] for k in range(5)])
    np.testing.assert_array_equal(failures, [theirs.arm_to_fail_count[k] for k in range(5)])


def test_thompson_beta_tries_rewards_and_clips_them():
    policy = ThompsonBeta().start(np.arange(4), rng=0)
    for _ in range(2000):
        policy.update(np.arange(4), [0.3, 0.8, 1.7, -6.0])
    successes, failures = policy.posterior(np.arange(4))
    np.testing.assert_allclose(successes[:2] / 2000, [0.3, 0.8], atol=0.03)
    assert (successes == np.round(successes)).all(), "a trial is a success or none"
    np.testing.assert_array_equal(successes[2:], [2001, 1])
    np.testing.assert_array_equal(successes + failures, np.full(4, 2002))
    policy.update([0], [1.0], [2.5])
    assert policy.posterior(np.arange(1))[0][0] == successes[0] + 2.5


def test_thompson_beta_in_new_units():
    policy = ThompsonBeta().start(np.arange(3), rng=0)
    for k in range(10):
        policy.update(np.arange(3), [k % 2, 1, 0])
    policy.rescale(0.5, 0.2)  # a half becomes 0.45, one 0.7, zero 0.2
    np.testing.assert_allclose(policy.posterior(np.arange(3))[0], [5.5, 8, 3])
    policy.rescale(3.0, -1.0)
    np.testing.assert_allclose(policy.posterior(np.arange(3))[0], [4.5, 11, 1])


# -------------------------------------------------------------------------------- top two


def _top_two_of_the_source(policy, share, n_draws, rng):
    """Leader and challenger for the single best arm, draw by draw."""
    location, scale, dof = policy.posterior(np.arange(3))
    pulled = np.zeros(3)
    for _ in range(n_draws):
        leader = np.argmax(location + scale * rng.standard_t(dof))
        challenger = leader
        while challenger == leader:
            challenger = np.argmax(location + scale * rng.standard_t(dof))
        if share == "information":
            beta = scale[leader] ** 2 / (scale[leader] ** 2 + scale[challenger] ** 2)
        else:
            beta = share
        pulled[leader if rng.random() < beta else challenger] += 1
    return pulled / n_draws


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.9, "information"])
def test_top_two_for_one_arm_is_the_rule_of_the_source(share):
    policy = TopTwoThompson(leader_share=share, prior_scale=0.01)
    fed(policy, [0, 0, 0, 0, 1, 1, 2], [0.5, 0.6, 0.4, 0.5, 0.5, 0.7, 0.4], n_arms=3)
    policy.begin_round(1, 10)
    ours = np.bincount([policy.select(1)[0] for _ in range(4000)], minlength=3) / 4000
    theirs = _top_two_of_the_source(policy, share, 4000, np.random.default_rng(1))
    np.testing.assert_allclose(ours, theirs, atol=0.035)


def test_top_two_pulls_at_the_boundary():
    policy = TopTwoThompson().start(np.arange(8), rng=0)
    means = np.array([5.0, 4.0, 3.0, 1.0, 0.98, -2.0, -3.0, -4.0])
    for noise in np.random.default_rng(0).normal(scale=0.05, size=(6, 8)):
        policy.update(np.arange(8), means + noise)
    policy.begin_round(4, 50)
    pulled = np.concatenate([policy.select(2) for _ in range(30)])
    assert np.isin(pulled, [3, 4]).mean() > 0.95


def test_top_two_without_a_dispute_pulls_the_arms_nearest_to_the_boundary():
    policy = TopTwoThompson(prior_scale=1e-12).start(np.arange(5), rng=0)
    for _ in range(50):
        policy.update(np.arange(5), [0.0, 1.0, 0.4, 0.8, 0.6])
    policy.begin_round(2, 10)
    assert {int(policy.select(1)[0]) for _ in range(30)} == {3, 4}
    policy.settle([3])  # exact: of the pair only the other is left
    assert {int(policy.select(1)[0]) for _ in range(10)} == {4}


def test_top_two_with_all_arms_going_has_nothing_to_ask():
    policy = TopTwoThompson().start(np.arange(3), rng=0)
    policy.update(np.arange(3), [0.1, 0.2, 0.3])
    policy.begin_round(3, 10)
    assert policy.select(2).size == 0
