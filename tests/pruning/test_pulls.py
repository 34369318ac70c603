"""Pulls on common blocks: which samples, in which order, how often."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import ablations_of, block_of, linears, make_graph, make_samples, without

from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.pruning.pulls import RoundPulls


def started(block_size, n_samples=23, weighted=True, seed=0, hidden=(6, 4), dtype=torch.float64):
    graph = make_graph(hidden=hidden, dtype=dtype, activation="tanh")
    samples = make_samples(n_samples=n_samples, weighted=weighted, dtype=dtype)
    table = UnitTable(hidden)
    ablations = ablations_of(graph, samples)
    rng = np.random.default_rng(seed)
    pulls = RoundPulls(Activations(graph, samples), table, ablations, block_size, rng)
    return pulls, graph, samples, ablations


def on_samples(graph, samples, ablations, index):
    """Loss increase of every unit on some of the samples."""
    block = block_of(graph, samples.at(torch.as_tensor(index)), ablations)
    parts = [block.loss_increase(k, torch.arange(n)) for k, n in enumerate(graph.sizes)]
    return torch.cat(parts).numpy()


def test_with_blocks_of_one_sample_every_arm_sees_every_sample_once_and_in_common_order():
    pulls, graph, samples, ablations = started(block_size=1)
    sample_by_sample = np.array(
        [on_samples(graph, samples, ablations, [sample]) for sample in range(23)]
    )
    order = []
    for number in range(23):
        pulled = pulls.pull(np.arange(10))
        match = np.abs(sample_by_sample - pulled.increase).max(axis=1) < 1e-8
        assert match.sum() == 1, "all arms must be measured on the same sample"
        order.append(int(np.flatnonzero(match)[0]))
        share = samples.weights[order[-1]] / samples.weights.mean()
        np.testing.assert_allclose(pulled.weight, float(share))
        assert (pulled.exact == (number == 22)).all()
    assert sorted(order) == list(range(23))
    assert order != sorted(order), "samples must be permuted"


@pytest.mark.parametrize("block_size", [1, 5, 8, 22, 23])
def test_the_ith_pull_of_an_arm_is_on_block_i_whoever_is_pulled_with_it(block_size):
    together = started(block_size)[0]
    n_blocks = -(-23 // block_size)
    assert together.n_blocks == n_blocks
    common = [together.pull(np.arange(10)) for _ in range(n_blocks)]
    apart, done = started(block_size)[0], np.zeros(10, dtype=int)
    rng = np.random.default_rng(5)
    while (done < n_blocks).any():
        arms = rng.permutation(np.flatnonzero(done < n_blocks))
        arms = arms[: rng.integers(1, len(arms) + 1)]
        pulled = apart.pull(arms)
        for arm, increase, weight, exact in zip(
            arms, pulled.increase, pulled.weight, pulled.exact, strict=True
        ):
            assert increase == pytest.approx(common[done[arm]].increase[arm], abs=2e-10)
            assert weight == common[done[arm]].weight[arm]
            done[arm] += 1
            assert exact == (done[arm] == n_blocks)
    assert apart.n_pulls == together.n_pulls == 10 * n_blocks
    assert apart.n_evaluations == together.n_evaluations == 10 * 23


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("block_size", [4, 9, 23, 100])
def test_after_all_blocks_the_weighted_mean_is_exact(block_size, weighted):
    pulls, graph, samples, ablations = started(block_size, weighted=weighted)
    seen = [pulls.pull(np.arange(10)) for _ in range(pulls.n_blocks)]
    weights = np.array([pulled.weight for pulled in seen])
    increases = np.array([pulled.increase for pulled in seen])
    mean = (weights * increases).sum(axis=0) / weights.sum(axis=0)
    np.testing.assert_allclose(
        mean, on_samples(graph, samples, ablations, np.arange(23)), atol=1e-9
    )
    # An average block weighs 1.
    np.testing.assert_allclose(weights.mean(axis=0), 1.0)


def test_an_exact_arm_is_not_pulled_again():
    pulls = started(block_size=12)[0]
    pulls.pull(np.array([3, 4]))
    assert pulls.pull(np.array([3])).exact.all()
    with pytest.raises(ValueError, match="exact was pulled again"):
        pulls.pull(np.array([2, 3]))
    assert not pulls.pull(np.array([2])).exact.any()


def test_rounds_permute_anew_and_seeds_decide():
    def first_block(rng):
        _, graph, samples, ablations = started(5)
        pulls = RoundPulls(Activations(graph, samples), UnitTable((6, 4)), ablations, 5, rng)
        return pulls.pull(np.arange(10)).increase

    rng = np.random.default_rng(0)
    first, second = first_block(rng), first_block(rng)
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(first, first_block(np.random.default_rng(0)))


def test_arms_are_found_in_a_smaller_network():
    pulls, graph, samples, ablations = started(23)
    table = UnitTable((6, 4))
    graph = without(graph, samples, table, [1, 4, 7], ablations)
    table.remove([1, 4, 7])
    pulls = RoundPulls(Activations(graph, samples), table, ablations, 23, np.random.default_rng(0))
    wanted = dict(
        zip(table.live_arms(), on_samples(graph, samples, ablations, range(23)), strict=True)
    )
    for arms in ([9, 0, 6], [2, 8], [3, 5]):
        increase = pulls.pull(np.array(arms)).increase
        np.testing.assert_allclose(increase, [wanted[arm] for arm in arms], atol=1e-9)


def test_samples_without_weight_are_no_pulls():
    """A block of them alone would have no mean."""
    pulls, graph, samples, ablations = started(1)
    samples.weights[::2] = 0.0
    rng = np.random.default_rng(0)
    pulls = RoundPulls(Activations(graph, samples), UnitTable((6, 4)), ablations, 1, rng)
    assert pulls.n_blocks == 11
    seen = [pulls.pull(np.arange(10)) for _ in range(11)]
    mean = np.average([p.increase for p in seen], axis=0, weights=[p.weight[0] for p in seen])
    np.testing.assert_allclose(
        mean, on_samples(graph, samples, ablations, np.arange(1, 23, 2)), atol=1e-9
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(5))
def test_digits_that_the_order_of_a_sum_decides_are_dropped(seed, dtype):
    """The same samples in another order, or in other chunks: the same increases, not nearly.

    In float32 a product of another shape may round a loss differently: one step at most.
    """
    _, graph, samples, ablations = started(200, n_samples=200, dtype=dtype)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(200))
    rng = np.random.default_rng(0)
    increases = [
        RoundPulls(Activations(graph, some), UnitTable((6, 4)), ablations, 200, rng, chunk)
        .pull(np.arange(10))
        .increase
        for some in (samples, samples.at(order))
        for chunk in (None, 50)
    ]
    step = 0.0 if dtype == torch.float64 else 2.1e-7
    for other in increases[1:]:
        np.testing.assert_allclose(increases[0], other, rtol=0, atol=step)
        assert (increases[0] == other).mean() >= 0.7


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_units_that_change_nothing_are_exact_ties(dtype):
    hidden = (6, 4)
    _, graph, samples, _ = started(8, dtype=dtype)
    with torch.no_grad():
        linears(graph)[1].weight[:, [1, 3]] = 0.0
    ablations = ablations_of(graph, samples)
    for chunk in (1, 64, None):
        rng = np.random.default_rng(0)
        pulls = RoundPulls(Activations(graph, samples), UnitTable(hidden), ablations, 8, rng, chunk)
        increase = pulls.pull(np.arange(10)).increase
        assert (increase[[1, 3]] == 0.0).all()
        assert (np.delete(increase, [1, 3]) != 0.0).all()
