"""Batched evaluation against a plain loop that masks, forwards and restores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    TASKS,
    TOLERANCE,
    ablations_of,
    block_of,
    ids,
    labelled_by,
    linears,
    losses_of,
    make_graph,
    make_samples,
    mean_loss,
    mean_loss_of,
    removed,
    walk,
)
from pairwise import pairwise
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sklearn_mabprune.ablation.chunks import CHUNK
from sklearn_mabprune.ablation.compensation import ABLATIONS
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.policies import POLICIES

CHUNKS = (1, 7, 2**10, 2**18, 2**40)
every_chunk = pytest.mark.parametrize("chunk", CHUNKS)
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)
every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)


def masked(ablation, statistics_samples, weights, unit, ridge):
    """A hook that replaces one input of a Linear by what is left of it."""
    share = weights / weights.sum()
    mean = share @ statistics_samples
    rest = np.arange(statistics_samples.shape[1]) != unit
    centred = statistics_samples - mean
    gram = (centred * share[:, None]).T @ centred
    strength = ridge * np.mean(np.diag(gram))
    slopes = np.linalg.solve(gram[rest][:, rest] + strength * np.eye(rest.sum()), gram[rest, unit])

    def hook(layer, args):
        x = args[0].clone()
        if ablation == "zero":
            x[:, unit] = 0.0
        elif ablation == "mean":
            x[:, unit] = float(mean[unit])
        else:
            others = (x[:, torch.as_tensor(rest)].double().numpy() - mean[rest]) @ slopes
            x[:, unit] = torch.as_tensor(others + mean[unit]).to(x.dtype)
        return (x,)

    return hook


def mask_forward_restore(module, number, ablation, samples, statistics_samples, task, ridge):
    """Rise of the loss for every unit of a group, one after the other."""
    following = [m for m in module if isinstance(m, nn.Linear)][number + 1]
    seen = []
    watch = following.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    losses_of(module, statistics_samples, task)
    watch.remove()
    activations = seen[0].double().numpy()
    whole, rises = mean_loss(module, samples, task), []
    for unit in range(following.in_features):
        hook = masked(ablation, activations, statistics_samples.weights.numpy(), unit, ridge)
        handle = following.register_forward_pre_hook(hook)
        rises.append(mean_loss(module, samples, task) - whole)
        handle.remove()
    return np.array(rises)


@pytest.mark.slow
@pairwise(
    task=["classes", "probabilities", "targets"],
    ablation=ABLATIONS,
    dtype=[torch.float64, torch.float32],
)
def test_equals_a_plain_loop_for_every_chunk(task, ablation, dtype):
    graph = make_graph(task, (9, 7, 5), "tanh", "norm_after", dtype=dtype)
    module = module_of(graph).eval()
    samples = make_samples(task, 33, dtype=dtype, weighted=True, seed=1)
    others = make_samples(task, 60, dtype=dtype, weighted=True, seed=2)
    ablations = ablations_of(graph, others, ablation, 1e-2)
    blocks = [block_of(graph, samples, ablations, chunk) for chunk in CHUNKS]
    for number, width in enumerate(graph.sizes):
        wanted = mask_forward_restore(module, number, ablation, samples, others, task, 1e-2)
        limit = TOLERANCE[dtype] * max(1.0, mean_loss(module, samples, task))
        for block in blocks:
            found = block.loss_increase(number, torch.arange(width))
            assert found.dtype == torch.float64
            np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=limit)
        assert np.ptp(wanted) > 1e-3


@every_chunk
def test_any_units_in_any_order(chunk):
    graph, samples = make_graph(hidden=(9, 5)), make_samples(n_samples=21)
    ablations = ablations_of(graph, samples, "least_squares", 1e-3)
    block = block_of(graph, samples, ablations, chunk)
    everything = block.loss_increase(0, torch.arange(9))
    for units in (ids(8), ids(3, 1), ids(7, 0, 2, 5)):
        torch.testing.assert_close(block.loss_increase(0, units), everything[units])
    assert block.loss_increase(0, ids()).shape == (0,)


def test_weights_of_two_are_doubled_samples_and_only_ratios_count():
    graph, samples = make_graph(), make_samples(n_samples=20)
    ablations = ablations_of(graph, samples, "mean", 1e-3)
    counts = torch.tensor([2, 1, 3, 1] * 5)
    samples = replace(samples, weights=10.0 * counts.double())
    found = block_of(graph, samples, ablations).loss_increase(1, torch.arange(5))
    doubled = samples.at(torch.arange(20).repeat_interleave(counts))
    doubled = replace(doubled, weights=torch.ones(len(doubled), dtype=torch.float64))
    wanted = block_of(graph, doubled, ablations).loss_increase(1, torch.arange(5))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert mean_loss_of(graph, samples) == pytest.approx(mean_loss_of(graph, doubled), abs=1e-12)


@every_dtype
@pytest.mark.parametrize("task", TASKS)
def test_mean_loss_of_samples_and_block(task, dtype):
    graph = make_graph(task, dtype=dtype)
    samples = make_samples(task, dtype=dtype, weighted=True)
    wanted = mean_loss(module_of(graph), samples, task)
    ablations = ablations_of(graph, samples, "zero", 0.0)
    assert mean_loss_of(graph, samples) == pytest.approx(wanted, rel=1e-6)
    assert block_of(graph, samples, ablations).mean_loss == pytest.approx(wanted, rel=1e-6)


class Sizes(TorchDispatchMode):
    """Notes how many numbers every tensor has that is produced."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(value, torch.Tensor):
                self.seen.append(value.numel())
        return result


