"""Nets, modules, criteria and optimizers that cannot be used, and what is said about them."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusals import Untrained, refused
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn
from user_nets import (
    Plain,
    classes_table,
    classifier,
    plain_classifier,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
)

from sklearn_mabprune import UnsupportedModuleError


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (classifier(LogisticRegression()), "skorch NeuralNetClassifier, .* got LogisticRegression"),
        (classifier(small_regressor()), "skorch NeuralNetClassifier, .* got MLPNetRegressor"),
        (regressor(small_classifier()), "skorch NeuralNetRegressor, .* got MLPNetClassifier"),
        (classifier(FrozenEstimator(LogisticRegression())), "got LogisticRegression"),
        (regressor(NeuralNetBinaryClassifier(Plain)), "got NeuralNetBinaryClassifier. Pass a MLP"),
        (classifier(3), "got int. Pass a MLPNetClassifier, or your module in a skorch"),
        (classifier(LogisticRegression()), "got LogisticRegression. Pass a MLPNetClassifier"),
        (classifier(NeuralNetClassifier),
         r"got the class NeuralNetClassifier. Pass an object: NeuralNetClassifier\(...\)"),
        (classifier(Plain()), r"got Plain. Wrap the module: NeuralNetClassifier\(Plain, ...\)"),
        (regressor(Plain), r"got the class Plain. Wrap the module: NeuralNetRegressor\(Plain"),
    ],
)  # fmt: skip
def test_estimator_of_the_wrong_kind(model, message):
    refused(model, message, error=TypeError)


def test_frozen_net_that_is_not_fitted():
    model = classifier(FrozenEstimator(small_classifier()))
    refused(model, "has a net that is not fitted. Fit it first, or pass the net without")


def test_frozen_net_of_other_features_or_classes():
    X, y = classes_table()
    net = small_classifier().fit(X[:, :5], y)
    refused(classifier(FrozenEstimator(net)), "module reads 5 features, X has 6", X, y)
    net = small_classifier().fit(X, (y > 0).astype(int))
    refused(classifier(FrozenEstimator(net)), "has 2 outputs, y needs 3", X, y)
    net = plain_classifier(classes=["a", "b", "c"]).initialize()
    message = r"trained on classes \['a', 'b', 'c'\], y has \[0, 1, 2\]"
    refused(classifier(FrozenEstimator(net)), message, X, y)


@pytest.mark.parametrize("other", [lambda y: 5 - y, lambda y: y + 1, lambda y: 2.0 * y])
def test_frozen_net_that_knows_other_numbers(other):
    X, y = classes_table()
    net = small_classifier(max_epochs=1).fit(X, y)
    message = r"trained on classes \[0, 1, 2\], y has \[.*\]. Pass y with the classes that the net"
    refused(classifier(FrozenEstimator(net)), message, X, other(y))


@pytest.mark.parametrize("given", ["sample_weight", "class_weight"])
@pytest.mark.parametrize("frozen", [False, True])
def test_net_that_cannot_use_weights(given, frozen):
    X, y = classes_table()
    net = quick_start()
    net = FrozenEstimator(net.fit(X.astype(np.float32), y)) if frozen else net
    model = classifier(net)
    weights = {"sample_weight": np.linspace(0.5, 1.5, len(X))}
    if given == "class_weight":
        model.set_params(class_weight={0: 1, 1: 2, 2: 3})
        weights = {}
    message = (
        r"sample_weight or class_weight was given, but NeuralNetClassifier cannot use weights. "
        r"Derive your net from WeightedLossMixin: class WeightedNet\(WeightedLossMixin, Neural"
    )
    refused(model, message, X, y, **weights)


class Forward(nn.Module):
    """Three layers, and a way through them that is not a chain."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU()

    def forward(self, X):
        h = self.act(self.first(X))
        if self.way == "skip":
            return self.last(self.act(self.second(h)) + h)
        return self.last(h), h


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Forward("skip"), "no units that can be removed. 'first': residual stream of 2 layers"),
        (Forward("two outputs"), r"Forward.forward .*must return one tensor .*got a tuple of 2"),
        (nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)),
         "no units that can be removed. '0': layer_norm of '1' normalises over them"),
        (nn.Sequential(nn.Linear(6, 8), nn.Bilinear(8, 8, 8), nn.Linear(8, 3)),
         r"Sequential.forward fails on samples of X, in layer '1' \(Bilinear\)"),
        (nn.Sequential(nn.Linear(6, 8), nn.Softmax(dim=1), nn.Linear(8, 3)),
         r"Layer '1' \(Softmax\) mixes neurons.* Supported is a chain of Linear"),
    ],
    ids=["skip", "two outputs", "LayerNorm", "Bilinear", "Softmax"],
)  # fmt: skip
@pytest.mark.parametrize("frozen", [False, True])
def test_modules_of_which_nothing_can_be_removed(module, message, frozen):
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, verbose=0, max_epochs=1)
    model = classifier(FrozenEstimator(net.initialize()) if frozen else net)
    refused(model, message, error=UnsupportedModuleError)


# --------------------------------------------------------- precisions, layers without a size


