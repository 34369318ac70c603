"""Pulls on networks that are no chains: what is measured is what the surgery does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from module_kinds import Net
from torch import nn
from torch.nn import functional as F
from user_modules import MODULES, made

from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.program import called
from sklearn_mabprune.graph.recovery import recover_network

STEP = 1e-6
ABLATIONS = ("least_squares", "mean", "zero")
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}


@pytest.fixture(scope="module")
def networks():
    """Each network, samples with labels and weights, by name and dtype."""
    found = {}

    def get(name, dtype=torch.float64):
        if (name, dtype) not in found:
            module, x = made(name, dtype, n_samples=40)
            network = recover_network(module, x)
            generator = torch.Generator().manual_seed(1)
            labels = torch.randint(3, (40,), generator=generator)
            weights = torch.rand(40, generator=generator, dtype=torch.float64) + 0.1
            samples = Samples(x, labels, weights, SampleLoss(torch.nn.CrossEntropyLoss()))
            found[name, dtype] = activations_of(network, samples)
        return found[name, dtype]

    return get


def loss_of(module, samples):
    """Weighted mean loss of a module, computed by torch alone."""
    with torch.no_grad():
        outputs = called(module.eval(), samples.x).double()
    losses = F.cross_entropy(outputs, samples.targets, reduction="none")
    return float(losses @ samples.weights / samples.weights.sum())


def only(network, number, units):
    """Units of one group and none of the others."""
    found = [None] * len(network.groups)
    found[number] = torch.as_tensor(units)
    return found


def stepped(network, changed, step):
    """Weights a part of the way to changed ones."""
    return {
        name: network.weights[name] + step * (weight - network.weights[name])
        for name, weight in changed.items()
    }


def statistics_of(activations, ablation):
    return activations.statistics(ablation, 1e-3, 0.2).update(activations)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("name", MODULES)
def test_a_pull_is_the_loss_of_the_smaller_module(name, ablation, dtype, networks):
    activations = networks(name, dtype)
    network, samples = activations.graph, activations.samples
    block = activations.block(statistics_of(activations, ablation))
    before = loss_of(network.narrowed(), samples)
    for number, group in enumerate(network.groups):
        units = np.unique([0, group.size // 2, group.size - 1])
        found = block.loss_increase(number, torch.as_tensor(units))
        for unit, increase in zip(units, found, strict=True):
            smaller = statistics_of(activations, ablation).removed(
                network, only(network, number, [unit])
            )
            after = loss_of(smaller.narrowed(), samples)
            limit = TOLERANCES[dtype] * max(1.0, before, after)
            assert abs(float(increase) - (after - before)) < limit, group.name


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("name", MODULES)
def test_a_pull_after_removals_is_the_loss_of_the_smaller_module(name, ablation, networks):
    start = networks(name)
    statistics = statistics_of(start, ablation)
    going = [torch.tensor([1]) for _ in start.graph.groups]
    activations = start.without(going, statistics)
    network, samples = activations.graph, activations.samples
    assert network.sizes == tuple(group.size - 1 for group in network.groups)
    assert activations.mean_loss() == pytest.approx(loss_of(network.narrowed(), samples), abs=1e-9)
    found = activations.block(statistics).loss_increase(0, torch.tensor([0, 2]))
    before = loss_of(network.narrowed(), samples)
    changed = statistics.weights_without(network, 0, torch.tensor(2))
    masks = [mask.copy() for mask in network.kept]
    masks[0][np.flatnonzero(masks[0])[2]] = False
    after = loss_of(network.with_weights(changed, masks).narrowed(), samples)
    assert float(found[1]) == pytest.approx(after - before, abs=1e-9)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_pull_where_one_reader_reads_what_another_returns(ablation):
    torch.manual_seed(0)
    first, second, last = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(9, 3)

    def forward(net, x):
        h = torch.relu(net.first(x))
        return net.last(torch.cat([h, torch.tanh(net.second(h))], dim=1))

    module = Net(forward, first=first, second=second, last=last).double()
    x, labels = torch.randn(30, 6, dtype=torch.float64), torch.arange(30) % 3
    samples = Samples(x, labels, torch.ones(30).double(), SampleLoss(nn.CrossEntropyLoss()))
    activations = activations_of(recover_network(module, x), samples)
    statistics = statistics_of(activations, ablation)
    found = activations.block(statistics).loss_increase(0, torch.arange(5))
    before = activations.mean_loss()
    for unit, increase in enumerate(found):
        smaller = statistics_of(activations, ablation).removed(
            activations.graph, only(activations.graph, 0, [unit])
        )
        after = loss_of(smaller.narrowed(), samples)
        assert float(increase) == pytest.approx(after - before, abs=1e-9)


@pytest.mark.parametrize("name", MODULES)
def test_chunks_change_nothing(name, networks):
    activations = networks(name)
    statistics = statistics_of(activations, "least_squares")
    for number, group in enumerate(activations.graph.groups):
        units = torch.arange(group.size)
        whole, parts = (
            activations.block(statistics, chunk).loss_increase(number, units)
            for chunk in (None, 1000)
        )
        assert torch.allclose(whole, parts, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["convolutions", "gates", "residual convolutions"])
def test_units_that_are_combinations_of_others_cost_nothing(name, networks):
    """Least squares folds what the rest of the group can do: two equal units."""
    activations = networks(name)
    network = activations.graph
    group = network.groups[0]
    changed = {}
    for (weight, axis), places in group.members.items():
        if (weight, axis) not in {(r.weight, r.inputs) for r in group.readers}:
            tensor = changed.get(weight, network.weights[weight]).clone()
            one, other = (torch.as_tensor(places[k]) for k in (0, 1))
            changed[weight] = tensor.index_copy(axis, one, tensor.index_select(axis, other))
    twins = activations_of(network.with_weights(changed), activations.samples)
    units = torch.tensor([0, 1])
    exact = twins.block(twins.statistics("least_squares", 1e-12, 0.2).update(twins))
    assert float(exact.loss_increase(0, units).abs().max()) < 1e-6
    zero = twins.block(statistics_of(twins, "zero"))
    assert float(zero.loss_increase(0, units).abs().min()) > 1e-6


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_estimates_are_exact_where_the_reader_is_the_output_layer(ablation, networks):
    for name in ("concatenation", "functional"):
        activations = networks(name)
        number = len(activations.graph.groups) - 1
        block = activations.block(statistics_of(activations, ablation))
        units = [torch.arange(0)] * len(activations.graph.groups)
        units[number] = torch.arange(activations.graph.sizes[number])
        estimated = block.estimate("linear", torch.Generator(), units=units)[0]
        measured = block.loss_increase(number, units[number])
        assert torch.allclose(estimated, measured, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("name", MODULES)
def test_estimates_follow_from_first_order_moves_of_the_logits(name, ablation, networks):
    """Moved logits, to first order in the readers' changes, put into the loss."""
    activations = networks(name)
    statistics = statistics_of(activations, ablation)
    network, samples = activations.graph, activations.samples
    block = activations.block(statistics)
    units = [torch.tensor([1]) for _ in network.groups]
    found = block.estimate("linear", torch.Generator(), units=units)[0]
    known = network.program.known(samples.x)
    for number in range(len(network.groups)):
        changed = statistics.weights_without(network, number, torch.tensor(1))
        ahead, at, behind = (
            network.run(known, [network.logits], stepped(network, changed, h))[network.logits]
            for h in (STEP, 0.0, -STEP)
        )
        moves = (ahead - behind) / (2 * STEP)
        losses = F.cross_entropy(at + moves, samples.targets, reduction="none")
        losses = losses - F.cross_entropy(at, samples.targets, reduction="none")
        wanted = losses @ samples.weights / samples.weights.sum()
        assert float(found[number]) == pytest.approx(float(wanted), rel=1e-4, abs=1e-8)
