"""The contract that every policy keeps, whatever its rule."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from policy_oracles import BY_MEAN, CASES, Bed, n_pulls, play, spread_means, started
from sklearn.base import clone

every_policy = pytest.mark.parametrize("name", CASES)


# --------------------------------------------------------------------- rounds as searched


@every_policy
@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_rounds_with_removals(name, discount):
    n_arms, step = 24, 4
    policy, bed = started(name, n_arms), Bed(spread_means(n_arms), noise=0.2, n_blocks=6)
    live = set(range(n_arms))
    for number in range(5):
        budget = 60
        initial, selected = play(policy, bed, step, budget)  # asserts live and open arms only
        if number and discount > 0:
            assert not initial, "known arms need no initial pulls"
        if policy.budgeted:
            assert n_pulls(selected) <= budget
            assert bed.done.sum() == n_pulls(initial) + n_pulls(selected)
        else:
            assert bed.done.sum() == len(live) * bed.n_blocks
        chosen = policy.recommend(step)
        assert len(set(chosen.tolist())) == step
        assert set(chosen.tolist()) <= live
        policy.remove(chosen, discount)
        live -= set(chosen.tolist())
        assert set(policy.live_arms().tolist()) == live
        assert set(policy.recommend(n_arms).tolist()) == live
    if discount == 0.0:
        assert policy.counts_.sum() == 0


@every_policy
def test_every_pull_of_the_budget_is_used_or_the_policy_says_stop(name):
    policy, bed = started(name, 12), Bed(spread_means(12), noise=0.2)
    budget = 12 * 8
    _, selected = play(policy, bed, 3, budget) if policy.budgeted else (None, None)
    if policy.budgeted and n_pulls(selected) < budget:
        assert policy.select(12).size == 0, "ended early without having said so"


@every_policy
def test_the_same_seed_makes_the_same_pulls(name):
    def history(seed):
        policy, bed = started(name, 20, seed), Bed(spread_means(20), noise=0.3, n_blocks=8)
        rounds = []
        for _ in range(3):
            rounds += [np.concatenate(play(policy, bed, 3, 50, batch=7)[1])]
            policy.remove(policy.recommend(3), 0.9)
        return rounds

    for first, second in zip(history(1), history(1), strict=True):
        np.testing.assert_array_equal(first, second)


@every_policy
def test_a_generator_serves_as_a_seed(name):
    one = clone(CASES[name]).start(np.arange(9), rng=np.random.default_rng(3))
    other = clone(CASES[name]).start(np.arange(9), rng=3)
    beds = [Bed(spread_means(9), noise=0.3, seed=5) for _ in range(2)]
    if one.budgeted:
        for left, right in zip(
            play(one, beds[0], 2, 40)[1], play(other, beds[1], 2, 40)[1], strict=True
        ):
            np.testing.assert_array_equal(left, right)


@every_policy
def test_pickled_in_mid_round_it_goes_on_alike(name):
    policy, bed = started(name, 10), Bed(spread_means(10), noise=0.3, n_blocks=30)
    play(policy, bed, 2, 40)
    policy.remove(policy.recommend(2), 0.9)
    play(policy, bed, 2, 10)
    for twin in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy)):
        twin_bed = copy.deepcopy(bed)
        original, again = copy.deepcopy(policy), twin
        first = play(original, copy.deepcopy(bed), 2, 30)[1]
        second = play(again, twin_bed, 2, 30)[1]
        for left, right in zip(first, second, strict=True):
            np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(original.recommend(8), again.recommend(8))


# ------------------------------------------------------------------------ odd populations


@every_policy
def test_one_arm(name):
    policy, bed = started(name, 1), Bed([0.4], noise=0.1, n_blocks=3)
    play(policy, bed, 1, 5)
    np.testing.assert_array_equal(policy.recommend(1), [0])
    policy.remove([0], 0.9)
    assert policy.recommend(1).size == 0
    assert policy.select(3).size == 0


@every_policy
def test_no_arms_is_an_error(name):
    with pytest.raises(ValueError, match="at least one arm"):
        clone(CASES[name]).start(np.array([], dtype=int))


@every_policy
def test_ids_need_not_be_consecutive(name):
    policy = clone(CASES[name]).start([3, 7, 11], rng=0)
    means = np.full(12, np.nan)  # an arm that is not there gives NaN
    means[[3, 7, 11]] = [0.1, 0.9, 0.4]
    play(policy, Bed(means, n_blocks=4), 1, 9)
    np.testing.assert_array_equal(policy.recommend(3), [7, 11, 3])


@every_policy
def test_two_arms(name):
    policy = started(name, 2)
    play(policy, Bed([0.0, 1.0], noise=0.05, n_blocks=8), 1, 10)
    np.testing.assert_array_equal(policy.recommend(1), [1])


@every_policy
@pytest.mark.parametrize("value", [0.5, 0.0, -3.0])
def test_equal_arms_and_constant_rewards(name, value):
    policy = started(name, 8)
    play(policy, Bed(np.full(8, value), noise=0.0, n_blocks=5), 3, 24)
    # ties go to the lower id
    np.testing.assert_array_equal(np.sort(policy.recommend(8)), np.arange(8))
    if name in BY_MEAN:
        np.testing.assert_array_equal(policy.recommend(3), [0, 1, 2])


@pytest.mark.parametrize("name", BY_MEAN)
def test_rounding_errors_do_not_rank(name):
    """Means that differ in their last digits are ties, which go to the lower id."""
    policy = started(name, 4)
    policy.update(np.arange(4), [0.3, 0.1 + 0.2, 0.3 + 1e-10, 0.9])
    np.testing.assert_array_equal(policy.recommend(4), [3, 0, 1, 2])


@every_policy
def test_all_arms_but_one_go(name):
    policy = started(name, 9)
    means = np.linspace(1, -1, 9)
    play(policy, Bed(means, noise=0.02, n_blocks=6), 8, 30)
    assert set(policy.recommend(8).tolist()) == set(range(8))
    policy.remove(policy.recommend(8), 1.0)
    play(policy, Bed(means, noise=0.02, n_blocks=6), 1, 5)
    np.testing.assert_array_equal(policy.recommend(1), [8])


@every_policy
def test_more_are_to_go_than_there_are(name):
    policy = started(name, 4)
    play(policy, Bed([0.1, 0.2, 0.3, 0.4], noise=0.1, n_blocks=6), 9, 12)
    assert set(policy.recommend(9).tolist()) == {0, 1, 2, 3}


@pytest.mark.slow
@every_policy
def test_many_arms(name):
    n_arms = 5000
    policy, bed = started(name, n_arms), Bed(spread_means(n_arms), noise=0.1, n_blocks=3)
    _, selected = play(policy, bed, 100, n_arms)
    if policy.budgeted:
        assert n_pulls(selected) <= n_arms
    # the means fall with the id
    assert np.isin(policy.recommend(100), np.arange(400)).mean() > 0.9


@every_policy
def test_without_a_budget_nothing_is_pulled(name):
    policy = started(name, 5)
    if policy.budgeted:
        _, selected = play(policy, Bed(np.linspace(0, 1, 5)), 2, 0)
        assert not selected
        assert policy.select(0).size == 0


@every_policy
def test_exact_arms_are_left_alone(name):
    policy, bed = started(name, 6), Bed(np.linspace(1, 0, 6), noise=0.5, n_blocks=4)
    play(policy, bed, 2, 1000, batch=5)
    assert bed.done.max() <= 4
    if name in ("uniform", "exhaustive", "ucb1", "hedge"):
        assert (bed.done == 4).all()
        assert policy.select(6).size == 0
        # the mean over all blocks is the true one, whatever was drawn twice
        np.testing.assert_allclose(policy.mean(np.arange(6)), bed.means, atol=1e-12)


# ------------------------------------------------------------------------- what is kept


@every_policy
def test_settling_forgets_what_was_carried(name):
    policy = started(name, 3)
    policy.update([0, 1, 2], [5.0, 5.0, 5.0])
    policy.remove([], 1.0)
    policy.update([0, 1, 2], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(policy.mean(np.arange(3)), [2.55, 2.6, 2.65])
    policy.settle([1])
    np.testing.assert_allclose(policy.mean(np.arange(3)), [2.55, 0.2, 2.65])
    np.testing.assert_array_equal(policy.open_arms(), [0, 2])
    assert (policy.carried_[:3, 1] == 0).all()
    policy.remove([], 1.0)  # the network has changed: exact no more
    np.testing.assert_array_equal(policy.open_arms(), [0, 1, 2])


@every_policy
def test_a_block_of_weight_two_counts_as_two_pulls(name):
    once, twice = started(name, 3), started(name, 3)
    once.update([0, 1, 2], [0.2, 0.6, 0.4], [2.0, 2.0, 2.0])
    for _ in range(2):
        twice.update([0, 1, 2], [0.2, 0.6, 0.4])
    np.testing.assert_allclose(once.seen_[:3], twice.seen_[:3])
    assert once.time_ == twice.time_ == 6.0


@every_policy
def test_an_arm_drawn_twice_is_one_pull(name):
    policy = started(name, 3)
    policy.update([0, 1, 2], [0.2, 0.6, 0.4])
    policy.begin_round(1, 10)
    policy.update([1, 1, 0], [0.8, 0.8, 0.1])
    np.testing.assert_allclose(policy.counts_, [2, 2, 1])
    np.testing.assert_allclose(policy.mean(np.arange(3)), [0.15, 0.7, 0.4])
    with pytest.raises(ValueError, match="has an arm twice with different rewards"):
        policy.update([1, 1], [0.8, 0.7])


@every_policy
def test_rescaling_leaves_the_recommendation_unchanged(name):
    policy, bed = started(name, 15), Bed(spread_means(15), noise=0.3, n_blocks=20)
    play(policy, bed, 4, 60)
    policy.remove(policy.recommend(2), 0.9)
    play(policy, bed, 4, 60)
    before, mean, variance = policy.recommend(13), policy.mean, policy.variance
    arms = policy.live_arms()
    means, variances = mean(arms), variance(arms)
    policy.rescale(2.5, -0.7)
    np.testing.assert_array_equal(policy.recommend(13), before)
    np.testing.assert_allclose(policy.mean(arms), 2.5 * means - 0.7)
    np.testing.assert_allclose(policy.variance(arms), 2.5**2 * variances, atol=1e-9)
    assert np.isfinite(policy.seen_).all()
    assert np.isfinite(policy.carried_).all()
    play(policy, bed, 4, 30)


@every_policy
def test_estimates_take_the_place_of_pulls(name):
    means = spread_means(12)
    policy, bed = started(name, 12), Bed(means, noise=0.1, n_blocks=6)
    policy.update(np.arange(12), -means)  # an earlier round's, wrong by now
    policy.remove([], 1.0)
    policy.begin_round(3, 40)
    policy.expect(np.arange(12), means, 2.0)
    assert policy.unready().size == 0
    np.testing.assert_allclose(policy.mean(np.arange(12)), means)
    np.testing.assert_array_equal(policy.recommend(12), np.arange(12))
    assert (policy.counts_ == 2).all()
    _assert_finite(policy)
    policy.rescale(2.0, 0.3)
    np.testing.assert_allclose(policy.mean(np.arange(12)), 2 * means + 0.3)
    policy.rescale(0.5, -0.15)
    initial, _ = play(policy, bed, 3, 40)
    assert not initial
    assert set(policy.recommend(3).tolist()) <= set(range(5))


@every_policy
def test_memories_of_long_ago_are_forgotten(name):
    policy = started(name, 3)
    policy.update([0, 1, 2], [0.1, 0.2, 0.3])
    for _ in range(400):  # 0.1^400 is no float any more
        policy.remove([], 0.1)
    assert (policy.counts_ == 0).all()
    assert policy.unready().size == (3 if policy.initial_pulls else 0)
    play(policy, Bed([0.3, 0.2, 0.1], n_blocks=5), 1, 9)
    np.testing.assert_array_equal(policy.recommend(1), [0])


@pytest.mark.slow
@every_policy
def test_ten_thousand_pulls(name):
    policy, bed = started(name, 5), Bed([1.0, 0.8, 0.5, 0.2, -4.0], noise=0.2)
    if policy.budgeted:
        play(policy, bed, 2, 10_000, batch=5)
    assert np.isfinite(policy.seen_).all()
    assert set(policy.recommend(2).tolist()) == {0, 1}
    _assert_finite(policy)


@every_policy
def test_counts_of_a_million(name):
    policy = started(name, 6)
    for reward in (0.4, 0.6):
        policy.update(np.arange(6), reward + 0.01 * np.arange(6), np.full(6, 1e6))
    policy.begin_round(2, 20)
    _assert_finite(policy)
    play(policy, Bed(0.5 + 0.01 * np.arange(6), noise=0.1, n_blocks=50), 2, 20)
    np.testing.assert_array_equal(policy.recommend(2), [5, 4])


def _assert_finite(policy):
    arms = policy.live_arms()
    for method in ("index", "probabilities", "posterior"):
        if hasattr(policy, method):
            assert np.isfinite(np.asarray(getattr(policy, method)(arms))).all(), method
    if hasattr(policy, "probabilities"):
        p = policy.probabilities(arms)
        assert (p >= 0).all()
        assert p.sum() == pytest.approx(1)
