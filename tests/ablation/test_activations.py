"""Activations: what a network computes on samples, kept, picked out, and moved by removals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    SURROUNDINGS,
    TASKS,
    TOLERANCE,
    ablations_of,
    example,
    hidden_and_sums,
    ids,
    losses_of,
    make_graph,
    make_samples,
    mean_loss,
    mean_loss_of,
    sums,
    walk,
)
from pairwise import pairwise
from scipy import sparse

from sklearn_mabprune.ablation import activations as module
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.compensation import ABLATIONS
from sklearn_mabprune.ablation.outputs import predictions, sample_losses
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.data.sparse import SparseRows
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import UCB1
from sklearn_mabprune.pruning.removal import remove_together

every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)


def assert_those_of_a_run(found, tolerance=1e-12):
    """Values are what the graph computes on the samples."""
    limits = {"rtol": 0, "atol": tolerance}
    with torch.no_grad():
        hidden, returned = hidden_and_sums(found.graph, found.samples.x)
    for number, wanted in enumerate(hidden):
        torch.testing.assert_close(found.hidden(number).T, wanted, **limits)
    for value, wanted in list(zip(sums(found.graph), returned, strict=True))[1:]:
        torch.testing.assert_close(found.values()[value].T, wanted, **limits)
    torch.testing.assert_close(found.logits.T, returned[-1], **limits)


@every_dtype
@pytest.mark.parametrize("task", TASKS)
def test_values_and_losses_are_those_of_the_network(task, dtype):
    graph = make_graph(task, around="norm_before", dtype=dtype)
    samples = make_samples(task, dtype=dtype, weighted=True)
    found = Activations(graph, samples)
    assert_those_of_a_run(found, TOLERANCE[dtype])
    network, tolerance = module_of(graph), TOLERANCE[dtype]
    assert found.losses().dtype == torch.float64
    wanted = losses_of(network, samples, task).double()
    torch.testing.assert_close(found.losses(), wanted, rtol=tolerance, atol=tolerance)
    expected = mean_loss(network, samples, task)
    assert found.mean_loss() == pytest.approx(expected, rel=tolerance, abs=tolerance)
    outputs = network.eval()(samples.x)
    torch.testing.assert_close(predictions(graph, found.logits.T), outputs)


@pytest.mark.parametrize("task", TASKS)
def test_losses_of_logits_with_dimensions_in_the_middle(task):
    """Many units at once share the targets: each of them as if alone."""
    graph, samples = make_graph(task), make_samples(task, 9)
    logits = Activations(graph, samples).logits
    moved = torch.stack([logits + 0.1 * k for k in range(6)], dim=1)
    wanted = [sample_losses(graph, z, samples.targets, samples.loss) for z in moved.unbind(1)]
    found = sample_losses(graph, moved.clone(), samples.targets, samples.loss)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.stack(wanted))
    deep = moved.clone().view(len(logits), 2, 3, 9)
    found = sample_losses(graph, deep, samples.targets, samples.loss)
    torch.testing.assert_close(found, torch.stack(wanted).view(2, 3, 9))


def test_values_are_computed_once_and_only_when_asked_for(monkeypatch):
    graph, samples = example()
    calls, run = [], graph.run
    monkeypatch.setattr(graph, "run", lambda *args, **kw: calls.append(1) or run(*args, **kw))
    found = Activations(graph, samples)
    assert not calls
    first = found.values()
    assert len(calls) == 1
    assert found.values() is first
    found.hidden(0), found.logits, found.mean_loss()
    assert len(calls) == 1


def test_values_that_would_be_too_large_are_computed_again(monkeypatch):
    graph, samples = example((12, 9), n_samples=60)
    kept = Activations(graph, samples)
    monkeypatch.setattr(module, "_LARGEST", 60 * (12 + 9) - 1)
    found = Activations(graph, samples)
    assert kept.keeps
    assert not found.keeps
    assert_those_of_a_run(found)
    assert found.values() is not found.values()
    assert found.mean_loss() == kept.mean_loss()
    # Samples picked out of them run by themselves.
    some = found.at(ids(3, 1, 50))
    assert some.keeps
    assert_those_of_a_run(some)
    torch.testing.assert_close(some.logits, kept.logits[:, [3, 1, 50]])
    # A smaller network runs anew, and is the same.
    arms, ablations = np.array([1, 13]), ablations_of(graph, samples)
    smaller = remove_together(found, UnitTable.of(graph.groups), arms, ablations)
    moved = remove_together(kept, UnitTable.of(graph.groups), arms, ablations_of(graph, samples))
    assert_those_of_a_run(smaller)
    torch.testing.assert_close(smaller.logits, moved.logits)
    monkeypatch.setattr(module, "_LARGEST", 60 * (12 + 9))
    assert Activations(graph, samples).keeps


@pairwise(
    hidden=[(12,), (12, 9), (10, 9, 8)],
    around=SURROUNDINGS,
    ablation=ABLATIONS,
    dtype=[torch.float64, torch.float32],
)
def test_values_follow_removals(hidden, around, ablation, dtype):
    """Moved from round to round they are what the smaller network computes."""
    graph = make_graph("classes", hidden, "relu", around, dtype=dtype)
    samples = make_samples("classes", 60, dtype=dtype, weighted=True)
    found = Activations(graph, samples)
    table, statistics = UnitTable(hidden), AblationStatistics(ablation, 1e-3)
    rng = np.random.default_rng(0)
    for number in range(4):
        ablations = statistics.update(found)
        # Sometimes one group loses nothing.
        live = table.live_arms()
        groups = table.group(live)
        allowed = live[groups == number % len(hidden)] if number < 2 else live
        arms = np.sort(rng.choice(allowed, 2, replace=False))
        before = found
        was = {value: z.clone() for value, z in before.values().items()}
        found = remove_together(before, table, arms, ablations)
        table.remove(arms)
        assert found.graph.sizes == table.sizes
        assert found.samples is samples
        assert found._values is not None  # nothing is run from the beginning
        assert_those_of_a_run(found, 1e-10 if dtype == torch.float64 else 2e-4)
        assert found.mean_loss() == pytest.approx(mean_loss_of(found.graph, samples), abs=1e-5)
        # Those of the larger network are as they were.
        assert before.values().keys() == was.keys()
        assert all(torch.equal(z, was[value]) for value, z in before.values().items())


def test_a_path_leaves_the_samples_as_they_were():
    graph, samples = example((12, 9), n_samples=60)
    before = [each.clone() for each in (samples.x, samples.targets, samples.weights)]
    found = walk(UCB1(), 0.5, graph=graph, samples=samples, step=3)
    for ours, each in zip((samples.x, samples.targets, samples.weights), before, strict=True):
        assert torch.equal(ours, each)
    for step in found.steps:
        if step.graph is not None:
            assert step.loss == pytest.approx(mean_loss_of(step.graph, samples), abs=1e-9)


@pytest.mark.parametrize("index", [ids(7, 3, 50), slice(10, 20), ids()], ids=str)
def test_samples_picked_out_are_those_that_run(index):
    graph, samples = example((12, 9), n_samples=60)
    whole = Activations(graph, samples)
    anew = whole.at(index)  # nothing was computed yet
    assert anew._values is None
    whole.values()
    kept = whole.at(index)
    assert kept._values is not None
    for found in (kept, anew):
        assert torch.equal(found.samples.x, samples.x[index])
        assert torch.equal(found.samples.targets, samples.targets[index])
        assert torch.equal(found.samples.weights, samples.weights[index])
        assert found.samples.loss is samples.loss
        assert_those_of_a_run(found)
    assert kept.values().keys() == anew.values().keys()


@pytest.mark.parametrize("around", ["plain", "norm_before"])
def test_sparse_samples_have_the_values_of_dense_ones(around):
    graph = make_graph(around=around)
    dense = make_samples(n_samples=20)
    x = dense.x * (dense.x.abs() > 0.8)
    dense = replace(dense, x=x)
    thin = replace(dense, x=SparseRows.of(sparse.csr_array(x.numpy()), "cpu", torch.float64))
    one, other = Activations(graph, dense), Activations(graph, thin)
    for value, wanted in one.values().items():
        torch.testing.assert_close(other.values()[value], wanted)
    assert other.mean_loss() == pytest.approx(one.mean_loss(), abs=1e-12)
    some = ids(4, 0, 19)
    torch.testing.assert_close(other.at(some).logits, one.at(some).logits)
