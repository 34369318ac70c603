"""Networks that run with smaller weights: the same losses, pulls, estimates and fits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from user_modules import MODULES, made

from sklearn_mabprune.ablation import module_activations, reader_statistics
from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.recovery import recover_network

NEVER = 2**62


class Depthwise(nn.Module):
    """Its second convolution has the number of channels among its arguments."""

    def __init__(self):
        super().__init__()
        self.conv1, self.depthwise = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 3, groups=6)
        self.conv2, self.out = nn.Conv2d(6, 5, 1), nn.Linear(5, 3)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.depthwise(self.conv1(x)))))
        return self.out(x.mean(dim=(2, 3)))


def start(name, n_samples=30):
    module, x = made(name, n_samples=n_samples)
    labels = torch.arange(n_samples) % 3
    weights = torch.ones(n_samples, dtype=torch.float64)
    samples = Samples(x, labels, weights, SampleLoss(torch.nn.CrossEntropyLoss()))
    return activations_of(recover_network(module, x), samples)


def walked(whole, macs, monkeypatch, cap=4096):
    """After two removals: the activations and the statistics."""
    monkeypatch.setattr(module_activations, "_SLIM_MACS", macs)
    monkeypatch.setattr(reader_statistics, "MOST_COLUMNS", cap)
    statistics = whole.statistics("least_squares", 1e-3, 0.2).update(whole)
    activations = whole
    for _ in range(2):
        going = [torch.tensor([1]) for _ in whole.graph.groups]
        activations = activations.without(going, statistics)
    return activations, statistics


@pytest.mark.parametrize(
    ("name", "cap"),
    [("convolutions", 4096), ("convolutions", 10), ("residual convolutions", 4096)],
)
def test_smaller_weights_change_no_result(name, cap, monkeypatch):
    whole = start(name)
    slim, slim_statistics = walked(whole, 0, monkeypatch, cap)
    full, full_statistics = walked(whole, NEVER, monkeypatch, cap)
    assert slim.graph.small is not None
    assert full.graph.small is None
    assert slim.mean_loss() == pytest.approx(full.mean_loss(), abs=1e-10)
    for weight, tensor in full.graph.weights.items():
        assert torch.allclose(slim.graph.weights[weight], tensor, atol=1e-9)
    blocks = [slim.block(slim_statistics), full.block(full_statistics)]
    for number, size in enumerate(slim.graph.sizes):
        found, wanted = (block.loss_increase(number, torch.arange(size)) for block in blocks)
        assert torch.allclose(found, wanted, atol=1e-10)
    found, wanted = (block.estimate("linear", torch.Generator()) for block in blocks)
    assert torch.allclose(found, wanted, atol=1e-10)
    assert torch.equal(slim.hidden(0), full.hidden(0))
    assert all(map(torch.allclose, slim.gradients(), full.gradients()))


def test_operators_that_refuse_smaller_weights_keep_them(monkeypatch):
    monkeypatch.setitem(MODULES, "depthwise", (Depthwise, (2, 8, 8), {}))
    activations, statistics = walked(start("depthwise"), 0, monkeypatch)
    assert activations.graph.sizes == (4, 3)
    assert activations.graph.small is None
    block = activations.block(statistics)
    assert torch.isfinite(block.estimate("linear", torch.Generator())).all()
