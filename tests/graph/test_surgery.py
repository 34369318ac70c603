"""Surgery against Torch-Pruning, and by hand on weights small enough to read."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch_pruning
from builders import batch_norm, features, ids, linear, make_rows, network, prelu
from torch import nn

from sklearn_mabprune.ablation.block import LayerStatistics
from sklearn_mabprune.ablation.compensation import make_ablation
from sklearn_mabprune.graph.graph import recover_chain
from sklearn_mabprune.graph.surgery import cut
from sklearn_mabprune.graph.units import NeuronTable
from sklearn_mabprune.pruning.path import remove_together


@pytest.mark.parametrize("around", ["plain", "norm_before", "norm_after", "dropout"])
@pytest.mark.parametrize(
    ("activation", "bias"), [("relu", True), ("sigmoid", True), ("prelu", True), ("tanh", False)]
)
def test_torch_pruning_removes_the_same_neurons_to_the_same_outputs(activation, bias, around):
    module = network((6, 9, 8, 7, 3), activation, around, bias=bias).eval()
    x = features(20, 6)
    chain = recover_chain(module, x)
    gone = [[0, 3, 8], [2, 6], [1, 2, 3, 4, 5, 6]]
    table = NeuronTable(chain.hidden_sizes)
    arms = np.concatenate([gone[0], 9 + np.array(gone[1]), 17 + np.array(gone[2])])
    ablations = LayerStatistics("zero", 0.0).update(chain, make_rows())
    small = remove_together(chain, table, arms, ablations).to_module().eval()

    theirs = copy.deepcopy(module)
    graph = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=x)
    linears = [layer for layer in theirs if isinstance(layer, nn.Linear)]
    for layer, units in zip(linears, gone, strict=False):
        group = graph.get_pruning_group(
            layer, torch_pruning.prune_linear_out_channels, idxs=list(units)
        )
        assert graph.check_pruning_group(group)
        group.prune()

    assert chain.hidden_sizes == (9, 8, 7)
    with torch.no_grad():
        torch.testing.assert_close(small(x), theirs.eval()(x), rtol=1e-12, atol=1e-12)
    for ours, other in zip(small, theirs, strict=True):
        assert type(ours) is type(other)
        wanted = other.state_dict()
        for name, value in ours.state_dict().items():
            assert torch.equal(value, wanted[name])


def test_folding_by_hand():
    """One of two neurons goes; it is half the other one plus three."""
    module = nn.Sequential(linear(2, 2, 0), nn.Identity(), nn.Linear(2, 1), nn.Identity()).double()
    with torch.no_grad():
        module[2].weight.copy_(torch.tensor([[10.0, 1.0]]))
        module[2].bias.fill_(5.0)
    chain = recover_chain(module, features(4, 2))
    keep = torch.tensor([False, True])
    slopes, constants = torch.tensor([[0.5]]).double(), torch.tensor([3.0]).double()
    last = cut(chain, [keep], [(slopes, constants)]).stages[-1].linear
    assert last.weight.tolist() == [[1.0 + 10.0 * 0.5]]
    assert last.bias.tolist() == [5.0 + 10.0 * 3.0]
    last = cut(chain, [keep], [(None, constants)]).stages[-1].linear
    assert (last.weight.tolist(), last.bias.tolist()) == ([[1.0]], [35.0])
    last = cut(chain, [keep], [None]).stages[-1].linear
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
    chain = recover_chain(module, features(10, 4, dtype))
    keep = [torch.tensor([1, 0, 1, 1, 0, 1]).bool(), torch.tensor([0, 1, 1, 0, 1]).bool()]
    small = cut(chain, keep, [None, None])
    layers, old = small.layers(), chain.layers()
    assert [type(layer) for layer in layers] == [type(layer) for layer in old]
    assert all(not layer.training for layer in layers)
    assert small.dtype == dtype
    assert small.hidden_sizes == (4, 3)
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
    chain = recover_chain(nn.Sequential(batch_norm(6, 9).double(), *module), features(8, 6))
    rows = make_rows()
    same = cut(chain, [None, None], [None, None])
    assert torch.equal(same.forward(rows.x), chain.forward(rows.x))
    before = {v.data_ptr() for layer in chain.layers() for v in layer.state_dict().values()}
    after = {v.data_ptr() for layer in same.layers() for v in layer.state_dict().values()}
    assert not before & after


def test_folded_weights_keep_the_precision_of_the_network():
    """Slopes are float64; a float32 network stays one, rounded once."""
    chain = recover_chain(network(dtype=torch.float32), features(8, 6, torch.float32))
    rows = make_rows(dtype=torch.float32)
    with torch.no_grad():
        hidden, _ = chain.activations(rows.x)
    ablation = make_ablation("least_squares", hidden[0], rows.weights, 1e-3)
    slopes, constants = ablation.fold(ids(2))
    keep = torch.arange(7) != 2
    with torch.no_grad():
        found = cut(chain, [keep, None], [(slopes, constants), None]).stages[1].linear
        old = chain.stages[1].linear
        wanted = old.weight[:, keep].double() + old.weight[:, [2]].double() @ slopes.T
    assert found.weight.dtype == found.bias.dtype == torch.float32
    assert torch.equal(found.weight, wanted.float())
