"""Estimates at work: corrected pulls, priors in a search, the estimators' parameter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import ablations_of, block_of, example
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import POLICIES, Boundary
from sklearn_mabprune.pruning.pulls import Estimates, RoundPulls
from sklearn_mabprune.pruning.search import Search

KINDS = ["linear", "fisher"]


def pulls_of(graph, samples, kind, block_size=15, seed=0, arms=None, finalists=None):
    return RoundPulls(
        Activations(graph, samples),
        UnitTable.of(graph.groups),
        ablations_of(graph, samples),
        block_size,
        np.random.default_rng(seed),
        estimates=None if kind is None else Estimates(kind, arms, finalists),
    )


def exact_increases(graph, samples):
    block = block_of(graph, samples, ablations_of(graph, samples))
    found = [
        block.loss_increase(number, torch.arange(width)) for number, width in enumerate(graph.sizes)
    ]
    return torch.cat(found).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_corrected_pulls_are_unbiased(kind):
    """The mean over all blocks, by weight, is the exact loss increase."""
    graph, samples = example()
    pulls = pulls_of(graph, samples, kind)
    arms = np.arange(sum(graph.sizes))
    found = [pulls.pull(arms) for _ in range(pulls.n_blocks)]
    mean = np.average([p.increase for p in found], axis=0, weights=[p.weight[0] for p in found])
    np.testing.assert_allclose(mean, exact_increases(graph, samples), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_corrected_pulls_vary_less(kind):
    graph, samples = example()
    arms = np.arange(sum(graph.sizes))
    spread = {}
    for variate in (None, kind):
        pulls = pulls_of(graph, samples, variate)
        found = [pulls.pull(arms).increase for _ in range(pulls.n_blocks)]
        spread[variate] = np.std(found, axis=0).mean()
    assert spread[kind] < spread[None] / 2


@pytest.mark.parametrize("kind", KINDS)
def test_some_arms_are_estimated_as_all_are(kind):
    graph, samples = example()
    everyone = np.arange(sum(graph.sizes))
    for some in (everyone[1::3], everyone[:2], everyone[-2:]):
        every, few = pulls_of(graph, samples, kind), pulls_of(graph, samples, kind, arms=some)
        np.testing.assert_allclose(few.expected[some], every.expected[some], rtol=0, atol=1e-10)
        others = np.setdiff1d(everyone, some)
        assert np.isnan(few.expected[others]).all()
        # the others' pulls are plain ones, on the same blocks
        plain = pulls_of(graph, samples, None).pull(everyone).increase
        pulled = few.pull(everyone).increase
        np.testing.assert_allclose(pulled[others], plain[others], rtol=0, atol=1e-9)
        corrected = every.pull(everyone).increase
        np.testing.assert_allclose(pulled[some], corrected[some], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_some_blocks_tell_finalists_from_others(kind):
    """Finalists have estimates from all samples, and nobody's pulls become biased."""
    graph, samples = example(n_samples=120)
    everyone = np.arange(sum(graph.sizes))
    every, race = (
        pulls_of(graph, samples, kind, arms=everyone, finalists=some) for some in (None, 6)
    )
    finalists = np.flatnonzero(np.isfinite(race._estimates).all(axis=0))
    others = np.setdiff1d(everyone, finalists)
    assert len(finalists) == 6
    assert np.isfinite(race._estimates[:2, others]).all()
    assert np.isnan(race._estimates[2:, others]).all()
    np.testing.assert_array_equal(np.flatnonzero(race.corrected), finalists)
    assert every.corrected.all()
    assert not pulls_of(graph, samples, None).corrected.any()
    weights = [samples.weights[race._order[part]].sum() for part in race._parts[:2]]
    first = np.average(race._estimates[:2], axis=0, weights=weights)
    np.testing.assert_allclose(race.expected[others], first[others], rtol=0, atol=1e-9)
    if kind == "linear":  # the other draws labels anew for the second estimate
        assert first[finalists].max() < first[others].min()
        np.testing.assert_allclose(race.expected[finalists], every.expected[finalists], atol=1e-9)
    assert race.n_backward == every.n_backward * (1 + 30 / 120)
    found = [race.pull(everyone) for _ in range(race.n_blocks)]
    mean = np.average([p.increase for p in found], axis=0, weights=[p.weight[0] for p in found])
    np.testing.assert_allclose(mean, exact_increases(graph, samples), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_stand_in_for_first_pulls(kind):
    graph, samples = example()
    pulls = pulls_of(graph, samples, kind)
    arms = np.arange(sum(graph.sizes))
    search = Search(POLICIES["ucb1"](), arms, np.random.default_rng(0))
    order = search.run_round(pulls, 3, 0, np.ones(len(arms)))
    assert pulls.n_pulls == 0
    assert pulls.n_backward > 0
    np.testing.assert_array_equal(order, np.argsort(pulls.expected, kind="stable"))


@pytest.mark.parametrize("finalists", [None, 4])
def test_beside_estimates_nobody_is_pulled_without_one(finalists):
    """Such a pull has its samples' own share of the loss, which estimates take off elsewhere."""
    graph, samples = example(n_samples=120)
    everyone = np.arange(sum(graph.sizes))
    safest = np.argsort(pulls_of(graph, samples, "linear").expected)[:6]
    pulls = pulls_of(graph, samples, "linear", arms=np.sort(safest), finalists=finalists)
    search = Search(Boundary(delta=1e-6, tolerance=0.0), everyone, np.random.default_rng(0))
    # Of the others something is known from the round before.
    before = pulls_of(graph, samples, None, seed=1)
    search.run_round(before, 3, 0, np.ones(len(everyone)))
    search.run_round(pulls, 3, 200, np.ones(len(everyone)))
    pulled = np.flatnonzero(pulls.by_arm)
    assert pulled.size
    assert np.isin(pulled, np.flatnonzero(pulls.corrected)).all()
    # It is for one round.
    search.run_round(pulls_of(graph, samples, None, seed=2), 3, 60, np.ones(len(everyone)))
    assert not search.policy.closed_.any()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_takes_estimates(policy):
    graph, samples = example()
    arms = np.arange(sum(graph.sizes))
    search = Search(POLICIES[policy](), arms, np.random.default_rng(0))
    for _ in range(3):
        pulls = pulls_of(graph, samples, "linear")
        order = search.run_round(pulls, 3, 12, np.ones(len(arms)))
        assert sorted(order) == list(arms)
        search.policy.remove([], 0.9)


@pytest.mark.parametrize(("kind", "n_passes"), [("linear", 1), ("fisher", 2)])
def test_estimators_count_passes_apart_from_pulls(kind, n_passes):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = MABPrunedClassifier(
        MLPNetClassifier(module__hidden_layer_sizes=(12, 8), max_epochs=5),
        policy="ucb1",
        control_variate=kind,
        pulls_per_neuron=1,
        pruning_budget=0.5,
        tolerance=1.0,
        random_state=0,
    ).fit(X, y)
    path, report = model.pruning_path_, model.pruning_report_
    assert sum(model.hidden_layer_sizes_) == 10
    # One pull a removed unit and no pull to start with.
    assert model.n_pulls_ == 10
    # The same in every round: of two classes only the difference matters.
    n_samples = len(X) - report.n_validation
    assert (path.n_backward[1:] == n_passes * n_samples).all()
    assert report.n_backward == path.n_backward.sum()
    assert "backward passes" in str(report)
