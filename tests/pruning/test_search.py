"""The loop between a policy and its pulls, on arms whose loss increases are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_mabprune.policies import (
    POLICIES,
    UCB1,
    Exhaustive,
    ProbabilityPolicy,
    Thompson,
    Uniform,
)
from sklearn_mabprune.pruning.search import Search

ONES = np.ones(12)


class Table:
    """Arms with known loss increases; an arm's i-th pull shows column i, then it is exact."""

    expected = None  # no estimates before pulls

    def __init__(self, n_arms=12, n_blocks=6, noise=0.05, seed=0):
        rng = np.random.default_rng(seed)
        scatter = noise * rng.normal(size=(n_arms, n_blocks))
        self.exact = rng.permutation(np.linspace(-0.1, 1.5, n_arms))
        self.increase = self.exact[:, None] + scatter - scatter.mean(axis=1, keepdims=True)
        self.done = np.zeros(n_arms, dtype=int)
        self.calls = []

    def pull(self, arms):
        assert len(np.unique(arms)) == len(arms), "a repeated arm is measured once"
        self.calls.append(np.array(arms))
        increase = self.increase[arms, self.done[arms]]
        self.done[arms] += 1
        exact = self.done[arms] == self.increase.shape[1]
        return SimpleNamespace(increase=increase, weight=np.ones(len(arms)), exact=exact)

    @property
    def n_pulls(self):
        return int(self.done.sum())


def searching(policy, n_arms=12, seed=0, **options):
    return Search(policy, np.arange(n_arms), np.random.default_rng(seed), **options)


