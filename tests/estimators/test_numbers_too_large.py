"""Weights, features and rows whose outputs are no numbers any more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from sklearn.frozen import FrozenEstimator
from user_nets import (
    classes_table,
    classifier,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from sklearn_mabprune import PruningWarning, UnsupportedModuleError


def swollen(factor):
    """A trained net whose weights were multiplied, and its rows."""
    X, y = classes_table()
    net = small_classifier(dtype="float32").fit(X.astype(np.float32), y)
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.mul_(factor)
    return FrozenEstimator(net), X.astype(np.float32), y


@pytest.mark.parametrize("policy", ["boundary", "ucb1", "magnitude"])
@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_weights_that_overflow(policy):
    net, X, y = swollen(1e30)
    message = (
        r"Layer '\d' \(Linear\) returns infinity or NaN for samples of X: its weights or the "
        r"features are too large. Scale the features \(StandardScaler\), and lower the net's lr"
    )
    refused(classifier(net, policy=policy), message, X, y, error=UnsupportedModuleError)
    # Large is not too large.
    assert sum(classifier(swollen(1e6)[0], policy=policy).fit(X, y).hidden_layer_sizes_) == 10


@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_rows_that_overflow():
    net, X, y = swollen(1e10)
    X[-2:] = 1e30 * X[-2:]
    refused(
        classifier(net), r"network returns infinity or NaN for \d of .* samples: its weights", X, y
    )


def test_features_too_large_for_least_squares():
    X, y = classes_table()
    message = "up to .*e\\+.*, are too large for ablation='least_squares'. Scale the features"
    refused(classifier(), message, 1e300 * X, y)


def amounts(size, rows=slice(None)):
    """A table in which an amount is wrong, in some of the rows."""
    X, y = values_table()
    X[rows, 2] *= size
    return pd.DataFrame(X, columns=["age", "income", "amount", *"def"[: X.shape[1] - 3]]), y


@pytest.mark.parametrize(
    ("size", "rows", "model", "message"),
    [
        (5e154, slice(None), "classes", "Least squares of hidden activations failed"),
        (1e160, slice(None), "classes", "are too large for ablation='least_squares'"),
        (4e154, slice(None), "values", "The loss of the trained network is inf"),
        (1e200, [3], "values", "The training loss became inf in epoch 1: .* scale the features"),
    ],
)
def test_errors_name_features_that_are_too_large(size, rows, model, message):
    """In float64, which holds them, and not their squares."""
    X, y = amounts(size, rows)
    options = {"dtype": "float64", "inputs": None, "early_stopping": False}
    options["max_epochs"] = 1 if size == 1e200 else 0
    if model == "values":
        model = regressor(small_regressor(**options))
    else:
        model, y = classifier(small_classifier(**options)), (y > np.median(y)).astype(int)
    message += r".*\(up to \d(\.\d+)?e\+\d+\): 'amount'\. Look for wrong values in them"
    refused(model, message, X, y)
    refused(model, message.replace("): 'amount'", "), counted from 0: 2"), X.to_numpy(), y)


def test_warnings_name_features_that_are_too_large():
    X, y = amounts(1e200, [3])
    with pytest.warns(PruningWarning, match=r"\(up to \d.*e\+\d+\): 'amount'\. Look for wrong"):
        classifier(small_classifier(dtype="float64")).fit(X, (y > np.median(y)).astype(int))


HUGE = {
    "features of both signs": lambda X: X * np.r_[np.full(3, 1e30), np.full(3, 1e38)],
    "one huge feature": lambda X: X * np.r_[np.ones(5), 1e140],
}


@pytest.mark.parametrize("features", HUGE)
@pytest.mark.parametrize(
    "policy", ["boundary", "ucb1", "exp3", "exp3_ix", "hedge", "top_two_thompson", "sar"]
)
@pytest.mark.filterwarnings("error::RuntimeWarning", "ignore::sklearn_mabprune.PruningWarning")
def test_losses_that_are_huge_are_compared(policy, features):
    X, y = values_table()
    net = small_regressor(dtype="float64", max_epochs=0, early_stopping=False)
    options = {"ablation": "zero", "step": 0.3, "control_variate": "linear"}
    model = regressor(net, policy=policy, **options).fit(HUGE[features](X), y)
    assert sum(model.hidden_layer_sizes_) < 20
    assert np.isfinite(model.predict(HUGE[features](X))).all()


def test_a_loss_that_is_no_number():
    X, y = values_table()
    net = small_regressor(dtype="float32", max_epochs=0)
    message = "loss of the trained network is (inf|nan) on .* Scale the features"
    for policy in ("boundary", "hedge", "exp3"):
        refused(regressor(net, policy=policy, ablation="zero"), message, 1e30 * X, y)
    # Without a removal there is nothing to compare.
    with pytest.warns(PruningWarning, match="worse than the mean"):
        model = regressor(net, pruning_budget=0).fit(1e30 * X, y)
    assert np.isfinite(model.predict(1e30 * X)).all()
