"""Policies for the m best: schedules written out, and brute force on tiny problems."""

from __future__ import annotations

import numpy as np
import pytest
from policy_oracles import Bed, play

from sklearn_mabprune.policies import LUCB, SAR, SequentialHalving, UGapE
from sklearn_mabprune.policies.halving import sar_schedule


def pulls_of(policy, means, m, budget, noise=0.0, batch=None, n_blocks=None, seed=0):
    """Pulls of the budget that each arm gets in one round."""
    bed = Bed(means, noise=noise, n_blocks=n_blocks, seed=seed)
    policy.start(np.arange(len(means)), rng=0)
    initial, _ = play(policy, bed, m, budget, batch)
    return bed.done - np.bincount(np.concatenate(initial), minlength=len(means))


# -------------------------------------------------------------------- sequential halving

# arms, m, budget, pulls an arm from the best to the worst
HALVING = [
    # three phases of 8 pulls: 8 arms once, 4 twice, 2 four times
    (8, 1, 24, [7, 7, 3, 3, 1, 1, 1, 1]),
    # two phases, 6 -> 3 -> 2: 20 // 2 is once for 6 arms; the 14 left are 4 for 3 arms
    (6, 2, 20, [5, 5, 5, 1, 1, 1]),
    # one phase, 5 -> 4: 4 each
    (5, 4, 23, [4, 4, 4, 4, 4]),
    # 7 // 3 and 7 // 2 are no pull for 16 and for 8 arms: all at the boundary of 4 -> 2
    (16, 2, 7, [1, 1, 1, 1] + [0] * 12),
    # 5 -> 3 -> 2 -> 1: 4 is no pull for 5 arms; 6 is 2 for 3 arms; 6 is 3 for 2
    (5, 1, 12, [5, 5, 2, 0, 0]),
    (3, 1, 0, [0, 0, 0]),
    (3, 3, 9, [0, 0, 0]),  # all go: nothing to learn
]


@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize(("n_arms", "m", "budget", "expected"), HALVING)
def test_sequential_halving_schedule(n_arms, m, budget, expected, batch):
    means = np.linspace(1, 0, n_arms)
    assert pulls_of(SequentialHalving(), means, m, budget, batch=batch).tolist() == expected


def test_sequential_halving_compares_on_common_blocks():
    policy, bed = SequentialHalving().start(np.arange(8), rng=0), Bed(np.linspace(1, 0, 8))
    policy.begin_round(1, 48)
    policy.update(np.arange(8), bed.means)
    firsts = [policy.select(3) for _ in range(3)]
    # all eight before any of them a second time
    assert np.concatenate(firsts)[:8].tolist() == list(range(8))