@pytest.mark.parametrize("budget", [0, 1, 7, 30, 10**6])
@pytest.mark.parametrize("name", POLICIES)
def test_budget_is_kept_and_initial_pulls_come_on_top(name, budget):
    policy, table = POLICIES[name](), Table()
    order = searching(policy).run_round(table, 3, budget, ONES)
    assert sorted(order) == list(range(12))
    assert table.done.max() <= 6
    first = 12 * bool(policy.initial_pulls)
    if not policy.budgeted:
        assert table.n_pulls == 12 * 6
    else:
        assert first <= table.n_pulls <= min(first + budget, 12 * 6)
    if policy.full_information:
        assert set(table.done) == {min(6, first // 12 + budget // 12)}, "whole blocks only"


@pytest.mark.parametrize("arms_per_pull", [1, 2, 5, "auto"])
@pytest.mark.parametrize("policy", [Uniform(), Thompson()])
def test_arms_named_before_rewards_are_seen(policy, arms_per_pull):
    table = Table()
    searching(policy, arms_per_pull=arms_per_pull).run_round(table, 3, 24, ONES)
    sizes = [len(arms) for arms in table.calls[1:]]  # behind the initial pulls
    # A quarter of the 12 arms, which are fewer than the pulls.
    most = 3 if arms_per_pull == "auto" else arms_per_pull
    assert max(sizes) == most
    assert sum(sizes) == 24
    assert min(sizes[:-1]) == most, "only the last selection may be cut short by the budget"


def test_auto_names_a_quarter_of_the_pulls_when_they_are_few():
    for budget, size in [(3, 1), (8, 2)]:
        table = Table()
        searching(Uniform()).run_round(table, 1, budget, ONES)
        assert [len(arms) for arms in table.calls] == [12] + [size] * (budget // size)


def test_auto_lets_policies_differ_however_many_pulls_there_are():
    counts = []
    for policy in (UCB1(), Uniform()):
        table = Table(n_blocks=30)
        searching(policy).run_round(table, 3, 12 * 10, ONES)
        counts.append(table.done)
    assert set(counts[1]) == {11}
    assert np.ptp(counts[0]) > 5


def test_exhaustive_order_is_that_of_the_exact_increases():
    table, policy = Table(), Exhaustive()
    search = searching(policy)
    order = search.run_round(table, 3, 0, ONES)
    np.testing.assert_array_equal(order, np.argsort(table.exact))
    # Rewards are affine: in their own units the estimates are what was measured.
    estimates = search.estimates(np.arange(12))
    np.testing.assert_allclose(estimates, table.exact, atol=1e-12)


def test_scale_is_that_of_the_first_pulls():
    table = Table()
    search = searching(Uniform())
    assert search.scale is None
    assert np.isnan(search.estimates(np.arange(12))).all()
    search.run_round(table, 3, 5, ONES)
    first = table.increase[:, 0]
    assert search.scale.safest == first.min()
    assert search.scale.doubtful == np.median(first)


def test_next_round_has_the_scale_of_what_is_known():
    table, policy = Table(n_blocks=2), Uniform()
    search = searching(policy)
    search.run_round(table, 3, 100, ONES)
    gone = np.argsort(table.exact)[:3]
    policy.remove(gone, 0.9)
    rest = np.delete(np.arange(12), gone)
    again = Table(n_blocks=2, seed=1)
    search.run_round(again, 3, 0, ONES)
    assert again.n_pulls == 0
    assert search.scale.safest == pytest.approx(table.exact[rest].min())
    assert search.scale.doubtful == pytest.approx(np.median(table.exact[rest]))
    np.testing.assert_allclose(search.estimates(rest), table.exact[rest], atol=1e-12)


def test_what_is_forgotten_is_scaled_afresh():
    search = searching(Uniform())
    search.run_round(Table(), 3, 0, ONES)
    search.policy.remove([0], 0.0)
    table = Table(seed=2)
    order = search.run_round(table, 3, 0, ONES)
    assert table.n_pulls == 11, "every live arm is new again"
    assert 0 not in order
    assert search.scale.safest == table.increase[1:, 0].min()


def test_worth_orders_by_the_product_and_estimates_do_without():
    table = Table()
    worth = np.random.default_rng(3).uniform(0.2, 5.0, 12)
    search = searching(Exhaustive())
    order = search.run_round(table, 3, 0, worth)
    increase = table.exact
    # Saving more never makes a neuron look worse, not even one whose removal helps.
    keys = np.where(increase < 0, increase / worth, increase * worth)
    np.testing.assert_array_equal(order, np.argsort(keys))
    np.testing.assert_allclose(search.estimates(np.arange(12)), increase, atol=1e-12)


@pytest.mark.parametrize("level", [-0.2, 0.0, 0.3])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_of_equal_neurons_those_that_save_more_come_first(level, noise):
    table = Table(noise=noise)
    table.increase += level - table.exact[:, None]
    worth = np.random.default_rng(4).permutation(np.linspace(0.5, 2.0, 12))
    order = searching(Exhaustive()).run_round(table, 3, 0, worth)
    np.testing.assert_array_equal(order, np.argsort(worth))


@pytest.mark.parametrize("name", POLICIES)
def test_worth_changes_the_order_not_the_pulls(name):
    tables = Table(), Table()
    worth = np.random.default_rng(5).uniform(0.2, 5.0, 12)
    for table, factors in zip(tables, (ONES, worth), strict=True):
        searching(POLICIES[name]()).run_round(table, 3, 30, factors)
    assert [arms.tolist() for arms in tables[0].calls] == [
        arms.tolist() for arms in tables[1].calls
    ]


class Doubling(ProbabilityPolicy):
    """Draws from two arms only, so that every selection repeats one."""

    def probabilities(self, arms):
        weight = (arms < 2).astype(float) + 1e-300
        return weight / weight.sum()


def test_a_repeated_arm_is_measured_once():
    table = Table(n_blocks=50)
    search = searching(Doubling(), arms_per_pull=8)
    search.run_round(table, 1, 10, ONES)
    assert table.calls[1].tolist() == [0, 1]
    assert all(set(arms) <= {0, 1} for arms in table.calls[1:])
    assert table.n_pulls == 12 + 10
    np.testing.assert_array_equal(search.policy.counts_[:2], table.done[:2])


class Stubborn(Uniform):
    """Recommends in its own way; whoever it does not name comes after."""

    def recommend(self, m):
        return np.array([7, 3, 5])[:m] if m < 12 else super().recommend(m)


def test_recommended_arms_come_first_then_the_rest():
    table = Table()
    order = searching(Stubborn()).run_round(table, 3, 0, ONES)
    assert order[:3].tolist() == [7, 3, 5]
    rest = [arm for arm in np.argsort(table.increase[:, 0]) if arm not in (7, 3, 5)]
    assert order[3:].tolist() == rest
