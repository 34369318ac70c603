"""Estimators that choose their budget by cross-validation, each fitted in tenths of a second."""

from __future__ import annotations

import pytest
from sklearn.model_selection import KFold, StratifiedKFold
from user_nets import (
    classes_table,
    classifier,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifierCV, MABPrunedRegressorCV

GRID = (0, 0.3, 11, 0.8)
#: Parameters of the search; all others are those of the estimator inside.
SEARCH = {"budgets", "cv", "rule", "scoring", "refit", "n_jobs", "verbose"}
SEARCH |= {"error_score", "return_train_score"}


# Folds and budgets multiply the work: fewer epochs and rounds than elsewhere.
EPOCHS, ROUNDS = 4, {"step": 0.3}


def inside_classifier(net=None, **params):
    """The estimator inside of `chooser`."""
    return classifier(net or small_classifier(max_epochs=EPOCHS), **{**ROUNDS, **params})


def inside_regressor(net=None, **params):
    """The estimator inside of `value_chooser`."""
    return regressor(net or small_regressor(max_epochs=EPOCHS), **{**ROUNDS, **params})


def _searched(search, pruned, net, params):
    inside = {name: value for name, value in params.items() if name not in SEARCH}
    around = {name: value for name, value in params.items() if name in SEARCH}
    return search(pruned(net, **inside), **{"budgets": GRID, "cv": 2, **around})


def chooser(net=None, **params):
    return _searched(MABPrunedClassifierCV, inside_classifier, net, params)


def value_chooser(net=None, **params):
    return _searched(MABPrunedRegressorCV, inside_regressor, net, params)


def sizes(model):
    return sum(model.hidden_layer_sizes_)


KINDS = {
    "classifier": (chooser, inside_classifier, classes_table, StratifiedKFold(2), "accuracy"),
    "regressor": (value_chooser, inside_regressor, values_table, KFold(2), "r2"),
}
both = pytest.mark.parametrize("kind", KINDS)
