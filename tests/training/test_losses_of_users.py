"""Criteria as users set them: weights, ignored classes, reductions, criteria of their own."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import ablations_of, block_of, generator, make_graph, make_samples
from loss_nets import Chain, Skip
from refusals import Untrained, refused
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.nn import functional as F
from user_nets import classes_table, classifier, regressor, unit_values_table

from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.ablation.estimates import estimate
from sklearn_mabprune.data.losses import SampleLoss


class Focal(nn.Module):
    """Of logits and class indices.

    Parameters
    ----------
    reduction : {"mean", "none"}
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, outputs, targets):
        losses = F.cross_entropy(outputs, targets, reduction="none")
        losses = (1 - (-losses).exp()) ** 2 * losses
        return losses if self.reduction == "none" else losses.mean()


class Number(Focal):
    """One number for all samples, whatever the reduction."""

    def forward(self, outputs, targets):
        return F.cross_entropy(outputs, targets)


class Learned(nn.Module):
    """A Gaussian whose scale is learned beside the network.

    Parameters
    ----------
    reduction : {"mean", "none"}
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction, self.log_scale = reduction, nn.Parameter(torch.zeros(1))

    def forward(self, outputs, targets):
        losses = ((outputs - targets) / self.log_scale.exp()) ** 2 / 2 + self.log_scale
        return losses if self.reduction == "none" else losses.mean()


def table():
    X, y = classes_table(128)
    return X.astype(np.float32), y


def fitted(module=Chain, criterion=nn.CrossEntropyLoss, **params):
    """A classifier that was fine-tuned by plain steps down the gradient, 100 samples each."""
    X, y = table()
    given = {"lr": 0.1, "batch_size": 100, "max_epochs": 4, "verbose": 0, **params}
    model = MABPrunedClassifier(
        NeuralNetClassifier(module, criterion=criterion, **given),
        pruning_budget=0.5,
        fine_tune_epochs=4,
        tolerance=1.0,
        random_state=0,
    )
    return model.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])


@pytest.mark.parametrize("module", [Chain, Skip])
def test_only_ratios_of_a_criterions_class_weights_matter(module):
    weights = torch.tensor([1.0, 2.0, 5.0])
    models = [fitted(module, criterion__weight=scale * weights) for scale in (1.0, 2.0**-10)]
    one, other = (model.predict_proba(table()[0]) for model in models)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("module", [Chain, Skip])
def test_steps_of_a_summed_loss_are_those_of_the_training(module):
    mean = fitted(module)
    # Each batch has 100 samples.
    total = fitted(module, criterion__reduction="sum", lr=0.001)
    one, other = (model.predict_proba(table()[0]) for model in (mean, total))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 3.0, 1.0], dtype=torch.float64)])
def test_the_mean_loss_is_that_of_the_criterion(weight):
    criterion = nn.CrossEntropyLoss(weight, ignore_index=1)
    samples = make_samples("classes")
    outputs = torch.randn(len(samples), 3, generator=generator(0), dtype=torch.float64)
    losses = SampleLoss(criterion, samples.targets)(outputs, samples.targets)
    assert float(losses.mean()) == pytest.approx(float(criterion(outputs, samples.targets)))
    assert not losses[samples.targets == 1].any()
    # Of a criterion that ignores all of them, nothing can be told.
    nothing = SampleLoss(nn.CrossEntropyLoss(ignore_index=0), torch.zeros(5, dtype=torch.int64))
    assert not nothing(outputs[:5], torch.zeros(5, dtype=torch.int64)).any()


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_class_weights_of_many_samples_have_their_mean(criterion):
    weights, n_samples = torch.tensor([0.5, 3.0, 1.0]), 2**20 + 5
    targets = torch.arange(n_samples) % 3
    losses = SampleLoss(criterion(weights), targets), SampleLoss(criterion())
    outputs = torch.ones(3, 3)
    weighted, plain = (each(outputs, torch.arange(3)) for each in losses)
    torch.testing.assert_close(weighted, plain * weights / weights[targets].double().mean().float())


def test_estimates_leave_out_a_class_that_is_ignored():
    graph, samples = make_graph("classes"), make_samples("classes")
    loss = SampleLoss(nn.CrossEntropyLoss(ignore_index=2))
    ignoring = replace(samples, loss=loss)
    counted = samples.weights.where(samples.targets != 2, 0.0)
    for given in (ignoring, replace(ignoring, weights=counted)):
        block = block_of(graph, given, ablations_of(graph, samples, "zero"))
        (found,) = estimate(block, "linear", generator(0))
        if given is ignoring:
            of_all = found * float(samples.weights.sum())
    torch.testing.assert_close(of_all, found * float(counted.sum()))


# --------------------------------------------------------------- criteria of the user's own


def test_distillation_of_classes_compares_probabilities():
    targets = torch.arange(20) % 3
    teacher = torch.randn(20, 3, generator=generator(1), dtype=torch.float64)
    outputs = teacher.clone().requires_grad_()
    loss = SampleLoss(Focal(), targets, nn.Softmax(dim=-1))
    (gradient,) = torch.autograd.grad(loss.distance(outputs, teacher, 2.0).sum(), outputs)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    moved = teacher + torch.randn(20, 3, generator=generator(2), dtype=torch.float64)
    expected = SampleLoss(nn.CrossEntropyLoss()).distance(moved, teacher, 1.0)
    torch.testing.assert_close(loss.distance(moved, teacher, 2.0), expected)


def test_distillation_of_labels_compares_their_probabilities():
    targets = torch.ones(20, 3)
    teacher, moved = torch.randn(2, 20, 3, generator=generator(1), dtype=torch.float64)
    loss = SampleLoss(nn.MultiLabelMarginLoss(), targets, torch.sigmoid)
    expected = SampleLoss(nn.BCEWithLogitsLoss()).distance(moved, teacher, 1.0)
    torch.testing.assert_close(loss.distance(moved, teacher, 2.0), expected)


@pytest.mark.parametrize("module", [Chain, Skip])
def test_a_criterion_of_logits_trains_and_teaches(module):
    X, y = table()
    model = fitted(module, Focal, predict_nonlinearity=nn.Softmax(dim=-1), max_epochs=40)
    assert model.score(X, y) > 0.6
    with torch.no_grad():
        expected = model.to_torch()(torch.as_tensor(X)).numpy()
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("criterion", "params", "message"),
    [
        (nn.CrossEntropyLoss, {"criterion__reduction": "none"}, "criterion__reduction='none' of U"),
        (nn.CrossEntropyLoss, {"predict_nonlinearity": None}, "which is not a probability"),
        (
            Number,
            {"predict_nonlinearity": nn.Softmax(dim=-1)},
            r"criterion Number with reduction='none' returns shape \(\) for 64 samples",
        ),
        (
            nn.CrossEntropyLoss,
            {"criterion__weight": torch.ones(2)},
            "criterion CrossEntropyLoss with .*weight tensor should be defined either for all 3",
        ),
    ],
)
@pytest.mark.parametrize("module", [Chain, Skip])
def test_what_cannot_be_measured_is_refused_before_the_training(criterion, params, message, module):
    refused(classifier(Untrained(module, criterion=criterion, **params)), message, *table())


def learned(model):
    return model.estimator_.criterion_.log_scale.item()


@pytest.mark.parametrize("module", [Chain, Skip])
def test_what_a_criterion_has_learned_is_kept(module):
    X, y = unit_values_table()
    X, y = X.astype(np.float32), y.astype(np.float32).reshape(-1, 1)
    net = NeuralNetRegressor(module, module__n_outputs=1, criterion=Learned, verbose=0)
    model = regressor(net.set_params(max_epochs=5, lr=0.1)).fit(X, y)
    found = learned(model)
    assert found != 0
    assert learned(pickle.loads(pickle.dumps(model))) == found
    assert learned(model.at_budget(0)) == found


@pytest.mark.parametrize("module", [Chain, Skip])
def test_estimates_that_do_not_know_a_criterion_are_refused_before_the_training(module):
    net = Untrained(module, criterion=Focal, predict_nonlinearity=nn.Softmax(dim=-1))
    message = "control_variate='fisher' knows .*MSELoss, the net has Focal"
    refused(classifier(net, control_variate="fisher"), message, *table())
    # Criteria of pruning make no estimates.
    net = NeuralNetClassifier(**{**net.get_params(deep=False), "max_epochs": 1, "verbose": 0})
    classifier(net, control_variate="fisher", policy="magnitude").fit(*table())