@pytest.mark.parametrize("seed", range(20))
def test_sequential_halving_against_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    n_arms, m, budget = int(rng.integers(2, 12)), int(rng.integers(1, 4)), int(rng.integers(0, 60))
    bed = Bed(rng.normal(size=n_arms), noise=1.0, n_blocks=100, seed=seed)
    policy = SequentialHalving().start(np.arange(n_arms), rng=0)
    play(policy, bed, m, budget)

    table, pulled = bed.table, np.ones(n_arms, dtype=int)
    alive, left = list(range(n_arms)), budget

    def mean(k):
        return table[: pulled[k], k].mean()

    def halvings(size):
        return 0 if size <= m else 1 + halvings(max(m, (size + 1) // 2))

    while len(alive) > m:
        each = left // halvings(len(alive)) // len(alive)
        left -= each * len(alive)
        pulled[alive] += each
        alive = sorted(sorted(alive, key=mean, reverse=True)[: max(m, (len(alive) + 1) // 2)])
    np.testing.assert_array_equal(bed.done, pulled)


# ------------------------------------------------------------ successive accepts and rejects


def test_sar_schedule_by_hand():
    # logbar(4) = 1/2 + 1/2 + 1/3 + 1/4 = 19/12; 36 * 12 / 19 = 22.74: over 4, 3, 2
    assert sar_schedule(4, 40).tolist() == [6, 8, 12]
    # logbar(3) = 4/3; (12 - 3) * 3 / 4 = 6.75: over 3, 2
    assert sar_schedule(3, 12).tolist() == [3, 4]
    # logbar(2) = 1: (10 - 2) / 2
    assert sar_schedule(2, 10).tolist() == [4]
    assert sar_schedule(1, 10).tolist() == []
    assert sar_schedule(5, 5).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("n_arms", [2, 3, 7, 40])
def test_sar_schedule_keeps_to_its_budget(n_arms):
    for budget in range(n_arms, 20 * n_arms):
        schedule = sar_schedule(n_arms, budget)
        assert schedule.sum() + schedule[-1] <= budget


def test_sar_trace_by_hand():
    # Gaps to the boundary between the 2nd and the 3rd: .6, .5, .5, .58. Arm 0 is accepted
    # after 6 pulls; then .5, .5, .58: arm 3 is rejected after 8; 1 and 2 go on to 12.
    policy = SAR()
    assert pulls_of(policy, [0.9, 0.8, 0.3, 0.22], 2, 40).tolist() == [6, 12, 12, 8]
    assert policy.standing_[[0, 3]].tolist() == [1, -1]
    assert policy.recommend(2).tolist() == [0, 1]


def test_sar_with_a_small_budget_starts_at_the_boundary():
    # a budget for 2 of 6 arms: the four clearest are settled by the initial pulls
    policy = SAR()
    assert pulls_of(policy, [9.0, 0.5, 0.4, 0.3, 0.2, 0.1], 2, 4).tolist() == [0, 1, 1, 0, 0, 0]
    assert policy.recommend(2).tolist() == [0, 1]
    # of equal arms one is rejected, and with it all is said
    assert pulls_of(policy, np.ones(6), 5, 4).sum() == 0
    assert policy.recommend(5).tolist() == [0, 1, 2, 3, 4]


def test_sar_recommends_what_it_accepted():
    policy = SAR().start(np.arange(4), rng=0)
    policy.begin_round(2, 40)
    for _ in range(3):
        policy.update(np.arange(4), [0.9, 0.6, 0.5, 0.1])
    policy.standing_ = np.array([-1, 0, 0, 1])
    assert policy.recommend(4).tolist() == [3, 1, 2, 0]
    policy.remove([3], 1.0)
    policy.begin_round(1, 40)  # a new round: nothing is accepted yet
    assert policy.recommend(3).tolist() == [0, 1, 2]


def _plain_sar(table, m, budget, n_start, mean_at_start):
    """The source's loop over phases; arms pulled from the table, gaps compared one by one."""
    n_arms = table.shape[1]
    pulled = np.ones(n_arms, dtype=int)
    active, accepted = list(range(n_arms)), []

    def settle(means):
        order = sorted(active, key=lambda k: means[k], reverse=True)
        wanted = m - len(accepted)
        gaps = {}
        for rank, k in enumerate(order):
            if rank < wanted:
                gaps[k] = means[k] - means[order[wanted]] if wanted < len(order) else np.inf
            else:
                gaps[k] = means[order[wanted - 1]] - means[k] if wanted > 0 else np.inf
        clearest = max(order, key=lambda k: gaps[k])
        active.remove(clearest)
        if order.index(clearest) < wanted:
            accepted.append(clearest)

    def decided():
        return len(accepted) == m or m - len(accepted) >= len(active)

    while len(active) > n_start and not decided():
        settle(mean_at_start)
    done = 0
    for goal in sar_schedule(n_start, budget):
        if decided():
            break
        pulled[active] += goal - done
        done = goal
        settle({k: table[: pulled[k], k].mean() for k in active})
    # what is left over when the decision or the schedule has ended goes by the mean
    active.sort(key=lambda k: table[: pulled[k], k].mean(), reverse=True)
    return pulled, accepted + active[: m - len(accepted)]


@pytest.mark.parametrize("seed", range(30))
def test_sar_against_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    n_arms = int(rng.integers(3, 12))
    m, budget = int(rng.integers(1, n_arms)), int(rng.integers(2, 80))
    bed = Bed(rng.normal(size=n_arms), noise=1.0, n_blocks=100, seed=seed)
    policy = SAR().start(np.arange(n_arms), rng=0)
    play(policy, bed, m, budget, batch=int(rng.integers(1, 9)))
    n_start = min(n_arms, max(budget // 2, 1))
    pulled, accepted = _plain_sar(bed.table, m, budget, n_start, bed.table[0])
    np.testing.assert_array_equal(bed.done, pulled)
    assert set(policy.recommend(m).tolist()) == set(accepted)


# ------------------------------------------------------------------------ LUCB and UGapE


def _random_state(policy, seed, n_arms=6):
    """Arms pulled unequally often; their means, their pulls, and the generator."""
    rng = np.random.default_rng(seed)
    policy.start(np.arange(n_arms), rng=0)
    m = int(rng.integers(1, n_arms))
    policy.begin_round(m, 100)
    sums, n = np.zeros(n_arms), np.zeros(n_arms)
    for arm in np.concatenate([np.arange(n_arms), rng.integers(0, n_arms, 25)]):
        reward = rng.random()
        policy.update([arm], [reward])
        sums[arm] += reward
        n[arm] += 1
    return m, sums / n, n


@pytest.mark.parametrize("seed", range(25))
def test_lucb_against_brute_force(seed):
    policy = LUCB(delta=0.2, exploration=0.8)
    m, mean, n = _random_state(policy, seed)
    t = n.sum()
    b = [0.8 * np.sqrt(np.log(5 * 6 * t**4 / (4 * 0.2)) / (2 * n[k])) for k in range(6)]
    np.testing.assert_allclose(policy.radius(np.arange(6)), b)
    inside = sorted(range(6), key=lambda k: mean[k], reverse=True)[:m]
    outside = [k for k in range(6) if k not in inside]
    weakest = min(inside, key=lambda k: mean[k] - b[k])
    strongest = max(outside, key=lambda k: mean[k] + b[k])
    assert policy.select(2).tolist() == [weakest, strongest]
    assert policy.select(1)[0] == max([weakest, strongest], key=lambda k: b[k])
    assert set(policy.select(6).tolist()) == set(range(6))


def _ugape_by_brute_force(mean, n, m, delta, width):
    n_arms, t = len(mean), n.sum()
    b = [width * np.sqrt(np.log(4 * n_arms * t**3 / delta) / (2 * n[k])) for k in range(n_arms)]
    upper = [mean[k] + b[k] for k in range(n_arms)]
    lower = [mean[k] - b[k] for k in range(n_arms)]
    losses = []
    for k in range(n_arms):
        others = sorted((upper[i] for i in range(n_arms) if i != k), reverse=True)
        losses.append(others[m - 1] - lower[k])
    inside = sorted(range(n_arms), key=lambda k: losses[k])[:m]
    outside = [k for k in range(n_arms) if k not in inside]
    low = min(inside, key=lambda k: lower[k])
    high = max(outside, key=lambda k: upper[k])
    return losses, max([low, high], key=lambda k: b[k]), {low, high}


@pytest.mark.parametrize("seed", range(25))
def test_ugape_against_brute_force(seed):
    policy = UGapE(delta=0.05, exploration=1.3)
    m, mean, n = _random_state(policy, seed)
    losses, arm, pair = _ugape_by_brute_force(mean, n, m, 0.05, 1.3)
    arms = np.arange(6)
    radius = policy.radius(arms)
    np.testing.assert_allclose(policy.losses(mean - radius, mean + radius), losses)
    assert policy.select(1)[0] == arm
    if m in (1, 5):  # only one pair across the boundary: then its other arm
        assert set(policy.select(2).tolist()) == pair
    assert set(policy.select(6).tolist()) == set(range(6))


@pytest.mark.parametrize("policy", [LUCB(), UGapE()])
def test_the_round_ends_when_the_choice_is_settled(policy):
    wide = pulls_of(policy, [1.0, 0.9, 0.1, 0.0], 2, 5000, noise=0.1)
    assert wide.sum() < 200
    assert policy.select(4).size == 0
    close = pulls_of(policy, [1.0, 0.51, 0.5, 0.0], 2, 300, noise=0.3, batch=1)
    assert close.sum() == 300
    assert close[1] + close[2] > 0.8 * 300, "pulls go to the boundary"


@pytest.mark.parametrize("policy", [LUCB(tolerance=0.2), UGapE(tolerance=0.2)])
def test_differences_within_the_tolerance_do_not_matter(policy):
    assert pulls_of(policy, [1.0, 0.51, 0.5, 0.0], 2, 5000, noise=0.1).sum() < 1000


@pytest.mark.slow
@pytest.mark.parametrize("policy", [LUCB(delta=0.3), UGapE(delta=0.3)])
def test_a_settled_choice_is_wrong_no_more_often_than_promised(policy):
    wrong = 0
    for seed in range(40):
        pulls_of(policy, [0.7, 0.5, 0.2, 0.1], 2, 4000, noise=0.3, batch=2, seed=seed)
        assert policy.select(4).size == 0
        wrong += set(policy.recommend(2).tolist()) != {0, 1}
    assert wrong <= 0.3 * 40


@pytest.mark.parametrize("policy", [LUCB(), UGapE()])
def test_exact_arms_have_no_radius(policy):
    policy.start(np.arange(4), rng=0)
    policy.begin_round(2, 100)
    for reward in (-0.1, 0.1):
        policy.update(np.arange(4), np.array([0.9, 0.5, 0.45, 0.1]) + reward)
    policy.settle([1])
    radius = policy.radius(np.arange(4))
    assert radius[1] == 0
    assert (radius[[0, 2, 3]] > 0).all()
    assert 1 not in policy.select(4)


@pytest.mark.parametrize("policy", [LUCB(), UGapE(), SAR(), SequentialHalving()])
def test_with_all_arms_going_there_is_nothing_to_ask(policy):
    assert pulls_of(policy, [0.3, 0.2, 0.1], 3, 50).sum() == 0


@pytest.mark.parametrize("policy", [LUCB(), UGapE(), SAR(), SequentialHalving()])
def test_without_noise_the_top_is_exact(policy):
    for seed in range(10):
        means = np.random.default_rng(seed).normal(size=9)
        pulls_of(policy, means, 4, 60, seed=seed)
        np.testing.assert_array_equal(policy.recommend(4), np.argsort(-means)[:4])