class Delayed(nn.Module):
    """A module with a lazy layer that nothing runs."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
        self.head = nn.LazyLinear(3)

    def forward(self, X):
        return self.body(X)


def layers(first=nn.Linear(6, 4), last=nn.Linear(4, 3)):  # noqa: B008 - copied
    return copy.deepcopy(nn.Sequential(first, nn.BatchNorm1d(4), nn.ReLU(), last))


PRECISIONS = {
    "float16": (lambda: layers().half(), r"'0.weight' is float16, but .* module.float\(\)"),
    "bfloat16": (lambda: layers().bfloat16(), r"'0.weight' is bfloat16, but networks are trained"),
    "mixed": (
        lambda: layers(last=nn.Linear(4, 3).double()),
        r"'3.weight' is float64, '0.weight' is float32, but .* all layers in the same",
    ),
    "half head": (lambda: layers(last=nn.Linear(4, 3).half()), r"'3.weight' is float16"),
    "complex": (lambda: layers().to(torch.complex64), "'0.weight' is complex64"),
    "lazy and not used": (Delayed, r"Layer 'head' \(LazyLinear\) of Delayed has no size: forward"),
}


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature:UserWarning")
def test_precisions_and_sizes_are_refused_before_the_training(name, frozen):
    module, message = PRECISIONS[name]
    net = Untrained(module(), criterion=nn.CrossEntropyLoss, verbose=0)
    net = FrozenEstimator(net.initialize()) if frozen else net
    X, y = classes_table()
    refused(classifier(net), message, X.astype(np.float32), y, error=UnsupportedModuleError)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_a_lazy_layer_that_has_its_size_is_a_layer_like_others():
    X, y = classes_table()
    module = layers(first=nn.LazyLinear(4))
    module(torch.zeros(2, 6))
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, verbose=0, max_epochs=2)
    assert sum(classifier(net).fit(X.astype(np.float32), y).hidden_layer_sizes_) == 2


# ---------------------------------------------------------------- errors of other causes

_SHORT = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 64 GB")


class EndedError(Exception):
    """A user's time limit."""


CAUSES = [MemoryError(), _SHORT, torch.OutOfMemoryError("CUDA"), TimeoutError(), EndedError()]


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("frozen", [False, True])
def test_no_memory_and_no_time_are_not_the_modules_fault(monkeypatch, cause, frozen):
    X, y = classes_table()
    net = FrozenEstimator(small_classifier().fit(X, y)) if frozen else small_classifier()

    def fails(*args):
        raise cause

    where = "training.rebuilding" if frozen else "graph.tracing"
    fake = SimpleNamespace(deepcopy=fails)
    monkeypatch.setattr(f"sklearn_mabprune.{where}.copy", fake)
    with pytest.raises(type(cause)) as caught:
        classifier(net).fit(X, y)
    assert caught.value is cause


def test_criterion_without_a_loss_for_each_row():
    class Own(nn.Module):
        def forward(self, outputs, targets):
            raise AssertionError("it was trained with")

    refused(classifier(plain_classifier(criterion=Own)), "criterion Own has no `reduction`")


def test_divergence_on_logits_where_probabilities_are_meant():
    refused(
        classifier(plain_classifier(criterion=nn.NLLLoss)),
        r"loss became nan \(NLLLoss reads probabilities .* use CrossEntropyLoss\)",
    )


def test_divergence_names_the_rate_and_the_way_out():
    net = small_classifier(lr=1e30, optimizer=torch.optim.SGD, dtype="float32")
    message = (
        r"training loss became (nan|inf) in epoch \d+: with lr=1e\+30 the training diverges. "
        r"Lower the net's lr, and scale the features \(StandardScaler\)"
    )
    refused(classifier(net), message)


@pytest.mark.parametrize("net", [small_classifier, plain_classifier])
def test_optimizers_that_need_a_closure_are_refused(net):
    X, y = classes_table()
    lbfgs = net(optimizer=torch.optim.LBFGS)
    message = r"optimizer[ =]LBFGS .*needs a closure in every step.* optimizer=torch.optim.Adam"
    refused(classifier(lbfgs), message, X, y)
    if net is small_classifier:
        with pytest.raises(ValueError, match=message):
            lbfgs.fit(X, y)


def test_a_plain_net_with_such_an_optimizer_is_pruned_without_fine_tuning():
    X, y = classes_table()
    net = plain_classifier(optimizer=torch.optim.LBFGS, max_epochs=2)
    model = classifier(net, fine_tune_epochs=0).fit(X, y)
    assert sum(model.hidden_layer_sizes_) == 9
    frozen = FrozenEstimator(clone(net).fit(X.astype(np.float32), y))
    message = "optimizer LBFGS .* or pass fine_tune_epochs=0"
    refused(classifier(frozen), message, X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="or pass fine_tune_epochs=0"):
        clone(model).fit(X, y).set_params(fine_tune_epochs=3).at_budget(0.2, X, y)


def test_batch_norm_and_batches_of_one_sample():
    message = "cannot train BatchNorm1d, which computes the mean and variance of a batch"
    X, y = classes_table(n_rows=40)
    norms = small_classifier(module__batch_norm=True)
    for net in (clone(norms).set_params(batch_size=1), plain_classifier(batch_size=1)):
        refused(classifier(net), f"batch_size=1 {message}. Pass a larger batch_size", X, y)
    net = clone(norms).fit(X, y).set_params(batch_size=1)
    refused(classifier(FrozenEstimator(net)), f"batch_size=1 {message}", X, y)
    with pytest.raises(ValueError, match=f"A single training sample {message}"):
        clone(norms).set_params(train_split=None).fit(X[:1], y[:1] * 0)
