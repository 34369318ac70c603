"""What the heads that stay take over."""

from __future__ import annotations

import pytest
import torch
from attention_kinds import ATTENTION, Block, Fused
from torch import nn

from sklearn_mabprune.ablation import head_values
from sklearn_mabprune.ablation.module_activations import ModuleActivations
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.recovery import recover_network


def activations_of(module, shape=(5, 3), n_samples=60):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n_samples, *shape, generator=generator, dtype=torch.float64)
    network = recover_network(module.double(), x[:9])
    weights = torch.rand(n_samples, generator=generator, dtype=torch.float64) + 0.5
    targets = torch.arange(n_samples) % 2
    return ModuleActivations(
        network, Samples(x, targets, weights, SampleLoss(nn.CrossEntropyLoss()))
    )


def heads_of(kind, seed=0):
    torch.manual_seed(seed)
    return activations_of(ATTENTION[kind][0]())


def returned(network, x, value, weights=None):
    return network.run(network.known(x), [value], weights)[value]


def missing(error, samples, centred):
    """Weighted mean square of what is missing, with the best bias where there is one."""
    each = (samples.weights / samples.weights.sum())[:, None, None] / error.shape[1]
    if centred:
        error = error - (each * error).sum((0, 1))
    return (each * error**2).sum()


@pytest.mark.parametrize("kind", ["fused", "by hand", "einsum", "folded", "no bias", "encoder"])
def test_values_of_a_head_are_the_least_squares_of_what_is_missing(kind, monkeypatch):
    monkeypatch.setattr(head_values, "_SWEEPS", 1)
    monkeypatch.setattr(head_values, "_ROWS_PER_INPUT", 10**6)
    start = heads_of(kind)
    network, samples = start.graph, start.samples
    statistics = start.statistics("least_squares", 1e-9, 1.0).update(start)
    others = [None] * (len(network.groups) - 1)
    smaller = statistics.removed(network, [torch.tensor([0, 1, 3]), *others])
    reader = network.groups[0].readers[0]
    (sample,) = statistics._sampled[reader.weight]
    values = head_values.head_values(smaller, 0, sample, samples.x)
    changed = values.fitted(smaller, samples, sample, statistics._parts, 1e-9)
    wanted = returned(network, samples.x, reader.value)
    slopes = []
    for weights in (smaller.weights, smaller.weights | changed):
        traced = weights[values.source.weight].clone().requires_grad_()
        weights = {**weights, values.source.weight: traced}
        error = returned(smaller, samples.x, reader.value, weights) - wanted
        (slope,) = torch.autograd.grad(missing(error, samples, bool(reader.bias)), traced)
        slopes.append(float(slope[values.places[2]].abs().max()))
    assert slopes[1] < 1e-4 * slopes[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_kept_heads_return_more_than_a_fit_of_the_reader_lets_them(dtype):
    start = heads_of("fused")
    network = start.graph.to(dtype)
    samples = Samples(
        start.samples.x.to(dtype), start.samples.targets, start.samples.weights, start.samples.loss
    )
    start = ModuleActivations(network, samples)
    statistics = start.statistics("least_squares", 1e-6, 0.2).update(start)
    reader = network.groups[0].readers[0]
    read, wanted = (
        returned(network, samples.x, v).double().flatten(0, 1) for v in (reader.reads, reader.value)
    )
    roots = samples.weights.repeat_interleave(5).sqrt()[:, None]
    ones = torch.ones(len(read), 1, dtype=torch.float64)
    kept = torch.cat([read[:, reader.columns[2:].ravel()], ones], 1)
    left = wanted - kept @ torch.linalg.lstsq(kept * roots, wanted * roots).solution
    smaller = start.without([torch.tensor([0, 1])], statistics).graph
    found = returned(smaller, samples.x, reader.value).double().flatten(0, 1) - wanted
    assert (found * roots).square().sum() < 0.85 * (left * roots).square().sum()
    with torch.no_grad():
        assert torch.allclose(smaller.narrowed()(samples.x), smaller.forward(samples.x), atol=1e-5)


class Tied(Fused):
    """Keys are values."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 2 * self.n_heads * self.head_dim)

    def forward(self, x):
        shape = x.size(0), x.size(1), 2, self.n_heads, self.head_dim
        q, k = self.qkv(x).view(shape).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(self.heads(q, k, k).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("kind", ["grouped", "pooled", "tied"])
def test_values_that_are_read_in_another_way_stay(kind):
    start = activations_of(Block(Tied())) if kind == "tied" else heads_of(kind)
    network = start.graph
    statistics = start.statistics("least_squares", 1e-3, 0.2).update(start)
    smaller = start.without([torch.tensor([0])], statistics).graph
    readers = {reader.weight for reader in network.groups[0].readers}
    for source in network.groups[0].producers:
        assert source.weight not in readers
        assert torch.equal(smaller.weights[source.weight], network.weights[source.weight])


def test_only_groups_that_are_pruned_count_before_readers_are_fitted_again():
    start = heads_of("encoder")
    assert start.graph.sizes == (4, 12)
    counts = []
    for pruned in (None, (True, False)):
        statistics = start.statistics("least_squares", 1e-3, 0.2, pruned).update(start)
        start.without([torch.tensor([1]), None], statistics)
        counts.append(statistics.n_factorisations)
    assert counts == [[1, 1], [2, 2]]
