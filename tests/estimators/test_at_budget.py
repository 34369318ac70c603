"""Other sizes from one training: what at_budget gives is what a fit with that budget gives."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from builders import example, removed, walk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    fitted,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    unit_values_table,
    values_table,
)

import sklearn_mabprune.estimators.base
import sklearn_mabprune.pruning.path
import sklearn_mabprune.pruning.rankers
from sklearn_mabprune import PruningWarning, load
from sklearn_mabprune.criteria import CRITERIA
from sklearn_mabprune.policies import POLICIES, UCB1, Boundary, Thompson, Uniform
from sklearn_mabprune.pruning.path import Walk
from sklearn_mabprune.pruning.replay import Known

CHOOSERS = {**POLICIES, **CRITERIA}
TIMES = ("seconds_training", "seconds_pruning", "seconds_fine_tuning")


def plain(value):
    """Generators and networks as what can be compared."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return plain(vars(value)) if hasattr(value, "__dict__") else value


def numbers(report):
    """A report without what depends on the clock."""
    found = report.to_dict()
    for name in TIMES:
        found.pop(name)
    for network in ("before", "after"):
        found[network].pop("ms_sample")
        found[network].pop("ms_batch")
    found["warnings"] = [text for text in found["warnings"] if "not faster" not in text]
    return found


def assert_same_fit(found, wanted, X):
    """Everything that a fit leaves behind, but for times."""
    assert found.get_params(deep=False).keys() == wanted.get_params(deep=False).keys()
    assert found.pruning_budget == wanted.pruning_budget
    ours, theirs = (
        {k for k in vars(m) if k.endswith("_") and k[0] != "_"} for m in (found, wanted)
    )
    assert ours == theirs
    assert same_state(state(found.estimator_), state(wanted.estimator_))
    predict = "predict_proba" if hasattr(found, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(found, predict)(X), getattr(wanted, predict)(X))
    for name in ("neuron_support_", "neuron_ranking_"):
        np.testing.assert_equal(getattr(found, name), getattr(wanted, name))
    for name in ("hidden_layer_sizes_", "n_pulls_", "validation_share_", "n_features_in_"):
        assert getattr(found, name) == getattr(wanted, name)
        assert type(getattr(found, name)) is type(getattr(wanted, name))
    np.testing.assert_equal(plain(found.policy_), plain(wanted.policy_))
    path, expected = plain(found.pruning_path_), plain(wanted.pruning_path_)
    resume, complete = path.pop("resume"), expected.pop("resume")
    path.pop("seconds")
    expected.pop("seconds")
    # Of rounds that were known, estimates are there where the first path kept them.
    estimates, complete_estimates = path.pop("estimates"), expected.pop("estimates")
    assert max(estimates, default=0) == max(complete_estimates, default=0)
    for number, kept in estimates.items():
        np.testing.assert_array_equal(kept, complete_estimates[number])
    np.testing.assert_equal(path, expected)
    # Where the longer path kept nothing, neither does the shorter one.
    for number, kept in resume.pop("states").items():
        np.testing.assert_equal(kept, complete["states"][number])
    complete.pop("states")
    np.testing.assert_equal(resume, complete)
    np.testing.assert_equal(numbers(found.pruning_report_), numbers(wanted.pruning_report_))


# ----------------------------------------------------------------- equal to a fit of its own


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Fits to compare with need not train again."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("name", CHOOSERS)
def test_every_way_of_choosing(name, cache):
    X, y = classes_table()
    model = classifier(
        policy=name, pull_batch_size=25, pulls_per_neuron=2, step=2, fine_tune_epochs=0,
        memory=cache, pruning_budget=0.6,
    ).fit(X, y)  # fmt: skip
    wanted = clone(model).set_params(pruning_budget=0.85).fit(X, y)
    assert_same_fit(model.at_budget(0.85, X, y), wanted, X)


@pytest.fixture(scope="module")
def trained(cache):
    return fitted("classifier", pruning_budget=0.6, step=2, memory=cache, pull_batch_size=25)


