"""Surgery against Torch-Pruning, and by hand on weights small enough to read."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch_pruning
from builders import (
    ablations_of,
    batch_norm,
    features,
    hidden_and_sums,
    ids,
    linear,
    linears,
    make_samples,
    network,
    prelu,
    without,
)
from torch import nn

from sklearn_mabprune.ablation.compensation import make_ablation
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.surgery import cut
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.graph.units import UnitTable


@pytest.mark.parametrize("around", ["plain", "norm_before", "norm_after", "dropout"])
@pytest.mark.parametrize(
    ("activation", "bias"), [("relu", True), ("sigmoid", True), ("prelu", True), ("tanh", False)]
)
def test_torch_pruning_removes_the_same_units_to_the_same_outputs(activation, bias, around):
    module = network((6, 9, 8, 7, 3), activation, around, bias=bias).eval()
    x = features(20, 6)
    graph = recover_graph(module, x)
    gone = [[0, 3, 8], [2, 6], [1, 2, 3, 4, 5, 6]]
    table = UnitTable.of(graph.groups)
    arms = np.concatenate([gone[0], 9 + np.array(gone[1]), 17 + np.array(gone[2])])
    samples = make_samples()
    ablations = ablations_of(graph, samples, "zero")
    small = module_of(without(graph, samples, table, arms, ablations)).eval()

    theirs = copy.deepcopy(module)
    dependencies = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=x)
    producing = [layer for layer in theirs if isinstance(layer, nn.Linear)]
    for layer, units in zip(producing, gone, strict=False):
        group = dependencies.get_pruning_group(
            layer, torch_pruning.prune_linear_out_channels, idxs=list(units)
        )
        assert dependencies.check_pruning_group(group)
        group.prune()

    assert graph.sizes == (9, 8, 7)
    with torch.no_grad():
        torch.testing.assert_close(small(x), theirs.eval()(x), rtol=1e-12, atol=1e-12)
    for ours, other in zip(small, theirs, strict=True):
        assert type(ours) is type(other)
        wanted = other.state_dict()
        for name, value in ours.state_dict().items():
            assert torch.equal(value, wanted[name])


def test_folding_by_hand():
    """One of two units goes; it is half the other one plus three."""
    module = nn.Sequential(linear(2, 2, 0), nn.Identity(), nn.Linear(2, 1), nn.Identity()).double()
    with torch.no_grad():
        module[2].weight.copy_(torch.tensor([[10.0, 1.0]]))
        module[2].bias.fill_(5.0)
    graph = recover_graph(module, features(4, 2))
    keep = torch.tensor([False, True])
    slopes, constants = torch.tensor([[0.5]]).double(), torch.tensor([3.0]).double()
    last = linears(cut(graph, [keep], [(slopes, constants)]))[-1]
    assert last.weight.tolist() == [[1.0 + 10.0 * 0.5]]
    assert last.bias.tolist() == [5.0 + 10.0 * 3.0]
    last = linears(cut(graph, [keep], [(None, constants)]))[-1]
    assert (last.weight.tolist(), last.bias.tolist()) == ([[1.0]], [35.0])
    last = linears(cut(graph, [keep], [None]))[-1]
    assert (last.weight.tolist(), last.bias.tolist()) == ([[1.0]], [5.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_layer_is_cut_and_keeps_its_kind(dtype):
    module = nn.Sequential(
        batch_norm(4, 0),
        nn.Dropout(0.2),
        linear(4, 6, 1),
        batch_norm(6, 2),
        prelu(6, 3),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.1),
        linear(6, 5, 4, bias=False),
        nn.BatchNorm1d(5, affine=False, momentum=None),
        nn.PReLU(init=0.4),
        linear(5, 3, 5),
        batch_norm(3, 6),
        nn.Softmax(dim=-1),
    ).to(dtype)
    graph = recover_graph(module, features(10, 4, dtype))
    keep = [torch.tensor([1, 0, 1, 1, 0, 1]).bool(), torch.tensor([0, 1, 1, 0, 1]).bool()]
    small = cut(graph, keep, [None, None])
    layers, old = small.layers(), graph.layers()
    assert [type(layer) for layer in layers] == [type(layer) for layer in old]
    assert all(not layer.training for layer in layers)
    assert small.dtype == dtype
    assert small.sizes == (4, 3)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(getattr(layers[3], name), getattr(old[3], name)[keep[0]])
        assert torch.equal(getattr(layers[11], name), getattr(old[11], name))
        assert torch.equal(getattr(layers[0], name), getattr(old[0], name))
    assert torch.equal(layers[8].running_var, old[8].running_var[keep[1]])
    assert layers[3].num_features == 4
    assert (layers[8].num_features, layers[8].affine, layers[8].momentum) == (3, False, None)
    assert torch.equal(layers[4].weight, old[4].weight[keep[0]])
    assert torch.equal(layers[9].weight, old[9].weight)
    assert layers[5].negative_slope == 0.3
    assert layers[6].p == 0.1
    assert torch.equal(layers[7].weight, old[7].weight[keep[1]][:, keep[0]])
    assert layers[7].bias is None


def test_cutting_nothing_is_a_copy():
    module = network((6, 7, 5, 3), "gelu", "norm_after", (nn.Softmax(dim=-1),))
    graph = recover_graph(nn.Sequential(batch_norm(6, 9).double(), *module), features(8, 6))
    samples = make_samples()
    same = cut(graph, [None, None], [None, None])
    assert torch.equal(same.forward(samples.x), graph.forward(samples.x))
    before = {v.data_ptr() for layer in graph.layers() for v in layer.state_dict().values()}
    after = {v.data_ptr() for layer in same.layers() for v in layer.state_dict().values()}
    assert not before & after


def test_folded_weights_keep_the_precision_of_the_network():
    """Slopes are float64; a float32 network stays one, rounded once."""
    graph = recover_graph(network(dtype=torch.float32), features(8, 6, torch.float32))
    samples = make_samples(dtype=torch.float32)
    with torch.no_grad():
        hidden, _ = hidden_and_sums(graph, samples.x, feature_major=True)
    ablation = make_ablation("least_squares", hidden[0], samples.weights, 1e-3)
    slopes, constants = ablation.fold(ids(2))
    keep = torch.arange(7) != 2
    with torch.no_grad():
        found = linears(cut(graph, [keep, None], [(slopes, constants), None]))[1]
        old = linears(graph)[1]
        wanted = old.weight[:, keep].double() + old.weight[:, [2]].double() @ slopes.T
    assert found.weight.dtype == found.bias.dtype == torch.float32
    assert torch.equal(found.weight, wanted.float())
