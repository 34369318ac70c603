"""Inside what scikit-learn and Dask put around an estimator."""

from __future__ import annotations

import os

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
    learning_curve,
)
from sklearn.preprocessing import StandardScaler
from user_nets import (
    classes_table,
    classifier,
    regressor,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifierCV, MABPrunedRegressorCV

BUDGETS = [0, 0.3, 0.6]
FOLDS = StratifiedKFold(2)


def by_hand(model, X, y, folds=FOLDS, **fit_params):
    """Accuracy on each fold's rows, without any of scikit-learn's machinery."""
    scores = []
    for train, test in folds.split(X, y):
        params = {name: value[train] for name, value in fit_params.items()}
        fitted = clone(model).fit(X[train], y[train], **params)
        scores.append(np.mean(fitted.predict(X[test]) == y[test]))
    return scores


# -------------------------------------------------------------------------- model selection


@pytest.mark.slow
def test_searches_find_what_a_loop_finds():
    X, y = classes_table()
    table = {budget: by_hand(classifier(pruning_budget=budget), X, y) for budget in BUDGETS}
    grid = GridSearchCV(classifier(), {"pruning_budget": BUDGETS}, cv=FOLDS).fit(X, y)
    for k in range(2):
        np.testing.assert_array_equal(
            grid.cv_results_[f"split{k}_test_score"], [table[budget][k] for budget in BUDGETS]
        )
    best = max(BUDGETS, key=lambda budget: np.mean(table[budget]))
    assert grid.best_params_ == {"pruning_budget": best}
    expected = classifier(pruning_budget=best).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(grid.predict_proba(X), expected)

    drawn = RandomizedSearchCV(
        classifier(), {"pruning_budget": BUDGETS}, n_iter=2, cv=FOLDS, random_state=0
    ).fit(X, y)
    for params, score in zip(
        drawn.cv_results_["params"], drawn.cv_results_["mean_test_score"], strict=True
    ):
        assert score == np.mean(table[params["pruning_budget"]])

    found = cross_validate(classifier(pruning_budget=0.3), X, y, cv=FOLDS, return_estimator=True)
    np.testing.assert_array_equal(found["test_score"], table[0.3])
    assert all(sum(m.hidden_layer_sizes_) == 14 for m in found["estimator"])


@pytest.mark.slow
def test_halving_keeps_the_better_half_and_gives_it_more_rows():
    X, y = classes_table(160)
    search = HalvingGridSearchCV(
        classifier(), {"pruning_budget": [0, 0.6]}, cv=FOLDS, factor=2, min_resources=80,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert search.n_resources_ == [80, 160]
    assert search.n_candidates_ == [2, 1]
    last = search.cv_results_["iter"] == 1
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        if last[list(search.cv_results_["params"]).index(params)]:
            assert score == np.mean(by_hand(classifier(**params), X, y))
    assert search.n_features_in_ == 6


@pytest.mark.slow
def test_a_dask_cluster_of_processes_changes_nothing(tmp_path):
    from dask.distributed import Client, LocalCluster

    X, y = classes_table()
    search = GridSearchCV(classifier(), {"pruning_budget": [0.3, 0.6]}, cv=FOLDS, n_jobs=-1)
    alone = clone(search).set_params(n_jobs=None).fit(X, y)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0",
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        # Where a fit runs is not in its results: ask.
        workers = {worker["pid"] for worker in client.run(_about).values()}
        assert os.getpid() not in workers
        with joblib.parallel_config(backend="dask"):
            search.fit(X, y)
    assert client.status == "closed"
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
    np.testing.assert_array_equal(search.predict_proba(X), alone.predict_proba(X))


def _about():
    torch.set_num_threads(1)
    return {"pid": os.getpid()}


@pytest.mark.slow
def test_learning_curve_scores_prefixes():
    X, y = classes_table()
    sizes, _, scores = learning_curve(classifier(), X, y, train_sizes=[30, 60], cv=FOLDS)
    assert sizes.tolist() == [30, 60]
    for k, (train, test) in enumerate(FOLDS.split(X, y)):
        for size, score in zip(sizes, scores[:, k], strict=True):
            model = classifier().fit(X[train[:size]], y[train[:size]])
            assert score == model.score(X[test], y[test])


# -------------------------------------------------------------------- around one or several


def test_calibration_of_a_fitted_model_and_of_folds():
    X, y = classes_table(240)
    model = classifier().fit(X[:120], y[:120])
    over = CalibratedClassifierCV(FrozenEstimator(model)).fit(X[120:], y[120:])
    inner = over.calibrated_classifiers_[0].estimator
    np.testing.assert_array_equal(inner.predict_proba(X), model.predict_proba(X))
    assert over.predict_proba(X).shape == (240, 3)
    assert not np.allclose(over.predict_proba(X), model.predict_proba(X))
    folds = CalibratedClassifierCV(classifier(), cv=FOLDS).fit(X, y)
    assert len(folds.calibrated_classifiers_) == 2
    np.testing.assert_allclose(folds.predict_proba(X).sum(axis=1), 1)
    assert folds.score(X, y) > 0.5


@pytest.mark.slow
def test_votes_and_stacks_are_made_of_the_same_models():
    X, y = classes_table()
    y = np.array(["a", "b", "c"])[y]
    parts = [("half", classifier()), ("most", classifier(pruning_budget=0.8))]
    probabilities = [model.fit(X, y).predict_proba(X) for _, model in parts]
    voting = VotingClassifier(parts, voting="soft").fit(X, y)
    np.testing.assert_allclose(voting.predict_proba(X), np.mean(probabilities, axis=0))
    assert set(voting.predict(X)) <= {"a", "b", "c"}
    stack = StackingClassifier(parts, LogisticRegression(), cv=FOLDS).fit(X, y)
    np.testing.assert_allclose(stack.transform(X), np.hstack(probabilities))
    assert stack.score(X, y) > 0.5


def test_bagging_fits_each_model_to_its_rows():
    X, y = classes_table()
    bag = BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(X, y)
    for model, rows in zip(bag.estimators_, bag.estimators_samples_, strict=True):
        assert len(set(rows)) < 100
        again = clone(model).fit(X, y, sample_weight=np.bincount(rows, minlength=len(X)))
        np.testing.assert_allclose(model.predict_proba(X), again.predict_proba(X), rtol=1e-6)
    mean = np.mean([model.predict_proba(X) for model in bag.estimators_], axis=0)
    np.testing.assert_allclose(bag.predict_proba(X), mean)


def test_transformed_targets():
    X, y = values_table()
    model = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp).fit(X, y)
    expected = np.exp(regressor().fit(X, np.log(y)).predict(X))
    np.testing.assert_allclose(model.predict(X), expected)


def test_permuting_a_feature_costs_what_it_is_worth():
    X, y = classes_table()
    X = np.column_stack([X, np.zeros(len(X))])
    model = classifier(pruning_budget=0.2).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0)
    assert found.importances_mean[6] == 0
    assert found.importances_mean.max() > 0.02


