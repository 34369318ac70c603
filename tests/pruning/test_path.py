"""The path: what every round removes and spends, for every policy and criterion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import (
    HIDDEN,
    assert_consistent,
    example,
    linears,
    mean_loss_of,
    removed,
    round_sizes,
    walk,
)
from pairwise import pairwise

from sklearn_mabprune.criteria import CRITERIA, Magnitude, Random
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.policies import POLICIES, Exhaustive, Uniform
from sklearn_mabprune.pruning.path import MAX_KEPT

CHOOSERS = {**POLICIES, **CRITERIA}
every_chooser = pytest.mark.parametrize("name", CHOOSERS)


# ---------------------------------------------------------------------------- how much


@pytest.mark.slow
@every_chooser
@pytest.mark.parametrize("budget", [0, 1, 7, 0.5, 0.9, "auto"])
def test_exactly_the_budget_is_removed(name, budget):
    graph, samples = example()
    found = walk(CHOOSERS[name](), budget, graph=graph, samples=samples)
    wanted = {0.5: 12, 0.9: 21, "auto": 22}.get(budget, budget)
    assert len(removed(found)) == wanted
    assert_consistent(found, graph)
    assert not found.interrupted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scope", "step"),
    [
        (name, *[("global", 2), ("layer", 2), ("global", "auto")][k % 3])
        for k, name in enumerate(CHOOSERS)
    ],
)
def test_smaller_budgets_are_prefixes_of_larger_ones(name, scope, step):
    """For a step that fits into the budget, which is then all the same to the policy."""
    paths = [walk(CHOOSERS[name](), b, scope=scope, step=step) for b in (0.25, 0.5, 0.75, "auto")]
    longest = removed(paths[-1])
    for path in paths[:-1]:
        assert removed(path) == longest[: len(removed(path))]
        # Measured the same, too: pulls and scores of whole rounds.
        for ours, theirs in zip(path.steps[:-1], paths[-1].steps, strict=False):
            assert (ours.n_pulls, ours.score, ours.loss) == (
                theirs.n_pulls,
                theirs.score,
                theirs.loss,
            )


@pytest.mark.parametrize("unit", ["parameters", "macs"])
@pytest.mark.parametrize("chooser", [Uniform(), Magnitude()])
def test_prefixes_in_other_units(chooser, unit):
    longest = removed(walk(chooser, 0.9, unit))
    for budget in (0.2, 0.5, 0.75):
        path = removed(walk(chooser, budget, unit))
        assert path == longest[: len(path)]


@pairwise(
    unit=["parameters", "macs"],
    budget=[0.1, 0.5, 0.85],
    ablation=["least_squares", "zero"],
    bias=[True, False],
)
def test_other_units_reach_their_target_with_the_fewest_units(unit, budget, ablation, bias):
    graph, samples = example(bias=bias)
    found = walk(Magnitude(), budget, unit, graph, samples, ablation=ablation, step=5)
    small = module_of(found.steps[-1].graph)
    left = graph.cost(found.steps[-1].sizes)
    counted = sum(p.numel() for p in small.parameters())
    total = {"parameters": graph.cost()[0], "macs": graph.cost()[1]}[unit]
    target = int(budget * total)
    assert total - {"parameters": counted, "macs": left[1]}[unit] >= target
    # One unit less would not have been enough.
    last = found.steps[-1].removed[-1]
    sizes = list(found.steps[-1].sizes)
    sizes[int(last >= HIDDEN[0])] += 1
    assert total - graph.cost(tuple(sizes))[unit == "macs"] < target


@pytest.mark.parametrize(("step", "sizes"), [(1, 1), (5, 5), (0.25, 6), (0.1, 2), (0.001, 1)])
def test_step_is_a_count_or_a_share_of_all(step, sizes):
    found = walk(Magnitude(), 0.75, step=step)
    counts = [len(s.removed) for s in found.steps]
    assert counts[0] == 0
    assert set(counts[1:-1]) <= {sizes}
    assert sum(counts) == 18
    assert len(counts) == 1 + -(-18 // sizes)


@pytest.mark.parametrize("budget", [1, 10, 0.75, "auto"])
def test_rounds_are_as_large_as_foretold(budget):
    found = walk(Magnitude(), budget, step="auto")
    target = {0.75: 18, "auto": 22}.get(budget, budget)
    counts = [len(step.removed) for step in found.steps[1:]]
    np.testing.assert_array_equal(counts, round_sizes("auto", 24, target))


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("chooser", [Uniform(), Exhaustive(), Magnitude()])
def test_one_shot(chooser, scope):
    """Everything after one ranking, and the ranking is that of the whole network."""
    found = walk(chooser, 0.5, step=1.0, scope=scope)
    assert [len(step.removed) for step in found.steps] == [0, 12]
    if not isinstance(chooser, Uniform):  # more pulls may change its mind
        assert removed(found)[0] == removed(walk(chooser, 1, step=1, scope=scope))[0]
    if scope == "layer":
        assert found.steps[-1].sizes == (7, 5)


@pairwise(
    chooser=[Magnitude(), Random()],
    step=[1, 3, 7, 1.0],
    hidden=[(14, 10), (40, 2), (30, 12, 5), (8, 8)],
)
def test_layer_scope_takes_the_same_share_everywhere(chooser, step, hidden):
    graph, samples = example(hidden)
    for budget in (0.3, 0.5, 0.8):
        found = walk(chooser, budget, graph=graph, samples=samples, step=step, scope="layer")
        for each in found.steps:
            gone = np.subtract(hidden, each.sizes)
            assert (np.abs(gone - gone.sum() / sum(hidden) * np.array(hidden)) < 1).all()


@pairwise(
    min_neurons=[1, 2, 3],
    hidden=[(14, 10), (20, 2), (2, 20), (3, 9, 3)],
    step=[1, 4, 1.0],
    scope=["global", "layer"],
)
def test_every_layer_keeps_its_least(min_neurons, hidden, step, scope):
    """And the path goes on in the other layers until nothing more can go."""
    graph, samples = example(hidden)
    for chooser in (Random(), Uniform()):
        found = walk(
            chooser,
            "auto",
            graph=graph,
            samples=samples,
            step=step,
            scope=scope,
            min_neurons=min_neurons,
            pulls_per_neuron=1,
        )
        assert found.steps[-1].sizes == tuple(min(min_neurons, size) for size in hidden)


def test_units_that_may_not_go_are_pulled_no_more():
    graph, samples = example((8, 3))
    found = walk(
        Exhaustive(),
        "auto",
        graph=graph,
        samples=samples,
        step=1,
        min_neurons=3,
        pull_batch_size=60,
    )
    # Both layers in the first round, then the wide one alone.
    assert [step.n_pulls for step in found.steps] == [0, 11, 7, 6, 5, 4]


@pytest.mark.parametrize(("discount", "again"), [(0.0, True), (0.5, False), (1.0, False)])
def test_discount_of_zero_starts_every_round_afresh(discount, again):
    found = walk(Uniform(), 0.5, discount=discount)
    live = sum(HIDDEN)
    for number, step in enumerate(found.steps[1:]):
        assert step.n_pulls == 3 * 4 + live * (number == 0 or again)
        live -= 3


def test_discount_weighs_what_was_seen_before():
    paths = [removed(walk(Uniform(), "auto", discount=d, step=1)) for d in (0.0, 0.5, 1.0)]
    assert paths[0] != paths[1] != paths[2] != paths[0]


@pytest.mark.parametrize("budget", [1, 0.5, "auto"])
def test_pulls_of_a_round_are_its_share_whatever_the_budget(budget):
    """A step is paid for as a whole, also when the budget stops in the middle of it."""
    found = walk(Uniform(), budget, step=1.0, pulls_per_neuron=1)
    assert [step.n_pulls for step in found.steps] == [0, 24 + 24]
    found = walk(Uniform(), budget, step=5, pulls_per_neuron=3)
    assert [step.n_pulls for step in found.steps][:3] == [0, 24 + 15, 15][: len(found.steps)]


# ------------------------------------------------------------------------------- who


@pytest.mark.parametrize("chooser", [Exhaustive(), Uniform(), Magnitude()])
def test_loss_per_mac_prefers_units_that_save_more(chooser):
    """A unit that reads many features saves more than one beside the output."""
    hidden, saved = (16, 16), []
    for seed in range(3):
        graph, samples = example(hidden, n_features=30, seed=seed)
        last = {
            rank_by: walk(chooser, 0.5, graph=graph, samples=samples, rank_by=rank_by).steps[-1]
            for rank_by in ("loss", "loss_per_mac")
        }
        assert sum(last["loss"].sizes) == sum(last["loss_per_mac"].sizes) == 16
        saved.append(last["loss"].n_macs - last["loss_per_mac"].n_macs)
    assert min(saved) >= 0
    assert np.mean(saved) > 0.05 * last["loss"].n_macs


@pytest.mark.parametrize("name", ["exhaustive", "magnitude"])
def test_loss_per_mac_ranks_by_the_ratio(name):
    """The first removal of all, against increases and savings worked out by hand."""
    graph, samples = example((9, 30, 6))
    options = {"ablation": "zero", "pull_batch_size": 60, "step": 1}
    saved = np.repeat([6 + 30, 9 + 6, 30 + 3], (9, 30, 6))
    if name == "exhaustive":
        found = walk(Exhaustive(), 1, graph=graph, samples=samples, **options)
        every = walk(Exhaustive(), "auto", graph=graph, samples=samples, **options | {"step": 1.0})
        importance = np.full(45, np.inf)
        importance[every.steps[1].removed] = every.steps[1].loss_increase
    else:
        found = walk(Magnitude(), 1, graph=graph, samples=samples, **options)
        importance = np.concatenate(
            [layer.weight.detach().norm(dim=1).numpy() for layer in linears(graph)[:-1]]
        )
    assert removed(found) == [int(np.argmin(importance))]
    chooser = CHOOSERS[name]()
    found = walk(chooser, 1, graph=graph, samples=samples, rank_by="loss_per_mac", **options)
    wanted = np.where(importance < 0, importance * saved, importance / saved)
    assert removed(found) == [int(np.argmin(wanted))]


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["least_squares", "mean", "zero"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_uniform_with_all_blocks_chooses_as_exhaustive(ablation, dtype):
    """Over a whole path, in blocks of 25 samples, the last of them of 10."""
    graph, samples = example(dtype=dtype)
    step, n_blocks = 2, 3
    options = {"ablation": ablation, "step": step, "graph": graph, "samples": samples}
    enough = n_blocks * sum(HIDDEN) / step
    for discount in (0.0, 0.9, 1.0):
        uniform = walk(Uniform(), "auto", pulls_per_neuron=enough, discount=discount, **options)
        exhaustive = walk(Exhaustive(), "auto", discount=discount, **options)
        assert removed(uniform) == removed(exhaustive)
        for ours, theirs in zip(uniform.steps[1:], exhaustive.steps[1:], strict=True):
            np.testing.assert_allclose(ours.loss_increase, theirs.loss_increase, atol=1e-6)
            assert ours.n_pulls == theirs.n_pulls
            assert ours.n_evaluations == theirs.n_evaluations


def test_exhaustive_says_what_the_removal_costs():
    """One unit a round, on all samples: the loss rises by what was measured."""
    found = walk(Exhaustive(), "auto", step=1)
    for before, step in zip(found.steps[:-1], found.steps[1:], strict=True):
        assert step.loss - before.loss == pytest.approx(float(step.loss_increase[0]), abs=1e-8)
        assert step.n_evaluations == 60 * step.n_pulls / 3  # three blocks


def test_seeds_decide_and_the_network_is_left_alone():
    graph, samples = example()
    kept = [{k: v.clone() for k, v in m.state_dict().items()} for m in graph.layers()]
    paths = [
        walk(
            POLICIES["thompson"](), 0.75, graph=graph, samples=samples, seed=s, step=1, discount=0.5
        )
        for s in (0, 0, 1)
    ]
    assert removed(paths[0]) == removed(paths[1]) != removed(paths[2])
    assert graph.sizes == HIDDEN
    for layer, state in zip(graph.layers(), kept, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in layer.state_dict().items())


# ------------------------------------------------------------------------ what is kept


@pairwise(
    budget=[0, 1, 2, 0.5, 0.75, "auto"],
    step=[1, 2, 5, 1.0],
    unit=["neurons", "macs"],
)
def test_a_dozen_networks_at_most_are_kept(budget, step, unit):
    hidden = (40, 20)
    graph, samples = example(hidden, n_samples=30)
    found = walk(Random(), budget, unit, graph, samples, step=step, ablation="mean")
    kept = [number for number, each in enumerate(found.steps) if each.graph is not None]
    assert len(kept) <= MAX_KEPT == 12
    assert kept[0] == 0
    assert kept[-1] == len(found.steps) - 1
    if len(found.steps) >= 40:
        assert len(kept) >= 9
        # Spaced over the budget, not bunched at an end.
        gone = [np.subtract(hidden, found.steps[number].sizes).sum() for number in kept]
        assert np.diff(gone).max() <= 0.3 * gone[-1]
    # A network that was kept is the one that was measured.
    for number in kept:
        step = found.steps[number]
        assert mean_loss_of(step.graph, samples) == pytest.approx(step.loss, abs=1e-12)


def test_factorisations_are_counted():
    found = walk(Magnitude(), "auto", step=1)
    # A layer's statistics are made anew when it has shrunk by a tenth; small layers often.
    assert len(found.n_factorisations) == 2
    assert all(1 <= n <= 22 for n in found.n_factorisations)
    assert found.n_factorisations[1] >= found.n_factorisations[0]
    once = walk(Magnitude(), 1, step=1)
    assert once.n_factorisations == [1, 1]


def test_steps_are_told_as_they_happen():
    told = []
    found = walk(Uniform(), 0.5, on_step=told.append)
    assert told == found.steps[1:]
    assert all(step.seconds > 0 for step in told)
    assert all(len(step.loss_increase) == len(step.removed) for step in told)
    scales = np.array([step.reward_scale for step in told])
    assert (scales[:, 1] > scales[:, 0]).all()
