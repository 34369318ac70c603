"""Graphs recovered from modules of many kinds; the modules are left alone."""

from __future__ import annotations

import pytest
import torch
from builders import features, hidden_and_sums, linears, network, sums
from networks import NETWORKS, samples_for, with_head
from torch import nn

from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.training.mlp import ACTIVATIONS, MLP
from sklearn_mabprune.utils.compat import uncompiled

every_network = pytest.mark.parametrize("name", NETWORKS)


def samples32(n_samples=10):
    return features(n_samples, 6, torch.float32)


@every_network
def test_recovered_graph_computes_what_the_module_does(name):
    make, sizes = NETWORKS[name]
    module = make()
    x = samples_for(module)
    graph = recover_graph(module, x)
    assert graph.sizes == sizes
    assert graph.n_inputs == 6
    new = features(50, 6, x.dtype, seed=9)  # samples that it was not recovered on
    with torch.no_grad():
        wanted = uncompiled(module).eval()(new)
        assert torch.equal(graph.forward(new), wanted)
        assert torch.equal(module_of(graph).eval()(new), wanted)
    assert graph.n_outputs == (wanted.shape[1] if wanted.dim() > 1 else 1)
    assert all(not layer.training for layer in graph.layers())
    assert graph.dtype == x.dtype
    assert graph.device == x.device


@every_network
def test_parts_of_a_graph_fit_together(name):
    module = NETWORKS[name][0]()
    x = samples_for(module)
    graph = recover_graph(module, x)
    with torch.no_grad():
        hidden, returned = hidden_and_sums(graph, x)
        assert [h.shape[1] for h in hidden] == list(graph.sizes)
        for value, z in zip(sums(graph), returned, strict=True):
            assert torch.equal(graph.run({value: z})[graph.output], graph.forward(x))
        for number, h in enumerate(hidden, start=1):
            assert torch.equal(linears(graph)[number](h), returned[number])
        first = sums(graph)[0]
        assert torch.equal(graph.run({0: x}, [first])[first], returned[0])


@every_network
@pytest.mark.parametrize("training", [True, False])
def test_module_is_left_alone(name, training):
    module = uncompiled(NETWORKS[name][0]()).train(training)
    x = samples_for(module)
    kept, before = {k: v.clone() for k, v in module.state_dict().items()}, x.clone()
    described = repr(module)
    graph = recover_graph(module, x)
    assert torch.equal(x, before)
    assert repr(module) == described  # inplace=True and all
    for key, value in module.state_dict().items():
        assert torch.equal(value, kept[key])
    for layer in module.modules():
        assert layer.training is training
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
    # Nothing is shared: what happens to one does not reach the other.
    ours = {v.data_ptr() for layer in graph.layers() for v in layer.state_dict().values()}
    assert not ours & {v.data_ptr() for v in module.state_dict().values()}


@every_network
def test_nodes_have_the_names_of_the_modules_layers(name):
    module = uncompiled(NETWORKS[name][0]())
    graph = recover_graph(module, samples_for(module))
    for node in graph.nodes:
        layer = module.get_submodule(node.name)
        assert type(layer) is type(node.layer)
        wanted = layer.state_dict()
        for key, value in node.layer.state_dict().items():
            assert torch.equal(value, wanted[key])


def test_names_of_a_nested_module():
    module = nn.Sequential(network((6, 7, 5)), nn.Tanh(), network((5, 4, 3)))
    graph = recover_graph(module, features(8, 6))
    assert [node.name for node in graph.nodes] == ["0.0", "0.1", "0.2", "1", "2.0", "2.1", "2.2"]
    assert [group.name for group in graph.groups] == ["0.0", "0.2", "2.0"]


def test_layers_behind_the_flatten_of_the_input_are_the_same():
    graph = recover_graph(with_head(nn.Flatten()), samples32())
    assert [type(layer) for layer in graph.layers()] == [nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_mlp(activation):
    module = MLP(6, 2, (5, 4), activation, random_state=1)
    graph = recover_graph(module, samples32())
    (carrier,) = graph.groups[0].carriers
    assert type(graph.nodes[carrier].layer) is ACTIVATIONS[activation]
    assert torch.equal(graph.forward(samples32()), module(samples32()))
