"""The boundary policy: where it pulls, what it learns, when it stops, how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from sklearn_mabprune.policies import Boundary


def estimated(rewards, n_remove=2, groups=None, **parameters):
    policy = Boundary(**parameters).start(np.arange(len(rewards)), 0, groups)
    policy.begin_round(n_remove, 100)
    policy.expect(np.arange(len(rewards)), rewards)
    return policy


def test_pulls_go_to_the_boundary_and_nowhere_else():
    policy = estimated([1.0, 0.9, 0.52, 0.5, 0.48, 0.0, -3.0], n_remove=3)
    assert set(policy.select(7)) == {2, 3, 4}
    assert policy.select(1)[0] in (2, 3)


def test_a_clear_choice_needs_no_pull():
    policy = estimated([1.0, 0.9, 0.1, 0.0])
    assert policy.select(4).size == 0
    assert policy.confidence() > 0.999


def test_everything_goes_without_a_doubt():
    policy = estimated([0.3, 0.3, 0.3], n_remove=3)
    assert policy.select(3).size == 0
    assert policy.confidence() == 1


def test_chances_are_those_of_the_normal_distribution():
    """By hand: three arms, nothing pulled, prior deviation .05 halved by no one."""
    policy = estimated([0.6, 0.5, 0.3], n_remove=1, delta=1e-9, tolerance=0.0)
    wrong = norm.sf(0.05 / 0.05), norm.sf(0.05 / 0.05) + norm.sf(0.25 / 0.05)
    np.testing.assert_allclose(policy.confidence(), 1 - max(wrong), rtol=1e-12)


def test_beliefs_after_pulls_are_the_normal_posterior():
    """One group of one pulled arm: prior N(c, v) of the correction, noise s^2 / n."""
    policy = estimated([0.5, 0.4, 0.0])
    for reward in (0.56, 0.60):
        policy.update([0], [reward])
    missed = np.array([0.06, 0.10])
    noise = (0.05**2 + missed.var() * 2) / 2
    centre = missed.mean() / 2
    around = missed.mean() ** 2 - noise / 2  # its square, less noise
    apart = around - 2 * centre * missed.mean() + centre**2
    prior = (0.05**2 + max(apart, 0)) / 2
    precision = 1 / prior + 2 / noise
    mean, deviation = policy.posterior(np.arange(3))
    posterior = (centre / prior + missed.sum() / noise) / precision
    np.testing.assert_allclose(mean, [0.5 + posterior, 0.4 + centre, centre])
    np.testing.assert_allclose(deviation, [precision**-0.5, prior**0.5, prior**0.5])


def test_layers_where_estimates_proved_exact_are_left_alone():
    """Empirical Bayes by group: two alike boundaries, one of a layer that is always exact."""
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 20)
    policy = Boundary(delta=0.01, tolerance=0.0).start(np.arange(40), 0, groups)
    rewards = np.tile(np.linspace(1, 0, 20), 2)
    for _ in range(12):
        policy.begin_round(4, 20)
        policy.expect(np.arange(40), rewards)
        missed = np.where(groups == 0, 0.0, 0.1 * rng.normal(size=40))
        for _ in range(3):
            arms = policy.select(4)
            policy.update(arms, (rewards + missed)[arms])
        policy.remove([], 0.9)
    _, deviation = policy.posterior(np.array([10, 30]))
    assert deviation[0] < 0.5 * deviation[1]


def test_corrections_outlive_removals_and_fade():
    policy = estimated([0.5, 0.5, 0.4, 0.0], n_remove=1)
    policy.update([0, 1], [0.7, 0.5])
    found = []
    for _ in range(3):
        policy.remove([], 0.5)
        policy.begin_round(1, 10)
        policy.expect(np.arange(4), [0.3, 0.3, 0.2, 0.0])
        mean, _ = policy.posterior(np.arange(4))
        found.append(mean[0] - mean[1])
    assert found[0] > found[1] > found[2] > 0
    policy.remove([], 0.0)
    policy.expect(np.arange(4), [0.3, 0.3, 0.2, 0.0])
    np.testing.assert_allclose(policy.posterior(np.arange(4))[0], [0.3, 0.3, 0.2, 0.0])


def test_exact_arms_are_known_for_sure():
    policy = estimated([0.52, 0.5, 0.48])
    policy.update([0, 1], [0.4, 0.6])
    policy.settle([0, 1])
    mean, deviation = policy.posterior(np.arange(3))
    np.testing.assert_allclose(mean[:2], [0.4, 0.6], atol=1e-6)
    assert (deviation[:2] == 0).all()
    assert deviation[2] > 0


@pytest.mark.parametrize("kind", ["estimated", "plain"])
def test_confidence_is_calibrated(kind):
    """How sure it says it is, against how often it is right, on beds it was not tuned on."""
    rng = np.random.default_rng(1)
    said, right = [], []
    for _ in range(200):
        true = rng.uniform(-1, 1, size=30)
        policy = Boundary(tolerance=0.0).start(np.arange(30), 0)
        policy.begin_round(8, 60)
        if kind == "estimated":
            policy.expect(np.arange(30), true + 0.05 * rng.normal(size=30))
        for _ in range(12):
            arms = policy.unready() if policy.unready().size else policy.select(5)
            if arms.size:
                policy.update(arms, true[arms] + 0.05 * rng.normal(size=arms.size))
        best = np.argsort(-true)[:8]
        said.append(policy.confidence())
        right.append(np.isin(policy.recommend(8), best).mean())
    # Without estimates it is careful: how much of a pull is noise, pulls have to show.
    assert np.mean(said) < np.mean(right) + 0.05
    assert np.mean(said) > np.mean(right) - (0.05 if kind == "estimated" else 0.3)
    assert np.mean(right) > 0.85


def test_noisy_pulls_without_estimates_are_not_trusted():
    """Blocks that say next to nothing: it goes on pulling, and does not claim to know."""
    rng = np.random.default_rng(2)
    true = np.linspace(0.6, 0.4, 40)
    policy = Boundary().start(np.arange(40), 0)
    policy.begin_round(20, 200)
    policy.update(np.arange(40), true + rng.normal(size=40))
    spent = 0
    while spent < 200:
        arms = policy.select(10)
        assert arms.size, "settled on noise"
        policy.update(arms, true[arms] + rng.normal(size=arms.size))
        spent += arms.size
    assert policy.confidence() < 0.85


def test_without_estimates_rewards_of_a_group_say_nothing_of_each_other():
    policy = Boundary().start(np.arange(3), 0)
    policy.begin_round(1, 9)
    policy.update([0, 1, 2], [0.9, 0.5, -90.0])
    np.testing.assert_allclose(policy.mean(np.arange(3)), [0.9, 0.5, -90.0])
    assert policy.confidence() < 0.9  # one pull each may be all noise


def test_estimates_that_come_later_start_afresh():
    policy = Boundary().start(np.arange(3), 0)
    policy.update([0, 1, 2], [5.0, 0.5, -90.0])
    policy.remove([], 1.0)
    policy.begin_round(1, 9)
    policy.expect(np.arange(3), [0.1, 0.5, 0.3])
    np.testing.assert_allclose(policy.posterior(np.arange(3))[0], [0.1, 0.5, 0.3])


def test_estimates_are_renewed_near_the_boundary_and_now_and_then_everywhere():
    policy = Boundary(candidates=0.25, refresh=3).start(np.arange(40), 0)
    rewards = np.linspace(1, -1, 40)[::-1]  # the last arms are the safest
    asked = []
    for _ in range(8):
        arms = policy.to_estimate(1)
        policy.begin_round(1, 10)
        policy.expect(arms, rewards[arms])
        policy.remove([], 0.9)
        asked.append(arms)
    assert [len(arms) for arms in asked] == [40, 10, 10, 40, 10, 10, 40, 10]
    np.testing.assert_array_equal(asked[1], np.arange(30, 40))
    assert len(policy.to_estimate(4)) == 16  # at least four for each that goes
    np.testing.assert_allclose(policy.mean(np.arange(40)), rewards)


def test_with_nothing_carried_over_everything_is_estimated_anew():
    policy = Boundary().start(np.arange(40), 0)
    for _ in range(3):
        arms = policy.to_estimate(1)
        assert len(arms) == 40
        policy.begin_round(1, 10)
        policy.expect(arms, np.linspace(1, -1, 40))
        policy.remove([], 0.0)


def test_estimates_stay_with_arms_that_are_not_asked_for():
    policy = Boundary(candidates=0.1, refresh=9).start(np.arange(20), 0)
    first = np.linspace(1, 0, 20)
    policy.begin_round(1, 10)
    policy.expect(np.arange(20), first)
    policy.remove([0], 0.9)
    arms = policy.to_estimate(1)
    policy.rescale(2.0, 0.5)
    policy.begin_round(1, 10)
    policy.expect(arms, np.full(arms.size, 0.25))
    expected = 2 * first + 0.5
    expected[arms] = 0.25
    live = np.arange(1, 20)
    np.testing.assert_allclose(policy.mean(live), expected[live])


def beliefs_without_doubt(n=100, **options):
    """A policy that was told of clearly different arms, the last ones safest."""
    policy = Boundary(**options).start(np.arange(n), 0)
    rewards = np.linspace(-n, n, n)
    policy.to_estimate(2)
    policy.begin_round(2, 10)
    policy.expect(np.arange(n), rewards)
    return policy, rewards


def test_sure_choices_are_made_from_estimates_that_are_not_old():
    policy, _ = beliefs_without_doubt(stale=0.06)
    asked = []
    for _ in range(6):
        policy.remove(policy.recommend(2), 0.9)
        arms = policy.to_estimate(2)
        policy.begin_round(2, 10)
        if arms.size:
            policy.expect(arms, policy.mean(arms))
        asked.append(arms.size)
        assert policy.recommend(2).tolist() == [policy.live_arms()[-1], policy.live_arms()[-2]]
    assert [n == 0 for n in asked] == [True, True, False, True, False, True]


def test_doubtful_choices_are_estimated_anew():
    policy, rewards = beliefs_without_doubt(stale=0.5)
    policy.remove([99, 98], 0.9)
    assert policy.to_estimate(2).size == 0
    close, _ = beliefs_without_doubt(stale=0.5)
    close.expect(np.arange(60, 100), np.full(40, rewards[-1]))
    close.tolerance = 0.0
    close.remove([99, 98], 0.9)
    assert close.to_estimate(2).size > 0


def test_nothing_is_pulled_beside_estimates_of_an_earlier_round():
    policy, _ = beliefs_without_doubt(stale=0.5)
    policy.remove([99, 98], 0.9)
    assert policy.to_estimate(2).size == 0
    policy.begin_round(2, 10)
    policy.expected_[:] = 0.0  # now everything is in doubt
    policy.known_ = None
    assert policy.select(5).size == 0
