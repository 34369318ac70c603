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
    ids,
    make_chain,
    make_rows,
    mean_loss,
    walk,
)

from sklearn_mabprune.ablation.block import Block, LayerStatistics
from sklearn_mabprune.ablation.compensation import ABLATIONS
from sklearn_mabprune.graph.graph import Chain
from sklearn_mabprune.graph.units import NeuronTable
from sklearn_mabprune.policies import Uniform
from sklearn_mabprune.pruning.path import remove_together

DTYPES = (torch.float64, torch.float32)
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=("float64", "float32"))


def statistics(chain, rows, ablation, ridge=1e-3):
    return LayerStatistics(ablation, ridge).update(chain, rows)


def without(chain, arms, ablations, table=None):
    """The network after surgery; the statistics stay as they are."""
    table = table or NeuronTable(chain.hidden_sizes)
    return remove_together(chain, table, np.asarray(arms), copy.deepcopy(ablations))


def loss_after_surgery(chain, arms, ablations, rows, task, table=None):
    """Loss of the module that surgery makes."""
    return mean_loss(without(chain, arms, ablations, table).to_module(), rows, task)


def assert_singles_hold(chain, ablations, rows, task, table=None):
    """Every neuron of every layer, removed alone."""
    table = table or NeuronTable(chain.hidden_sizes)
    block, whole = Block(chain, rows, ablations), mean_loss(chain.to_module(), rows, task)
    limit = TOLERANCE[chain.dtype] * max(1.0, whole)
    for layer, width in enumerate(chain.hidden_sizes):
        if width == 1:
            continue  # a layer keeps at least one neuron
        found = block.loss_increase(layer, torch.arange(width)).numpy()
        live = table.live_arms()
        arms = live[table.layer(live) == layer]
        losses = [loss_after_surgery(chain, [arm], ablations, rows, task, table) for arm in arms]
        np.testing.assert_allclose(found, np.subtract(losses, whole), rtol=0, atol=limit)
        assert np.ptp(found) > 1e-4, "the neurons of the example do not matter"


def assert_set_holds(chain, arms, ablations, rows, task):
    table = NeuronTable(chain.hidden_sizes)
    layers, positions = table.layer(arms), table.position(arms)
    units = [ids(*positions[layers == k].tolist()) for k in range(len(chain.hidden_sizes))]
    found = Block(chain, rows, ablations).loss_increase_together(units)
    whole = mean_loss(chain.to_module(), rows, task)
    wanted = loss_after_surgery(chain, arms, ablations, rows, task) - whole
    assert found == pytest.approx(wanted, rel=0, abs=TOLERANCE[chain.dtype] * max(1.0, whole))
    assert abs(found) > 1e-4


CASES = list(itertools.product(ABLATIONS, ACTIVATIONS, SURROUNDINGS))


@every_dtype
@pytest.mark.parametrize(("ablation", "activation", "around"), CASES)
def test_every_neuron_of_every_kind_of_layer(ablation, activation, around, dtype):
    # All tasks come round, with every ablation and with every activation.
    task = list(TASKS)[CASES.index((ablation, activation, around)) % 5 % 4]
    chain = make_chain(task, (4, 3), activation, around, dtype=dtype)
    gram_rows = make_rows(task, 50, dtype=dtype, weighted=True, seed=1)
    rows = make_rows(task, 30, dtype=dtype, weighted=True, seed=2)
    assert_singles_hold(chain, statistics(chain, gram_rows, ablation), rows, task)


@every_dtype
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", TASKS)
@every_ablation
def test_every_task(ablation, task, weighted, dtype):
    chain = make_chain(task, dtype=dtype, seed=1)
    rows = make_rows(task, dtype=dtype, weighted=weighted, seed=1)
    assert_singles_hold(chain, statistics(chain, rows, ablation), rows, task)


@every_dtype
@pytest.mark.parametrize("activation", ["tanh", "prelu"])
@every_ablation
def test_without_biases(ablation, activation, dtype):
    chain = make_chain(hidden=(5, 6), activation=activation, bias=False, dtype=dtype)
    rows = make_rows(dtype=dtype, seed=3)
    ablations = statistics(chain, rows, ablation)
    assert_singles_hold(chain, ablations, rows, "classes")
    # Only a constant that must be taken over makes a bias.
    linears = [stage.linear for stage in without(chain, [0], ablations).stages]
    assert [layer.bias is not None for layer in linears] == [False, ablation != "zero", False]


