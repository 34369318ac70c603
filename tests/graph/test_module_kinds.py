"""Every kind of layer and of ``forward`` in one network: groups, readers, the smaller module."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from module_kinds import KINDS, Net
from test_module_network import close, random_masks
from torch import nn

from sklearn_mabprune.graph.attention import PrunedMultiheadAttention
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference

every_kind = pytest.mark.parametrize("kind", KINDS)


class AllKinds(nn.Module):
    """The sum of modules of all kinds, each of which reads the first features."""

    def __init__(self):
        super().__init__()
        for number, (make, _, _) in enumerate(KINDS.values()):
            self.add_module(f"kind{number}", make())

    def forward(self, x):
        total = 0.0
        for part, (_, shape, _) in zip(self.children(), KINDS.values(), strict=True):
            given = taken(x, shape)
            y = part(**given) if isinstance(shape, dict) else part(given)
            total = total + y.reshape(y.size(0), -1).sum(1)
        return total


def taken(x, shape):
    """An input of a shape, from the first features of samples."""
    if isinstance(shape, dict):
        return {name: taken(x, part) for name, part in shape.items()}
    whole = callable(shape)
    shape = tuple(shape(1).shape[1:]) if whole else shape
    part = x[:, : math.prod(shape)].reshape(x.size(0), *shape)
    return (10 * part).abs().long() % 7 if whole else part


@pytest.fixture(scope="module")
def everything():
    """One network of all kinds, recovered once, and samples for it."""
    torch.manual_seed(0)
    module = AllKinds().double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) / 4)
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    x = torch.randn(5, 80, dtype=torch.float64)
    return module, x, recover_network(module, x)


@every_kind
def test_groups(everything, kind):
    _, _, network = everything
    prefix = f"kind{list(KINDS).index(kind)}."
    found = {
        group.name.removeprefix(prefix): group.size
        for group in network.groups
        if group.name.startswith(prefix)
    }
    assert found == KINDS[kind][2]


@pytest.mark.parametrize("seed", range(2))
def test_smaller_module_equals_masked_network(everything, seed):
    _, x, network = everything
    masked = network.masked(random_masks(network, seed))
    assert difference(masked, x) < 1e-9
    smaller = masked.narrowed()
    assert masked.cost()[0] == sum(parameter.numel() for parameter in smaller.parameters())
    assert smaller.training is False
    smaller.train()(x).square().sum().backward()
    without = [name for name, p in smaller.named_parameters() if p.grad is None]
    assert not without


def test_readers_are_products_with_patches(everything):
    _, x, network = everything
    known = network.program.known(x)
    readers = [reader for group in network.groups for reader in group.readers]
    values = network.run(known, {v for reader in readers for v in (reader.reads, reader.value)})
    for reader in readers:
        weight, wanted = network.weights[reader.weight], values[reader.value]
        matrices = [reader.matrix(weight, block) for block in range(reader.blocks)]
        rows = [
            reader.patches(values[reader.reads], block) @ matrix.T
            for block, matrix in enumerate(matrices)
        ]
        if reader.bias:
            biases = network.weights[reader.bias].view(reader.blocks, -1)
            rows = [row + bias for row, bias in zip(rows, biases, strict=True)]
        got = reader.outputs(rows, wanted.shape)
        close(got, wanted)
        for block, matrix in enumerate(matrices):
            other = reader.with_matrix(weight, 2 * matrix, block)
            assert torch.equal(reader.matrix(other, block), 2 * matrix)


def test_attributes_count_what_is_left(everything):
    _, _, network = everything
    smaller = network.masked(random_masks(network)).narrowed()
    for part in smaller.modules():
        if isinstance(part, nn.Linear):
            assert part.weight.shape == (part.out_features, part.in_features)
        if isinstance(part, PrunedMultiheadAttention):
            assert part.num_heads * part.head_dim == part.out_proj.in_features
        if isinstance(part, nn.Conv2d):
            assert part.weight.shape[:2] == (part.out_channels, part.in_channels // part.groups)
        if isinstance(part, nn.BatchNorm2d):
            assert part.num_features == len(part.running_mean)
        if isinstance(part, nn.Embedding | nn.EmbeddingBag):
            assert part.embedding_dim == part.weight.shape[1]
        if isinstance(part, nn.PReLU):
            assert part.num_parameters == len(part.weight)


def test_reasons_name_operator_layer_and_line(everything):
    _, _, network = everything
    number = list(KINDS).index("lstm with projections")
    reason = network.kept_whole[f"kind{number}.r"]
    assert reason.startswith(f"recurrent of 'kind{number}.r' in Net.forward (module_net.py:")
    assert "projections" in reason
    number = list(KINDS).index("weight norm")
    assert "weight is computed" in network.kept_whole[f"kind{number}.a"]


def test_products_with_buffers_are_counted():
    network = recover_network(KINDS["fixed weights"][0](), torch.randn(5, 4))
    assert network.cost() == (6 * 5 + 5 + 3 * 2 + 2, 4 * 6 + 6 * 5 + 5 * 3 + 3 * 2)
    assert network.cost([3, 5, 2]) == (3 * 5 + 5 + 2 * 2 + 2, 4 * 3 + 3 * 5 + 5 * 2 + 2 * 2)


def test_macs_of_what_is_kept_whole_are_counted():
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    attention = nn.Sequential(layer, nn.Flatten(), nn.Linear(40, 3))
    network = recover_network(attention, torch.randn(4, 5, 8))
    each = 8 * 24 + 8 * 8 + 8 * 12 + 12 * 8  # projections and the two layers, a position
    assert network.cost()[1] == 5 * each + 2 * 5 * 5 * 8 + 40 * 3
    assert network.cost([2, 11])[1] == network.cost()[1] - 5 * 16
    assert network.cost([1, 12])[1] == network.cost()[1] - 5 * (4 * 24 + 4 * 8) - 2 * 5 * 5 * 4
    recurrent = Net(
        lambda s, x: s.c(F.relu(s.b(s.r(x)[0][:, -1]))),
        r=nn.LSTM(3, 6, batch_first=True), b=nn.Linear(6, 4), c=nn.Linear(4, 2),
    )  # fmt: skip
    network = recover_network(recurrent, torch.randn(4, 7, 3))
    assert network.cost()[1] == 7 * (24 * 3 + 24 * 6) + 6 * 4 + 4 * 2
