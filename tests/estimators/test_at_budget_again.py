"""What at_budget starts from: the trained network, the path, and nothing of it is changed."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from same_fit import assert_same_fit
from sklearn.base import clone
from user_nets import classes_table, classifier, same_state, small_classifier, state

import sklearn_mabprune.estimators.initial
import sklearn_mabprune.pruning.path
import sklearn_mabprune.pruning.rankers
from sklearn_mabprune import PruningWarning, load
from sklearn_mabprune.policies import UCB1


@pytest.mark.slow
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
    monkeypatch.setattr(sklearn_mabprune.estimators.initial, "train", None)
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
                    {"max_pruning_samples": 50}):  # fmt: skip
        model = copy.deepcopy(fit)
        wanted = clone(model).set_params(pruning_budget=0.7, **changed).fit(X, y)
        with pytest.warns(PruningWarning) if "max_pruning_samples" in changed else np.errstate():
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
    copy.copy(model).set_params(keep_path="always").save(tmp_path / "model")
    loaded = load(tmp_path / "model").set_params(memory=model.memory, keep_path="memory")
    assert loaded.pruning_path_.resume is None
    assert_same_fit(loaded.at_budget(0.8, X, y), model.at_budget(0.8, X, y), X)
    assert same_state(state(loaded.at_budget(4).estimator_), state(model.at_budget(4).estimator_))
    model.save(tmp_path / "small")
    with pytest.raises(ValueError, match=r"comes from a pickle, a file .* keep_path='always'"):
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