@every_ablation
def test_a_slope_for_each_neuron_is_cut(ablation):
    chain = make_chain(activation="prelu", seed=2)
    rows = make_rows(seed=2)
    ablations = statistics(chain, rows, ablation)
    assert_singles_hold(chain, ablations, rows, "classes")
    small = without(chain, [1, 8], ablations)
    for before, after, gone in zip(chain.stages[:-1], small.stages[:-1], (1, 1), strict=True):
        slopes = before.after[0].weight
        kept = torch.cat([slopes[:gone], slopes[gone + 1 :]])
        assert torch.equal(after.after[0].weight, kept)


@every_dtype
@pytest.mark.parametrize("around", SURROUNDINGS)
@every_ablation
def test_sets_of_neurons(ablation, around, dtype):
    chain = make_chain(hidden=(8, 7, 6), activation="gelu", around=around, dtype=dtype)
    gram_rows = make_rows(dtype=dtype, weighted=True, seed=4)
    rows = make_rows(n_rows=30, dtype=dtype, weighted=True, seed=5)
    ablations = statistics(chain, gram_rows, ablation)
    assert_set_holds(chain, [1, 4, 6], ablations, rows, "classes")  # one layer
    assert_set_holds(chain, [0, 2, 8, 9, 13, 16, 20], ablations, rows, "classes")  # all layers
    # All but one neuron of a layer.
    assert_set_holds(chain, [8, 9, 10, 11, 12, 13], ablations, rows, "classes")


@every_ablation
def test_a_set_of_one_is_a_single_neuron(ablation):
    chain, rows = make_chain(), make_rows()
    block = Block(chain, rows, statistics(chain, rows, ablation))
    for unit in range(7):
        alone = float(block.loss_increase(0, ids(unit)))
        assert block.loss_increase_together([ids(unit), None]) == pytest.approx(alone, abs=1e-12)
    assert block.loss_increase_together([None, ids()]) == 0.0


@every_dtype
@every_ablation
def test_after_earlier_removals(ablation, dtype):
    """Statistics are down-dated for their own layer and stale for those behind it."""
    chain = make_chain(hidden=(9, 8), activation="relu", around="norm_after", dtype=dtype)
    rows = make_rows(dtype=dtype, weighted=True, seed=6)
    table = NeuronTable(chain.hidden_sizes)
    kept = LayerStatistics(ablation, 1e-3, refresh=1.0)
    for arms in ([3, 10], [0, 4, 5], [9, 16, 8]):
        ablations = kept.update(chain, rows)
        assert_singles_hold(chain, ablations, rows, "classes", table)
        chain = remove_together(chain, table, np.array(arms), ablations)
        table.remove(arms)
    assert kept.n_factorisations == [1, 1]
    assert chain.hidden_sizes == table.sizes == (4, 5)
    assert_singles_hold(chain, kept.update(chain, rows), rows, "classes", table)


@every_ablation
def test_statistics_are_made_anew_where_they_are_stale(ablation):
    chain, rows = make_chain(hidden=(20, 10)), make_rows(seed=7)
    table, kept = NeuronTable(chain.hidden_sizes), LayerStatistics(ablation, 1e-3, refresh=0.1)
    seen = []
    # Of the 20 before it 19 are more than nine tenths, 18 are not; its own never count.
    for arms in ([0], [20, 21, 22], [1], [2], [3]):
        chain = remove_together(chain, table, np.array(arms), kept.update(chain, rows))
        table.remove(arms)
        kept.update(chain, rows)
        seen.append(list(kept.n_factorisations))
    assert seen == [[1, 1], [1, 1], [1, 2], [1, 2], [1, 3]]
    fresh = LayerStatistics(ablation, 1e-3).update(chain, rows)
    block, anew = Block(chain, rows, kept.ablations), Block(chain, rows, fresh)
    units = torch.arange(7)
    assert torch.equal(block.loss_increase(1, units), anew.loss_increase(1, units))


@pytest.mark.parametrize("ablation", ["mean", "least_squares"])
def test_the_first_layers_statistics_never_become_stale(ablation):
    """What it reads does not change: down-dated they are those of the smaller network."""
    chain, rows = make_chain(hidden=(12, 5), activation="tanh"), make_rows(seed=7)
    table, kept = NeuronTable(chain.hidden_sizes), LayerStatistics(ablation, 0.0)
    for arms in ([0, 13], [5, 7, 11], [3], [1, 14]):
        chain = remove_together(chain, table, np.array(arms), kept.update(chain, rows))
        table.remove(arms)
    fresh = LayerStatistics(ablation, 0.0).update(chain, rows)
    block, anew = Block(chain, rows, kept.update(chain, rows)), Block(chain, rows, fresh)
    units = torch.arange(5)
    torch.testing.assert_close(
        block.loss_increase(0, units), anew.loss_increase(0, units), rtol=1e-5, atol=1e-8
    )


