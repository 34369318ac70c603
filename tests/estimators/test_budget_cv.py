"""The budget by cross-validation: one training per fold, scores as of fits of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from budget_cv import GRID, KINDS, both, chooser, inside_classifier, sizes
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score, get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
)
from user_nets import (
    classes_table,
    labels_table,
    same_state,
    small_classifier,
    state,
)

import sklearn_mabprune.estimators.initial
import sklearn_mabprune.pruning.path
import sklearn_mabprune.pruning.rankers


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_sparse_rows_and_several_labels(several):
    X, y = labels_table() if several else classes_table()
    rows = sparse.csr_matrix(np.where(np.abs(X) > 0.7, X, 0))
    thin, full = chooser(cv=KFold(2)).fit(rows, y), chooser(cv=KFold(2)).fit(rows.toarray(), y)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(thin.cv_results_[name], full.cv_results_[name], atol=0.02)
    assert thin.multilabel_ == several
    assert thin.predict(rows).shape == y.shape
    assert thin.score(rows, y) == accuracy_score(y, thin.predict(rows.toarray()))


@pytest.mark.slow
@both
def test_scores_are_those_of_fits_of_their_own(kind):
    make, plain, table, cv, scoring = KINDS[kind]
    X, y = table()
    model = make(pull_batch_size=30).fit(X, y)
    results = model.cv_results_
    wanted, neurons, parameters, macs = np.empty((4, 2, len(GRID)))
    for fold, (train, test) in enumerate(cv.split(X, y)):
        for k, budget in enumerate(GRID):
            one = plain(pull_batch_size=30, pruning_budget=budget).fit(X[train], y[train])
            wanted[fold, k] = get_scorer(scoring)(one, X[test], y[test])
            neurons[fold, k] = sizes(one)
            parameters[fold, k] = one.pruning_path_.n_parameters[-1]
            macs[fold, k] = one.pruning_path_.n_macs[-1]
    for fold in range(2):
        np.testing.assert_array_equal(results[f"split{fold}_test_score"], wanted[fold])
    np.testing.assert_array_equal(results["mean_test_score"], wanted.mean(axis=0))
    np.testing.assert_array_equal(results["std_test_score"], wanted.std(axis=0))
    np.testing.assert_array_equal(results["mean_n_neurons"], neurons.mean(axis=0))
    np.testing.assert_array_equal(results["mean_n_parameters"], parameters.mean(axis=0))
    np.testing.assert_array_equal(results["mean_n_macs"], macs.mean(axis=0))
    best = int(np.argmax(wanted.mean(axis=0)))
    assert model.best_score_ == wanted.mean(axis=0)[best]
    # The network is that of one fit on all rows.
    refitted = plain(pull_batch_size=30, pruning_budget=model.best_budget_).fit(X, y)
    assert same_state(state(model.estimator_), state(refitted.estimator_))
    np.testing.assert_array_equal(model.predict(X), refitted.predict(X))
    assert model.score(X, y) == refitted.score(X, y)


TIMES = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"}


@pytest.mark.slow
def test_the_table_is_laid_out_as_in_a_grid_search():
    X, y = classes_table()
    found = chooser(return_train_score=True).fit(X, y)
    grid = GridSearchCV(
        inside_classifier(),
        {"pruning_budget": list(GRID)},
        cv=2,
        refit=False,
        return_train_score=True,
    ).fit(X, y)
    timed = {name for name in grid.cv_results_ if "time" in name}
    sized = {"mean_n_neurons", "mean_n_parameters", "mean_n_macs"}
    assert set(found.cv_results_) == set(grid.cv_results_) | sized
    assert all((found.cv_results_[name] >= 0).all() for name in timed)
    assert (found.cv_results_["mean_fit_time"] > 0).all()
    assert found.n_splits_ == grid.n_splits_
    assert found.refit_time_ > 0
    for name in set(grid.cv_results_) - timed:
        wanted = grid.cv_results_[name]
        assert type(found.cv_results_[name]) is type(wanted)
        if isinstance(wanted, np.ndarray) and name != "param_pruning_budget":
            assert found.cv_results_[name].dtype == wanted.dtype
        assert list(found.cv_results_[name]) == list(wanted), name
    assert len(pd.DataFrame(found.cv_results_)) == len(GRID)
    assert found.best_budget_ == GRID[found.best_index_]


@pytest.fixture
def trainings(monkeypatch):
    """Rows of each initial training."""
    seen = []
    original = sklearn_mabprune.estimators.initial.train

    def train(net, data, *args, **kwargs):
        seen.append(len(data))
        return original(net, data, *args, **kwargs)

    monkeypatch.setattr(sklearn_mabprune.estimators.initial, "train", train)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(("budgets", "refit"), [((0.5,), True), ((0, 3, 17, 0.35), False)])
def test_one_training_a_fold(trainings, budgets, refit):
    X, y = classes_table()
    chooser(budgets=budgets, refit=refit, cv=3, validation_fraction=0.2).fit(X, y)
    assert len(trainings) == 3 + refit
    assert set(trainings[:3]) <= set(range(62, 67))


@pytest.mark.parametrize("budgets", [(0, 0.25, 0.5, 0.75), (27, 18, 9, 0)])
def test_one_path_a_fold(budgets, monkeypatch):
    X, y = classes_table()
    rounds = []
    original = sklearn_mabprune.pruning.rankers.RoundPulls
    monkeypatch.setattr(
        sklearn_mabprune.pruning.rankers, "RoundPulls", lambda *a: rounds.append(0) or original(*a)
    )
    net = small_classifier(module__hidden_layer_sizes=(20, 16))
    split = [(np.arange(60), np.arange(60, 120))]
    chooser(net, budgets=budgets, cv=split, step=1, refit=False).fit(X, y)
    # The longest, and for each other one at most what lies between two kept networks.
    assert 27 <= len(rounds) <= 27 + 2 * 4


@pytest.mark.slow
def test_memory_of_the_cache_keeps_one_network_a_fold(tmp_path):
    X, y = classes_table()
    model = chooser(memory=str(tmp_path))
    model.fit(X, y)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2 + 1
    again = clone(model).set_params(rule="one_std_error").fit(X, y)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2 + 1
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], model.cv_results_["mean_test_score"]
    )


@pytest.mark.slow
@both
def test_two_workers_find_the_same(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    one, two = make().fit(X, y), make(n_jobs=2).fit(X, y)
    for name in one.cv_results_.keys() - TIMES:
        value = one.cv_results_[name]
        np.testing.assert_array_equal(two.cv_results_[name], value)
    np.testing.assert_array_equal(two.predict(X), one.predict(X))
