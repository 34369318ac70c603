"""Cross-validation over budgets: several scorers, failing ones, training scores, random states."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from budget_cv import chooser, inside_classifier, value_chooser
from sklearn.metrics import accuracy_score, get_scorer
from sklearn.model_selection import GridSearchCV
from user_nets import classes_table, values_table

from sklearn_mabprune import MABPrunedClassifier, MABPrunedClassifierCV, PruningWarning

BUDGETS = (0, 0.5)


@cache
def several():
    X, y = classes_table()
    return chooser(
        budgets=BUDGETS,
        scoring=["neg_log_loss", "accuracy"],
        refit="neg_log_loss",
        return_train_score=True,
    ).fit(X, y)


def by_name(model, X, y):
    return {name: get_scorer(name)(model, X, y) for name in ("neg_log_loss", "accuracy")}


def test_several_scores_are_those_of_a_grid_search():
    X, y = classes_table()
    found = several().cv_results_
    grid = GridSearchCV(
        inside_classifier(),
        {"pruning_budget": list(BUDGETS)},
        cv=2,
        scoring=["neg_log_loss", "accuracy"],
        refit=False,
        return_train_score=True,
    ).fit(X, y)
    for name, values in grid.cv_results_.items():
        if ("score" in name and "time" not in name) or "rank" in name or "split" in name:
            np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert set(grid.cv_results_) <= set(found)


def test_one_of_several_scores_decides():
    X, y = classes_table()
    model = several()
    best = int(np.argmax(model.cv_results_["mean_test_neg_log_loss"]))
    assert model.best_index_ == best
    assert model.best_score_ == model.cv_results_["mean_test_neg_log_loss"][best]
    assert model.score(X, y) == get_scorer("neg_log_loss")(model, X, y)


@pytest.mark.parametrize(
    "scoring",
    [
        {"neg_log_loss": "neg_log_loss", "accuracy": get_scorer("accuracy")},
        ("accuracy", "neg_log_loss"),
        {"accuracy", "neg_log_loss"},
        by_name,
    ],
    ids=["dict", "tuple", "set", "callable"],
)
def test_forms_of_several_scorers(scoring):
    X, y = classes_table()
    model = chooser(budgets=BUDGETS, scoring=scoring, refit="neg_log_loss").fit(X, y)
    for name in ("mean_test_accuracy", "mean_test_neg_log_loss", "rank_test_accuracy"):
        np.testing.assert_array_equal(model.cv_results_[name], several().cv_results_[name])
    assert model.best_index_ == several().best_index_
    assert model.score(X, y) == several().score(X, y)


@pytest.mark.parametrize("scoring", [["accuracy", "r2"], by_name], ids=["list", "callable"])
@pytest.mark.parametrize("refit", [True, "f1"])
def test_which_score_decides_must_be_said(scoring, refit):
    X, y = classes_table()
    message = rf"refit={refit!r}, but scoring gives several scores: accuracy, .* refit='accuracy'"
    with pytest.raises(ValueError, match=message):
        chooser(budgets=(0.5,), scoring=scoring, refit=refit).fit(X, y)


def test_without_a_deciding_score_nothing_is_chosen():
    X, y = classes_table()
    model = chooser(budgets=(0.5,), scoring=["accuracy", "neg_log_loss"], refit=False).fit(X, y)
    assert not [name for name in vars(model) if name.startswith("best")]
    with pytest.raises(ValueError, match="fitted with refit=False"):
        model.predict(X)


def fails_in_small_networks(model, X, y):
    if sum(model.hidden_layer_sizes_) < 20:
        raise ValueError("too small")
    return accuracy_score(y, model.predict(X))


@pytest.mark.parametrize("kind", ["one", "several"])
def test_the_score_where_a_scorer_fails(kind):
    X, y = classes_table()
    scoring = {"one": fails_in_small_networks, "several": {"a": fails_in_small_networks}}[kind]
    options = {"budgets": (0, 0.9), "scoring": scoring, "refit": "a" if kind == "several" else True}
    name = "a" if kind == "several" else "score"
    with pytest.warns(PruningWarning, match=r"no scores for 1 of 2 budgets: .*too small"):
        found = chooser(**options).fit(X, y).cv_results_
    assert np.isnan(found[f"mean_test_{name}"][1])
    with pytest.raises(ValueError, match="too small"):
        chooser(**options, error_score="raise").fit(X, y)
    with pytest.warns(PruningWarning, match="for 1 of 2 budgets: .* error_score takes their place"):
        found = chooser(**options, error_score=-1).fit(X, y)
    assert found.cv_results_[f"mean_test_{name}"][1] == -1
    assert found.best_budget_ == 0


@pytest.mark.filterwarnings("ignore:Fold 1 of 2:sklearn_mabprune.PruningWarning")
def test_the_score_where_a_fit_fails():
    X, y = classes_table()
    alone, rest = np.flatnonzero(y == 0), np.flatnonzero(y != 0)
    folds = [(alone, rest), (np.arange(0, len(y), 2), np.arange(1, len(y), 2))]
    options = {"budgets": BUDGETS, "cv": folds, "return_train_score": True}
    found = chooser(**options, error_score=0.25, refit=False).fit(X, y).cv_results_
    for side in ("test", "train"):
        assert found[f"split0_{side}_score"].tolist() == [0.25, 0.25]
        mean = (found[f"split0_{side}_score"] + found[f"split1_{side}_score"]) / 2
        np.testing.assert_array_equal(found[f"mean_{side}_score"], mean)
    with pytest.raises(ValueError, match="needs at least 2 classes"):
        chooser(**options, error_score="raise").fit(X, y)


def test_a_random_state_of_the_search():
    X, y = values_table()
    given = value_chooser(budgets=(0.5,), random_state=3, refit=False).fit(X, y)
    over = value_chooser(budgets=(0.5,), random_state=None, refit=False).set_params(random_state=3)
    np.testing.assert_array_equal(
        over.fit(X, y).cv_results_["mean_test_score"], given.cv_results_["mean_test_score"]
    )
    assert over.estimator.random_state is None
    assert MABPrunedClassifierCV(MABPrunedClassifier(random_state=1)).random_state is None
