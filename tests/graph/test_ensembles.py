"""Batch ensembles, as TabM's: one weight for all members, and vectors of each member's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_mabprune import MABPrunedClassifier, load
from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference
from sklearn_mabprune.pruning.selection import limits_of


class BatchEnsemble(nn.Module):
    """A linear layer of several members, (n_samples, n_members, n_units)."""

    def __init__(self, n_inputs, n_outputs, n_members):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_outputs, n_inputs))
        self.r = nn.Parameter(torch.randn(n_members, n_inputs))
        self.s = nn.Parameter(torch.randn(n_members, n_outputs))
        self.bias = nn.Parameter(torch.randn(n_members, n_outputs))

    def forward(self, x):
        return (x * self.r) @ self.weight.T * self.s + self.bias


class Members(nn.Module):
    """The mean of members with a last layer of their own each."""

    def __init__(self, n_members=4):
        super().__init__()
        self.n_members = n_members
        self.one, self.other = BatchEnsemble(6, 8, n_members), BatchEnsemble(8, 7, n_members)
        self.last = nn.Parameter(torch.randn(n_members, 7, 2))

    def forward(self, x):
        x = x.unsqueeze(1).expand(-1, self.n_members, -1)
        x = F.relu(self.other(F.relu(self.one(x))))
        return (x.transpose(0, 1) @ self.last).mean(0)


def test_hidden_units_go_across_members():
    torch.manual_seed(0)
    x = torch.randn(9, 6).double()
    network = recover_network(Members().double(), x)
    assert {group.name: group.size for group in network.groups} == {"one": 8, "other": 7}
    masked = network.masked([np.arange(size) % 3 > 0 for size in network.sizes])
    assert difference(masked, x) < 1e-9
    smaller = masked.narrowed()
    assert smaller.one.s.shape == (4, masked.sizes[0])
    assert smaller.other.r.shape == (4, masked.sizes[0])
    assert smaller.last.shape == (4, masked.sizes[1], 2)
    assert masked.cost()[0] == sum(parameter.numel() for parameter in smaller.parameters())
    with pytest.raises(
        ValueError, match=r"layers has the .* 'one.members', .* 'one' \(8 neurons\)"
    ):
        limits_of(network.groups, ("one.members",))


def with_its_members(dtype=torch.float64):
    """Both groups of hidden units, and the members, with samples."""
    torch.manual_seed(0)
    x = torch.randn(40, 6).to(dtype)
    return recover_network(Members().to(dtype), x, members=True), x


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_members_leave_the_mean(dtype, limit):
    network, x = with_its_members(dtype)
    assert {group.name: group.size for group in network.groups} == {
        "one": 8, "other": 7, "members": 4,
    }  # fmt: skip
    masks = [np.arange(size) % 3 > 0 for size in network.sizes]
    masked = network.masked(masks)
    assert difference(masked, x) < limit
    smaller = masked.narrowed()
    assert smaller.n_members == 2
    assert smaller.one.s.shape == (2, masked.sizes[0])
    assert smaller.last.shape == (2, masked.sizes[1], 2)
    # The mean of these two members of the large module, whose hidden units all stay.
    alone = network.masked([np.ones(8, bool), np.ones(7, bool), masks[2]])
    module = network.narrowed()
    h = x.unsqueeze(1).expand(-1, 4, -1)
    h = F.relu(module.other(F.relu(module.one(h))))
    each = (h.transpose(0, 1) @ module.last)[masks[2]]
    assert torch.allclose(alone.forward(x), each.mean(0), atol=limit)


def test_parameters_and_macs_of_members_are_counted():
    network, x = with_its_members()
    for kept in (4, 3, 1):
        masked = network.masked([np.ones(8, bool), np.ones(7, bool), np.arange(4) < kept])
        smaller = masked.narrowed()
        n_parameters, n_macs = masked.cost()
        assert n_parameters == sum(parameter.numel() for parameter in smaller.parameters())
        assert n_macs == kept * (6 * 8 + 8 * 7 + 7 * 2)
        again = recover_network(smaller, x)
        assert again.cost() == (n_parameters, n_macs)


def test_a_pull_of_a_member_is_the_loss_without_it():
    network, x = with_its_members()
    labels, weights = torch.arange(40) % 2, torch.linspace(0.5, 1.5, 40, dtype=torch.float64)
    samples = Samples(x, labels, weights, SampleLoss(nn.CrossEntropyLoss()))
    activations = activations_of(network, samples)

    def loss(module):
        with torch.no_grad():
            losses = F.cross_entropy(module(x), labels, reduction="none")
        return float(losses @ weights / weights.sum())

    for ablation in ("least_squares", "zero"):
        statistics = activations.statistics(ablation, 1e-3, 0.2).update(activations)
        found = activations.block(statistics).loss_increase(2, torch.arange(4))
        for member in range(4):
            gone = [None, None, torch.tensor([member])]
            smaller = activations.without(gone, statistics).graph.narrowed()
            expected = loss(smaller) - loss(network.narrowed())
            assert float(found[member]) == pytest.approx(expected, abs=1e-9)


def test_members_are_pruned_where_they_are_named(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    net = NeuralNetClassifier(
        Members, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01,
        max_epochs=2, verbose=0,
    )  # fmt: skip
    model = MABPrunedClassifier(net, layers="members", tolerance=1.0, random_state=0).fit(X, y)
    assert "members: 4 -> 2 members" in str(model.pruning_report_)
    assert model.hidden_layer_sizes_ == (8, 7, 2)
    assert model.estimator_.module_.n_members == 2
    whole = model.at_budget(0, X, y)
    assert whole.hidden_layer_sizes_ == (8, 7, 4)
    again = whole.at_budget(0.5, X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    model.save(tmp_path / "members")
    loaded = load(tmp_path / "members", module=Members)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    both = MABPrunedClassifier(
        net, layers=["neurons", "members"], policy="magnitude", tolerance=1.0, random_state=0
    ).fit(X, y)
    assert sum(both.hidden_layer_sizes_) == 10
    with pytest.raises(ValueError, match=r"layers has the name or kind 'one.members'"):
        MABPrunedClassifier(net, layers="one.members").fit(X, y)
