"""What a pull measures is what the surgery does, against the surgery's own module."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from builders import (
    ACTIVATIONS,
    SURROUNDINGS,
    TASKS,
    TOLERANCE,
    ablations_of,
    block_of,
    ids,
    linears,
    loss_increase_together,
    make_graph,
    make_samples,
    mean_loss,
    walk,
    without,
)
from pairwise import pairwise

from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.compensation import ABLATIONS
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import Uniform

DTYPES = (torch.float64, torch.float32)
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=("float64", "float32"))


def after_surgery(graph, samples, arms, ablations, table=None):
    """The network after surgery; the statistics stay as they are."""
    table = table or UnitTable.of(graph.groups)
    return without(graph, samples, table, arms, copy.deepcopy(ablations))


def loss_after_surgery(graph, arms, ablations, samples, task, table=None):
    """Loss of the module that surgery makes."""
    return mean_loss(
        module_of(after_surgery(graph, samples, arms, ablations, table)), samples, task
    )


def assert_singles_hold(graph, ablations, samples, task, table=None):
    """Every unit of every layer, removed alone."""
    table = table or UnitTable.of(graph.groups)
    block, whole = block_of(graph, samples, ablations), mean_loss(module_of(graph), samples, task)
    limit = TOLERANCE[graph.dtype] * max(1.0, whole)
    for layer, width in enumerate(graph.sizes):
        if width == 1:
            continue  # a layer keeps at least one unit
        found = block.loss_increase(layer, torch.arange(width)).numpy()
        live = table.live_arms()
        arms = live[table.group(live) == layer]
        losses = [loss_after_surgery(graph, [arm], ablations, samples, task, table) for arm in arms]
        np.testing.assert_allclose(found, np.subtract(losses, whole), rtol=0, atol=limit)
        assert np.ptp(found) > 1e-4, "the units of the example do not matter"


def assert_set_holds(graph, arms, ablations, samples, task):
    table = UnitTable.of(graph.groups)
    layers, positions = table.group(arms), table.position(arms)
    units = [ids(*positions[layers == k].tolist()) for k in range(len(graph.sizes))]
    found = loss_increase_together(block_of(graph, samples, ablations), units)
    whole = mean_loss(module_of(graph), samples, task)
    wanted = loss_after_surgery(graph, arms, ablations, samples, task) - whole
    assert found == pytest.approx(wanted, rel=0, abs=TOLERANCE[graph.dtype] * max(1.0, whole))
    assert abs(found) > 1e-4


@pairwise(ablation=ABLATIONS, activation=ACTIVATIONS, around=SURROUNDINGS, task=TASKS, dtype=DTYPES)
def test_every_unit_of_every_kind_of_layer(ablation, activation, around, task, dtype):
    graph = make_graph(task, (4, 3), activation, around, dtype=dtype)
    gram_samples = make_samples(task, 50, dtype=dtype, weighted=True, seed=1)
    samples = make_samples(task, 30, dtype=dtype, weighted=True, seed=2)
    assert_singles_hold(graph, ablations_of(graph, gram_samples, ablation), samples, task)


@pairwise(ablation=ABLATIONS, task=TASKS, weighted=[False, True], dtype=DTYPES)
def test_every_task(ablation, task, weighted, dtype):
    graph = make_graph(task, dtype=dtype, seed=1)
    samples = make_samples(task, dtype=dtype, weighted=weighted, seed=1)
    assert_singles_hold(graph, ablations_of(graph, samples, ablation), samples, task)


@pairwise(ablation=ABLATIONS, activation=["tanh", "prelu"], dtype=DTYPES)
def test_without_biases(ablation, activation, dtype):
    graph = make_graph(hidden=(5, 6), activation=activation, bias=False, dtype=dtype)
    samples = make_samples(dtype=dtype, seed=3)
    ablations = ablations_of(graph, samples, ablation)
    assert_singles_hold(graph, ablations, samples, "classes")
    # Only a constant that must be taken over makes a bias.
    layers = linears(after_surgery(graph, samples, [0], ablations))
    assert [layer.bias is not None for layer in layers] == [False, ablation != "zero", False]


@every_ablation
def test_a_slope_for_each_unit_is_cut(ablation):
    graph = make_graph(activation="prelu", seed=2)
    samples = make_samples(seed=2)
    ablations = ablations_of(graph, samples, ablation)
    assert_singles_hold(graph, ablations, samples, "classes")
    small = after_surgery(graph, samples, [1, 8], ablations)
    pairs = [
        [each.nodes[number].layer.weight for each in (graph, small)]
        for group in graph.groups
        for number in group.carriers
    ]
    for (slopes, cut), gone in zip(pairs, (1, 1), strict=True):
        kept = torch.cat([slopes[:gone], slopes[gone + 1 :]])
        assert torch.equal(cut, kept)


@pairwise(ablation=ABLATIONS, around=SURROUNDINGS, dtype=DTYPES)
def test_sets_of_units(ablation, around, dtype):
    graph = make_graph(hidden=(8, 7, 6), activation="gelu", around=around, dtype=dtype)
    gram_samples = make_samples(dtype=dtype, weighted=True, seed=4)
    samples = make_samples(n_samples=30, dtype=dtype, weighted=True, seed=5)
    ablations = ablations_of(graph, gram_samples, ablation)
    assert_set_holds(graph, [1, 4, 6], ablations, samples, "classes")  # one layer
    assert_set_holds(graph, [0, 2, 8, 9, 13, 16, 20], ablations, samples, "classes")  # all layers
    # All but one unit of a layer.
    assert_set_holds(graph, [8, 9, 10, 11, 12, 13], ablations, samples, "classes")


@every_ablation
def test_a_set_of_one_is_a_single_unit(ablation):
    graph, samples = make_graph(), make_samples()
    block = block_of(graph, samples, ablations_of(graph, samples, ablation))
    for unit in range(7):
        alone = float(block.loss_increase(0, ids(unit)))
        assert loss_increase_together(block, [ids(unit), None]) == pytest.approx(alone, abs=1e-12)
    assert loss_increase_together(block, [None, ids()]) == 0.0


@every_dtype
@every_ablation
def test_after_earlier_removals(ablation, dtype):
    """Statistics are down-dated for their own layer and stale for those behind it."""
    graph = make_graph(hidden=(9, 8), activation="relu", around="norm_after", dtype=dtype)
    samples = make_samples(dtype=dtype, weighted=True, seed=6)
    table = UnitTable.of(graph.groups)
    kept = AblationStatistics(ablation, 1e-3, refresh=1.0)
    for arms in ([3, 10], [0, 4, 5], [9, 16, 8]):
        ablations = kept.update(Activations(graph, samples))
        assert_singles_hold(graph, ablations, samples, "classes", table)
        graph = without(graph, samples, table, arms, ablations)
        table.remove(arms)
    assert kept.n_factorisations == [1, 1]
    assert graph.sizes == table.sizes == (4, 5)
    assert_singles_hold(graph, kept.update(Activations(graph, samples)), samples, "classes", table)


@every_ablation
def test_statistics_are_made_anew_where_they_are_stale(ablation):
    graph, samples = make_graph(hidden=(20, 10)), make_samples(seed=7)
    table, kept = UnitTable.of(graph.groups), AblationStatistics(ablation, 1e-3, refresh=0.1)
    seen = []
    # Of the 20 before it 19 are more than nine tenths, 18 are not; its own never count.
    for arms in ([0], [20, 21, 22], [1], [2], [3]):
        graph = without(graph, samples, table, arms, kept.update(Activations(graph, samples)))
        table.remove(arms)
        kept.update(Activations(graph, samples))
        seen.append(list(kept.n_factorisations))
    assert seen == [[1, 1], [1, 1], [1, 2], [1, 2], [1, 3]]
    fresh = ablations_of(graph, samples, ablation, 1e-3)
    block, anew = block_of(graph, samples, kept.ablations), block_of(graph, samples, fresh)
    units = torch.arange(7)
    assert torch.equal(block.loss_increase(1, units), anew.loss_increase(1, units))


@pytest.mark.parametrize("ablation", ["mean", "least_squares"])
def test_the_first_layers_statistics_never_become_stale(ablation):
    """What it reads does not change: down-dated they are those of the smaller network."""
    graph, samples = make_graph(hidden=(12, 5), activation="tanh"), make_samples(seed=7)
    table, kept = UnitTable.of(graph.groups), AblationStatistics(ablation, 0.0)
    for arms in ([0, 13], [5, 7, 11], [3], [1, 14]):
        graph = without(graph, samples, table, arms, kept.update(Activations(graph, samples)))
        table.remove(arms)
    fresh = ablations_of(graph, samples, ablation, 0.0)
    block, anew = (
        block_of(graph, samples, kept.update(Activations(graph, samples))),
        block_of(graph, samples, fresh),
    )
    units = torch.arange(5)
    torch.testing.assert_close(
        block.loss_increase(0, units), anew.loss_increase(0, units), rtol=1e-5, atol=1e-8
    )


@pytest.mark.slow
@every_ablation
@pytest.mark.parametrize("hidden", [(40,), (20, 30), (9, 8, 7, 6)])
def test_five_factorisations_a_layer_over_a_whole_path(ablation, hidden):
    graph, samples = make_graph(hidden=hidden), make_samples(n_samples=80, seed=3)
    found = walk(Uniform(), "auto", graph=graph, samples=samples, step=1, ablation=ablation)
    assert found.steps[-1].sizes == (1,) * len(hidden)
    assert found.n_factorisations[0] == 1
    for made in found.n_factorisations[1:]:
        assert 4 <= made <= 5


def assert_same_network(first: Graph, second: Graph, x):
    assert first.sizes == second.sizes
    with torch.no_grad():
        found, wanted = module_of(first).eval()(x), module_of(second).eval()(x)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@every_ablation
def test_removals_in_several_layers_commute(ablation):
    graph, samples = make_graph(hidden=(8, 7, 6), activation="tanh"), make_samples(seed=8)
    made = ablations_of(graph, samples, ablation)
    parts = ([1, 2], [9, 12], [15, 20])
    together = after_surgery(graph, samples, np.concatenate(parts), made)
    for order in itertools.permutations(parts):
        table, ablations, small = UnitTable.of(graph.groups), copy.deepcopy(made), graph
        for arms in order:
            small = without(small, samples, table, arms, ablations)
            table.remove(arms)
        assert_same_network(small, together, samples.x)


@every_ablation
def test_removals_in_one_layer_add_up_to_the_set(ablation):
    """One after the other, with down-dated statistics, is the same as all at once."""
    graph, samples = make_graph(hidden=(9, 5), around="norm_before"), make_samples(seed=9)
    made = ablations_of(graph, samples, ablation)
    together = after_surgery(graph, samples, [0, 3, 4, 7], made)
    for order in ([0, 3, 4, 7], [7, 4, 3, 0], [4, 0, 7, 3]):
        table, ablations, small = UnitTable.of(graph.groups), copy.deepcopy(made), graph
        for arm in order:
            small = without(small, samples, table, [arm], ablations)
            table.remove([arm])
        assert_same_network(small, together, samples.x)


@pairwise(ablation=ABLATIONS, layer=[0, 1], constant=[-1.0, 1.0], dtype=DTYPES)
def test_a_layer_that_is_dead_stays_finite(ablation, layer, constant, dtype):
    graph = make_graph(hidden=(5, 4), dtype=dtype)
    with torch.no_grad():
        linears(graph)[layer].weight.zero_()
        linears(graph)[layer].bias.fill_(constant)  # ReLU: always 0, or always 1
    samples = make_samples(dtype=dtype)
    table, kept = UnitTable.of(graph.groups), AblationStatistics(ablation, 1e-3)
    whole = module_of(graph).eval()(samples.x)
    for position in range(graph.sizes[layer] - 1):
        ablations = kept.update(Activations(graph, samples))
        block = block_of(graph, samples, ablations)
        for k, width in enumerate(graph.sizes):
            assert torch.isfinite(block.loss_increase(k, torch.arange(width))).all()
        arm = 5 * layer + position
        limit = TOLERANCE[dtype] * max(1.0, block.mean_loss)
        found = float(block.loss_increase(layer, ids(0)))
        wanted = loss_after_surgery(graph, [arm], ablations, samples, "classes", table)
        assert found == pytest.approx(wanted - block.mean_loss, abs=limit)
        graph = without(graph, samples, table, [arm], ablations)
        table.remove([arm])
    if ablation != "zero" or constant < 0:
        # What a dead or constant unit did went into the next bias.
        left = module_of(graph).eval()(samples.x)
        torch.testing.assert_close(left, whole, rtol=1e-5, atol=1e-5)


@every_ablation
def test_surgery_leaves_the_network_as_it_was(ablation):
    graph, samples = make_graph(around="norm_after"), make_samples()
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in graph.layers()]
    small = after_surgery(graph, samples, [0, 9], ablations_of(graph, samples, ablation))
    for layer, state in zip(graph.layers(), before, strict=True):
        for name, value in layer.state_dict().items():
            assert torch.equal(value, state[name])
    ours = {v.data_ptr() for m in graph.layers() for v in m.state_dict().values()}
    theirs = {v.data_ptr() for m in small.layers() for v in m.state_dict().values()}
    assert not ours & theirs
