"""Cross-validation over budgets: scorers, weights, groups, routing, pipelines, randomness."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from budget_cv import chooser, inside_classifier
from sklearn.base import clone
from sklearn.metrics import accuracy_score, get_scorer, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_nets import (
    WeightedClassifier,
    classes_table,
    plain_classifier,
    small_classifier,
)

import sklearn_mabprune.estimators.base
import sklearn_mabprune.pruning.path
import sklearn_mabprune.pruning.rankers
from sklearn_mabprune import PruningWarning


@pytest.mark.slow
def test_scoring_decides_and_scores():
    X, y = classes_table(200)
    net, budgets = small_classifier(max_epochs=40), (0, 0.8)
    model = chooser(net, budgets=budgets, scoring="neg_log_loss").fit(X, y)
    assert (model.cv_results_["mean_test_score"] < 0).all()
    assert model.score(X, y) == get_scorer("neg_log_loss")(model, X, y)
    # The estimator inside has a score of its own, for its validation samples.
    assert model.pruning_report_.score_name == "accuracy"
    assert model.score(X, y) == get_scorer("neg_log_loss")(model.best_estimator_, X, y)
    inherited = (
        chooser(net, budgets=budgets).set_params(estimator__scoring="neg_log_loss").fit(X, y)
    )
    for name, value in model.cv_results_.items():
        if "time" in name:
            continue
        np.testing.assert_array_equal(inherited.cv_results_[name], value)
    assert inherited.score(X, y) == model.score(X, y)
    assert inherited.pruning_report_.score_name == "neg_log_loss"

    def by_size(estimator, X, y):
        return -sum(estimator.hidden_layer_sizes_)

    assert chooser(budgets=budgets, scoring=by_size).fit(X, y).best_budget_ == 0.8


def weighted(**params):
    return chooser(plain_classifier(WeightedClassifier), budgets=(0, 0.5), **params)


@pytest.mark.slow
def test_weights_in_training_and_in_scores():
    X, y = classes_table()
    weights = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    model = weighted().fit(X, y, sample_weight=weights)
    for fold, (train, test) in enumerate(StratifiedKFold(2).split(X, y)):
        one = inside_classifier(plain_classifier(WeightedClassifier))
        one.fit(X[train], y[train], sample_weight=weights[train])
        wanted = accuracy_score(y[test], one.predict(X[test]), sample_weight=weights[test])
        assert model.cv_results_[f"split{fold}_test_score"][1] == wanted
    score = accuracy_score(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == score


def test_class_weights_are_those_of_the_estimator():
    X, y = classes_table()
    weights = {0: 1.0, 1: 20.0, 2: 1.0}
    model = chooser(class_weight=weights, budgets=(0.5,)).fit(X, y)
    for fold, (train, test) in enumerate(StratifiedKFold(2).split(X, y)):
        one = inside_classifier(class_weight=weights).fit(X[train], y[train])
        found = model.cv_results_[f"split{fold}_test_score"][0]
        assert found == accuracy_score(y[test], one.predict(X[test]))
    refitted = inside_classifier(class_weight=weights).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), refitted.predict_proba(X))
    assert not np.array_equal(model.predict(X), chooser(budgets=(0.5,)).fit(X, y).predict(X))


@pytest.mark.slow
def test_groups():
    X, y = classes_table()
    groups = np.arange(len(y)) % 3
    model = chooser(cv=GroupKFold(3), budgets=(0, 0.5)).fit(X, y, groups=groups)
    by_hand = chooser(cv=list(LeaveOneGroupOut().split(X, y, groups)), budgets=(0, 0.5)).fit(X, y)
    ours, theirs = (
        {tuple(m.cv_results_[f"split{k}_test_score"]) for k in range(3)} for m in (model, by_hand)
    )
    assert ours == theirs
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        model.fit(X, y, colours=groups)


@pytest.mark.slow
def test_metadata_routing():
    X, y = classes_table()
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    groups = np.arange(len(y)) % 3
    plain = weighted(cv=GroupKFold(3)).fit(X, y, sample_weight=weights, groups=groups)
    scorer = make_scorer(accuracy_score)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = weighted(cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=True))
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False),
                             asked.set_fit_request(sample_weight=True))  # fmt: skip
        asked.fit(X, y, sample_weight=weights, groups=groups)
        silent = weighted(cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=False))
        silent.fit(X, y, sample_weight=weights, groups=groups)
        fitted = clone(pipe).fit(X, y, sample_weight=weights, groups=groups)
        assert fitted[-1].best_budget_ in (0, 0.5)
    same, other = asked.cv_results_["mean_test_score"], silent.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(same, plain.cv_results_["mean_test_score"])
    assert not np.array_equal(same, other)


@pytest.mark.slow
def test_in_a_pipeline_a_grid_and_a_cross_validation():
    X, codes = classes_table()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    y = np.array(["no", "perhaps", "yes"])[codes]
    pipe = make_pipeline(
        StandardScaler().set_output(transform="pandas"), chooser(budgets=(0, 0.5), cv=2)
    )
    grid = {"mabprunedclassifiercv__estimator__estimator__lr": [0.01, 0.03]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(frame, y)
    best = search.best_estimator_[-1]
    assert list(best.feature_names_in_) == list("abcdef")
    assert set(best.predict(search.best_estimator_[0].transform(frame))) <= set(y)
    assert np.isfinite(cross_val_score(pipe, frame, y, cv=2, error_score="raise")).all()


@pytest.mark.slow
def test_random_states():
    X, y = classes_table()
    # Accuracies of few rows are equal by chance now and then, losses are not.
    options = {"refit": False, "budgets": (0.5,), "scoring": "neg_log_loss"}
    loose = chooser(random_state=None, **options)
    scores = [loose.fit(X, y).cv_results_["mean_test_score"] for _ in range(2)]
    assert not np.array_equal(*scores)
    state = np.random.RandomState(0)
    moving = chooser(random_state=state, **options)
    scores = [moving.fit(X, y).cv_results_["mean_test_score"] for _ in range(2)]
    assert not np.array_equal(*scores)
    moving.set_params(estimator__random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(moving.fit(X, y).cv_results_["mean_test_score"], scores[0])


def test_folds_do_not_warn_that_large_budgets_cost():
    X, y = classes_table(200)
    # Its trainings end early: one of all epochs warns in each fold.
    net = small_classifier(max_epochs=500, patience=2, lr=0.05)
    quiet = chooser(net, tolerance=0.0, budgets=(0, 0.9), fine_tune_epochs=0, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.fit(X, y)
    with pytest.warns(PruningWarning, match="pruning_budget=0.9 costs more than tolerance=0.0"):
        quiet.set_params(budgets=(0.9,), refit=True).fit(X, y)


def test_progress_over_folds(caplog, capsys):
    X, y = classes_table()
    chooser(budgets=(0.5,), verbose=2, refit=False).fit(X, y)
    lines = [record.message for record in caplog.records]
    assert [line.split(",")[0] for line in lines[:2]] == [
        "cross-validation: 1 of 2 folds",
        "cross-validation: 2 of 2 folds",
    ]
    # The folds themselves are quiet.
    assert all(line.startswith("cross-validation: ") for line in lines)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("call", [2, 9])
@pytest.mark.filterwarnings("ignore:Pruning was interrupted:sklearn_mabprune.PruningWarning")
def test_ctrl_c_in_a_fold_ends_the_search(call, monkeypatch):
    """A fold does not score what a half-finished path has left."""
    X, y = classes_table()
    model = chooser()
    original, calls = sklearn_mabprune.pruning.path.remove_together, []

    def interrupted(*args):
        calls.append(0)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(sklearn_mabprune.pruning.path, "remove_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]