# ------------------------------------------------------- the budget chosen inside of them


def by_folds(kind=MABPrunedClassifierCV, model=None):
    """Chooses between two budgets in a tenth of a second."""
    return kind(model or classifier(step=0.5), budgets=(0, 0.5), cv=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        lambda model: CalibratedClassifierCV(model, cv=FOLDS),
        lambda model: VotingClassifier([("a", model), ("b", model)], voting="soft"),
        lambda model: StackingClassifier([("a", model)], cv=FOLDS),
        lambda model: BaggingClassifier(model, n_estimators=2, random_state=0),
        lambda model: HalvingGridSearchCV(
            model, {"rule": ["best", "one_std_error"]}, cv=FOLDS, error_score="raise"
        ),
    ],
    ids=["calibrated", "vote", "stack", "bag", "halving"],
)
def test_a_budget_may_be_chosen_inside_others(made):
    X, y = classes_table()
    model = made(by_folds()).fit(X, y)
    assert model.predict_proba(X).shape == (120, 3)
    assert model.score(X, y) > 0.5
    found = permutation_importance(model, X, y, n_repeats=1, random_state=0)
    assert found.importances_mean.max() > 0


@pytest.mark.slow
def test_a_budget_may_be_chosen_along_a_learning_curve_and_for_other_targets():
    X, y = classes_table()
    sizes, _, scores = learning_curve(by_folds(), X, y, train_sizes=[30, 60], cv=FOLDS)
    assert sizes.tolist() == [30, 60]
    assert np.isfinite(scores).all()
    X, y = values_table()
    model = TransformedTargetRegressor(
        by_folds(MABPrunedRegressorCV, regressor(step=0.5)), transformer=StandardScaler()
    ).fit(X, 100 * y)
    assert model.regressor_.best_budget_ in (0, 0.5)
    assert model.score(X, 100 * y) > 0.2