@pytest.mark.parametrize("budget", [0, 1, 3, 4, 0.35, 11, 12, 0.6, 13, 0.9, 18, "auto"])
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
    "few rows": lambda **p: classifier(max_pruning_rows=40, discount=0.3, **p),
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


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_net_and_option(case, cache):
    X, y = table_of(case)
    model = CASES[case](pruning_budget=0.5, step=2, pull_batch_size=40, memory=cache).fit(X, y)
    wanted = clone(model).set_params(pruning_budget=0.8).fit(X, y)
    assert_same_fit(model.at_budget(0.8, X, y), wanted, X)


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
    for budget in (17, 29, 45):
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


def test_other_kinds_of_labels_are_refused():
    X, labels = labels_table()
    one = labels @ np.arange(4) % 4
    for first, then, told in (
        (labels, one, "y has one label a row, the network was trained on several"),
        (one, labels, "y has several labels a row, the network was trained on one"),
    ):
        with pytest.raises(ValueError, match=told):
            classifier().fit(X, first).at_budget(0.8, X, then)


def test_timing_a_kept_network_of_many_features_takes_little_memory():
    X, y = classes_table()
    wide = sparse.hstack([sparse.csr_matrix(X), sparse.csr_matrix((len(X), 400_000))], "csr")
    net = small_classifier(module__hidden_layer_sizes=(4,), max_epochs=2)
    model = classifier(net, fine_tune_epochs=0).fit(wide, y)
    report = model.at_budget(0).pruning_report_
    assert report.batch_size == 2**24 // wide.shape[1] < model.pruning_report_.batch_size
    assert len(report.unused_features) == 400_000


