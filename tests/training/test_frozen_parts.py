"""Rates of fine-tuning: that of a network, and those of parts that are trained slowly or not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from skorch.callbacks import Freezer
from torch import nn
from user_nets import recording

from sklearn_mabprune import MABPrunedClassifier, ModelFileError, load
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.export.files.container import read_file, write_file
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


#: Names of the last bias, in modules as they are after pruning.
LAST_BIAS = {Chain: "5.bias", Functions: "last.bias"}


def net_of(module, **params):
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=2,
        verbose=0,
        **params,
    )


def fitted(module, keep_path="memory", **params):
    """A pruned network of a module, fine-tuned for two epochs."""
    model = MABPrunedClassifier(
        net_of(module, **params),
        pruning_budget=0.5,
        fine_tune_epochs=2,
        tolerance=1.0,
        random_state=0,
        keep_path=keep_path,
    )
    return model.fit(X, Y)


def last_bias(model, module):
    return model.estimator_.module_.get_parameter(LAST_BIAS[module]).detach().numpy()


def first_weights(model):
    return next(model.estimator_.module_.parameters()).detach().numpy()


def check_first_layer_is_as_it_was(model):
    """Against the unpruned network, from which nothing but units was taken."""
    unpruned = model.at_budget(0)
    kept = first_weights(unpruned)[model.neuron_support_[0]]
    np.testing.assert_array_equal(first_weights(model), kept)
    return unpruned


def trained(model):
    return trained_by(model.estimator_)


def trained_by(net):
    return [parameter.requires_grad for parameter in net.module_.parameters()]


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
def test_layers_that_a_callback_freezes_stay_frozen(module):
    model = fitted(module, callbacks=[Freezer("first.*")])
    check_first_layer_is_as_it_was(model)
    n_others = len(trained(model)) - 2
    assert trained(model) == [False, False] + [True] * n_others
    # A clone does not know of it: the callback freezes again.
    assert all(trained_by(clone(model.estimator_).initialize()))


@pytest.mark.parametrize("module", [Chain, Functions])
def test_what_is_frozen_is_saved(module, tmp_path):
    model = fitted(module, keep_path="always" if module is Chain else "memory")
    model.estimator_.module_.get_parameter(LAST_BIAS[module]).requires_grad_(False)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", module=module)
    assert trained(loaded) == trained(model)
    assert trained(loaded).count(False) == 1
    before = last_bias(loaded, module).copy()
    loaded.estimator_.partial_fit(X, Y)
    np.testing.assert_array_equal(last_bias(loaded, module), before)
    loaded.save(tmp_path / "again")
    again = load(tmp_path / "again", module=module)
    assert trained(again) == trained(model)


def test_what_is_frozen_in_the_networks_of_a_path_is_saved(tmp_path):
    model = fitted(Chain, keep_path="always", module__frozen=True)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", module=Chain)
    assert trained(loaded) == trained(model)
    assert trained(loaded.at_budget(0)) == trained(model.at_budget(0))


@pytest.mark.parametrize("names", [["7.weight"], [3], "0.bias", None])
def test_files_that_freeze_what_there_is_not_are_refused(names, tmp_path):
    fitted(Chain).save(tmp_path / "model")
    content, tensors = read_file(tmp_path / "model")
    content["net"]["network"]["frozen"] = names
    write_file(tmp_path / "model", content, tensors)
    with pytest.raises(ModelFileError, match="freezes parameters that it does not have"):
        load(tmp_path / "model", module=Chain)


@pytest.mark.parametrize("module", [Chain, Functions])
def test_a_net_of_which_nothing_is_trained_is_refused_before_it_is_pruned(module):
    net = net_of(module).fit(X, Y)
    net.module_.requires_grad_(False)
    model = MABPrunedClassifier(FrozenEstimator(net), tolerance=1.0, random_state=0)
    message = r"All parameters of the net's module .\d tensors. are .* or pass fine_tune_epochs=0"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, X_val=X, y_val=Y)
    model.set_params(fine_tune_epochs=0).fit(X, Y, X_val=X, y_val=Y)
    assert not any(trained(model))


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
