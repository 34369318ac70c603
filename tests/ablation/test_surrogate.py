"""Estimates before pulls: against a direct Jacobian, exact cases, unbiasedness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import TASKS, features, generator, linear, make_chain, make_rows
from torch import nn

from sklearn_mabprune.ablation.block import Block, LayerStatistics
from sklearn_mabprune.ablation.estimates import draw_targets, passes
from sklearn_mabprune.ablation.estimates import estimate as estimate_parts
from sklearn_mabprune.graph.graph import recover_chain
from sklearn_mabprune.graph.kinds.registry import run


def block_of(task="classes", ablation="least_squares", chunk=None, seed=0, **options):
    chain = make_chain(task=task, seed=seed, **options)
    rows = make_rows(task=task, weighted=True, seed=seed + 1)
    ablations = LayerStatistics(ablation, 1e-3).update(chain, rows)
    return Block(chain, rows, ablations, chunk)


def estimate(block, kind, source):
    """Estimates of the whole block, layer by layer."""
    (found,) = estimate_parts(block, kind, source)
    return found.split(block.chain.hidden_sizes)


def behind(chain, layer):
    """Raw outputs of one row from the pre-activations behind a hidden layer."""

    def raw(z):
        for stage, following in zip(
            chain.stages[layer + 1 : -1], chain.stages[layer + 2 :], strict=True
        ):
            z = following.linear(run(stage.after, z[None])[0])
        return z

    return raw


def reaches(block, layer, row):
    """What each neuron's activation does to the raw outputs of a row, from torch.func."""
    weight = block.chain.stages[layer + 1].linear.weight.detach()
    z = block.behind[layer][row].clone()
    return torch.func.jacrev(behind(block.chain, layer))(z).detach() @ weight


def direct_linear(block, layer):
    """The same estimate, row by row, from torch.func's Jacobian."""
    chain, rows = block.chain, block.rows
    tail = chain.stages[-1].after
    units = torch.arange(chain.hidden_sizes[layer])
    residual = block.ablations[layer].residual(block.hidden[layer], units)
    rise = torch.zeros(len(units), dtype=torch.float64)
    for n in range(len(rows)):
        outputs = behind(chain, layer)(block.behind[layer][n].clone()).detach()
        reach = reaches(block, layer, n)
        before = rows.loss(run(tail, outputs[None]), rows.targets[n : n + 1])
        for unit in range(len(units)):
            moved = outputs - residual[n, unit] * reach[:, unit]
            after = rows.loss(run(tail, moved[None]), rows.targets[n : n + 1])
            rise[unit] += rows.weights[n] * (after - before)[0].detach()
    return rise / rows.weights.sum()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("ablation", ["zero", "mean", "least_squares"])
def test_linear_estimates_equal_a_direct_jacobian(task, ablation):
    block = block_of(task, ablation)
    for layer, found in enumerate(estimate(block, "linear", generator(0))):
        np.testing.assert_allclose(found, direct_linear(block, layer), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["linear", "fisher"])
def test_estimates_of_parts_average_to_those_of_the_whole(kind):
    block = block_of()
    parts = [slice(0, 7), slice(7, 20), slice(20, None)]
    found = estimate_parts(block, kind, generator(0), parts)
    weights = torch.stack([block.rows.weights[part].sum() for part in parts])
    (whole,) = estimate_parts(block, kind, generator(0))
    np.testing.assert_allclose(weights @ found / weights.sum(), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "fisher"])
def test_estimates_do_not_depend_on_chunks(kind):
    small, large = block_of(chunk=1), block_of(chunk=2**20)
    pairs = zip(
        estimate(small, kind, generator(0)), estimate(large, kind, generator(0)), strict=True
    )
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_linear_estimates_are_exact_for_the_last_hidden_layer():
    block = block_of("classes")
    layer = len(block.ablations) - 1
    units = torch.arange(block.chain.hidden_sizes[layer])
    exact = block.loss_increase(layer, units)
    np.testing.assert_allclose(estimate(block, "linear", generator(0))[layer], exact, atol=1e-12)


@pytest.mark.parametrize("task", ["target", "targets", "summed"])
def test_linear_estimates_are_exact_for_squared_error_on_a_linear_network(task):
    block = block_of(task, activation="identity")
    for layer, found in enumerate(estimate(block, "linear", generator(0))):
        units = torch.arange(block.chain.hidden_sizes[layer])
        np.testing.assert_allclose(found, block.loss_increase(layer, units), atol=1e-11)


@pytest.mark.parametrize("task", ["target", "targets", "summed"])
def test_fisher_estimates_are_unbiased_for_squared_error_on_a_linear_network(task):
    block = block_of(task, activation="identity")
    source = generator(0)
    draws = [estimate(block, "fisher", source) for _ in range(400)]
    for layer, width in enumerate(block.chain.hidden_sizes):
        found = np.array([draw[layer].numpy() for draw in draws])
        exact = block.loss_increase(layer, torch.arange(width)).numpy()
        error = found.std(axis=0) / len(found) ** 0.5
        assert (abs(found.mean(axis=0) - exact) < 5 * error + 1e-12).all()


