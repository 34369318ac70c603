"""Hyper-parameters, documentation, and properties that hold for any rewards."""

from __future__ import annotations

import copy
import doctest
import inspect
import re
from numbers import Integral

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_oracles import BY_MEAN, CASES, Bed, play, started
from sklearn.base import clone

from sklearn_mabprune import policies
from sklearn_mabprune.policies import POLICIES
from sklearn_mabprune.utils.compat import Interval

every_policy = pytest.mark.parametrize("name", CASES)

# -------------------------------------------------------------------------- parameters


@every_policy
def test_parameters(name):
    policy = CASES[name]
    parameters = policy.get_params()
    assert clone(policy).get_params() == parameters
    assert type(policy)().set_params(**parameters).get_params() == parameters
    if parameters:
        with pytest.raises(TypeError, match="positional"):
            type(policy)(*parameters.values())
    assert set(policy._parameter_constraints) == set(parameters), "every parameter is checked"
    before = copy.deepcopy(policy.get_params())
    play(clone(policy).start(np.arange(4), 0), Bed(np.arange(4.0), n_blocks=3), 1, 8)
    assert policy.get_params() == before


@every_policy
def test_bad_parameters_are_named(name):
    for parameter, constraints in CASES[name]._parameter_constraints.items():
        broken: list[object] = [np.nan, np.inf, -np.inf, "nonsense", True, False, [1.0], {}]
        for interval in (each for each in constraints if isinstance(each, Interval)):
            if interval.left is not None:
                inside = interval.closed in ("left", "both")
                broken.append(
                    np.nextafter(interval.left, -np.inf) if inside else float(interval.left)
                )
            if interval.right is not None:
                inside = interval.closed in ("right", "both")
                broken.append(
                    np.nextafter(interval.right, np.inf) if inside else float(interval.right)
                )
            if interval.type is Integral:
                broken.append(interval.left + 0.5)
        if None not in constraints:
            broken.append(None)
        for bad in broken:
            policy = clone(CASES[name]).set_params(**{parameter: bad})
            message = f"The '{parameter}' parameter of {type(policy).__name__} must be .* Got "
            with pytest.raises(ValueError, match=message + re.escape(f"{bad!r} instead.")) as e:
                policy.start(np.arange(3))
            for allowed in constraints:
                assert str(allowed) in str(e.value)


def test_bounds_are_as_documented():
    # One a kind of interval: closed, open, half open, of integers, and words beside them.
    allowed = [
        (POLICIES["epsilon_greedy"], "epsilon", [0, 1, 0.5], [-0.1, 1.1]),
        (POLICIES["boundary"], "delta", [0.1], [0, 1]),
        (POLICIES["boundary"], "candidates", [1], [0, 1.1]),
        (POLICIES["boundary"], "stale", [0], [1, -0.1]),
        (POLICIES["boundary"], "refresh", [1, np.int64(7)], [0, 1.0]),
        (POLICIES["ucb1"], "exploration", [0, 2.5, "noise"], [-1, None, "information"]),
        (POLICIES["thompson"], "prior_mean", [-5, 0, 1e9], [None, -np.inf]),
        (POLICIES["exp3_ix"], "gamma", [0, None, 3], [-0.5]),
        (POLICIES["exp3"], "gamma", [1, None], [0, 1.5]),
        (POLICIES["softmax"], "schedule", ["fixed", "decaying"], ["faster", None, 1]),
    ]
    for policy, name, good, bad in allowed:
        for value in good:
            policy(**{name: value}).start(np.arange(3))
        for value in bad:
            with pytest.raises(ValueError, match=f"The '{name}' parameter of {policy.__name__}"):
                policy(**{name: value}).start(np.arange(3))


@pytest.mark.parametrize("name", POLICIES)
def test_documentation(name):
    policy = POLICIES[name]
    text = inspect.getdoc(policy)
    assert "Examples\n--------\n>>> " in text
    if name not in ("uniform", "exhaustive"):
        assert "References\n----------\n" in text
    if CASES[name].get_params():
        assert "Parameters\n----------\n" in text
    for parameter in CASES[name].get_params():
        assert f"\n{parameter} : " in text, f"{parameter} is not documented"
        default = CASES[name].get_params()[parameter]
        line = text.split(f"\n{parameter} : ")[1].splitlines()[0]
        assert f"default={default!r}".replace("'", '"') in line, f"default of {parameter}"
    # that the example runs is for --doctest-modules to see
    assert any(test.examples for test in doctest.DocTestFinder().find(policy, name))
    assert policy.__name__ in policies.__all__


# -------------------------------------------------------------------------- properties

rewards_of_six = st.lists(
    st.lists(st.floats(-5, 1.5), min_size=6, max_size=6), min_size=1, max_size=5
)


@pytest.mark.parametrize("name", BY_MEAN)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(rewards=rewards_of_six, gone=st.sets(st.integers(0, 5), max_size=5))
def test_recommendation_is_a_permutation_of_live_arms_by_mean(name, rewards, gone):
    policy = started(name, 6)
    for row in rewards:
        policy.update(np.arange(6), row)
    policy.remove(sorted(gone), 1.0)
    order = policy.recommend(6)
    assert set(order.tolist()) == set(range(6)) - gone
    means = np.mean(rewards, axis=0)[order]
    assert (np.diff(means) <= 1e-7).all()  # closer means are ties
    for m in range(7):
        np.testing.assert_array_equal(policy.recommend(m), order[:m])


@every_policy
@settings(max_examples=10, deadline=None, derandomize=True)
@given(rewards=rewards_of_six, discount=st.floats(0, 1))
def test_discounting_multiplies_counts_and_keeps_means(name, rewards, discount):
    policy = started(name, 6)
    for row in rewards:
        policy.update(np.arange(6), row)
    means = policy.mean(np.arange(6))
    policy.remove([5], discount)
    arms = policy.live_arms()
    if discount * len(rewards) < 1e-6:
        assert (policy.counts_[arms] == 0).all()
        assert np.isneginf(policy.mean(arms)).all()
    else:
        np.testing.assert_allclose(policy.counts_[arms], discount * len(rewards))
        np.testing.assert_allclose(policy.mean(arms), means[arms], atol=1e-9)
        assert policy.time_ == pytest.approx(5 * discount * len(rewards))


@every_policy
@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    rewards=rewards_of_six,
    slope=st.floats(0.05, 20),
    intercept=st.floats(-3, 3),
)
def test_rescaling_is_as_if_rewards_had_come_in_the_new_units(name, rewards, slope, intercept):
    old, new = started(name, 6), started(name, 6)
    for row in rewards:
        old.update(np.arange(6), row)
        new.update(np.arange(6), slope * np.asarray(row) + intercept)
    old.rescale(slope, intercept)
    np.testing.assert_allclose(old.seen_[:3], new.seen_[:3], atol=1e-6)