@pytest.mark.filterwarnings("ignore:The net came trained:sklearn_mabprune.PruningWarning")
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
    facts = (
        "n_pulls", "n_evaluations", "n_backward", "loss_increase", "standard_error",
        "reward_scale", "seconds", "confidence", "pulls_by_arm", "estimates",
    )  # fmt: skip
    known = Known(
        before.steps[0].loss,
        [each.sizes for each in before.steps],
        [each.removed for each in before.steps],
        [{name: getattr(each, name) for name in facts} for each in before.steps],
        {k: each.state for k, each in enumerate(before.steps) if each.state is not None},
    )
    found, wanted = walk(chooser, second, known=known, **options), walk(chooser, second, **options)
    assert removed(found) == removed(wanted)
    assert isinstance(found, Walk)
    for ours, theirs in zip(found.steps, wanted.steps, strict=True):
        assert (ours.loss, ours.score, ours.n_pulls) == (theirs.loss, theirs.score, theirs.n_pulls)
        for name in ("n_backward", "confidence", "loss_increase", "standard_error", "pulls_by_arm"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        if ours.estimates is not None:
            np.testing.assert_array_equal(ours.estimates, theirs.estimates)


# -------------------------------------------------------------------- without training again


def test_nothing_is_trained_and_little_is_pulled(monkeypatch):
    X, y = classes_table()
    net = small_classifier(module__hidden_layer_sizes=(20, 16))
    model = classifier(net, step=1, pruning_budget=30, fine_tune_epochs=0, random_state=None)
    model.fit(X, y)
    rounds = []
    original = sklearn_mabprune.pruning.rankers.RoundPulls
    monkeypatch.setattr(
        sklearn_mabprune.pruning.rankers, "RoundPulls", lambda *a: rounds.append(0) or original(*a)
    )
    monkeypatch.setattr(sklearn_mabprune.estimators.base, "train", None)
    for budget, most in ((0, 0), (2, 2), (17, 3), (29, 3), (30, 3), (33, 4)):
        rounds.clear()
        found = model.at_budget(budget, X, y)
        assert len(rounds) <= most, budget
        assert found.pruning_report_.n_rounds == budget
    # The report tells the whole story all the same.
    report = model.at_budget(17, X, y).pruning_report_
    assert report.n_pulls == model.pruning_path_.n_pulls[:18].sum()
    assert report.seconds_training == model.pruning_report_.seconds_training
    assert report.seconds_pruning > model.pruning_path_.seconds[:15].sum()


def test_other_ways_of_pruning_start_from_the_trained_network(cache):
    """Whoever changes how it is pruned gets that: a fit without the training."""
    X, y = classes_table()
    fit = classifier(memory=cache, pull_batch_size=25).fit(X, y)
    for changed in ({"ablation": "zero"}, {"policy": UCB1(exploration=0.0)}, {"step": 5},
                    {"max_pruning_rows": 50}):  # fmt: skip
        model = copy.deepcopy(fit)
        wanted = clone(model).set_params(pruning_budget=0.7, **changed).fit(X, y)
        with pytest.warns(PruningWarning) if "max_pruning_rows" in changed else np.errstate():
            found = model.set_params(**changed).at_budget(0.7, X, y)
        assert_same_fit(found, wanted, X)


def test_training_of_the_pruned_net_changes_nothing(trained):
    model, X, y = trained
    wanted = model.at_budget(0.8, X, y)
    moved = copy.deepcopy(model)
    moved.estimator_.partial_fit(X, y)
    assert_same_fit(moved.at_budget(0.8, X, y), wanted, X)


def test_a_path_without_states_is_walked_anew(trained):
    """As after reading a file that has networks and numbers only."""
    model, X, y = trained
    wanted = model.at_budget(0.8, X, y)
    bare = copy.deepcopy(model)
    bare.pruning_path_.resume = None
    assert_same_fit(bare.at_budget(0.8, X, y), wanted, X)
    kept = bare.at_budget(4)
    assert same_state(state(kept.estimator_), state(model.at_budget(4).estimator_))
    assert kept.policy_.get_params() == model.policy_.get_params()


def test_estimates_are_kept_with_the_networks(cache):
    """Those of rounds that are not walked again come from the first path, where it had them."""
    X, y = classes_table()
    model = classifier(step=1, pull_batch_size=25, memory=cache).fit(X, y)
    found = model.at_budget(0.9, X, y)
    wanted = clone(model).set_params(pruning_budget=0.9).fit(X, y)
    assert_same_fit(found, wanted, X)
    known = max(model.pruning_path_.resume.states)
    assert found.pruning_path_.estimates.keys() == {
        number
        for number in wanted.pruning_path_.estimates
        if number > known or number in model.pruning_path_.estimates
    }
    kept = model.at_budget(4)
    assert kept.pruning_path_.estimates.keys() == {
        number for number in model.pruning_path_.estimates if number <= 4
    }
    confidence = model.pruning_path_.confidence[1:5]
    assert kept.pruning_report_.confidence == np.mean(confidence)


def test_after_saving_and_loading(trained, tmp_path):
    """A file has networks and numbers only."""
    model, X, y = trained
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model").set_params(memory=model.memory)
    assert loaded.pruning_path_.resume is None
    assert_same_fit(loaded.at_budget(0.8, X, y), model.at_budget(0.8, X, y), X)
    assert same_state(state(loaded.at_budget(4).estimator_), state(model.at_budget(4).estimator_))
    model.save(tmp_path / "small", networks=False)
    with pytest.raises(ValueError, match="saved with networks=False"):
        load(tmp_path / "small").at_budget(0.8, X, y)


def test_progress(trained, caplog, capsys):
    model, X, y = trained
    loud = clone(model).set_params(pruning_budget=0.8, verbose=2).fit(X, y)
    lines = [record.message for record in caplog.records]
    caplog.clear()
    copy.deepcopy(model).set_params(verbose=2).at_budget(0.8, X, y)
    again = [record.message for record in caplog.records]
    assert not [line for line in again if line.startswith("training")]
    n_rounds = loud.pruning_report_.n_rounds
    for said in (lines, again):
        assert len([line for line in said if line.startswith("pruning: round")]) == n_rounds
        assert [line for line in said if line.startswith("fine-tuning")]
    capsys.readouterr()
    copy.deepcopy(model).set_params(verbose=1).at_budget(0.8, X, y)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("call", [1, 3])
def test_ctrl_c_while_it_goes_on(call, trained, monkeypatch):
    """As in fit: what is done is kept, the known rounds are rounds like any other."""
    model, X, y = trained
    original, calls = sklearn_mabprune.pruning.path.remove_together, []

    def interrupted(*args):
        calls.append(0)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(sklearn_mabprune.pruning.path, "remove_together", interrupted)
    with pytest.warns(PruningWarning, match="Pruning was interrupted"):
        found = model.at_budget(0.8, X, y)
    assert found.pruning_report_.interrupted
    assert len(found.pruning_path_) == call
    assert found.hidden_layer_sizes_ == model.pruning_path_.layer_sizes[call - 1]


def test_after_ctrl_c_it_goes_on(monkeypatch, cache):
    X, y = classes_table()
    wanted = classifier(memory=cache).fit(X, y)
    original, calls = sklearn_mabprune.pruning.path.remove_together, []

    def interrupted(*args):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(sklearn_mabprune.pruning.path, "remove_together", interrupted)
    with pytest.warns(PruningWarning, match="interrupted"):
        model = classifier(memory=cache).fit(X, y)
    assert model.pruning_report_.interrupted
    assert_same_fit(model.at_budget(0.5, X, y), wanted, X)


# --------------------------------------------------------------------------- without the data


def test_kept_networks_at_once(trained, monkeypatch):
    model, X, _ = trained
    path = model.pruning_path_
    monkeypatch.setattr(sklearn_mabprune.estimators.base, "train", None)
    gone = path.n_neurons[0] - path.n_neurons
    assert len(path.networks) == 7
    for number in path.networks:
        found = model.at_budget(int(gone[number]))
        assert found.pruning_budget == gone[number]
        assert found.hidden_layer_sizes_ == path.layer_sizes[number]
        if number == len(path) - 1:
            assert_same_fit(found.set_params(pruning_budget=0.6), model, X)
            continue
        assert len(found.pruning_path_) == number + 1
        assert found.pruning_report_.after.score == path.score[number]
        assert ("not fine-tuned" in str(found.pruning_report_)) is (number > 0)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("unit", ["neurons", "parameters", "macs"])
def test_a_kept_network_is_that_of_a_fit_without_fine_tuning(kind, unit, cache):
    model, X, y = fitted(kind, budget_unit=unit, step=2, pruning_budget=0.6, memory=cache)
    path = model.pruning_path_
    n = path.n_neurons if unit == "neurons" else getattr(path, f"n_{unit}")
    for number in sorted(path.networks)[:-1]:
        budget = int(n[0] - n[number])
        wanted = clone(model).set_params(pruning_budget=budget, fine_tune_epochs=0).fit(X, y)
        found = model.at_budget(budget)
        ours, theirs = numbers(found.pruning_report_), numbers(wanted.pruning_report_)
        texts = ours.pop("warnings"), theirs.pop("warnings")
        if number:  # there are no validation rows
            assert np.isnan(ours["after"].pop("loss"))
            theirs["after"].pop("loss")
        assert ours == theirs
        assert [text for text in texts[0] if "max_epochs" in text] == list(texts[1])
        # The path keeps other networks, and the warning differs: compare all the rest.
        found.pruning_report_, found.fine_tune_epochs = wanted.pruning_report_, 0
        kept = found.pruning_path_.networks
        assert max(kept) == number
        np.testing.assert_equal(kept[number], wanted.pruning_path_.networks[number])
        found.pruning_path_ = wanted.pruning_path_
        assert_same_fit(found, wanted, X)


def test_shares_count_as_in_fit(trained):
    model = trained[0]
    assert model.at_budget(0.2).hidden_layer_sizes_ == model.at_budget(4).hidden_layer_sizes_
    assert sum(model.at_budget(0.0).hidden_layer_sizes_) == 20


def test_a_kept_network_goes_on_with_data(trained):
    model, X, y = trained
    kept = model.at_budget(6)
    assert kept.policy_.live_.sum() == 14
    assert_same_fit(kept.at_budget(0.6, X, y), model, X)
    assert_same_fit(pickle.loads(pickle.dumps(kept)).at_budget(0.6, X, y), model, X)


def test_auto_is_kept_where_it_was_fitted(cache):
    model, X, _ = fitted("classifier", pruning_budget="auto", tolerance=0.1, memory=cache)
    assert_same_fit(model.at_budget("auto"), model, X)
    left = sum(model.hidden_layer_sizes_)
    assert same_state(state(model.at_budget(20 - left).estimator_), state(model.estimator_))
    last = model.at_budget(18)
    assert last.hidden_layer_sizes_ == (1, 1)
    assert last.neuron_ranking_[0].max() <= 19


def test_nothing_is_shared(trained):
    model, X, y = trained
    before = pickle.dumps(model)
    reference = pickle.loads(before)
    for new in (model.at_budget(4), model.at_budget(0.6), model.at_budget(0.8, X, y)):
        new.estimator_.partial_fit(X, y)
        with torch.no_grad():
            for value in new.estimator_.module_.parameters():
                value.zero_()
        for each in vars(new.pruning_path_).values():
            if isinstance(each, np.ndarray):
                each[:] = 0
            if isinstance(each, list) and isinstance(each[-1], np.ndarray):
                for part in each:
                    part[:] = 0
        for network in new.pruning_path_.networks.values():
            for layer in network["state"]:
                for value in layer.values():
                    value[...] = 0
        for kept in new.pruning_path_.resume.states.values():
            kept["chooser"]["seen_"][:] = 7
            kept["rng"].random(5)
        new.policy_.live_[:] = False
        new.classes_[:] = 0
        for part in (*new.neuron_support_, *new.neuron_ranking_):
            part[:] = 0
        new.estimator_.history_.clear()
    assert_same_fit(model, reference, X)
    assert model.estimator_.history == reference.estimator_.history
    np.testing.assert_array_equal(model.classes_, reference.classes_)
    assert model.pruning_budget == 0.6


# ------------------------------------------------------------------------------------- errors


def test_sizes_that_were_not_kept(trained):
    model, _, _ = trained
    message = (
        r"No network of pruning_budget=0.25 was kept on the path. Pass X and y for any budget; "
        r"without them there are networks with 0, 2, 4, 6, 8, 10, 12 of 20 neurons gone."
    )
    with pytest.raises(ValueError, match=message):
        model.at_budget(0.25)
    for budget in (13, 0.9, "auto"):
        with pytest.raises(ValueError, match="networks with 0, 2"):
            model.at_budget(budget)


def test_budgets_that_no_fit_takes(trained):
    model, X, y = trained
    for data in ((), (X, y)):
        with pytest.raises(ValueError, match="'pruning_budget' parameter"):
            model.at_budget(1.5, *data)
        with pytest.raises(ValueError, match="fewer than min_neurons=1: at most 18"):
            model.at_budget(19, *data)


def test_without_the_path():
    model, X, y = fitted("classifier", keep_path=False)
    assert model.pruning_path_.resume is None
    for data in ((), (X, y)):
        message = r"was fitted with keep_path=False, .*or fit anew with pruning_budget=0\.3\."
        with pytest.raises(ValueError, match=message):
            model.at_budget(0.3, *data)


def test_before_fit():
    with pytest.raises(NotFittedError):
        classifier().at_budget(0.5)


def test_data_by_halves(trained):
    model, X, y = trained
    for data in ({"X": X}, {"y": y}, {"X_val": X, "y_val": y}, {"sample_weight": y}):
        with pytest.raises(ValueError, match="X and y together"):
            model.at_budget(0.5, **data)


def test_data_that_do_not_go_with_the_network(trained):
    model, X, y = trained
    with pytest.raises(ValueError, match=r"y has the classes \[0, 1, 2, 7\], .* on \[0, 1, 2\]"):
        model.at_budget(0.5, X, np.where(np.arange(len(y)) < 9, 7, y))
    with pytest.raises(ValueError, match=r"y has the classes \[0, 1\]"):
        model.at_budget(0.5, X, y % 2)
    with pytest.raises(ValueError, match=r"X has 5 features, .* 6 features"):
        model.at_budget(0.5, X[:, :5], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.at_budget(0.5, X, y[:-1])
    values, X, y = fitted("regressor")
    with pytest.raises(ValueError, match=r"y has 2 targets, .* on 1. Pass the data of fit"):
        values.at_budget(0.5, X, np.stack([y, y], axis=1))


def test_names_of_features():
    X, y = classes_table()
    table = pd.DataFrame(X, columns=list("abcdef"))
    model = classifier().fit(table, y)
    found = model.at_budget(0.75, table, y)
    assert list(found.feature_names_in_) == list("abcdef")
    assert list(model.at_budget(0).feature_names_in_) == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        model.at_budget(0.75, table.rename(columns={"a": "z"}), y)


def test_other_rows_are_said_to_be_others(trained):
    model, X, y = trained
    with pytest.warns(PruningWarning, match="X and y are not those of fit"):
        found = model.at_budget(0.8, X[:90], y[:90])
    assert sum(found.hidden_layer_sizes_) == 4
    assert found.score(X, y) >= 0
