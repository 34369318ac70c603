"""Networks that were kept on the path, without the data."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from same_fit import assert_same_fit, numbers
from scipy import sparse
from sklearn.base import clone
from user_nets import classes_table, classifier, fitted, same_state, small_classifier, state

import sklearn_mabprune.estimators.initial
import sklearn_mabprune.pruning.path
import sklearn_mabprune.pruning.rankers


@pytest.mark.slow
def test_timing_a_kept_network_of_many_features_takes_little_memory():
    X, y = classes_table()
    wide = sparse.hstack([sparse.csr_matrix(X), sparse.csr_matrix((len(X), 400_000))], "csr")
    net = small_classifier(module__hidden_layer_sizes=(4,), max_epochs=2)
    model = classifier(net, fine_tune_epochs=0).fit(wide, y)
    report = model.at_budget(0).pruning_report_
    assert report.batch_size == 2**24 // wide.shape[1] < model.pruning_report_.batch_size
    assert len(report.unused_features) == 400_000


# --------------------------------------------------------------------------- without the data


def test_kept_networks_at_once(trained, monkeypatch):
    model, X, _ = trained
    path = model.pruning_path_
    monkeypatch.setattr(sklearn_mabprune.estimators.initial, "train", None)
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


@pytest.mark.slow
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
        texts = ours.pop("remarks"), theirs.pop("remarks")
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
    kept.keep_path = "always"
    again = pickle.loads(pickle.dumps(kept)).set_params(keep_path="memory")
    assert_same_fit(again.at_budget(0.6, X, y), model, X)


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
    reference = copy.deepcopy(model)
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
            kept["chooser"].seen_[:] = 7
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
