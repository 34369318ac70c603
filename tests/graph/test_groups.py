"""Groups of a graph: who produces, carries and reads their units, and what a cut changes."""

from __future__ import annotations

import pytest
import torch
from builders import (
    ACTIVATIONS,
    SURROUNDINGS,
    batch_norm,
    features,
    linear,
    make_graph,
    network,
    prelu,
)
from networks import NETWORKS, samples_for
from torch import nn

from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.groups import Group
from sklearn_mabprune.graph.surgery import cut
from sklearn_mabprune.graph.tracing import recover_graph

every_network = pytest.mark.parametrize("name", NETWORKS)


def full():
    """Layers before the first group, carriers of many kinds, and a tail."""
    return Graph.of(
        [
            batch_norm(4, 0), nn.Dropout(0.2),
            linear(4, 6, 1), batch_norm(6, 2), prelu(6, 3), nn.Dropout(0.1),
            linear(6, 5, 4), nn.Tanh(),
            linear(5, 3, 5), batch_norm(3, 6), nn.Softmax(dim=-1),
        ],
        ["norm", "drop", *"abcdefghi"],
    )  # fmt: skip


def test_groups_of_a_chain_by_hand():
    assert full().groups == (
        Group("a", 6, producers=(2,), carriers=(3, 4, 5), readers=(6,), value=6),
        Group("e", 5, producers=(6,), carriers=(7,), readers=(8,), value=8),
    )


def test_layers_that_follow_each_other_at_once():
    """A group without carriers is read as its producer returns it."""
    graph = Graph.of([linear(4, 6, 0), linear(6, 5, 1), linear(5, 3, 2)])
    assert graph.groups == (
        Group("0", 6, producers=(0,), carriers=(), readers=(1,), value=1),
        Group("1", 5, producers=(1,), carriers=(), readers=(2,), value=2),
    )


@every_network
def test_a_chain_has_one_group_between_two_layers_of_sums(name):
    make, sizes = NETWORKS[name]
    module = make()
    graph = recover_graph(module, samples_for(module))
    producing = [k for k, node in enumerate(graph.nodes) if node.kind.produces]
    assert graph.sizes == tuple(group.size for group in graph.groups) == sizes
    for group, here, there in zip(graph.groups, producing, producing[1:], strict=False):
        assert (group.producers, group.readers) == ((here,), (there,))
        assert group.carriers == tuple(range(here + 1, there))
        assert group.name == graph.producer(group).name == graph.nodes[here].name
        assert graph.producer(group) is graph.nodes[here]
        assert graph.reader(group) is graph.nodes[there]
        assert group.value == graph.reader(group).reads
    assert len(graph.groups) == len(producing) - 1
    # Units of the input and of the output are in no group.
    touched = {k for g in graph.groups for k in (*g.producers, *g.carriers)}
    assert not touched & set(range(producing[0]))
    assert not touched & set(range(producing[-1], len(graph.nodes)))
    assert graph.logits == graph.nodes[producing[-1]].value
    assert graph.output == graph.nodes[-1].value
    assert graph.has_tail == (producing[-1] < len(graph.nodes) - 1)


def test_a_group_that_something_mixes_is_whole():
    """Where an output depends on several units, none of them can be cut out."""
    graph = Graph.of([linear(4, 6, 0), nn.Softmax(dim=-1), linear(6, 5, 1), nn.ReLU(),
                      linear(5, 3, 2)])  # fmt: skip
    assert [group.name for group in graph.groups] == ["2"]
    assert graph.sizes == (5,)


def test_a_network_without_hidden_layers_has_no_groups():
    graph = Graph.of([nn.ReLU(), linear(4, 3, 0), nn.Softmax(dim=-1)])
    assert graph.groups == ()
    assert graph.sizes == ()
    assert graph.logits == 2


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "prelu"])
def test_a_cut_changes_the_nodes_of_its_group_alone(activation, around, number):
    graph = make_graph("probabilities", (7, 5), activation, around)
    keep = [None, None]
    keep[number] = torch.arange(graph.sizes[number]) != 2
    small = cut(graph, keep, [None, None])
    group = graph.groups[number]
    shrunk = {*group.producers, *group.readers}
    for k, (node, old) in enumerate(zip(small.nodes, graph.nodes, strict=True)):
        assert (node.name, node.reads, node.value) == (old.name, old.reads, old.value)
        assert node.layer is not old.layer
        ours, theirs = node.layer.state_dict(), old.layer.state_dict()
        if k not in shrunk and k not in group.carriers:
            assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
        elif k in shrunk:
            assert ours["weight"].shape != theirs["weight"].shape
    # What the group's readers return is that of the masked units.
    x, value = features(9, 6), graph.reader(group).value
    with torch.no_grad():
        hidden = graph.run({0: x}, [group.value])[group.value]
        masked = hidden * keep[number]
        found = small.run({0: x}, [group.value, value])
        torch.testing.assert_close(found[group.value], hidden[:, keep[number]])
        torch.testing.assert_close(found[value], graph.run({group.value: masked}, [value])[value])
    wanted = list(graph.sizes)
    wanted[number] -= 1
    assert small.sizes == tuple(wanted)
    same = [(g.name, g.producers, g.carriers, g.readers, g.value) for g in graph.groups]
    assert [(g.name, g.producers, g.carriers, g.readers, g.value) for g in small.groups] == same


def test_keeping_all_of_a_group_changes_nothing():
    graph, x = full(), features(9, 4, torch.float32)
    for keep in ([None, None], [torch.ones(6).bool(), torch.ones(5).bool()]):
        small = cut(graph, keep, [None, None])
        assert small.groups == graph.groups
        assert torch.equal(small.forward(x), graph.forward(x))


@every_network
def test_downstream_is_what_a_value_moves(name):
    """Of a chain all nodes behind it, which can be computed from it alone."""
    module = NETWORKS[name][0]()
    x = samples_for(module)
    graph = recover_graph(module, x)
    with torch.no_grad():
        every = {0: x, **graph.run({0: x}, range(1, graph.output + 1))}
        for value in every:
            nodes = graph.downstream(value)
            numbers = [node.value for node in nodes]
            assert numbers == list(range(value + 1, graph.output + 1))
            assert all(node is graph.nodes[node.value - 1] for node in nodes)
            again = graph.run({value: every[value]}, numbers)
            assert all(torch.equal(again[number], every[number]) for number in numbers)
    tail = [node.value for node in graph.downstream(graph.logits)]
    assert tail == list(range(graph.logits + 1, graph.output + 1))
    assert bool(tail) == graph.has_tail


def test_weights_of_the_features():
    graph = make_graph(hidden=(7, 5))
    assert graph.input_weights() is graph.nodes[0].layer.weight
    headed = Graph.of([batch_norm(6, 4), *network(dtype=torch.float32)])
    assert headed.input_weights() is None
    assert (headed.n_inputs, headed.n_outputs) == (6, 3)
