"""Batched evaluation against a plain loop that masks, forwards and restores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import (
    TASKS,
    TOLERANCE,
    ids,
    labelled_by,
    losses_of,
    make_chain,
    make_rows,
    mean_loss,
    neuron_budget,
)
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sklearn_mabprune.ablation.block import CHUNK, Block, LayerStatistics
from sklearn_mabprune.ablation.compensation import ABLATIONS, make_ablation
from sklearn_mabprune.policies import POLICIES
from sklearn_mabprune.pruning.path import PathOptions, pruning_path

CHUNKS = (1, 7, 2**10, 2**18, 2**40)
every_chunk = pytest.mark.parametrize("chunk", CHUNKS)
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)
every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)


def masked(ablation, statistics_rows, weights, unit, ridge):
    """A hook that replaces one input of a Linear by what is left of it."""
    share = weights / weights.sum()
    mean = share @ statistics_rows
    rest = np.arange(statistics_rows.shape[1]) != unit
    centred = statistics_rows - mean
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


def mask_forward_restore(module, layer, ablation, rows, statistics_rows, task, ridge):
    """Rise of the loss for every neuron of a hidden layer, one after the other."""
    linears = [m for m in module if isinstance(m, nn.Linear)]
    following = linears[layer + 1]
    seen = []
    watch = following.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    losses_of(module, statistics_rows, task)
    watch.remove()
    activations = seen[0].double().numpy()
    whole, rises = mean_loss(module, rows, task), []
    for unit in range(following.in_features):
        hook = masked(ablation, activations, statistics_rows.weights.numpy(), unit, ridge)
        handle = following.register_forward_pre_hook(hook)
        rises.append(mean_loss(module, rows, task) - whole)
        handle.remove()
    return np.array(rises)


@every_dtype
@every_ablation
@pytest.mark.parametrize("task", ["classes", "probabilities", "targets"])
def test_equals_a_plain_loop_for_every_chunk(task, ablation, dtype):
    chain = make_chain(task, (9, 7, 5), "tanh", "norm_after", dtype=dtype)
    module = chain.to_module().eval()
    rows = make_rows(task, 33, dtype=dtype, weighted=True, seed=1)
    others = make_rows(task, 60, dtype=dtype, weighted=True, seed=2)
    ablations = LayerStatistics(ablation, 1e-2).update(chain, others)
    blocks = [Block(chain, rows, ablations, chunk) for chunk in CHUNKS]
    for layer, width in enumerate(chain.hidden_sizes):
        wanted = mask_forward_restore(module, layer, ablation, rows, others, task, 1e-2)
        limit = TOLERANCE[dtype] * max(1.0, mean_loss(module, rows, task))
        for block in blocks:
            found = block.loss_increase(layer, torch.arange(width))
            assert found.dtype == torch.float64
            np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=limit)
        assert np.ptp(wanted) > 1e-3


@every_chunk
def test_any_units_in_any_order(chunk):
    chain, rows = make_chain(hidden=(9, 5)), make_rows(n_rows=21)
    ablations = LayerStatistics("least_squares", 1e-3).update(chain, rows)
    block = Block(chain, rows, ablations, chunk)
    everything = block.loss_increase(0, torch.arange(9))
    for units in (ids(8), ids(3, 1), ids(7, 0, 2, 5)):
        torch.testing.assert_close(block.loss_increase(0, units), everything[units])
    assert block.loss_increase(0, ids()).shape == (0,)


def test_weights_of_two_are_doubled_rows_and_only_ratios_count():
    chain, rows = make_chain(), make_rows(n_rows=20)
    ablations = LayerStatistics("mean", 1e-3).update(chain, rows)
    counts = torch.tensor([2, 1, 3, 1] * 5)
    rows.weights = 10.0 * counts.double()
    found = Block(chain, rows, ablations).loss_increase(1, torch.arange(5))
    doubled = rows.at(torch.arange(20).repeat_interleave(counts))
    doubled.weights = torch.ones(len(doubled), dtype=torch.float64)
    wanted = Block(chain, doubled, ablations).loss_increase(1, torch.arange(5))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert rows.mean_loss(chain) == pytest.approx(doubled.mean_loss(chain), abs=1e-12)


@every_dtype
@pytest.mark.parametrize("task", TASKS)
def test_mean_loss_of_rows_and_block(task, dtype):
    chain = make_chain(task, dtype=dtype)
    rows = make_rows(task, dtype=dtype, weighted=True)
    wanted = mean_loss(chain.to_module(), rows, task)
    ablations = LayerStatistics("zero", 0.0).update(chain, rows)
    assert rows.mean_loss(chain) == pytest.approx(wanted, rel=1e-6)
    assert Block(chain, rows, ablations).mean_loss == pytest.approx(wanted, rel=1e-6)


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


@every_ablation
@pytest.mark.parametrize("chunk", [2**9, 2**11, 2**15])
@pytest.mark.parametrize(
    ("hidden", "task"), [((40, 24, 30), "probabilities"), ((8, 60), "targets")]
)
def test_temporaries_stay_within_the_chunk(hidden, task, chunk, ablation):
    chain = make_chain(task, hidden, "gelu", "norm_before")
    rows = make_rows(task, n_rows=300, weighted=True)
    ablations = LayerStatistics(ablation, 1e-3).update(chain, rows)
    block = Block(chain, rows, ablations, chunk)
    following = [*hidden[1:], chain.n_outputs]
    for layer, width in enumerate(hidden):
        block.loss_increase(layer, ids())  # the block's own copies are made once
        with Sizes() as sizes:
            block.loss_increase(layer, torch.arange(width))
        # What has the size of the layer's P or of the next weights is counted apart.
        matrix = width * max(following[layer], width if ablation == "least_squares" else 0)
        assert max(sizes.seen) <= max(chunk, matrix)
        # Not by crawling either: the largest tensor fills a good part of the chunk.
        possible = len(rows) * width * max(hidden[layer:])
        assert max(sizes.seen) >= min(chunk, possible) // 4


def test_least_temporary_is_a_row_of_the_widest_layer():
    chain, rows = make_chain(hidden=(6, 50)), make_rows(n_rows=20)
    block = Block(chain, rows, LayerStatistics("zero", 0.0).update(chain, rows), chunk=1)
    block.loss_increase(0, ids(0))
    with Sizes() as sizes:
        block.loss_increase(0, torch.arange(6))
    weights = 6 * 50
    assert max(size for size in sizes.seen if size != weights) == 50


def test_default_chunk_is_the_devices():
    chain, rows = make_chain(), make_rows()
    ablations = LayerStatistics("zero", 0.0).update(chain, rows)
    assert Block(chain, rows, ablations).chunk == CHUNK["cpu"]
    assert Block(chain, rows, ablations, 5).chunk == 5


@every_dtype
@pytest.mark.parametrize("policy", ["ucb1", "thompson", "exhaustive"])
def test_chunks_choose_the_same_neurons(policy, dtype):
    chain = make_chain(hidden=(14, 10), dtype=dtype)
    rows = labelled_by(chain, make_rows(n_rows=48, dtype=dtype, weighted=True))
    # Dead and doubled neurons: ties that the order of a sum must not decide.
    with torch.no_grad():
        chain.stages[0].linear.weight[3:6] = 0.0
        chain.stages[0].linear.bias[3:6] = -1.0
        chain.stages[0].linear.weight[7] = chain.stages[0].linear.weight[8]
        chain.stages[0].linear.bias[7] = chain.stages[0].linear.bias[8]
    removed = []
    for chunk in CHUNKS:
        options = PathOptions(pull_batch_size=16, step=2, chunk=chunk)
        walk = pruning_path(
            chain,
            rows,
            POLICIES[policy](),
            neuron_budget(chain, 0.75),
            options,
            score=lambda _: 0.0,
            seed=0,
        )
        removed.append(np.concatenate([step.removed for step in walk.steps]).tolist())
    assert all(arms == removed[0] for arms in removed[1:])
    assert len(removed[0]) == 18


def test_unknown_ablation():
    with pytest.raises(KeyError, match="median"):
        make_ablation("median", torch.zeros(2, 2), torch.ones(2), 0.0)
