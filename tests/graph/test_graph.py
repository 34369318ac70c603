"""The loops over a graph: forward in both layouts, backward, cost; and its copies."""

from __future__ import annotations

import weakref

import pytest
import torch
from builders import (
    ACTIVATIONS,
    SURROUNDINGS,
    features,
    generator,
    hidden_and_sums,
    linear,
    linears,
    make_graph,
)
from networks import NETWORKS, samples_for
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.groups import Node
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.surgery import cut
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.utils.compat import uncompiled

every_network = pytest.mark.parametrize("name", NETWORKS)
every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)
CLOSE = {torch.float64: {"rtol": 1e-12, "atol": 1e-12}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def graph_and_samples(name):
    module = NETWORKS[name][0]()
    x = samples_for(module)
    return recover_graph(module, x), x


# -------------------------------------------------------------------------------- forward


@every_dtype
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "prelu"])
def test_both_layouts_agree(activation, around, dtype):
    graph, x = make_graph("targets", (5, 4), activation, around, dtype=dtype), features(40, 6)
    x = x.to(dtype)
    with torch.no_grad():
        pairs = zip(hidden_and_sums(graph, x, True), hidden_and_sums(graph, x), strict=True)
        for found, wanted in pairs:
            for feature_major, sample_major in zip(found, wanted, strict=True):
                torch.testing.assert_close(feature_major.T, sample_major)


@every_network
def test_every_value_in_both_layouts_is_the_modules(name):
    """Of every layer, against hooks on the module itself."""
    module = uncompiled(NETWORKS[name][0]()).eval()
    x, seen = samples_for(module), []
    graph = recover_graph(module, x)
    layers = {module.get_submodule(node.name) for node in graph.nodes}
    for layer in layers:
        layer.register_forward_hook(lambda _, __, z: seen.append(z.clone()))
    everything = [node.value for node in graph.nodes]
    with torch.no_grad():
        module(x.clone())
        found = graph.run({0: x}, everything)
        across = graph.run(
            {0: x}, [v for v in everything if found[v].dim() == 2], feature_major=True
        )
    assert list(found) == everything
    for value, wanted in zip(everything, seen, strict=True):
        torch.testing.assert_close(found[value], wanted)
        if wanted.dim() == 2:
            torch.testing.assert_close(across[value].T, wanted)


@every_network
def test_any_value_can_be_known_and_any_later_one_wanted(name):
    graph, x = graph_and_samples(name)
    numbers = range(graph.output + 1)
    with torch.no_grad():
        every = {0: x, **graph.run({0: x}, list(numbers)[1:])}
        for known in numbers:
            for wanted in numbers[known:]:
                found = graph.run({known: every[known]}, [wanted])
                assert list(found) == [wanted]
                assert torch.equal(found[wanted], every[wanted])


def test_only_what_is_needed_runs():
    graph, x = make_graph(hidden=(7, 5)), features(9, 6)
    calls = []
    for number, layer in enumerate(graph.layers()):
        layer.register_forward_hook(lambda *_, number=number: calls.append(number))
    graph.run({0: x}, [2])
    assert calls == [0, 1]
    calls.clear()
    every = graph.run({0: x}, [1, 3, 5])
    assert calls == [0, 1, 2, 3, 4]
    # A known value in the middle hides what is upstream of it.
    calls.clear()
    found = graph.run({0: x, 1: every[1], 3: every[3] + 1}, [2, 5])
    assert calls == [1, 3, 4]
    assert torch.equal(found[2], every[1].relu())
    assert torch.equal(found[5], graph.run({3: every[3] + 1})[5])
    # What is known already does not run at all.
    calls.clear()
    assert graph.run({3: every[3]}, [3])[3] is every[3]
    assert not calls
    # The plan is made once; other numbers make another.
    again = graph.run({0: x}, [1, 3, 5])
    assert all(torch.equal(again[value], every[value]) for value in every)


def test_a_value_that_two_nodes_read():
    """It is there until both have run, and no longer."""
    layers, x = (linear(6, 7, 0).double(), nn.Tanh(), nn.ReLU()), features(9, 6)
    graph = Graph([Node(str(k), layer, min(k, 1), k + 1) for k, layer in enumerate(layers)])
    found = graph.run({0: x}, [3, 2])
    assert list(found) == [3, 2]
    assert torch.equal(found[2], layers[0](x).tanh())
    assert torch.equal(found[3], layers[0](x).relu())


@pytest.mark.parametrize(
    ("wanted", "left"),
    [([5], {1: [], 2: [1], 3: [2], 4: [3], 5: [4]}),
     ([2, 5], {1: [], 2: [1], 3: [2], 4: [2, 3], 5: [2, 4]})],
)  # fmt: skip
def test_values_are_freed_after_their_last_reader(wanted, left):
    """When a layer has run, what it read is there, and what is wanted."""
    graph, seen, alive = make_graph(hidden=(7, 5)), {}, {}

    def watch(value, z):
        alive[value] = [number for number, ref in seen.items() if ref() is not None]
        seen[value] = weakref.ref(z)

    for node in graph.nodes:
        node.layer.register_forward_hook(lambda _, __, z, value=node.value: watch(value, z))
    with torch.no_grad():
        graph.run({0: features(9, 6)}, wanted)
    assert alive == left


