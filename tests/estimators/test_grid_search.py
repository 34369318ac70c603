"""Grids, pipelines, cross-validation, and the cache of initial trainings."""

from __future__ import annotations

from functools import cache, wraps

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    plain_classifier,
    quick_start,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

import sklearn_mabprune.estimators.initial
from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor, MLPNetClassifier
from sklearn_mabprune.policies import UCB1, Thompson


def frame(n_rows=120):
    X, y = classes_table(n_rows)
    table = pd.DataFrame(X, columns=list("abcdef"))
    table["colour"] = np.array(["red", "green", "blue"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 1)]
    return table, pd.Series(np.array(["no", "perhaps", "yes"])[y], name="answer")


def pipeline(model):
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), list("abcdef")), ("words", OneHotEncoder(), ["colour"])]
    )
    return Pipeline([("columns", columns), ("model", model)])


@pytest.mark.slow
def test_grid_of_everything_in_a_pipeline_on_two_workers():
    X, y = frame()
    model = classifier(small_classifier(max_epochs=4))
    sizes = "model__estimator__module__hidden_layer_sizes"
    rates = {"model__estimator__lr": [1e-6, 0.02]}
    grid = [
        {"model__policy": ["ucb1"], "model__pruning_budget": [0, 0.5], sizes: [(4,)], **rates},
        {"model__policy": ["magnitude"], "model__pruning_budget": [0.5], sizes: [(12, 8)], **rates},
    ]
    search = GridSearchCV(pipeline(model), grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    results = search.cv_results_
    assert len(results["params"]) == 6
    assert np.isfinite(results["mean_test_score"]).all()
    best = search.best_estimator_["model"]
    for name, value in search.best_params_.items():
        assert best.get_params()[name.removeprefix("model__")] == value
    assert search.best_params_["model__estimator__lr"] == 0.02, "at 1e-6 nothing is learned"
    hidden = sum(search.best_params_[sizes])
    gone = int(search.best_params_["model__pruning_budget"] * hidden)
    assert sum(best.hidden_layer_sizes_) == hidden - gone
    assert set(search.predict(X)) <= {"no", "perhaps", "yes"}
    # One worker finds the same.
    again = GridSearchCV(pipeline(model), grid, cv=2, n_jobs=1, error_score="raise").fit(X, y)
    np.testing.assert_array_equal(again.cv_results_["mean_test_score"], results["mean_test_score"])


@pytest.mark.slow
def test_grid_over_a_parameter_of_a_policy_object():
    X, y = classes_table(240)
    net = small_classifier(module__hidden_layer_sizes=(16, 10), max_epochs=6)
    model = classifier(net, policy=UCB1(exploration=0.3), pull_batch_size=20, pruning_budget=0.7)
    values = [0.0, 0.1, 10.0]
    search = GridSearchCV(model, {"policy__exploration": values}, cv=2, error_score="raise")
    search.fit(X, y)
    assert search.best_estimator_.policy_.exploration == search.best_params_["policy__exploration"]
    assert model.policy.exploration == 0.3
    pulls = [
        clone(model).set_params(policy__exploration=value).fit(X, y).pruning_path_.loss_increase
        for value in values
    ]
    assert not all(np.array_equal(a, b) for a, b in zip(pulls[0], pulls[2], strict=True)), (
        "exploration changes what is measured"
    )


@pytest.mark.slow
def test_grid_over_policy_objects_and_nets():
    X, y = classes_table()
    grid = {
        "policy": [UCB1(exploration="noise"), Thompson(), "random"],
        "estimator": [small_classifier(max_epochs=3), quick_start(max_epochs=2)],
    }
    search = GridSearchCV(classifier(), grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 6


def test_grid_that_sets_a_net_and_its_parameters_together():
    X, y = classes_table()
    grid = {"estimator": [MLPNetClassifier(max_epochs=2)], "estimator__lr": [0.01, 0.02]}
    model = MABPrunedClassifier(tolerance=1.0, random_state=0, step=0.2)
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 2


def test_regressor_in_a_grid():
    X, y = values_table()
    model = make_pipeline(
        StandardScaler(), MABPrunedRegressor(small_regressor(), tolerance=10.0, random_state=0)
    )
    grid = {"mabprunedregressor__pruning_budget": [0, 0.5, 3]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.slow
def test_cross_validation_with_several_scores():
    X, y = classes_table()
    found = cross_validate(
        classifier(), X, y, cv=3, scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"], n_jobs=2,
        error_score="raise",
    )  # fmt: skip
    assert np.isfinite(found["test_roc_auc_ovr"]).all()


# ---------------------------------------------------------------------------------- memory

BUDGETS = [0, 0.5, 0.9]
N_FOLDS = 2


def search_of_budgets(memory=None):
    return GridSearchCV(
        classifier(memory=memory), {"pruning_budget": BUDGETS}, cv=StratifiedKFold(N_FOLDS),
        refit=False, error_score="raise",
    )  # fmt: skip


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """A file with a line for every initial training, in whichever process."""
    log = tmp_path / "trainings.txt"
    log.write_text("")
    original = sklearn_mabprune.estimators.initial.train

    @wraps(original)  # the cache reads its signature
    def train(net, data, *args, **kwargs):
        with open(log, "a") as file:
            file.write(f"{len(data)}\n")
        return original(net, data, *args, **kwargs)

    monkeypatch.setattr(sklearn_mabprune.estimators.initial, "train", train)
    return lambda: [int(line) for line in log.read_text().split()]


@cache
def scores_without_memory():
    plain = search_of_budgets().fit(*classes_table(180))
    names = [f"split{fold}_test_score" for fold in range(N_FOLDS)]
    return {name: plain.cv_results_[name] for name in names}


def test_without_memory_every_budget_trains_each_fold(trainings):
    search_of_budgets().set_params(cv=2).fit(*classes_table(90))
    assert len(trainings()) == len(BUDGETS) * 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["path", "object"])
def test_memory_trains_each_fold_once(kind, trainings, tmp_path):
    X, y = classes_table(180)
    place, expected = str(tmp_path / "cache"), scores_without_memory()
    before = len(trainings())
    cached = search_of_budgets(place if kind == "path" else joblib.Memory(place, verbose=0))
    cached.fit(X, y)
    assert len(trainings()) == before + N_FOLDS
    for name, scores in expected.items():
        np.testing.assert_array_equal(cached.cv_results_[name], scores)
    # The refit is on other rows: once more, and never again.
    cached.set_params(refit=True).fit(X, y)
    assert len(trainings()) == before + N_FOLDS + 1
    cached.fit(X, y)
    assert len(trainings()) == before + N_FOLDS + 1
    uncached = classifier(pruning_budget=cached.best_params_["pruning_budget"]).fit(X, y)
    np.testing.assert_array_equal(
        cached.best_estimator_.predict_proba(X), uncached.predict_proba(X)
    )


@pytest.mark.slow
def test_memory_without_counting_hooks(tmp_path):
    """The store of the cache itself: one entry a fold, and one for the refit."""
    X, y = classes_table(180)
    model = classifier(memory=str(tmp_path))
    GridSearchCV(model, {"pruning_budget": BUDGETS}, cv=3, n_jobs=2, error_score="raise").fit(X, y)
    entries = list(tmp_path.rglob("output.pkl"))
    assert len(entries) == 4


NETS = {
    "ours": small_classifier,
    "quick start": quick_start,
    "weighted": lambda: plain_classifier(WeightedClassifier),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_what_the_cache_knows_apart(name, trainings, tmp_path):
    X, y = classes_table()
    model = classifier(NETS[name](), memory=str(tmp_path / "cache"))
    fits = 0

    def fit(expected, rows=X, targets=y, weights=None, **params):
        nonlocal fits
        fits += expected
        done = clone(model).set_params(**params).fit(rows, targets, sample_weight=weights)
        assert len(trainings()) == fits, params
        return done

    first = fit(1)
    # How it is pruned does not matter to the training...
    for params in ({"policy": "thompson"}, {"policy": UCB1()}, {"pruning_budget": 0.2}, {"step": 3},
                   {"fine_tune_epochs": 1}, {"keep_path": "never"}):  # fmt: skip
        fit(0, **params)
    # ... how it is trained, on what, does.
    fit(1, estimator__lr=0.03)
    fit(1, estimator__max_epochs=2)
    fit(1, random_state=1)
    fit(1, rows=X + 1)
    fit(1, targets=(y + 1) % 3)
    fit(1, validation_fraction=0.3)
    if name != "quick start":
        fit(1, weights=np.linspace(0.5, 1.5, len(X)))
        fit(1, class_weight={0: 1.0, 1: 2.0, 2: 1.0})
    again = fit(0)
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    assert same_state(state(again.estimator_), state(first.estimator_))


def test_progress_is_not_part_of_the_key(trainings, tmp_path, capsys):
    X, y = classes_table()
    for verbose in (0, 1, 2):
        classifier(memory=str(tmp_path / "cache"), verbose=verbose).fit(X, y)
    assert len(trainings()) == 1
    assert capsys.readouterr().out == ""


def test_a_cached_net_is_not_changed_by_fits(tmp_path):
    X, y = classes_table()
    model = classifier(memory=str(tmp_path), pruning_budget=0)
    first = model.fit(X, y).predict_proba(X)
    classifier(memory=str(tmp_path), pruning_budget=0.9).fit(X, y).estimator_.partial_fit(X, y)
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), first)


def test_scores_of_folds_are_of_rows_not_seen():
    X, y = classes_table(150)
    y = np.random.default_rng(0).permutation(y)  # nothing can be learned from others
    scores = cross_val_score(classifier(small_classifier(max_epochs=40)), X, y, cv=3)
    assert scores.mean() < 0.5
