"""What a net shows of its parameters: those that were set."""

from __future__ import annotations

import inspect

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
)


def shown(model):
    return " ".join(repr(model).split())


def test_a_repr_shows_what_was_set():
    net = MLPNetClassifier(module__hidden_layer_sizes=(32,), lr=0.1)
    inner = "estimator=MLPNetClassifier(lr=0.1, module__hidden_layer_sizes=(32,))"
    assert shown(MABPrunedClassifier(net)) == f"MABPrunedClassifier({inner})"
    assert inner in shown(make_pipeline(MABPrunedClassifier(net)))
    assert inner in shown(GridSearchCV(MABPrunedClassifier(net), {}))
    default = MABPrunedRegressor(MLPNetRegressor())
    assert shown(default) == "MABPrunedRegressor(estimator=MLPNetRegressor())"


@pytest.mark.parametrize("net", [MLPNetClassifier, MLPNetRegressor])
def test_the_signature_names_all_parameters(net):
    parameters = inspect.signature(net).parameters
    assert {"lr", "max_epochs", "early_stopping", "device", "train_split"} <= set(parameters)
    made = net(module__hidden_layer_sizes=(4,))
    for name, value in made.get_params(deep=False).items():
        assert name == "module__hidden_layer_sizes" or parameters[name].default is value, name


def test_private_attributes_of_skorch_are_no_parameters():
    ours = MLPNetClassifier(module__hidden_layer_sizes=(32,))
    users = NeuralNetClassifier(nn.Linear, module__in_features=4, module__out_features=2)
    for net in (ours, users):
        names = MABPrunedClassifier(net).get_params()
        assert not [name for name in names if "___" in name or name.startswith("_")]
    assert not [name for name in ours.get_params() if name.startswith("_")]
    again = clone(MABPrunedClassifier(ours)).estimator
    assert again.get_params()["module__hidden_layer_sizes"] == (32,)
    with pytest.raises(TypeError, match="did you mean module__hidden_layer_sizes"):
        clone(ours).set_params(module__hidden_layer_size=(3,)).initialize()
