"""How many units a round removes, which of them may go, and when enough is gone."""

from __future__ import annotations

import numpy as np
import pytest
from builders import make_graph, round_sizes
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_mabprune.pruning.budget import UNITS, Budget, count_of
from sklearn_mabprune.pruning.schedules import (
    choose_removals,
    spread_evenly,
    step_size,
)


def neurons_only(sizes):
    raise AssertionError("a budget of units asked for the cost")


def test_step_as_in_rfe():
    assert [step_size(s, 10) for s in (1, 3, 50)] == [1, 3, 50]  # counts
    assert [step_size(s, 10) for s in (1.0, 0.55, 0.2, 0.01)] == [10, 5, 2, 1]  # shares
    assert step_size(np.int64(3), 10) == 3
    assert step_size(np.float64(0.3), 10) == 3


def test_step_auto_is_a_count_of_those_left():
    assert [step_size("auto", 1000, left) for left in (1000, 500, 100, 10, 1)] == [140, 50, 6, 1, 1]
    assert step_size("auto", 1000) == 140
    assert step_size(0.02, 1000, 10) == 20  # other shares are of all


@given(
    st.sampled_from(["auto", 1, 7, 0.02, 0.3, 1.0]),
    st.integers(1, 3000),
    st.floats(0, 1),
)
def test_rounds_make_up_the_target(step, n_neurons, share):
    target = int(share * n_neurons)
    sizes = round_sizes(step, n_neurons, target)
    assert sizes.sum() == target
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()


def test_share_is_floored_but_not_by_rounding_errors():
    assert count_of(0.29, 100) == 29  # .29 * 100 is 28.999999999999996
    assert count_of(0.999, 100) == 99
    assert count_of(0.0, 100) == 0
    assert count_of(7, 100) == 7
    for total in (10, 64, 100, 192, 1000):
        assert [count_of(n / total, total) for n in range(total)] == list(range(total))


def test_budget_of_units():
    budget = Budget.of(0.5, "neurons", (100, 51), neurons_only, 1)
    assert (budget.target, budget.total) == (75, 151)
    assert not budget.reached((50, 27))
    assert budget.reached((50, 26))
    assert budget.gone((50, 26)) == 75
    assert Budget.of(7, "neurons", (100, 51), neurons_only, 1).target == 7
    assert Budget.of(0, "neurons", (100, 51), neurons_only, 1).reached((100, 51))
    assert Budget.of(0.0, "neurons", (100, 51), neurons_only, 1).reached((100, 51))


@pytest.mark.parametrize("min_neurons", [1, 3, 4, 100])
def test_auto_is_all_that_can_go(min_neurons):
    budget = Budget.of("auto", "neurons", (5, 3), neurons_only, min_neurons)
    assert budget.target == max(0, 5 - min_neurons) + max(0, 3 - min_neurons)


