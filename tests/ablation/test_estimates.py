"""Estimates before pulls: against a direct Jacobian, exact cases, unbiasedness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    TASKS,
    ablations_of,
    block_of,
    features,
    generator,
    linear,
    linears,
    make_graph,
    make_samples,
    sums,
)
from torch import nn

from sklearn_mabprune.ablation.estimates import estimate as estimate_parts
from sklearn_mabprune.ablation.loss_models import SecondOrder, draw_targets, passes
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.graph.tracing import recover_graph


def example_block(task="classes", ablation="least_squares", chunk=None, seed=0, **options):
    graph = make_graph(task=task, seed=seed, **options)
    samples = make_samples(task=task, weighted=True, seed=seed + 1)
    return block_of(graph, samples, ablations_of(graph, samples, ablation), chunk)


def estimate(block, kind, source):
    """Estimates of the whole block, group by group."""
    (found,) = estimate_parts(block, kind, source)
    return found.split(block.graph.sizes)


def residual_of(block, number):
    """Ablated part of every unit of a group, (n_units, n_samples)."""
    hidden = block.values[block.graph.groups[number].value]
    return block.ablations[number].residual(hidden, torch.arange(len(hidden)))


def downstream(graph, number):
    """The logits of a sample as a function of what the reader of a group returns."""
    value = sums(graph)[number + 1]
    return lambda z: graph.run({value: z[None]}, [graph.logits])[graph.logits][0]


def outputs_of(graph, logits):
    """The network's outputs for the logits of a sample, (1, n_outputs)."""
    return graph.run({graph.logits: logits[None]})[graph.output]


def reaches(block, number, sample):
    """What each unit's activation does to the logits of a sample, from torch.func."""
    weight = linears(block.graph)[number + 1].weight.detach()
    z = block.values[sums(block.graph)[number + 1]][:, sample].clone()
    return torch.func.jacrev(downstream(block.graph, number))(z).detach() @ weight


def direct_linear(block, number):
    """The same estimate, sample by sample, from torch.func's Jacobian."""
    graph, samples = block.graph, block.samples
    residual = residual_of(block, number)
    rise = torch.zeros(len(residual), dtype=torch.float64)
    for n in range(len(samples)):
        logits, target = block.logits[:, n].clone(), samples.targets[n : n + 1]
        reach = reaches(block, number, n)
        before = samples.loss(outputs_of(graph, logits), target)
        for unit in range(len(residual)):
            moved = logits - residual[unit, n] * reach[:, unit]
            after = samples.loss(outputs_of(graph, moved), target)
            rise[unit] += samples.weights[n] * (after - before)[0].detach()
    return rise / samples.weights.sum()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("ablation", ["zero", "mean", "least_squares"])
def test_linear_estimates_equal_a_direct_jacobian(task, ablation):
    block = example_block(task, ablation)
    for number, found in enumerate(estimate(block, "linear", generator(0))):
        np.testing.assert_allclose(found, direct_linear(block, number), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["linear", "fisher"])
def test_estimates_of_parts_average_to_those_of_the_whole(kind):
    block = example_block()
    parts = [slice(0, 7), slice(7, 20), slice(20, None)]
    found = estimate_parts(block, kind, generator(0), parts)
    weights = torch.stack([block.samples.weights[part].sum() for part in parts])
    (whole,) = estimate_parts(block, kind, generator(0))
    np.testing.assert_allclose(weights @ found / weights.sum(), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "fisher"])
def test_estimates_do_not_depend_on_chunks(kind):
    small, large = example_block(chunk=1), example_block(chunk=2**20)
    pairs = zip(
        estimate(small, kind, generator(0)), estimate(large, kind, generator(0)), strict=True
    )
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_linear_estimates_are_exact_for_the_last_group():
    block = example_block("classes")
    number = len(block.ablations) - 1
    units = torch.arange(block.graph.sizes[number])
    exact = block.loss_increase(number, units)
    np.testing.assert_allclose(estimate(block, "linear", generator(0))[number], exact, atol=1e-12)


@pytest.mark.parametrize("task", ["target", "targets", "summed"])
def test_linear_estimates_are_exact_for_squared_error_on_a_linear_network(task):
    block = example_block(task, activation="identity")
    for number, found in enumerate(estimate(block, "linear", generator(0))):
        units = torch.arange(block.graph.sizes[number])
        np.testing.assert_allclose(found, block.loss_increase(number, units), atol=1e-11)


@pytest.mark.parametrize("task", ["target", "targets", "summed"])
def test_fisher_estimates_are_unbiased_for_squared_error_on_a_linear_network(task):
    block = example_block(task, activation="identity")
    source = generator(0)
    draws = [estimate(block, "fisher", source) for _ in range(400)]
    for number, width in enumerate(block.graph.sizes):
        found = np.array([draw[number].numpy() for draw in draws])
        exact = block.loss_increase(number, torch.arange(width)).numpy()
        error = found.std(axis=0) / len(found) ** 0.5
        assert (abs(found.mean(axis=0) - exact) < 5 * error + 1e-12).all()


