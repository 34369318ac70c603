"""Mistakes of a first day with nets: said by name before the training, with a way out."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from refusals import Untrained, refused
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from user_nets import (
    Plain,
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    regressor,
    small_classifier,
    values_table,
)

ADAM = torch.optim.Adam([nn.Parameter(torch.zeros(1))])


class Focal(nn.Module):
    """A loss of the user's own, of logits and class indices."""

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, y):
        losses = nn.functional.cross_entropy(logits, y, reduction="none")
        losses = (1 - torch.exp(-losses)) ** 2 * losses
        return losses if self.reduction == "none" else losses.mean()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"optimizer": "adamw"}, r"optimizer='adamw' of \w+ is not .* Pass torch.optim.AdamW\."),
        ({"optimizer": None}, r"optimizer=None of \w+ is not a class. Pass torch.optim.Adam\."),
        ({"optimizer": ADAM}, r"optimizer=Adam of \w+ is not .* Pass the class, torch.optim.Adam"),
        ({"criterion": "mse"}, r"criterion='mse' of .* Pass torch.nn.CrossEntropyLoss\."),
        ({"criterion": "BCELoss"}, r"criterion='BCELoss' of .* Pass torch.nn.BCEWithLogitsLoss\."),
        ({"callbacks": "x"}, r"callbacks='x' of \w+ is not a list. Pass a list of callbacks"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("net", [small_classifier, plain_classifier])
def test_parts_of_a_net_that_are_no_classes(net, params, message):
    refused(classifier(net(**params)), message, error=TypeError)


def test_parts_of_other_nets_and_of_nets_alone():
    refused(classifier(NeuralNetClassifier("Net")), "module='Net' of", error=TypeError)
    net = NeuralNetRegressor(Plain, criterion="mae")
    refused(regressor(net), "Pass torch.nn.L1Loss", *values_table(), error=TypeError)
    with pytest.raises(TypeError, match=r"optimizer='sgd' .* Pass torch.optim.SGD\."):
        small_classifier(optimizer="sgd").fit(*classes_table())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_epochs": "9"}, "'max_epochs' parameter of .* Got '9' instead"),
        ({"max_epochs": 2.5}, "'max_epochs' parameter of .* Got 2.5 instead"),
        ({"lr": -1}, "'lr' parameter of .* Got -1 instead"),
        ({"device": "gpu"}, "device='gpu' of .* is not a device of torch. Pass 'cpu', or 'cuda'"),
        ({"device": None}, "device=None of .* is not a device of torch"),
    ],
)
@pytest.mark.parametrize("net", [small_classifier, plain_classifier])
def test_numbers_and_devices_of_a_net(net, params, message):
    refused(classifier(net(**params)), message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    message = "device='cuda' of MLPNetClassifier cannot be used here: .* Pass 'cpu', or see"
    refused(classifier(small_classifier(device="cuda")), message)


@pytest.mark.parametrize("criterion", [nn.MSELoss, nn.L1Loss, nn.HuberLoss])
@pytest.mark.parametrize("frozen", [False, True])
def test_losses_of_values_for_classes(criterion, frozen):
    net = Untrained(Plain, criterion=criterion)
    if frozen:
        net = FrozenEstimator(net.initialize())
    name = criterion.__name__
    refused(classifier(net), f"criterion {name} does not compare outputs with classes. Pass crit")


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_losses_of_classes_for_values(criterion):
    net = NeuralNetRegressor(Plain, module__n_outputs=1, criterion=criterion, verbose=0)
    message = f"criterion {criterion.__name__} is for classes, and y of a regressor has values"
    refused(regressor(net), message, *values_table())


@pytest.mark.parametrize("criterion", [Focal, nn.MultiMarginLoss])
def test_logits_of_a_loss_that_skorch_does_not_know(criterion):
    message = rf"predicts .*, which is not a probability: .* criterion is {criterion.__name__}. Pas"
    refused(classifier(Untrained(Plain, criterion=criterion)), message)
    frozen = FrozenEstimator(Untrained(Plain, criterion=criterion).initialize())
    refused(classifier(frozen), message)
    softmax = functools.partial(torch.softmax, dim=-1)
    net = plain_classifier(criterion=criterion, predict_nonlinearity=softmax)
    X, y = classes_table()
    proba = classifier(net).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)


def test_logits_for_probabilities_of_labels():
    X, y = labels_table()
    net = Untrained(Plain, module__n_outputs=4, criterion=nn.BCELoss)
    refused(classifier(net), "Pass criterion=nn.BCEWithLogitsLoss, or end the module", X, y)


class FocalOfLabels(nn.Module):
    """A loss of the user's own, of logits and an indicator matrix."""

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, logits, y):
        losses = nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none") ** 2
        return losses if self.reduction == "none" else losses.mean()


def test_logits_of_labels():
    X, y = labels_table()
    params = {"module__n_outputs": 4, "criterion": FocalOfLabels}
    message = "For several labels pass torch.sigmoid, and callbacks__valid_acc=None"
    refused(classifier(Untrained(Plain, **params)), message, X, y)
    params |= {"predict_nonlinearity": torch.sigmoid, "callbacks__valid_acc": None}
    proba = classifier(plain_classifier(**params)).fit(X, y).predict_proba(X)
    assert proba.shape == y.shape
    assert proba.min() > 0
    assert proba.max() < 1


def test_steps_and_modules_in_place_of_a_net():
    pipeline = make_pipeline(StandardScaler(), small_classifier())
    message = "got Pipeline. Pass the net alone; the steps before it belong in a pipeline around"
    refused(classifier(pipeline), message, error=TypeError)
    refused(classifier(FrozenEstimator(pipeline)), message, error=TypeError)
    message = r"If it is trained already: FrozenEstimator\(NeuralNetClassifier\(module\)"
    refused(classifier(Plain()), message, error=TypeError)


def test_policies_and_budgets_as_they_are_written_elsewhere():
    refused(classifier(policy="UCB1"), "policy='UCB1' is unknown. Did you mean 'ucb1'?")
    refused(classifier(small_classifier(), pruning_budget=50), "is a count: 50 % is 0.5.")


def test_validation_samples_by_position():
    X, y = classes_table()
    message = r"sample_weight is a tuple of arrays.* fit\(X, y, X_val=X_val, y_val=y_val\)"
    refused(classifier(), message, X, y, (X, y), error=TypeError)


def test_a_cache_that_no_fit_would_find(tmp_path):
    model = classifier(small_classifier(), memory=str(tmp_path), random_state=None)
    with pytest.warns(UserWarning, match="memory is set, but random_state=None: each fit draws"):
        model.fit(*classes_table())
