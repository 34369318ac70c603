"""Batch ensembles, as TabM's: one weight for all members, and vectors of each member's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

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
        return F.linear(x * self.r, self.weight) * self.s + self.bias


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
