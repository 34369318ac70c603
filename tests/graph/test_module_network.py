"""Networks that are no chains: groups, and the smaller module that equals the masked network."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from user_modules import MODULES, made

from sklearn_mabprune.graph.recovery import recover_network

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}

every_module = pytest.mark.parametrize("name", MODULES)


@pytest.fixture(scope="module")
def networks():
    """Networks of all modules, recovered once."""
    known = {}

    def get(name):
        if name not in known:
            module, x = made(name)
            known[name] = module, x, recover_network(module, x)
        return known[name]

    return get


def random_masks(network, seed=0):
    rng = np.random.default_rng(seed)
    masks = [rng.random(size) < rng.uniform(0.3, 0.9) for size in network.sizes]
    for mask in masks:
        mask[rng.integers(len(mask))] = True
    return masks


def close(got, wanted, dtype=torch.float64):
    assert got.shape == wanted.shape
    gap = (got - wanted).abs().max()
    assert gap <= TOLERANCE[dtype] * max(1, float(wanted.abs().max()))


@every_module
def test_groups_are_those_that_a_reader_of_the_code_would_name(networks, name):
    _, _, network = networks(name)
    assert {group.name: group.size for group in network.groups} == MODULES[name][2]
    assert not set(network.kept_whole) & {group.name for group in network.groups}


@every_module
def test_network_computes_what_the_module_does_and_leaves_it_alone(networks, name):
    module, x, network = networks(name)
    fresh, _ = made(name)
    for one, other in zip(module.state_dict().values(), fresh.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    with torch.no_grad():
        close(network.forward(x), copy.deepcopy(module).eval()(x))


@every_module
@pytest.mark.parametrize("seed", range(3))
def test_smaller_module_equals_masked_network(networks, name, seed):
    module, x, network = networks(name)
    masks = random_masks(network, seed)
    masked = network.masked(masks)
    smaller = masked.narrowed()
    with torch.no_grad():
        close(smaller(x), masked.forward(x))
    assert type(smaller) is type(module)
    n_parameters = sum(parameter.numel() for parameter in smaller.parameters())
    assert masked.cost() == network.cost([int(mask.sum()) for mask in masks])
    assert masked.cost()[0] == n_parameters
    assert masked.n_bytes == sum(tensor.nbytes for tensor in smaller.state_dict().values())


@every_module
def test_smaller_module_learns_in_every_parameter(networks, name):
    _, x, network = networks(name)
    smaller = network.masked(random_masks(network)).narrowed().train()
    smaller(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in smaller.parameters())


@every_module
def test_columns_of_removed_units_are_zero_in_what_reads_them(networks, name):
    _, _, network = networks(name)
    masks = random_masks(network)
    masked = network.masked(masks)
    for group, mask in zip(network.groups, masks, strict=True):
        for reader in group.readers:
            for block in range(reader.blocks):
                matrix = reader.matrix(masked.weights[reader.weight], block)
                assert not matrix[:, reader.columns[~mask].reshape(-1)].any()
                assert matrix[:, reader.columns[mask].reshape(-1)].all()


def test_float32_networks_agree_to_its_precision():
    module, x = made("residual convolutions", torch.float32)
    network = recover_network(module, x)
    masked = network.masked(random_masks(network))
    with torch.no_grad():
        close(masked.narrowed()(x), masked.forward(x), torch.float32)
    assert network.dtype == torch.float32


def test_training_mode_behaviour_survives():
    module, x = made("functional")
    network = recover_network(module, x)
    smaller = network.masked(random_masks(network)).narrowed().train()
    assert not torch.equal(smaller(x), smaller(x))


def test_residual_streams_are_a_group_where_they_are_asked_for():
    module, x = made("residual")
    assert "residual stream" in recover_network(module, x).kept_whole["enter"]
    network = recover_network(module, x, residual_streams=True)
    stream = network.groups[0]
    assert (stream.name, stream.size) == ("enter", 8)
    assert [source.module for source in stream.producers] == ["enter", "back.0", "back.1"]
    assert [reader.module for reader in stream.readers] == ["wide.0", "wide.1", "leave"]
    masked = network.masked(random_masks(network))
    with torch.no_grad():
        close(masked.narrowed()(x), masked.forward(x))


def test_values_can_be_run_from_the_middle_with_another_number_of_samples():
    module, x = made("convolutions")
    network = recover_network(module, x)
    reader = network.groups[0].readers[0]
    value = network.run(network.program.known(x), [reader.value])[reader.value]
    twice = network.run({reader.value: torch.cat([value, value])}, n_samples=2 * len(x))
    close(twice, network.forward(x).repeat(2, 1))
    packets = [operation.packet for operation in network.downstream([reader.value])]
    assert packets == ["relu", "avg_pool2d", "view", "linear", "tanh", "linear"]


def test_logits_stand_before_the_last_softmax():
    module, x = made("functional")
    network = recover_network(module, x)
    known = network.program.known(x)
    logits = network.run(known, [network.logits])[network.logits]
    assert network.has_tail
    close(torch.log_softmax(logits, -1), network.forward(x))


def test_networks_are_pickled():
    module, x = made("gates")
    network = recover_network(module, x)
    again = pickle.loads(pickle.dumps(network))
    assert torch.equal(again.forward(x), network.forward(x))
    assert again.cost() == network.cost()


def test_sizes_that_are_numbers_in_the_code_keep_their_layer_whole():
    class FixedView(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.first, self.last = (
                nn.Conv2d(2, 4, 3), nn.Linear(64, 6), nn.Linear(6, 3)
            )  # fmt: skip

        def forward(self, x):
            return self.last(self.first(self.conv(x).view(-1, 64)))

    network = recover_network(FixedView(), torch.randn(5, 2, 6, 6))
    assert [group.name for group in network.groups] == ["first"]
    assert network.kept_whole["conv"].startswith("view in FixedView.forward (test_module_netw")


def test_what_needs_an_even_number_of_units_keeps_its_layer_whole():
    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.middle, self.last = (
                nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 3)
            )  # fmt: skip

        def forward(self, x):
            h = self.first(x)
            if h.size(1) % 2:
                raise ValueError("an odd number of units")
            return self.last(self.middle(h.tanh()))

    for seed in range(3):
        torch.manual_seed(seed)
        network = recover_network(Pairs(), torch.randn(5, 6))
        assert [group.name for group in network.groups] == ["middle"]
        assert "an odd number of units" in network.kept_whole["first"]


@pytest.mark.parametrize("scale", [1.0, 1e-12])
def test_sizes_that_are_read_as_numbers_keep_their_layer_whole(scale):
    """Also where outputs are smaller than any tolerance, as those of untrained networks may be."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.middle, self.last = (
                nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 3)
            )  # fmt: skip

        def forward(self, x):
            h = self.first(x)
            return scale * self.last(self.middle(h / h.size(-1)))

    network = recover_network(Scaled(), torch.randn(5, 6))
    assert [group.name for group in network.groups] == ["middle"]
    assert "returns other outputs than the masked one" in network.kept_whole["first"]


@pytest.mark.parametrize(("width", "n_pairs"), [(2, 1), (2, 3), (4, 1), (9, 2)])
def test_a_layer_that_is_as_wide_as_another_by_chance_is_kept_whole(width, n_pairs):
    """The forward gives one layer's values the shape of another's: right if both lose as many."""

    class ShapeOfAnother(nn.Module):
        def __init__(self):
            super().__init__()
            self.ones = nn.ModuleList(nn.Linear(2, width) for _ in range(n_pairs))
            self.others = nn.ModuleList(nn.Linear(2, width) for _ in range(n_pairs))
            self.free = nn.Linear(2 * n_pairs * width, width)
            self.last = nn.Linear(width, 3)

        def forward(self, x):
            found = []
            for one, other in zip(self.ones, self.others, strict=True):
                h = one(x)
                found += [h, other(x.flatten(0, 1)).view(-1, *h.shape[1:])]
            return self.last(self.free(torch.cat(found, -1).tanh().sum(1)).tanh())

    for seed in range(4):
        torch.manual_seed(seed)
        network = recover_network(ShapeOfAnother(), torch.randn(6, 3, 2))
        assert [group.name for group in network.groups] == ["free"]
