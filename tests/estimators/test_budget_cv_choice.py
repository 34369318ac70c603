"""Which budget cross-validation chooses: rules, ties, sizes, grids."""

from __future__ import annotations

import numpy as np
import pytest
from budget_cv import KINDS, both, chooser, sizes
from user_nets import (
    classes_table,
)

from sklearn_mabprune.estimators.cv_scores import check_budgets, choose


def results(scores, neurons, macs=None):
    scores = np.asarray(scores, dtype=float)
    return {
        **{f"split{k}_test_score": each for k, each in enumerate(scores)},
        "mean_test_score": scores.mean(axis=0),
        "mean_n_neurons": np.asarray(neurons, dtype=float),
        "mean_n_macs": np.asarray(neurons if macs is None else macs, dtype=float),
    }


def test_rules_on_constructed_scores():
    # Means .90, .92, .91, .88; at the best one a standard error of .02 / sqrt(4) = .01.
    spread = np.array([-1, 1, -1, 1])[:, None] * 0.01 * np.sqrt(3)
    found = results(np.array([0.9, 0.92, 0.911, 0.88]) + spread, [100, 75, 50, 10])
    assert choose(found, "best", "neurons") == 1
    assert choose(found, "one_std_error", "neurons") == 2
    # A little further away it is one standard error too far.
    found = results(np.array([0.9, 0.92, 0.909, 0.88]) + spread, [100, 75, 50, 10])
    assert choose(found, "one_std_error", "neurons") == 1
    # The order of the grid does not matter, and sizes count in the unit of the budget.
    found = results(np.array([0.88, 0.912, 0.92, 0.911]) + spread, [10, 50, 75, 51], [1, 9, 8, 7])
    assert choose(found, "one_std_error", "neurons") == 1
    assert choose(found, "one_std_error", "macs") == 3


def test_the_standard_error_is_that_of_the_best():
    """Its own folds agree, whatever the others' do."""
    scores = np.array([[0.90, 0.9, 0.5], [0.90, 0.8, 0.9], [0.90, 0.9, 1.0]])
    assert choose(results(scores, [9, 5, 1]), "one_std_error", "neurons") == 0


def test_equal_scores_go_to_the_smaller_network():
    scores = np.full((3, 4), 0.9)
    assert choose(results(scores, [9, 5, 1, 7]), "best", "neurons") == 2
    # Equal but for the order of a sum.
    scores[:, 0] += 1e-15
    assert choose(results(scores, [9, 5, 1, 7]), "best", "neurons") == 2
    # One size, two scores: a grid may say the same twice in other words.
    scores = np.array([[0.9, 0.8, 0.85], [0.9, 1.0, 0.96]])
    assert choose(results(scores, [9, 5, 5]), "one_std_error", "neurons") == 2


def test_one_fold_has_no_standard_error():
    assert choose(results([[0.9, 0.91, 0.8]], [9, 5, 1]), "one_std_error", "neurons") == 1


def test_budgets_without_a_score_are_not_chosen():
    scores = np.array([[0.9, np.nan, 0.5], [0.9, 1.0, 0.5]])
    assert choose(results(scores, [9, 5, 1]), "best", "neurons") == 0


@pytest.mark.slow
@both
def test_the_rule_decides_on_the_size(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table(200)
    best = make(rule="best", cv=3).fit(X, y)
    small = make(rule="one_std_error", cv=3).fit(X, y)
    np.testing.assert_array_equal(
        best.cv_results_["mean_test_score"], small.cv_results_["mean_test_score"]
    )
    assert sizes(small) <= sizes(best)
    scores = [best.cv_results_[f"split{k}_test_score"][best.best_index_] for k in range(3)]
    error = np.std(scores, ddof=1) / np.sqrt(3)
    left = best.cv_results_["mean_n_neurons"]
    good = best.cv_results_["mean_test_score"] >= best.best_score_ - error
    assert left[small.best_index_] == left[good].min()


def test_grids_are_read_as_plain_numbers():
    found = check_budgets(np.array([0.5, 0.0]))
    assert found == [0.5, 0.0]
    assert {type(each) for each in found} == {float}
    assert [type(each) for each in check_budgets(np.arange(3))] == [int] * 3


@pytest.mark.parametrize(
    "budgets", [[], [0.5, 1.0], [-1], [-0.1], [True], ["auto"], [0.5, None], [np.nan], [[1, "a"]]]
)
def test_grids_that_are_none(budgets):
    X, y = classes_table()
    with pytest.raises(ValueError, match=r"budgets=.*(fraction in \[0, 1\)|at least one)"):
        chooser(budgets=budgets).fit(X, y)


def test_a_budget_twice():
    with pytest.raises(ValueError, match="each one once"):
        check_budgets([0.5, 0.25, 0.5])


@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_no_score_anywhere():
    X, y = classes_table()
    with pytest.raises(ValueError, match=r"No budget has a finite mean score.* Pass a scoring"):
        chooser(budgets=(0.5,), scoring=lambda model, X, y: np.nan).fit(X, y)
    with pytest.raises(ValueError, match=r"scoring=.* gives nan on the validation samples"):
        chooser().set_params(estimator__scoring=lambda model, X, y: np.nan).fit(X, y)