def test_fisher_curvature_is_the_gauss_newton_one_in_the_mean():
    block = example_block("classes")
    number = 0
    samples, residual = block.samples, residual_of(block, number)
    expected = torch.zeros(len(residual), dtype=torch.float64)
    for n in range(len(samples)):
        reach = reaches(block, number, n) * residual[:, n]
        p = block.logits[:, n].softmax(-1)
        truth = torch.nn.functional.one_hot(samples.targets[n], len(p))
        first = -((p - truth) @ reach)
        curvature = torch.diag(p) - torch.outer(p, p)
        second = torch.einsum("cu,cd,du->u", reach, curvature, reach) / 2
        expected += samples.weights[n] * (first + second)
    expected /= samples.weights.sum()
    source = generator(1)
    found = np.array([estimate(block, "fisher", source)[number].numpy() for _ in range(400)])
    error = found.std(axis=0) / len(found) ** 0.5
    assert (abs(found.mean(axis=0) - expected.numpy()) < 5 * error + 1e-12).all()


def test_drawn_classes_have_the_networks_probabilities():
    graph, samples = make_graph("classes"), make_samples("classes", 20_000)
    output = linears(graph)[-1]
    with torch.no_grad():
        output.weight.zero_()
        output.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    block = block_of(graph, samples, ablations_of(graph, samples, "zero"))
    shares = torch.bincount(draw_targets(block, generator(0)), minlength=3) / len(samples)
    assert torch.allclose(shares.double(), output.bias.detach().softmax(-1), atol=0.015)


CURVED = {
    "ignored": ("classes", nn.CrossEntropyLoss(ignore_index=1)),
    "weights": ("classes", nn.CrossEntropyLoss(torch.tensor([1.0, 9.0, 3.0]))),
    "weights and ignored": (
        "classes",
        nn.CrossEntropyLoss(torch.tensor([1.0, 9.0, 3.0]), ignore_index=2),
    ),
    "smoothed": ("classes", nn.CrossEntropyLoss(label_smoothing=0.4)),
    "labels": ("labels", nn.BCEWithLogitsLoss(torch.tensor([1.0, 2.0, 0.5]))),
    "rare labels": ("labels", nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0, 1.0, 3.0]))),
}


@pytest.mark.parametrize("kind", CURVED)
def test_drawn_targets_have_the_curvature_of_the_samples_own(kind):
    task, criterion = CURVED[kind]
    graph, samples = make_graph(task), make_samples(task, 40_000)
    samples = replace(samples, loss=SampleLoss(criterion.double(), samples.targets))
    bias = torch.tensor([0.3, 1.0, -1.0], dtype=torch.float64)
    with torch.no_grad():
        linears(graph)[-1].weight.zero_()
        linears(graph)[-1].bias.copy_(bias)
    block = block_of(graph, samples, ablations_of(graph, samples, "zero"))
    gradients = SecondOrder(block, generator(0)).directions[:, 1]

    def loss(logits):
        return samples.loss(logits.expand(len(samples), -1), samples.targets).mean()

    expected = torch.autograd.functional.hessian(loss, bias)
    torch.testing.assert_close(
        gradients @ gradients.T / len(samples), expected, atol=0.02, rtol=0.03
    )
    if "ignored" in kind:
        assert not gradients[:, samples.targets == criterion.ignore_index].any()


def test_an_unknown_loss_is_refused_by_name():
    graph = make_graph("targets")
    samples = replace(make_samples("targets"), loss=SampleLoss(nn.L1Loss()))
    block = block_of(graph, samples, ablations_of(graph, samples, "zero"))
    with pytest.raises(ValueError, match="L1Loss"):
        draw_targets(block, generator(0))


def test_backward_passes_are_counted():
    classes, targets = example_block("classes"), example_block("targets")
    assert passes("linear", classes) == classes.graph.n_outputs - 1  # only differences matter
    assert passes("linear", targets) == targets.graph.n_outputs
    assert passes("fisher", classes) == 2


def many_classes(n_classes, hidden=(9, 7), gain=1.0, seed=0):
    """A block of samples of many classes."""
    layers = make_graph("classes", hidden, seed=seed).layers()
    layers[-1] = linear(hidden[-1], n_classes, 99, gain=gain)
    graph = recover_graph(nn.Sequential(*layers).double(), features(8, 6))
    classes = torch.randint(n_classes, (60,), generator=generator(5))
    samples = replace(make_samples("classes", 60, weighted=True), targets=classes)
    return block_of(graph, samples, ablations_of(graph, samples))


def direct_likely(block, number):
    """Rises from the moves of the two likeliest wrong classes, and the mean of the others'."""
    residual = residual_of(block, number)
    rise = np.zeros(len(residual))
    for n, target in enumerate(block.samples.targets.tolist()):
        moves = (-residual[:, n] * reaches(block, number, n)).numpy()
        moves -= moves[target]
        p = block.logits[:, n].softmax(-1).numpy().copy()
        p[target] = 0.0
        order = np.argsort(-p)
        found = p[order[:2]] @ np.expm1(moves[order[:2]])
        rest = p[order[2:]]
        if rest.sum() > 0:
            found = found + rest.sum() * np.expm1(rest @ moves[order[2:]] / rest.sum())
        rise += float(block.samples.weights[n]) * np.log1p(found)
    return rise / float(block.samples.weights.sum())


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 12, 40])
def test_many_classes_are_estimated_by_the_likeliest(n_classes):
    """Exact for the last group; upstream of it unlikely classes share a move."""
    block = many_classes(n_classes)
    found = [group.numpy() for group in estimate(block, "linear", generator(0))]
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
    samples = replace(block.samples, targets=block.logits.argmax(0))
    block = block_of(block.graph, samples, block.ablations)
    found, wanted = estimate(block, "linear", generator(0))[0], direct_linear(block, 0)
    assert (found - wanted).abs().max() < 0.03 * (wanted.max() - wanted.min())
