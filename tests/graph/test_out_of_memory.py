"""Memory that runs out while a module is read: no fault of the module, and not told as one."""

from __future__ import annotations

import pytest
import torch
from builders import features
from torch import nn

from sklearn_mabprune.graph import program, verification
from sklearn_mabprune.graph.lazy import give_sizes
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.tracing import recover_graph

FULL = torch.OutOfMemoryError("CUDA out of memory")


def fail(*args, **kwargs):
    raise FULL


class Full(nn.Module):
    """A chain whose last layer finds no memory."""

    def __init__(self, first):
        super().__init__()
        self.first, self.act, self.last = first, nn.ReLU(), nn.Linear(6, 3)

    def forward(self, X):
        self.act(self.first(X))
        fail()


def plain():
    return nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))


def test_while_a_chain_is_traced():
    with pytest.raises(torch.OutOfMemoryError):
        recover_graph(Full(nn.Linear(6, 6)), features(8, 6, torch.float32))


def test_while_lazy_layers_get_their_sizes():
    with pytest.raises(torch.OutOfMemoryError):
        give_sizes(Full(nn.LazyLinear(6)), [(None, [6], "float32")])


def test_while_smaller_modules_are_compared(monkeypatch):
    monkeypatch.setattr(verification, "called_eval", fail)
    with pytest.raises(torch.OutOfMemoryError):
        recover_network(plain(), features(8, 6, torch.float32))


def test_while_a_program_is_compared_with_its_module(monkeypatch):
    monkeypatch.setattr(program.Program, "run", fail)
    with pytest.raises(torch.OutOfMemoryError):
        recover_network(plain(), features(8, 6, torch.float32))
