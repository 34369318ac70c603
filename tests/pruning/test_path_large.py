"""Paths on more samples than a block holds: policies pull differently and keep to budgets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import ablations_of, labelled_by, make_graph, make_samples, walk

from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import POLICIES
from sklearn_mabprune.pruning.pulls import RoundPulls
from sklearn_mabprune.pruning.search import Search

HIDDEN = (12, 8)
N_ROWS = 5200  # ten whole blocks of 512 samples and a short one
SOME_ROWS = 2 * 512  # a quarter of the blocks
STEP, PULLS_PER_NEURON = 4, 8


@pytest.fixture(scope="module")
def network():
    graph = make_graph(hidden=HIDDEN, dtype=torch.float32)
    return graph, labelled_by(graph, make_samples(n_samples=N_ROWS, dtype=torch.float32))


@pytest.fixture(scope="module")
def walks(network):
    graph, samples = network
    return {
        name: walk(
            policy(),
            0.6,
            graph=graph,
            samples=samples,
            score=lambda _: 0.0,
            step=STEP,
            pulls_per_neuron=PULLS_PER_NEURON,
            pull_batch_size="auto",
        )
        for name, policy in POLICIES.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_rounds_keep_to_their_budget(name, walks):
    policy, live = POLICIES[name](), sum(HIDDEN)
    for number, step in enumerate(walks[name].steps[1:]):
        assert len(step.removed) == STEP, "no round had to be merged at this budget"
        if policy.uses_estimates:
            # Two for three classes; where all arms are estimated, on some of the blocks too.
            assert step.n_backward in (2 * N_ROWS, 2 * (N_ROWS + SOME_ROWS))
            assert step.n_pulls <= STEP * PULLS_PER_NEURON
        elif policy.budgeted:
            first = live if number == 0 and policy.initial_pulls else 0
            assert first <= step.n_pulls <= first + STEP * PULLS_PER_NEURON
            assert step.n_pulls > first
        else:
            assert step.n_pulls == 11 * live
            assert step.n_evaluations == N_ROWS * live
        # A pull is on 512 samples, or on the 80 of the last block.
        assert 80 * step.n_pulls <= step.n_evaluations <= 512 * step.n_pulls
        live -= STEP


class Diary:
    """Pulls, and a note of how often each arm was pulled."""

    expected = None  # no estimates before pulls

    def __init__(self, pulls):
        self.pulls, self.counts = pulls, np.zeros(sum(HIDDEN), dtype=int)

    def pull(self, arms):
        self.counts[arms] += 1
        return self.pulls.pull(arms)


def counts_of_a_round(name, network, seed=0, budget=80):
    """How often each arm is pulled in a first round."""
    graph, samples = network
    table, rng = UnitTable(HIDDEN), np.random.default_rng(seed)
    ablations = ablations_of(graph, samples)
    diary = Diary(RoundPulls(Activations(graph, samples), table, ablations, 512, rng))
    search = Search(POLICIES[name](), np.arange(len(table)), rng)
    search.run_round(diary, STEP, budget, np.ones(len(table)))
    return diary.counts


def test_policies_make_different_pulls(network):
    counts = {name: counts_of_a_round(name, network) for name in POLICIES}
    assert set(counts["exhaustive"]) == {11}
    assert set(counts["uniform"]) == {5}  # one at first, then 80 for 20 arms
    assert (np.stack(list(counts.values())) <= 11).all(), "no arm has more pulls than blocks"
    adaptive = [
        name
        for name, policy in POLICIES.items()
        if not policy.full_information and name not in ("exhaustive", "uniform")
    ]
    # which is done before it has pulled any arm three times
    adaptive.remove("boundary")
    for name in adaptive:
        assert np.ptp(counts[name]) >= 2, f"{name} pulls all arms alike"
    for first in ("ucb1", "thompson", "uniform", "exhaustive"):
        for second in ("ucb1", "thompson", "uniform", "exhaustive"):
            assert (first == second) == np.array_equal(counts[first], counts[second])


@pytest.mark.parametrize("name", ["ucb1", "thompson"])
def test_bandits_pull_the_safe_more_often(name, network, walks):
    counts = counts_of_a_round(name, network)
    graph, samples = network
    exact = walk(
        POLICIES["exhaustive"](),
        "auto",
        graph=graph,
        samples=samples,
        score=lambda _: 0.0,
        step=1.0,
        pull_batch_size="auto",
    ).steps[1]
    safest, doubtful = exact.removed[:5], exact.removed[-5:]
    assert counts[safest].mean() > 1.5 * counts[doubtful].mean()


def test_every_way_finds_nearly_the_units_of_the_exact_ranking(walks):
    """A sanity check of all together: random choice would share 36 % of 12 of 20."""
    exact = set(np.concatenate([step.removed for step in walks["exhaustive"].steps]))
    for name, found in walks.items():
        ours = set(np.concatenate([step.removed for step in found.steps]))
        assert len(ours) == len(exact) == 12
        assert len(ours & exact) >= 8, name


def test_blocks_and_seeds(network):
    """The same seed pulls the same arms, whatever is pulled beside it."""
    first, again = counts_of_a_round("ucb1", network), counts_of_a_round("ucb1", network)
    other = counts_of_a_round("ucb1", network, seed=1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
