"""Folds that lack a class, fits and scores that fail in some of them, folds that are read once."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
from budget_cv import inside_classifier
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from user_nets import classes_table

from sklearn_mabprune import MABPrunedClassifierCV, PruningWarning

BUDGETS = (0, 0.5)


def search(**params):
    return MABPrunedClassifierCV(inside_classifier(), **{"budgets": BUDGETS, "cv": 3, **params})


def one_rare():
    X, y = classes_table()
    y = np.array(["a", "b", "common"])[y]
    y[0] = "rare"
    return X, y


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_a_class_of_one_row_and_a_score_that_needs_all_classes():
    """No fold has it on both sides: the error says which class, and what the scorer said."""
    X, y = one_rare()
    message = (
        r"No budget has a finite mean score .* Fold 1 of 3 .* the scoring failed: .*classes.* Its "
        r"(training|test) samples lack the classes \['rare'\]\. .*Pass other folds"
    )
    with pytest.raises(ValueError, match=message):
        search(scoring="neg_log_loss").fit(X, y)


def test_a_fold_without_a_class_is_left_out_of_the_means():
    X, y = one_rare()
    y[1:3] = "rare"
    everywhere = np.arange(3, len(y))
    folds = [
        (np.r_[0, everywhere[::2]], np.r_[1, everywhere[1::2]]),
        (np.r_[2, everywhere[1::2]], np.r_[0, everywhere[::2]]),
        (everywhere[::2], np.r_[0, everywhere[1::2]]),
    ]
    message = (
        r"Fold 3 of 3 has no scores for 2 of 2 budgets: the scoring failed: .* Its training "
        r"samples lack the classes \['rare'\]\. It is left out of the means\."
    )
    with pytest.warns(PruningWarning, match=message) as caught:
        model = search(scoring="neg_log_loss", cv=folds).fit(X, y)
    assert sum("Fold" in str(each.message) for each in caught) == 1
    found = model.cv_results_
    assert np.isnan(found["split2_test_score"]).all()
    two = search(scoring="neg_log_loss", cv=folds[:2]).fit(X, y).cv_results_
    for name in ("mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_array_equal(found[name], two[name])
    assert np.isfinite(model.best_score_)


@pytest.mark.parametrize("rule", ["best", "one_std_error"])
def test_a_fold_that_cannot_be_fitted(rule):
    """Rows of one class alone; GridSearchCV has nan for it, too."""
    X, y = classes_table()
    alone, rest = np.flatnonzero(y == 0), np.flatnonzero(y != 0)
    folds = [(alone, rest), (np.arange(0, len(y), 2), np.arange(1, len(y), 2)), (rest, alone)]
    message = r"Fold 1 of 3 .* the fit failed: .*2 classes.* training samples lack the classes"
    with pytest.warns(PruningWarning, match=message):
        model = search(cv=folds, rule=rule).fit(X, y)
    assert np.isnan(model.cv_results_["split0_test_score"]).all()
    assert np.isfinite(model.cv_results_["mean_test_score"]).all()
    assert np.isfinite(model.cv_results_["mean_n_neurons"]).all()


def test_where_no_fold_can_be_fitted_the_first_error_is_raised():
    X, y = classes_table()
    order = np.argsort(y, kind="stable")
    alone = [np.flatnonzero(y == label) for label in range(2)]
    folds = [(alone[0], order), (alone[1], order)]
    with pytest.raises(ValueError, match="at least 2 classes, the data has 1 class: 0"):
        search(cv=folds).fit(X, y)


def test_a_score_that_fails_for_one_budget():
    X, y = classes_table()

    def scoring(model, X, y):
        if model.pruning_path_.layer_sizes[0] != model.hidden_layer_sizes_:
            raise ValueError("too small")
        return 1.0

    with pytest.warns(PruningWarning, match=r"no scores for 1 of 2 budgets: .*too small\. These"):
        model = search(scoring=scoring).fit(X, y)
    assert model.best_budget_ == 0


MAKE = {
    "generator": lambda X, y: StratifiedKFold(3).split(X, y),
    "iterator": lambda X, y: iter(list(StratifiedKFold(3).split(X, y))),
    "map": lambda X, y: map(tuple, StratifiedKFold(3).split(X, y)),
    "list": lambda X, y: list(StratifiedKFold(3).split(X, y)),
    "number": lambda X, y: 3,
    "splitter": lambda X, y: StratifiedKFold(3),
    "none": lambda X, y: None,
}


@cache
def of_a_number(n_folds):
    return search(cv=n_folds).fit(*classes_table()).cv_results_


@pytest.mark.slow
@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("kind", MAKE)
def test_folds_are_read_once(kind, routing):
    X, y = classes_table()
    with config_context(enable_metadata_routing=routing):
        model = search(cv=MAKE[kind](X, y), refit=False).fit(X, y)
        model.get_metadata_routing()
    for name, value in of_a_number(5 if kind == "none" else 3).items():
        if name.startswith(("split", "mean", "std")) and not name.endswith("time"):
            np.testing.assert_array_equal(model.cv_results_[name], value)


@pytest.mark.parametrize("routing", [False, True])
def test_a_generator_that_is_used_up(routing):
    X, y = classes_table()
    folds = KFold(3).split(X)
    list(folds)
    with (
        config_context(enable_metadata_routing=routing),
        pytest.raises(ValueError, match=r"cv=<generator .* gives no folds\. .*list\(cv\)"),
    ):
        search(cv=folds).fit(X, y)


def test_grid_search_has_nan_where_we_have():
    """The peer that the warning is modelled on."""
    X, y = classes_table()
    alone, rest = np.flatnonzero(y == 0), np.flatnonzero(y != 0)
    folds = [(alone, rest), (np.arange(0, len(y), 2), np.arange(1, len(y), 2))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = GridSearchCV(inside_classifier(), {"pruning_budget": BUDGETS}, cv=folds).fit(X, y)
        model = search(cv=folds).fit(X, y)
    for k in range(2):
        name = f"split{k}_test_score"
        np.testing.assert_array_equal(
            np.isnan(grid.cv_results_[name]), np.isnan(model.cv_results_[name])
        )
