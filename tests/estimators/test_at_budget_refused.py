"""What at_budget refuses, and what it says then."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from user_nets import classes_table, classifier, fitted, labels_table

from sklearn_mabprune import PruningWarning


def test_other_kinds_of_labels_are_refused():
    X, labels = labels_table()
    one = labels @ np.arange(4) % 4
    for first, then, told in (
        (labels, one, "y has one class per sample, the network was trained on multilabel targets"),
        (one, labels, "y has multilabel targets, the network was trained on one class per sample"),
    ):
        with pytest.raises(ValueError, match=told):
            classifier().fit(X, first).at_budget(0.8, X, then)


# ------------------------------------------------------------------------------------- errors


def test_sizes_that_were_not_kept(trained):
    model, _, _ = trained
    message = (
        r"No network of pruning_budget=0.25 was kept on the path. Pass X and y for any budget; "
        r"without them there are networks with 0, 2, 4, 6, 8, 10, 12 of 20 neurons removed."
    )
    with pytest.raises(ValueError, match=message):
        model.at_budget(0.25)
    for budget in (13, 0.9, "auto"):
        with pytest.raises(ValueError, match="networks with 0, 2"):
            model.at_budget(budget)


def test_budgets_that_no_fit_takes(trained):
    model, X, y = trained
    for data in ((), (X, y)):
        with pytest.raises(ValueError, match="'pruning_budget' parameter"):
            model.at_budget(1.5, *data)
        with pytest.raises(ValueError, match="fewer than min_neurons=1: at most 18"):
            model.at_budget(19, *data)


def test_without_the_path():
    model, X, y = fitted("classifier", keep_path="never")
    assert model.pruning_path_.resume is None
    for data in ((), (X, y)):
        message = r"was fitted with keep_path='never', .*or fit anew with pruning_budget=0\.3\."
        with pytest.raises(ValueError, match=message):
            model.at_budget(0.3, *data)


def test_before_fit():
    with pytest.raises(NotFittedError):
        classifier().at_budget(0.5)


def test_data_by_halves(trained):
    model, X, y = trained
    for data, missing in (
        ({"X": X}, "y"),
        ({"y": y}, "X"),
        ({"X_val": X, "y_val": y}, "X and y"),
        ({"sample_weight": y}, "X and y"),
    ):
        with pytest.raises(
            ValueError, match=rf"the data, without {missing}\. Pass X and y together"
        ):
            model.at_budget(0.5, **data)


def test_data_that_do_not_go_with_the_network(trained):
    model, X, y = trained
    with pytest.raises(ValueError, match=r"y has the classes \[0, 1, 2, 7\], .* on \[0, 1, 2\]"):
        model.at_budget(0.5, X, np.where(np.arange(len(y)) < 9, 7, y))
    with pytest.raises(ValueError, match=r"y has the classes \[0, 1\]"):
        model.at_budget(0.5, X, y % 2)
    with pytest.raises(ValueError, match=r"X has 5 features, .* 6 features"):
        model.at_budget(0.5, X[:, :5], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.at_budget(0.5, X, y[:-1])
    values, X, y = fitted("regressor")
    with pytest.raises(ValueError, match=r"y has 2 targets, .* on 1. Pass the data of fit"):
        values.at_budget(0.5, X, np.stack([y, y], axis=1))


def test_names_of_features():
    X, y = classes_table()
    table = pd.DataFrame(X, columns=list("abcdef"))
    model = classifier().fit(table, y)
    found = model.at_budget(0.75, table, y)
    assert list(found.feature_names_in_) == list("abcdef")
    assert list(model.at_budget(0).feature_names_in_) == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        model.at_budget(0.75, table.rename(columns={"a": "z"}), y)


def test_other_rows_are_said_to_be_others(trained):
    model, X, y = trained
    with pytest.warns(PruningWarning, match="X, y or groups are not those of fit"):
        found = model.at_budget(0.8, X[:90], y[:90])
    assert sum(found.hidden_layer_sizes_) == 4
    assert found.score(X, y) >= 0