@pytest.mark.parametrize("feature_major", [False, True])
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "prelu"])
def test_what_is_known_is_left_alone(activation, around, feature_major):
    """Unless it may be overwritten, which changes no result."""
    graph = make_graph("probabilities", (7, 5), activation, around)
    x = features(9, 6)
    for number in range(1, graph.output + 1):
        # Alone: what follows has not run, and cannot have changed it.
        z = graph.run({0: x}, [number], feature_major=feature_major)[number].detach()
        before = z.clone()
        found = graph.run({number: z}, feature_major=feature_major)
        assert torch.equal(z, before)
        with torch.no_grad():
            given = graph.run({number: z.clone()}, feature_major=feature_major, overwrite=True)
        torch.testing.assert_close(given[graph.output], found[graph.output])


def test_what_is_wanted_or_read_again_is_not_overwritten():
    layers, x = (linear(6, 7, 0).double(), nn.ReLU(), nn.Tanh()), features(9, 6)
    graph = Graph([Node(str(k), layer, min(k, 1), k + 1) for k, layer in enumerate(layers)])
    with torch.no_grad():
        z = layers[0](x)
        for wanted in ([3, 2], [1, 2]):
            found = graph.run({0: x}, wanted, overwrite=True)
            expected = {1: z, 2: z.relu(), 3: z.tanh()}
            assert all(torch.equal(found[value], expected[value]) for value in wanted)


def test_only_a_relu_overwrites():
    graph = make_graph(hidden=(7, 5))
    with torch.no_grad():
        z = graph.run({0: features(9, 6)}, [1])[1]
        before = z.clone()
        graph.run({1: z}, overwrite=True)
    assert torch.equal(z, before.relu())
    assert not torch.equal(z, before)


def test_layers_in_place_are_so_no_longer():
    graph, x = graph_and_samples("in place")
    assert not any(getattr(layer, "inplace", False) for layer in graph.layers())
    every = graph.run({0: x}, [1, 2, 3])
    assert (every[1] < 0).any()
    assert torch.equal(every[2], every[1].relu())


# ------------------------------------------------------------------------------- backward


def jacobian(graph, x, source, target):
    """Derivatives of a value by an earlier one, (n_source, n_target, n_samples), by autograd."""
    with torch.no_grad():
        z = graph.run({0: x}, [target])[target] if target else x
    rows = [
        torch.func.jacrev(lambda one: graph.run({target: one[None]}, [source])[source][0])(each)
        for each in z
    ]
    return torch.stack(rows, dim=-1).detach()


@pytest.mark.slow
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "prelu"])
def test_pullback_is_autograd(activation, around):
    """From the logits to every value, of functions of their own for each sample or of all."""
    graph = make_graph("classes", (7, 6, 5), activation, around)
    x, source = features(11, 6), graph.logits
    shape = (graph.n_outputs, 4, 11)
    gradients = torch.randn(shape, generator=generator(0), dtype=torch.float64)
    with torch.inference_mode():
        values = graph.run({0: x}, range(1, graph.output + 1), feature_major=True)
    for target in range(graph.output + 1):
        derivatives = jacobian(graph, x, source, target)
        for gradient in (gradients, gradients[..., :1]):
            wanted = torch.einsum("skn,stn->tkn", gradient.expand(-1, -1, 11), derivatives)
            for given in (values, {target: values.get(target, x.T)}):
                with torch.inference_mode():
                    found = graph.pullback(gradient.clone(), source, target, given)
                torch.testing.assert_close(found.expand_as(wanted), wanted, rtol=1e-10, atol=1e-10)


@every_dtype
def test_pullback_between_values_in_the_middle(dtype):
    graph = make_graph("classes", (7, 6, 5), "tanh", "norm_after", dtype=dtype)
    x = features(8, 6, dtype)
    with torch.inference_mode():
        values = graph.run({0: x}, range(1, graph.output + 1), feature_major=True)
    for source in range(2, graph.output + 1):
        for target in range(1, source):
            n_units = len(values[source])
            gradient = torch.eye(n_units, dtype=dtype)[..., None]
            with torch.inference_mode():
                found = graph.pullback(gradient, source, target, values)
            wanted = jacobian(graph, x, source, target).transpose(0, 1)
            torch.testing.assert_close(found.expand_as(wanted), wanted, **CLOSE[dtype])


