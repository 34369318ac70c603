"""Rates of fine-tuning: that of a network, and those of parts that are trained slowly or not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from user_nets import recording

from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.fine_tuning import FineTuning, fine_tune, starting_rate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


class Chain(nn.Module):
    """Layers one after the other.

    Parameters
    ----------
    frozen : bool
        Whether the first ones keep the weights that they have.
    """

    def __init__(self, frozen=False):
        super().__init__()
        self.first, self.norm, self.act = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.PReLU(8)
        self.middle, self.rest, self.last = nn.Linear(8, 6, bias=False), nn.ReLU(), nn.Linear(6, 2)
        for part in (self.first, self.norm, self.act, self.middle):
            part.requires_grad_(not frozen)

    def forward(self, x):
        return self.last(self.rest(self.middle(self.act(self.norm(self.first(x))))))


class Functions(nn.Module):
    """A function in `forward`: no chain."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


def fitted(module, **params):
    """A pruned network of a module, fine-tuned for two epochs."""
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=2,
        verbose=0,
        **params,
    )
    model = MABPrunedClassifier(
        net, pruning_budget=0.5, fine_tune_epochs=2, tolerance=1.0, random_state=0
    )
    return model.fit(X, Y)


def first_weights(model):
    return next(model.estimator_.module_.parameters()).detach().numpy()


def check_first_layer_is_as_it_was(model):
    """Against the unpruned network, from which nothing but units was taken."""
    unpruned = model.at_budget(0)
    kept = first_weights(unpruned)[model.neuron_support_[0]]
    np.testing.assert_array_equal(first_weights(model), kept)
    return unpruned


def trained(model):
    return [parameter.requires_grad for parameter in model.estimator_.module_.parameters()]


def test_frozen_layers_of_a_chain_stay_frozen():
    model = fitted(Chain, module__frozen=True)
    unpruned = check_first_layer_is_as_it_was(model)
    # The layer without a bias has one now, which takes over what removed units gave it.
    assert trained(model) == [False] * 7 + [True, True]
    assert trained(unpruned) == [False] * 6 + [True, True]
    assert trained(pickle.loads(pickle.dumps(model))) == trained(model)
    model.estimator_.partial_fit(X, Y)
    check_first_layer_is_as_it_was(model)
    assert all(trained(fitted(Chain)))


@pytest.mark.parametrize("module", [Chain, Functions])
def test_groups_of_parameters_keep_their_rates(module):
    groups = [("first.*", {"lr": 0.0}), ("last.bias", {"lr": 0.002})]
    model = fitted(module, optimizer__param_groups=groups)
    check_first_layer_is_as_it_was(model)
    rates = [(len(g["params"]), g["lr"]) for g in model.estimator_.optimizer_.param_groups]
    n_others = len(trained(model)) - 3
    assert sorted(rates) == sorted(
        [(1, 0.0), (1, 0.0), (1, 0.002), (n_others, 0.01)]
        if module is Chain  # whose layers have numbers now
        else [(2, 0.0), (1, 0.002), (n_others, 0.01)]
    )


@pytest.mark.parametrize(("optimizer", "start"), [(torch.optim.SGD, 0.3), (torch.optim.Adam, 3.0)])
def test_the_rate_of_the_optimizer_counts(optimizer, start):
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    net = NeuralNetClassifier(module, optimizer=optimizer, optimizer__lr=0.3).initialize()
    assert starting_rate(net, "auto") == pytest.approx(start)


class Skip(nn.Module):
    """A sum of two ways, which is no chain.

    Parameters
    ----------
    norm : nn.Module
        On one of them.
    """

    def __init__(self, norm):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(5, 5), norm, nn.Linear(5, 2)

    def forward(self, x):
        return self.second(x + self.norm(self.first(x)).relu())


@pytest.mark.parametrize(
    ("norm", "optimizer", "lr", "start"),
    [
        (nn.BatchNorm1d(5), torch.optim.SGD, 0.0005, 0.0005),
        (nn.BatchNorm1d(5), torch.optim.Adam, 0.0005, 0.005),
        (nn.BatchNorm2d(5), torch.optim.NAdam, 0.002, 0.02),
        (nn.LayerNorm(5), torch.optim.Adam, 0.0005, 0.0005),
    ],
)
def test_the_rate_of_networks_that_are_no_chains(norm, optimizer, lr, start):
    net = NeuralNetClassifier(Skip, module__norm=norm, optimizer=optimizer, lr=lr).initialize()
    assert starting_rate(net, "auto") == pytest.approx(start)
    assert starting_rate(net, 0.5) == 0.5


def test_the_rate_of_networks_that_are_no_chains_rises_in_the_first_fifth_of_the_steps():
    rates = []
    net = NeuralNetClassifier(
        Skip,
        module__norm=nn.LayerNorm(5),
        criterion=nn.CrossEntropyLoss,
        optimizer=recording(torch.optim.SGD, rates),
        lr=0.1,
        batch_size=20,
    ).initialize()
    rows = samples_of(net, Data(X, Y, None, 2))
    fine_tune(net, rows, rows, None, FineTuning((5,), "auto", 0.0, 1.0), seed=0)
    rising = [0.1 * k / 5 for k in (1, 2, 3, 4)]
    falling = [0.1 * (1 + np.cos(np.pi * k / 16)) / 2 for k in range(16)]
    assert rates == pytest.approx(rising + falling, abs=1e-15)