def test_fisher_curvature_is_the_gauss_newton_one_in_the_mean():
    block = block_of("classes")
    layer = 0
    chain, rows = block.chain, block.rows
    weight = chain.stages[layer + 1].linear.weight.detach()
    units = torch.arange(weight.shape[1])
    residual = block.ablations[layer].residual(block.hidden[layer], units)

    def raw(z):
        return chain.stages[2].linear(run(chain.stages[1].after, z[None])[0])

    expected = torch.zeros(len(units), dtype=torch.float64)
    for n in range(len(rows)):
        z = block.behind[layer][n].clone()
        reach = torch.func.jacrev(raw)(z).detach() @ weight * residual[n]
        outputs = raw(z).detach()
        p = outputs.softmax(-1)
        truth = torch.nn.functional.one_hot(rows.targets[n], len(p))
        first = -((p - truth) @ reach)
        curvature = torch.diag(p) - torch.outer(p, p)
        second = torch.einsum("cu,cd,du->u", reach, curvature, reach) / 2
        expected += rows.weights[n] * (first + second)
    expected /= rows.weights.sum()
    source = generator(1)
    found = np.array([estimate(block, "fisher", source)[layer].numpy() for _ in range(400)])
    error = found.std(axis=0) / len(found) ** 0.5
    assert (abs(found.mean(axis=0) - expected.numpy()) < 5 * error + 1e-12).all()


def test_drawn_classes_have_the_networks_probabilities():
    outputs = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64).repeat(20_000, 1)
    drawn = draw_targets(nn.CrossEntropyLoss(), outputs, [], generator(0))
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert torch.allclose(shares.double(), outputs[0].softmax(-1), atol=0.015)


def test_an_unknown_loss_is_refused_by_name():
    with pytest.raises(ValueError, match="L1Loss"):
        draw_targets(nn.L1Loss(), torch.zeros(2, 1), [], generator(0))


def test_backward_passes_are_counted():
    classes, targets = block_of("classes"), block_of("targets")
    assert passes("linear", classes) == classes.chain.n_outputs - 1  # only differences matter
    assert passes("linear", targets) == targets.chain.n_outputs
    assert passes("fisher", classes) == 2


def many_classes(n_classes, hidden=(9, 7), gain=1.0, seed=0):
    """A block of rows of many classes."""
    chain = make_chain("classes", hidden, seed=seed)
    layers = [m for stage in chain.stages for m in (stage.linear, *stage.after)]
    layers[-1] = linear(hidden[-1], n_classes, 99, gain=gain)
    chain = recover_chain(nn.Sequential(*layers).double(), features(8, 6))
    rows = make_rows("classes", 60, weighted=True)
    rows.targets = torch.randint(n_classes, (60,), generator=generator(5))
    return Block(chain, rows, LayerStatistics("least_squares", 1e-3).update(chain, rows))


def direct_likely(block, layer):
    """Rises from the moves of the two likeliest wrong classes, and the mean of the others'."""
    residual = block.ablations[layer].residual(
        block.hidden[layer], torch.arange(block.chain.hidden_sizes[layer])
    )
    rise = np.zeros(residual.shape[1])
    for n, target in enumerate(block.rows.targets.tolist()):
        moves = (-residual[n] * reaches(block, layer, n)).numpy()
        moves -= moves[target]
        p = block.behind[-1][n].softmax(-1).numpy().copy()
        p[target] = 0.0
        order = np.argsort(-p)
        found = p[order[:2]] @ np.expm1(moves[order[:2]])
        rest = p[order[2:]]
        if rest.sum() > 0:
            found = found + rest.sum() * np.expm1(rest @ moves[order[2:]] / rest.sum())
        rise += float(block.rows.weights[n]) * np.log1p(found)
    return rise / float(block.rows.weights.sum())


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 12, 40])
def test_many_classes_are_estimated_by_the_likeliest(n_classes):
    """Exact in the last hidden layer; before it unlikely classes share a move."""
    block = many_classes(n_classes)
    found = [layer.numpy() for layer in estimate(block, "linear", generator(0))]
    exact = block.loss_increase(1, torch.arange(7))
    np.testing.assert_allclose(found[1], exact, rtol=0, atol=1e-12)
    wanted = direct_linear(block, 0).numpy()
    likely = direct_likely(block, 0)
    np.testing.assert_allclose(found[0], likely, rtol=0, atol=1e-12)
    if n_classes <= 4:
        np.testing.assert_allclose(likely, wanted, rtol=0, atol=1e-12)
    assert passes("linear", block) == min(n_classes - 1, 3)


def test_a_sure_network_of_many_classes_is_estimated_nearly_as_by_all():
    """What the unlikely classes share hardly counts there."""
    block = many_classes(12, gain=20.0)
    block.rows.targets = block.behind[-1].argmax(1)
    block = Block(block.chain, block.rows, block.ablations)
    found, wanted = estimate(block, "linear", generator(0))[0], direct_linear(block, 0)
    assert (found - wanted).abs().max() < 0.03 * (wanted.max() - wanted.min())
