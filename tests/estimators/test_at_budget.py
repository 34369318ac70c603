"""Other sizes from one training: what at_budget gives is what a fit with that budget gives."""

from __future__ import annotations

import numpy as np
import pytest
from builders import example, known_of, removed, walk
from hypothesis import given, settings
from hypothesis import strategies as st
from same_fit import assert_same_fit
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    unit_values_table,
    values_table,
)

from sklearn_mabprune.criteria import CRITERIA
from sklearn_mabprune.policies import POLICIES, UCB1, Boundary, Thompson, Uniform
from sklearn_mabprune.pruning.path import Walk

CHOOSERS = {**POLICIES, **CRITERIA}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOOSERS)
def test_every_way_of_choosing(name, cache):
    X, y = classes_table()
    model = classifier(
        policy=name, pull_batch_size=25, pulls_per_neuron=2, step=3, fine_tune_epochs=0,
        memory=cache, pruning_budget=0.6,
    ).fit(X, y)  # fmt: skip
    wanted = clone(model).set_params(pruning_budget=0.85).fit(X, y)
    assert_same_fit(model.at_budget(0.85, X, y), wanted, X)


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0, 1, 4, 11, 12, 13, 0.9, "auto"])
def test_smaller_and_larger(budget, trained):
    """Rounds of two: budgets end within rounds and between them; with fine-tuning."""
    model, X, y = trained
    wanted = clone(model).set_params(pruning_budget=budget).fit(X, y)
    assert_same_fit(model.at_budget(budget, X, y), wanted, X)


CASES = {
    "dropout": lambda **p: classifier(small_classifier(module__dropout=0.3), **p),
    "norms, float32": lambda **p: classifier(
        small_classifier(module__batch_norm=True, dtype="float32"), **p
    ),
    "quick start": lambda **p: classifier(quick_start(), **p),
    "plain": lambda **p: classifier(plain_classifier(), **p),
    "shuffled": lambda **p: classifier(
        plain_classifier(iterator_train__shuffle=True, batch_size=16), **p
    ),
    "macs": lambda **p: classifier(budget_unit="macs", **p),
    "parameters, one shot": lambda **p: classifier(
        budget_unit="parameters", **{**p, "step": 1.0}
    ),
    "long steps": lambda **p: classifier(policy="sar", **{**p, "step": 7}),
    "one shot": lambda **p: classifier(**{**p, "step": 1.0}),
    "layer": lambda **p: classifier(scope="layer", min_neurons=2, **{**p, "step": 3}),
    "estimates": lambda **p: classifier(control_variate="fisher", rank_by="loss_per_mac", **p),
    "few rows": lambda **p: classifier(max_pruning_samples=40, discount=0.3, **p),
    "policy object": lambda **p: classifier(policy=Thompson(prior_count=0.1), **p),
    "weights of classes": lambda **p: classifier(class_weight={0: 1, 1: 2, 2: 0.5}, **p),
    "values": lambda **p: regressor(small_regressor(), **p),
    "two values": lambda **p: regressor(**p),
    "values, user's": lambda **p: regressor(plain_regressor(), **p),
}  # fmt: skip


def table_of(case):
    if case == "two values":
        return values_table(n_targets=2)
    if case.startswith("values"):
        return unit_values_table() if case == "values, user's" else values_table()
    return classes_table()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_net_and_option(case, cache):
    X, y = table_of(case)
    model = CASES[case](pruning_budget=0.5, step=2, pull_batch_size=40, memory=cache).fit(X, y)
    wanted = clone(model).set_params(pruning_budget=0.8).fit(X, y)
    assert_same_fit(model.at_budget(0.8, X, y), wanted, X)


