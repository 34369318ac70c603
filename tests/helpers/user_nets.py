"""Small tables and nets that several test files share; of a module, so that they pickle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification, make_regression
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    WeightedLossMixin,
)

# Few epochs of a small net, and rounds that each remove a tenth: a fit takes a tenth of a
# second. The scores of such nets are noise: `tolerance` keeps that from being a warning.
SMALL = {"module__hidden_layer_sizes": (12, 8), "max_epochs": 12, "lr": 0.01}
QUICK = {"step": 0.1, "tolerance": 10.0, "random_state": 0}


def small_classifier(**params):
    return MLPNetClassifier(**{**SMALL, **params})


def small_regressor(**params):
    return MLPNetRegressor(**{**SMALL, **params})


def classes_table(n_rows=120, n_classes=3, seed=0):
    """Float64 rows of 6 features, integer classes."""
    return make_classification(
        n_rows, 6, n_informative=5, n_redundant=0, n_classes=n_classes, random_state=seed
    )


def strings_table():
    """A frame with names of columns, and classes that are strings."""
    X, codes = classes_table()
    return pd.DataFrame(X, columns=[*"uvwxyz"]), np.array(["red", "green", "blue"])[codes]


def labels_table(n_rows=120, n_labels=4, seed=0):
    """Rows that have several labels each, and some none."""
    X, _ = classes_table(n_rows, seed=seed)
    weights = np.random.default_rng(seed).normal(size=(6, n_labels))
    return X, (X @ weights > 1.0).astype(int)


def values_table(n_rows=120, n_targets=1, seed=0):
    """Float64 rows of 6 features; targets far from 0 and of several hundred in spread."""
    X, y = make_regression(n_rows, 6, n_targets=n_targets, noise=5.0, random_state=seed)
    return X, y + 1000.0


def unit_values_table(n_rows=120, n_targets=1, seed=0):
    """Targets as a net that does not standardise wants them."""
    X, y = values_table(n_rows, n_targets, seed)
    return X, (y - y.mean(axis=0)) / y.std(axis=0)


def classifier(net=None, **params):
    """A classifier whose fit takes a tenth of a second."""
    return MABPrunedClassifier(net or small_classifier(), **{**QUICK, **params})


def regressor(net=None, **params):
    """A regressor whose fit takes a tenth of a second."""
    return MABPrunedRegressor(net or small_regressor(), **{**QUICK, **params})


def fitted(kind, **params):
    """A fitted "classifier" or "regressor", and its table."""
    X, y = classes_table() if kind == "classifier" else values_table()
    make = classifier if kind == "classifier" else regressor
    return make(**params).fit(X, y), X, y


class QuickStart(nn.Module):
    """The module of skorch's quick start, with other sizes: probabilities come out."""

    def __init__(self, num_units=10, nonlin=None):
        super().__init__()
        self.dense0 = nn.Linear(6, num_units)
        self.nonlin = nonlin or nn.ReLU()
        self.dropout = nn.Dropout(0.5)
        self.dense1 = nn.Linear(num_units, num_units)
        self.output = nn.Linear(num_units, 3)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        X = self.nonlin(self.dense1(X))
        return self.softmax(self.output(X))


class Plain(nn.Module):
    """A chain with everything that is allowed, of one's own sizes."""

    def __init__(self, n_outputs=3, width=10):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, width),
            nn.BatchNorm1d(width),
            nn.Tanh(),
            nn.Linear(width, 8),
            nn.PReLU(),
            nn.Linear(8, n_outputs),
        )

    def forward(self, X):
        return self.layers(X)


class WeightedClassifier(WeightedLossMixin, NeuralNetClassifier):
    """A net of the user's own that can be given sample weights."""


class WeightedRegressor(WeightedLossMixin, NeuralNetRegressor):
    """The same for values."""


def quick_start(**params):
    """skorch's quick-start net, silent."""
    return NeuralNetClassifier(QuickStart, **{"max_epochs": 5, "lr": 0.1, "verbose": 0, **params})


def plain_classifier(net=NeuralNetClassifier, **params):
    defaults = {"criterion": nn.CrossEntropyLoss, "max_epochs": 5, "lr": 0.05, "verbose": 0}
    return net(Plain, **{**defaults, **params})


def plain_regressor(net=NeuralNetRegressor, **params):
    defaults = {"module__n_outputs": 1, "max_epochs": 5, "lr": 0.01, "verbose": 0}
    return net(Plain, **{**defaults, **params})


def state(net):
    """A net's weights as arrays, by name."""
    return {k: v.detach().cpu().numpy().copy() for k, v in net.module_.state_dict().items()}


def same_state(one, other):
    """Whether two sets of weights are equal to the bit."""
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def further(model, X, y):
    """One more epoch of the small net."""
    codes = np.searchsorted(model.classes_, y) if hasattr(model, "classes_") and y.ndim == 1 else y
    torch.manual_seed(0)  # of Dropout, and of the order of a user's net
    model.estimator_.set_params(max_epochs=1).partial_fit(np.asarray(X), codes)


def recording(optimizer, rates):
    """A class of optimizers that notes the rate of each step."""

    def step(self, *args):
        rates.append(self.param_groups[0]["lr"])
        return optimizer.step(self, *args)

    return type("Recording", (optimizer,), {"step": step})