@every_ablation
@pytest.mark.parametrize("hidden", [(40,), (20, 30), (9, 8, 7, 6)])
def test_five_factorisations_a_layer_over_a_whole_path(ablation, hidden):
    chain, rows = make_chain(hidden=hidden), make_rows(n_rows=80, seed=3)
    found = walk(Uniform(), "auto", chain=chain, rows=rows, step=1, ablation=ablation)
    assert found.steps[-1].sizes == (1,) * len(hidden)
    assert found.n_factorisations[0] == 1
    for made in found.n_factorisations[1:]:
        assert 4 <= made <= 5


def assert_same_network(first: Chain, second: Chain, x):
    assert first.hidden_sizes == second.hidden_sizes
    with torch.no_grad():
        found, wanted = first.to_module().eval()(x), second.to_module().eval()(x)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@every_ablation
def test_removals_in_several_layers_commute(ablation):
    chain, rows = make_chain(hidden=(8, 7, 6), activation="tanh"), make_rows(seed=8)
    made = statistics(chain, rows, ablation)
    parts = ([1, 2], [9, 12], [15, 20])
    together = without(chain, np.concatenate(parts), made)
    for order in itertools.permutations(parts):
        table, ablations, small = NeuronTable(chain.hidden_sizes), copy.deepcopy(made), chain
        for arms in order:
            small = remove_together(small, table, np.array(arms), ablations)
            table.remove(arms)
        assert_same_network(small, together, rows.x)


@every_ablation
def test_removals_in_one_layer_add_up_to_the_set(ablation):
    """One after the other, with down-dated statistics, is the same as all at once."""
    chain, rows = make_chain(hidden=(9, 5), around="norm_before"), make_rows(seed=9)
    made = statistics(chain, rows, ablation)
    together = without(chain, [0, 3, 4, 7], made)
    for order in ([0, 3, 4, 7], [7, 4, 3, 0], [4, 0, 7, 3]):
        table, ablations, small = NeuronTable(chain.hidden_sizes), copy.deepcopy(made), chain
        for arm in order:
            small = remove_together(small, table, np.array([arm]), ablations)
            table.remove([arm])
        assert_same_network(small, together, rows.x)


@every_dtype
@pytest.mark.parametrize("constant", [-1.0, 1.0], ids=("dead", "constant"))
@pytest.mark.parametrize("layer", [0, 1])
@every_ablation
def test_a_layer_that_is_dead_stays_finite(ablation, layer, constant, dtype):
    chain = make_chain(hidden=(5, 4), dtype=dtype)
    with torch.no_grad():
        chain.stages[layer].linear.weight.zero_()
        chain.stages[layer].linear.bias.fill_(constant)  # ReLU: always 0, or always 1
    rows = make_rows(dtype=dtype)
    table, kept = NeuronTable(chain.hidden_sizes), LayerStatistics(ablation, 1e-3)
    whole = chain.to_module().eval()(rows.x)
    for position in range(chain.hidden_sizes[layer] - 1):
        ablations = kept.update(chain, rows)
        block = Block(chain, rows, ablations)
        for k, width in enumerate(chain.hidden_sizes):
            assert torch.isfinite(block.loss_increase(k, torch.arange(width))).all()
        arm = 5 * layer + position
        limit = TOLERANCE[dtype] * max(1.0, block.mean_loss)
        found = float(block.loss_increase(layer, ids(0)))
        wanted = loss_after_surgery(chain, [arm], ablations, rows, "classes", table)
        assert found == pytest.approx(wanted - block.mean_loss, abs=limit)
        chain = remove_together(chain, table, np.array([arm]), ablations)
        table.remove([arm])
    if ablation != "zero" or constant < 0:
        # What a dead or constant unit did went into the next bias.
        left = chain.to_module().eval()(rows.x)
        torch.testing.assert_close(left, whole, rtol=1e-5, atol=1e-5)


@every_ablation
def test_surgery_leaves_the_network_as_it_was(ablation):
    chain, rows = make_chain(around="norm_after"), make_rows()
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in chain.layers()]
    small = without(chain, [0, 9], statistics(chain, rows, ablation))
    for layer, state in zip(chain.layers(), before, strict=True):
        for name, value in layer.state_dict().items():
            assert torch.equal(value, state[name])
    ours = {v.data_ptr() for m in chain.layers() for v in m.state_dict().values()}
    theirs = {v.data_ptr() for m in small.layers() for v in m.state_dict().values()}
    assert not ours & theirs