@pytest.mark.parametrize("n_samples", [1, 40])
def test_pullback_through_wide_layers_one_after_the_other(n_samples):
    """Each product reads what the one before it wrote: the buffers take turns."""
    graph = Graph.of([linear(60, 60, seed).double() for seed in range(5)])
    gradient = torch.randn(60, 4, n_samples, generator=generator(0), dtype=torch.float64)
    weight = torch.linalg.multi_dot([layer.weight.detach() for layer in linears(graph)[::-1]])
    wanted = torch.einsum("oi,okn->ikn", weight, gradient)
    for _ in range(3):
        with torch.inference_mode():
            found = graph.pullback(gradient, graph.output, 0, {})
        torch.testing.assert_close(found, wanted)


def test_pullback_to_the_value_itself_is_the_gradient():
    graph = make_graph()
    gradient = torch.randn(3, 2, 5, generator=generator(0)).double()
    assert graph.pullback(gradient, graph.logits, graph.logits, {}) is gradient


# ----------------------------------------------------------------------------------- cost


@pytest.mark.parametrize("keep_every", [1, 2, 5])
@every_network
def test_cost_is_what_the_module_has_and_does(name, keep_every):
    module = uncompiled(NETWORKS[name][0]()).eval()
    graph = recover_graph(module, samples_for(module))
    keep = [torch.arange(width) % keep_every == 0 for width in graph.sizes]
    small = cut(graph, keep, [None] * len(keep))
    counted = module_of(small).eval()
    n_parameters = sum(p.numel() for p in counted.parameters())
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        counted(samples_for(module, 1))
    # A multiply-add is two operations there.
    assert small.cost() == (n_parameters, flops.get_total_flops() // 2)
    assert graph.cost(small.sizes) == small.cost()
    assert small.n_bytes == sum(v.nbytes for v in counted.state_dict().values())


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(7, bias=False), nn.BatchNorm1d(7, affine=False)])
def test_cost_of_norms_without_all_parameters(layer):
    module = nn.Sequential(linear(6, 7, 0), layer, nn.PReLU(), linear(7, 3, 1))
    graph = recover_graph(module, features(10, 6, torch.float32))
    assert graph.cost()[0] == sum(p.numel() for p in module.parameters())
    small = cut(graph, [torch.arange(7) < 4], [None])
    assert graph.cost((4,))[0] == sum(p.numel() for p in module_of(small).parameters())


def test_cost_foresees_the_bias_that_a_removal_needs():
    graph = make_graph(hidden=(7, 5), bias=False)
    constants = torch.ones(2).double()
    keep = torch.arange(7) < 5
    small = cut(graph, [keep, None], [(None, constants), None])
    assert linears(small)[1].bias is not None
    assert graph.cost((5, 5)) == small.cost()
    assert graph.cost((7, 5)) == graph.cost() == (6 * 7 + 7 * 5 + 5 * 3,) * 2


# --------------------------------------------------------------------------------- copies


def storage(graph):
    return {v.data_ptr() for layer in graph.layers() for v in layer.state_dict().values()}


def test_other_layers_at_some_nodes():
    graph, x = make_graph(around="norm_after"), features(9, 6)
    other = linear(5, 3, 77).double().eval()
    last = len(graph.nodes) - 1
    found = graph.replaced({last: other})
    assert found.nodes[last].layer is other
    assert not storage(found) & storage(graph)
    fields = [(n.name, n.reads, n.value) for n in graph.nodes]
    assert [(n.name, n.reads, n.value) for n in found.nodes] == fields
    assert found.groups == graph.groups
    hidden = graph.run({0: x}, [graph.groups[-1].value])[graph.groups[-1].value]
    torch.testing.assert_close(found.forward(x), other(hidden))
    same = graph.replaced({})
    assert not storage(same) & storage(graph)
    assert torch.equal(same.forward(x), graph.forward(x))


def test_other_layers_at_all_nodes():
    graph, other, x = make_graph(), make_graph(seed=1), features(9, 6)
    module = module_of(other)
    found = graph.with_layers(list(module))
    assert [node.name for node in found.nodes] == [node.name for node in graph.nodes]
    assert not storage(found) & {v.data_ptr() for v in module.state_dict().values()}
    assert all(layer.training for layer in module)
    assert all(not layer.training for layer in found.layers())
    assert torch.equal(found.forward(x), other.forward(x))
    with pytest.raises(ValueError, match="shorter"):
        graph.with_layers(list(module)[:-1])


@every_network
def test_the_layers_of_a_module_that_was_trained_on(name):
    """The same graph over copies of layers of these names, in evaluation mode."""
    module = uncompiled(NETWORKS[name][0]())
    x = samples_for(module)
    graph = recover_graph(module, x)
    before = graph.forward(x)
    module.train()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5).add_(0.1)
    found = graph.with_layers_of(module)
    assert all(layer.training for layer in module.modules())
    assert all(not layer.training for layer in found.layers())
    assert [node.name for node in found.nodes] == [node.name for node in graph.nodes]
    assert not storage(found) & {v.data_ptr() for v in module.state_dict().values()}
    wanted = module.eval()(x.clone())
    torch.testing.assert_close(found.forward(x), wanted)
    assert torch.equal(graph.forward(x), before)
    assert not torch.allclose(before, wanted)
