"""scikit-learn's own checks of estimators, all of them, none expected to fail."""

from __future__ import annotations

from unittest import SkipTest

import pytest
import sklearn
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MABPrunedRegressorCV,
    MLPNetClassifier,
    MLPNetRegressor,
)

# A green run does not tell how many checks there were: with other tags there are fewer.
N_CLASSIFIER, N_REGRESSOR = {"1.6": (65, 59)}.get(sklearn.__version__[:3], (67, 61))
# Its class weights are those of the estimator inside: check_class_weight_classifiers is not for it.
N_CLASSIFIER_WITH_FOLDS = N_CLASSIFIER - 1

# For a method that neural networks of scikit-learn do not have either.
DECISION_FUNCTION = "check_classifiers_multilabel_output_format_decision_function"

# Folds multiply the work: a net that learns in a few epochs, one round, two budgets.
# skorch's log of epochs is left out: it takes a tenth of such a fit, and prints nothing.
TINY = {
    "module__hidden_layer_sizes": (8,),
    "max_epochs": 10,
    "lr": 0.1,
    "callbacks__print_log": None,
}
# The checks set random_state only where the estimator itself has one.
QUICK = {"step": 0.5, "fine_tune_epochs": 1, "random_state": 0}
FOLDS = {"budgets": (0, 0.5), "cv": 2}

CASES = {
    "classifier": (MABPrunedClassifier(), N_CLASSIFIER),
    "regressor": (MABPrunedRegressor(), N_REGRESSOR),
    "classifier with folds": (
        MABPrunedClassifierCV(MABPrunedClassifier(MLPNetClassifier(**TINY), **QUICK), **FOLDS),
        N_CLASSIFIER_WITH_FOLDS,
    ),
    "regressor with folds": (
        MABPrunedRegressorCV(MABPrunedRegressor(MLPNetRegressor(**TINY), **QUICK), **FOLDS),
        N_REGRESSOR,
    ),
}
CHECKS = {
    name: [
        (model, check)
        for model, check in estimator_checks_generator(estimator, mark=None)
        if check.func.__name__ != DECISION_FUNCTION
    ]
    for name, (estimator, _) in CASES.items()
}


def _name(check):
    """A check's name, with its arguments: some checks run twice, with others."""
    arguments = [f"{key}={value}" for key, value in sorted(check.keywords.items())]
    return " ".join([check.func.__name__, *arguments])


PARAMETERS = [
    pytest.param(
        estimator,
        check,
        id=f"{name}: {_name(check)}",
        # Folds train often.
        marks=pytest.mark.slow if name.endswith("folds") else [],
    )
    for name, checks in CHECKS.items()
    for estimator, check in checks
]


# The checks' tables have a few dozen rows: budgets cost more than they may, and sometimes
# there are too few rows to set some apart. Both is said in a warning, as it should be.
@pytest.mark.filterwarnings("ignore::sklearn_mabprune.PruningWarning")
@pytest.mark.parametrize(("estimator", "check"), PARAMETERS)
def test_check(estimator, check):
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.fail(f"no check may be left out: {reason}")


@pytest.mark.parametrize("name", CASES)
def test_number_of_checks(name):
    assert len(CHECKS[name]) == CASES[name][1]
    assert not hasattr(CASES[name][0], "decision_function")
