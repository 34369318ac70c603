"""From graphs to modules and back: networks that are written down as data."""

from __future__ import annotations

import ast
import pickle

import numpy as np
import pytest
import torch
from builders import features, linears, make_graph, network
from networks import NETWORKS, Wrapper, samples_for
from sklearn.base import clone
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_mabprune.graph.module import PrunedChain, graph_of, module_of
from sklearn_mabprune.graph.surgery import cut
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.utils.compat import uncompiled

every_network = pytest.mark.parametrize("name", NETWORKS)


@every_network
def test_pruned_chain_is_built_from_plain_data(name):
    module = NETWORKS[name][0]()
    x = samples_for(module)
    graph = recover_graph(module, x)
    keep = [torch.arange(width) % 3 != 1 for width in graph.sizes]
    small = cut(graph, keep, [None] * len(keep))
    layers = ast.literal_eval(repr(small.descriptions()))
    again = PrunedChain(layers=layers, dtype=str(small.dtype).removeprefix("torch."))
    assert next(again.parameters()).dtype == x.dtype
    small.copy_to(again)
    with torch.no_grad():
        wanted = small.forward(x)
        assert torch.equal(again.eval()(x), wanted)
        assert torch.equal(pickle.loads(pickle.dumps(again))(x), wanted)
        twin = PrunedChain(layers=layers, dtype=str(small.dtype).removeprefix("torch."))
        twin.load_state_dict(again.state_dict())
        assert torch.equal(twin.eval()(x), wanted)
        assert torch.equal(recover_graph(again, x).forward(x), wanted)


def test_pruned_chain_in_a_cloned_net():
    graph = make_graph("probabilities", (7, 5), around="norm_before", dtype=torch.float32)
    net = NeuralNetClassifier(PrunedChain, module__layers=graph.descriptions(), classes=[0, 1, 2])
    first, second = clone(net).initialize(), clone(clone(net)).initialize()
    for each in (first, second):
        graph.copy_to(each.module_)
    x = features(30, 6, torch.float32)
    np.testing.assert_array_equal(*(each.predict_proba(x.numpy()) for each in (first, second)))
    np.testing.assert_allclose(first.predict_proba(x.numpy()), graph.forward(x).detach())


def test_new_pruned_chain_has_weights_to_train_from():
    graph = make_graph("target", dtype=torch.float32)
    net = NeuralNetRegressor(PrunedChain, module__layers=graph.descriptions(), verbose=0)
    net.initialize()
    for parameter in net.module_.parameters():
        assert torch.isfinite(parameter).all()
        assert parameter.abs().max() < 1.0
    assert net.module_[0].weight.std() > 0.05


def test_a_copy_is_of_the_same_layers_only():
    graph = make_graph()
    with pytest.raises(ValueError, match="longer"):
        graph.copy_to(nn.Sequential(*list(module_of(graph))[:-1]))
    with pytest.raises(RuntimeError, match="size mismatch"):
        make_graph().copy_to(module_of(make_graph(hidden=(7, 6))))


def test_arrays_hold_everything():
    graph = make_graph(activation="prelu", around="norm_after")
    arrays = graph.to_arrays()
    module = PrunedChain(arrays["layers"], arrays["dtype"])
    for layer, state in zip(module, arrays["state"], strict=True):
        layer.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
        assert all(type(value) is np.ndarray for value in state.values())
    x = features(10, 6)
    assert torch.equal(module.eval()(x), graph.forward(x))
    again = graph_of(arrays)
    assert torch.equal(again.forward(x), graph.forward(x))
    assert again.sizes == graph.sizes
    assert all(not layer.training for layer in again.layers())
    linears(graph)[0].weight.data.zero_()
    assert arrays["state"][0]["weight"].any(), "arrays must be copies"
    assert torch.equal(again.forward(x), module(x)), "the graph must be a copy"


@every_network
def test_a_graph_comes_back_from_its_arrays(name):
    module = NETWORKS[name][0]()
    x = samples_for(module)
    graph = recover_graph(module, x)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    again = graph_of(graph.to_arrays())
    assert torch.equal(torch.random.get_rng_state(), before), "drawing is left as it was"
    assert (again.sizes, again.dtype, again.cost()) == (graph.sizes, graph.dtype, graph.cost())
    assert torch.equal(again.forward(x), graph.forward(x))


def test_a_part_of_a_pruned_chain_is_a_network():
    graph = make_graph(hidden=(7, 5))
    module = module_of(graph)
    part = module[:-1]
    x = features(4, 6)
    with torch.no_grad():
        np.testing.assert_array_equal(module[-1](part(x)), module(x))


def test_a_module_of_its_own_in_training_mode():
    graph = make_graph(around="dropout", dtype=torch.float32)
    module = module_of(graph)
    assert all(layer.training for layer in module.modules())
    assert all(not layer.training for layer in graph.layers())
    assert next(module.parameters()).dtype == torch.float32
    ours = {v.data_ptr() for layer in graph.layers() for v in layer.state_dict().values()}
    assert not ours & {v.data_ptr() for v in module.state_dict().values()}


def test_what_torch_compile_wraps():
    inside = network()
    assert uncompiled(Wrapper(inside)) is inside
    assert uncompiled(inside) is inside
