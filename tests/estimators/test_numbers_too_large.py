"""Weights, features and rows whose outputs are no numbers any more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refusals import refused
from sklearn.frozen import FrozenEstimator
from user_nets import classes_table, classifier, small_classifier

from sklearn_mabprune import UnsupportedModuleError


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