@pytest.mark.slow
@pytest.mark.parametrize("variate", ["auto", None])
def test_the_default_policy_where_few_neurons_are_estimated(variate, cache):
    """In most rounds only those near the boundary are, in some none, and now and then all."""
    X, y = classes_table()
    net = small_classifier(module__hidden_layer_sizes=(40, 24))
    model = classifier(
        net, policy=Boundary(stale=0.06), control_variate=variate, step=1, pull_batch_size=25,
        fine_tune_epochs=0, memory=cache, pruning_budget=30,
    ).fit(X, y)  # fmt: skip
    asked = set(model.pruning_path_.n_backward[1:].tolist())
    assert (len(asked) == 3) == (variate == "auto"), "all of them, some and none"
    for budget in (17, 45):
        wanted = clone(model).set_params(pruning_budget=budget).fit(X, y)
        assert_same_fit(model.at_budget(budget, X, y), wanted, X)


def test_weights_own_validation_rows_and_labels(cache):
    X, codes = classes_table(200)
    y = np.array(["no", "perhaps", "yes"])[codes]
    weights = np.random.default_rng(0).integers(0, 4, 120).astype(float)
    data = {"sample_weight": weights, "X_val": X[120:], "y_val": y[120:]}
    model = classifier(plain_classifier(WeightedClassifier), memory=cache)
    model.fit(X[:120], y[:120], **data)
    found = model.at_budget(0.75, X[:120], y[:120], **data)
    wanted = clone(model).set_params(pruning_budget=0.75).fit(X[:120], y[:120], **data)
    assert_same_fit(found, wanted, X)
    assert set(found.predict(X)) <= {"no", "perhaps", "yes"}


@pytest.mark.parametrize("several", [False, True])
def test_sparse_rows_and_several_labels(several):
    X, y = labels_table() if several else classes_table()
    rows = sparse.csr_matrix(np.where(np.abs(X) > 0.7, X, 0))
    model = classifier().fit(rows, y)
    wanted = classifier(pruning_budget=0.8).fit(rows, y)
    assert_same_fit(model.at_budget(0.8, rows, y), wanted, rows)
    kept = model.at_budget(0)
    assert kept.hidden_layer_sizes_ == model.pruning_path_.layer_sizes[0]
    np.testing.assert_array_equal(kept.predict(rows), kept.predict(rows.toarray()))


@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_net_that_came_trained():
    X, y = classes_table()
    net = FrozenEstimator(small_classifier(random_state=0).fit(X, y))
    model = classifier(net, step=1).fit(X, y)
    wanted = classifier(net, step=1, pruning_budget=0.8).fit(X, y)
    assert_same_fit(model.at_budget(0.8, X, y), wanted, X)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)])
def test_seeds_are_those_of_the_fit(random_state):
    """There and back again, with seeds that no second fit would draw."""
    X, y = classes_table()
    model = classifier(random_state=random_state, step=1, pull_batch_size=25).fit(X, y)
    back = model.at_budget(0.8, X, y).at_budget(0.5, X, y)
    assert_same_fit(back, model, X)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    first=st.integers(0, 22),
    second=st.integers(0, 22),
    step=st.sampled_from([1, 2, 3, 5, 1.0, "auto"]),
    scope=st.sampled_from(["global", "layer"]),
    chooser=st.sampled_from([UCB1(), Uniform(), Thompson(), Boundary(), CRITERIA["random"]()]),
)
def test_walks_from_anywhere_to_anywhere(first, second, step, scope, chooser):
    graph, samples = example()
    options = {"graph": graph, "samples": samples, "step": step, "scope": scope}
    options["pulls_per_neuron"] = 2
    before = walk(chooser, first, **options)
    found, wanted = (
        walk(chooser, second, known=known_of(before), **options),
        walk(chooser, second, **options),
    )
    assert removed(found) == removed(wanted)
    assert isinstance(found, Walk)
    for ours, theirs in zip(found.steps, wanted.steps, strict=True):
        assert (ours.loss, ours.score, ours.n_pulls) == (theirs.loss, theirs.score, theirs.n_pulls)
        for name in ("n_backward", "confidence", "loss_increase", "standard_error", "pulls_by_arm"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        if ours.estimates is not None:
            np.testing.assert_array_equal(ours.estimates, theirs.estimates)