@pytest.mark.slow
@every_ablation
@pytest.mark.parametrize("chunk", [2**9, 2**11, 2**15])
@pytest.mark.parametrize(
    ("hidden", "task"), [((40, 24, 30), "probabilities"), ((8, 60), "targets")]
)
def test_temporaries_stay_within_the_chunk(hidden, task, chunk, ablation):
    graph = make_graph(task, hidden, "gelu", "norm_before")
    samples = make_samples(task, n_samples=300, weighted=True)
    ablations = ablations_of(graph, samples, ablation, 1e-3)
    block = block_of(graph, samples, ablations, chunk)
    following = [*hidden[1:], graph.n_outputs]
    for number, width in enumerate(hidden):
        block.loss_increase(number, ids())  # the block's own copies are made once
        with Sizes() as sizes:
            block.loss_increase(number, torch.arange(width))
        # What has the size of the group's P or of the next weights is counted apart.
        matrix = width * max(following[number], width if ablation == "least_squares" else 0)
        assert max(sizes.seen) <= max(chunk, matrix)
        # Not by crawling either: the largest tensor fills a good part of the chunk.
        possible = len(samples) * width * max(hidden[number:])
        assert max(sizes.seen) >= min(chunk, possible) // 4


def test_least_temporary_is_a_sample_of_the_widest_layer():
    graph, samples = make_graph(hidden=(6, 50)), make_samples(n_samples=20)
    block = block_of(graph, samples, ablations_of(graph, samples, "zero", 0.0), chunk=1)
    block.loss_increase(0, ids(0))
    with Sizes() as sizes:
        block.loss_increase(0, torch.arange(6))
    weights = 6 * 50
    assert max(size for size in sizes.seen if size != weights) == 50


def test_default_chunk_is_the_devices():
    graph, samples = make_graph(), make_samples()
    ablations = ablations_of(graph, samples, "zero", 0.0)
    assert block_of(graph, samples, ablations).chunk == CHUNK["cpu"]
    assert block_of(graph, samples, ablations, 5).chunk == 5


@pytest.mark.slow
@every_dtype
@pytest.mark.parametrize("policy", ["ucb1", "thompson", "exhaustive"])
def test_chunks_choose_the_same_units(policy, dtype):
    graph = make_graph(hidden=(14, 10), dtype=dtype)
    samples = labelled_by(graph, make_samples(n_samples=48, dtype=dtype, weighted=True))
    # Dead and doubled units: ties that the order of a sum must not decide.
    first = linears(graph)[0]
    with torch.no_grad():
        first.weight[3:6] = 0.0
        first.bias[3:6] = -1.0
        first.weight[7] = first.weight[8]
        first.bias[7] = first.bias[8]
    gone = []
    for chunk in CHUNKS:
        found = walk(
            POLICIES[policy](),
            0.75,
            graph=graph,
            samples=samples,
            score=lambda _: 0.0,
            pull_batch_size=16,
            pulls_per_neuron=10,
            step=2,
            chunk=chunk,
        )
        gone.append(removed(found))
    assert all(arms == gone[0] for arms in gone[1:])
    assert len(gone[0]) == 18
