"""Losses that read outputs in other units than targets: used rightly, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refusals import refused
from skorch import NeuralNetRegressor
from torch import nn
from user_nets import QUICK, regressor, values_table

from sklearn_mabprune import MABPrunedRegressor, MLPNetRegressor
from sklearn_mabprune.data.losses import SampleLoss, has_other_units


def counts_table(n_rows=400):
    """Counts whose logarithm of the rate is linear; their mean is near 4.7."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 6)).astype(np.float32)
    return X, rng.poisson(np.exp(1.4 + 0.5 * X[:, 0])).astype(np.float32)


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))


class OfTheUsers(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, outputs, targets):
        losses = (outputs - targets).abs() ** 1.5
        return losses if self.reduction == "none" else losses.mean()


class Steeper(nn.MSELoss):
    pass


class Poisson(nn.PoissonNLLLoss):
    pass


SAME = [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, OfTheUsers, Steeper]
OTHER = [nn.PoissonNLLLoss, nn.GaussianNLLLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.KLDivLoss,
         nn.SoftMarginLoss, nn.CrossEntropyLoss, nn.NLLLoss, Poisson]  # fmt: skip


def test_losses_that_read_other_units():
    assert [has_other_units(kind()) for kind in SAME] == [False] * len(SAME)
    assert [has_other_units(kind()) for kind in OTHER] == [True] * len(OTHER)


@pytest.mark.parametrize("criterion", OTHER)
def test_a_net_that_standardises_targets_refuses_them_by_name(criterion):
    message = rf"criterion={criterion.__name__} of MLPNetRegressor reads .* standardises y. Use MSE"
    X, y = counts_table()
    net = MLPNetRegressor(criterion=criterion)
    with pytest.raises(ValueError, match=message):
        net.fit(X, y)
    refused(regressor(net), message, X, y)
    refused(regressor(MLPNetRegressor(criterion=criterion())), message, X, y)
    if issubclass(criterion, nn.PoissonNLLLoss):
        refused(regressor(net), r"NeuralNetRegressor\(module, .*, predict_nonlinearity=torch.exp\)")


@pytest.mark.parametrize("criterion", SAME)
def test_a_net_that_standardises_targets_takes_the_others(criterion):
    X, y = values_table()
    net = MLPNetRegressor(criterion=criterion, max_epochs=60, lr=0.03, random_state=0).fit(X, y)
    assert np.corrcoef(net.predict(X)[:, 0], y)[0, 1] > 0.9


def poisson(layers=None, **params):
    defaults = {"criterion": nn.PoissonNLLLoss, "max_epochs": 60, "lr": 0.02, "verbose": 0,
                "optimizer": torch.optim.Adam, "predict_nonlinearity": torch.exp}  # fmt: skip
    return NeuralNetRegressor(layers or module(), **{**defaults, **params})


def test_counts_are_predicted_as_counts():
    X, y = counts_table()
    model = MABPrunedRegressor(poisson(), pruning_budget=0.5, **QUICK).fit(X, y)
    assert model.predict(X).mean() == pytest.approx(y.mean(), rel=0.1)
    assert model.predict(X).min() > 0
    assert model.score(X, y) > 0.4


@pytest.mark.parametrize(
    "params",
    [
        {"predict_nonlinearity": "auto"},
        {"predict_nonlinearity": None},
        {"predict_nonlinearity": None, "criterion": nn.PoissonNLLLoss()},
        {"predict_nonlinearity": None, "criterion": Poisson},
    ],
)
def test_predictions_that_would_be_logarithms_are_refused(params):
    message = "PoissonNLLLoss of NeuralNetRegressor reads logarithms .*predict_nonlinearity=torch."
    refused(regressor(poisson(**params)), message, *counts_table())


def test_rates_themselves_need_no_exponential():
    X, y = counts_table()
    layers = nn.Sequential(*module(), nn.Softplus())
    net = poisson(layers, criterion__log_input=False, predict_nonlinearity="auto", max_epochs=20)
    model = MABPrunedRegressor(net, **QUICK).fit(X, y)
    assert model.predict(X).min() > 0


@pytest.mark.parametrize(
    "criterion",
    [nn.PoissonNLLLoss(), nn.PoissonNLLLoss(log_input=False), nn.KLDivLoss(), nn.SoftMarginLoss(),
     nn.MSELoss(), nn.HuberLoss()],
)  # fmt: skip
def test_distillation_draws_outputs_to_those_of_the_teacher(criterion):
    teacher = torch.rand(20, 1, dtype=torch.float64, generator=torch.manual_seed(0)) + 0.5
    outputs = teacher.clone().requires_grad_()
    loss = SampleLoss(criterion).distance(outputs, teacher, 2.0)
    assert loss.shape == (20,)
    (gradient,) = torch.autograd.grad(loss.sum(), outputs)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)
    moved = SampleLoss(criterion).distance(teacher + 0.2, teacher, 2.0)
    assert bool((moved > loss.detach()).all())