@pytest.mark.parametrize("unit", UNITS)
def test_budget_measures_its_unit(unit):
    graph = make_graph(hidden=(7, 5))
    budget = Budget.of(0.5, unit, graph.sizes, graph.cost, 1)
    total = {"neurons": 12, "parameters": 7 * 7 + 8 * 5 + 6 * 3, "macs": 42 + 35 + 15}[unit]
    assert (budget.total, budget.target) == (total, total // 2)
    left = {"neurons": 5, "parameters": 3 * 7 + 4 * 2 + 3 * 3, "macs": 18 + 6 + 6}[unit]
    assert budget.gone((3, 2)) == total - left


@pytest.mark.parametrize("unit", UNITS)
def test_too_large_a_budget_says_how_much_can_go(unit):
    graph = make_graph(hidden=(7, 5))
    most = Budget.of("auto", unit, graph.sizes, graph.cost, 2).target
    assert Budget.of(most, unit, graph.sizes, graph.cost, 2).target == most
    message = f"fewer than min_neurons=2: at most {most} {unit} .* can go. Lower pruning_budget"
    for budget in (most + 1, 0.999):
        with pytest.raises(ValueError, match=message):
            Budget.of(budget, unit, graph.sizes, graph.cost, 2)


def test_largest_share_that_the_message_names_is_accepted():
    for sizes in [(7, 5), (128, 64), (3, 3), (97, 31, 11)]:
        with pytest.raises(ValueError, match="can go") as caught:
            Budget.of(0.9999, "neurons", sizes, neurons_only, 1)
        share = float(str(caught.value).split("neurons (")[1].split(")")[0])
        most = sum(sizes) - len(sizes)
        assert most - 1 <= Budget.of(share, "neurons", sizes, neurons_only, 1).target <= most


# ------------------------------------------------------------------------- who may go


layouts = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def shuffled_arms(sizes, seed):
    layers = np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(seed).permutation(len(layers))
    return order, layers[order]


@settings(deadline=None, max_examples=100, derandomize=True)
@given(sizes=layouts, seed=st.integers(0, 999), n_remove=st.integers(1, 20), data=st.data())
def test_removals_are_the_safest_that_may_go(sizes, seed, n_remove, data):
    min_neurons = data.draw(st.integers(1, 3))
    budget = Budget.of("auto", "neurons", tuple(sizes), neurons_only, min_neurons)
    target = data.draw(st.integers(0, budget.target))
    budget = Budget.of(target, "neurons", tuple(sizes), neurons_only, min_neurons)
    order, layers = shuffled_arms(sizes, seed)
    chosen = choose_removals(order, layers, tuple(sizes), n_remove, budget)

    assert len(chosen) == min(n_remove, target)
    left = list(sizes)
    wanted = []
    for arm, layer in zip(order, layers, strict=True):
        if left[layer] > min_neurons and len(wanted) < len(chosen):
            left[layer] -= 1
            wanted.append(arm)
    np.testing.assert_array_equal(chosen, wanted)


@pytest.mark.parametrize("unit", ["parameters", "macs"])
def test_removals_stop_as_soon_as_enough_is_gone(unit):
    graph = make_graph(hidden=(9, 8))
    budget = Budget.of(0.3, unit, graph.sizes, graph.cost, 1)
    order, layers = shuffled_arms((9, 8), 0)
    chosen = choose_removals(order, layers, (9, 8), 17, budget)
    for n in range(len(chosen) + 1):
        gone = np.bincount(layers[np.isin(order, chosen[:n])], minlength=2)
        assert budget.reached((9 - gone[0], 8 - gone[1])) == (n == len(chosen))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(sizes=layouts, seed=st.integers(0, 999))
def test_even_shares_at_every_length(sizes, seed):
    order, layers = shuffled_arms(sizes, seed)
    even = spread_evenly(order, layers, tuple(sizes), tuple(sizes))
    assert sorted(even) == sorted(order)
    place = {arm: k for k, arm in enumerate(order)}
    layer_of = dict(zip(order, layers, strict=True))
    for layer in range(len(sizes)):
        ranks = [place[arm] for arm in even if layer_of[arm] == layer]
        assert ranks == sorted(ranks), "within a layer the safest go first"
    for n in range(len(even) + 1):
        gone = np.bincount([layer_of[arm] for arm in even[:n]], minlength=len(sizes))
        # No layer is a whole unit away from its share.
        assert (np.abs(gone - n * np.array(sizes) / sum(sizes)) < len(sizes) / 2 + 1e-9).all()


def test_even_shares_continue_where_they_were():
    """Whatever the rounds, the same number of every layer goes."""
    sizes, seen = np.array([30, 12, 5]), []
    for step in (1, 4, 47):
        now, gone = sizes.copy(), []
        while now.sum() > 0:
            layers = np.repeat(np.arange(3), now)
            even = spread_evenly(np.arange(now.sum()), layers, tuple(sizes), tuple(now))[:step]
            now = now - np.bincount(layers[even], minlength=3)
            gone.extend(layers[even])
        seen.append(gone)
    assert seen[0] == seen[1] == seen[2]
