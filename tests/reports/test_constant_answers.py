"""Networks that are worse than a constant answer, or no better, and features that are too large."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    PruningWarning,
)
from sklearn_mabprune.reports import notes

SMALL = {"module__hidden_layer_sizes": (16,), "lr": 0.02, "max_epochs": 30}


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)), rng


def regress(**params):
    return MABPrunedRegressor(MLPNetRegressor(**SMALL), random_state=0, **params)


def classify(**params):
    return MABPrunedClassifier(MLPNetClassifier(**SMALL), random_state=0, **params)


def warned(model, X, y, **data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PruningWarning)
        model.fit(X, y, **data)
    found = [str(each.message) for each in caught]
    assert set(found) <= set(model.pruning_report_.warnings)
    return " ".join(found)


# ------------------------------------------------------------------------ worse than constant


@pytest.mark.slow
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_features_that_are_not_scaled(n_outputs):
    X, _ = table()
    y = X[:, 0] if n_outputs == 1 else X[:, :2]
    as_they_are = MABPrunedRegressor(MLPNetRegressor(inputs=None), random_state=0)
    found = warned(as_they_are, X * 1e6, y)
    assert "The trained network is worse than the mean of y for all of the 40 valid" in found
    assert "Are the features scaled (StandardScaler)?" in found
    assert "counted from 0: " in found
    assert "worse than" not in warned(as_they_are, X, y)
    # Validation samples prefer an input stage, which scales them.
    assert "worse than" not in warned(MABPrunedRegressor(random_state=0), X * 1e6, y)


@pytest.mark.parametrize("kind", ["classes", "label sets", "names"])
def test_a_classifier_that_is_worse_than_the_majority(kind):
    """Validation contradicts what it was trained on."""
    X, rng = table()
    y = (X[:, 0] > 0.3).astype(int)
    other = np.where(X[:, 0] > 0, 0, rng.random(400) < 0.1).astype(int)
    if kind == "names":
        y, other = np.array(["no", "yes"])[y], np.array(["no", "yes"])[other]
    if kind == "label sets":
        y, other = np.c_[y, y], np.c_[other, other]
    message = {
        "classes": "worse than the most frequent class (0) for all of the 400 validation samples",
        "names": "worse than the most frequent class ('no') for all",
        "label sets": "worse than the most frequent value of each label for all",
    }[kind]
    assert message in warned(classify(), X, y, X_val=X, y_val=other)


def test_weights_say_what_the_majority_is():
    """Balanced weights make a rare class count: fewer right labels are no fault."""
    X, rng = table(600)
    y = (X[:, 0] + rng.normal(size=600) > 2).astype(int)
    assert "worse than" not in warned(classify(class_weight="balanced"), X, y)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_to_learn_is_no_fault(seed):
    X, rng = table(seed=seed)
    assert "worse than" not in warned(classify(), X, rng.integers(2, size=400))
    assert "worse than" not in warned(regress(), X, rng.normal(size=400))


def test_the_comparison_by_hand():
    right, wrong = np.zeros(50), np.ones(50)
    [text] = notes.behind_constant("zero", wrong, right, None)
    assert text.startswith("The trained network is worse than zero for all of the 50 validation")
    assert notes.behind_constant("zero", right, wrong, None) == []
    assert notes.behind_constant("zero", right, right, None) == []
    # One sample decides nothing; by their weights the others count.
    one = np.r_[1.0, np.zeros(49)]
    assert notes.behind_constant("zero", one, right, None) == []
    half = np.r_[np.ones(25), np.zeros(25)]
    assert notes.behind_constant("zero", half, 1 - half, np.r_[np.ones(25), np.full(25, 9)]) == []
    assert notes.behind_constant("zero", half, 1 - half, np.r_[np.full(25, 9), np.ones(25)])


# ------------------------------------------------------------------------ budgets and rare classes


def rare(n=3000):
    X, _ = table(n)
    return X, (X[:, 0] > 2.1).astype(int)


@pytest.mark.slow
def test_auto_on_a_rare_class_says_what_to_score():
    X, y = rare()
    found = warned(classify(pruning_budget="auto"), X, y)
    assert (
        'pruning_budget="auto" may end in a constant answer: the most frequent class (0)' in found
    )
    assert 'Pass scoring="average_precision" or scoring="balanced_accuracy"' in found
    for scoring in ("average_precision", "balanced_accuracy"):
        assert "constant" not in warned(classify(pruning_budget="auto", scoring=scoring), X, y)
    assert "constant" not in warned(classify(pruning_budget=0.5), X, y)
    assert "constant" not in warned(classify(pruning_budget="auto"), X, (X[:, 0] > 0) * 1)


def test_auto_with_a_large_tolerance_and_targets_or_label_sets():
    X, rng = table()
    message = "may end in a constant answer: the mean of y for all.* (R2), within tolerance=0.9"
    y = X[:, 0] + 2 * rng.normal(size=400)
    found = warned(regress(pruning_budget="auto", tolerance=0.9), X, y)
    assert "constant" not in warned(regress(pruning_budget="auto", tolerance=1.0), X, y)
    assert message.split(".*")[0] in found
    assert message.split(".*")[1] in found
    assert "Lower tolerance, or pass a scoring" in found
    sets = (rng.random((400, 2)) < 0.01) * 1
    sets[0] = 1
    assert "the most frequent value of each" in warned(classify(pruning_budget="auto"), X, sets)


def test_a_scorer_that_cannot_score_a_constant_answer():
    X, y = rare()

    def scoring(model, X, y):
        return model.net.module_ and model.score(X, y)

    assert "constant" not in warned(classify(pruning_budget="auto", scoring=scoring), X, y)


# ------------------------------------------------------------------------ large features


@pytest.mark.slow
def test_a_huge_cell_is_named_where_nothing_bounds_it():
    X, _ = table(2000)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    huge = X.copy()
    huge[0, 3] = 1e30
    plain = MABPrunedClassifier(MLPNetClassifier(inputs=None), random_state=0)
    found = warned(plain, huge, y)
    assert "1 sample of those that pruning measures on was left out" in found
    assert "large standard deviation" in found
    assert "counted from 0: 3. Look for wrong values" in found
    # An input stage bounds what it is given.
    assert "standard deviation" not in warned(MABPrunedClassifier(random_state=0), huge, y)


def test_large_features_by_hand():
    assert notes.large_features(np.array([1.0, 999.0])) == ""
    assert notes.large_features(np.empty(0)) == ""
    assert "(up to 5e+06), counted from 0: 2, 0. Look" in notes.large_features(
        np.array([2e3, 1.0, 5e6])
    )
    named = notes.large_features(np.array([1e3, 1.0, 5e6]), ["a", "b", "c"])
    assert "(up to 5e+06): 'c', 'a'. Look" in named
    assert "counted from 0: 6, 5, 4, 3, 2 and 2 more. " in notes.large_features(
        np.arange(7) + 1000.0
    )


# ------------------------------------------------------------------------ early stopping


class History:
    """What the remark reads of a net."""

    early_stopping = True

    def __init__(self, losses):
        self.history = [{"valid_loss": each} for each in losses]


def test_a_first_epoch_that_is_the_best_is_remarked():
    [text] = notes.first_epoch_best(History([0.5, 0.7, 0.6]))
    assert "early stopping kept the first of 3 epochs" in text
    for losses in ([0.5, 0.7, 0.4], [0.5], [], [np.nan] * 3):
        assert notes.first_epoch_best(History(losses)) == []
    net = History([0.5, 0.7])
    net.early_stopping = False
    assert notes.first_epoch_best(net) == []


def test_a_fit_whose_first_epoch_is_the_best():
    """Validation labels are turned round: all that training learns is wrong for them."""
    X, _ = table()
    y = (X[:, 0] > 0).astype(int)
    model = classify(pruning_budget=0)
    warned(model, X, y, X_val=X, y_val=1 - y)
    assert any("kept the first of" in text for text in model.pruning_report_.warnings)
