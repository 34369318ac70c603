"""Fast paths through the layers downstream of a unit, against the plain way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import (
    ACTIVATIONS,
    SURROUNDINGS,
    TOLERANCE,
    ablations_of,
    block_of,
    example,
    generator,
    hidden_and_sums,
    ids,
    linears,
    make_graph,
    make_samples,
    residual_together,
    sums,
    walk,
)
from pairwise import pairwise
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_mabprune.ablation.compensation import ABLATIONS
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.policies import UCB1

every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)


def plainly(graph, samples, ablation, number, units):
    """Move what the reader returns, for one unit after the other, and run what is downstream."""
    hidden, returned = hidden_and_sums(graph, samples.x)
    reader, value, found = linears(graph)[number + 1], sums(graph)[number + 1], []
    with torch.no_grad():
        base = samples.loss(graph.forward(samples.x), samples.targets)
        for unit in units.tolist():
            part = residual_together(ablation, hidden[number].T, ids(unit)).T
            moved = returned[number + 1] - part @ reader.weight[:, [unit]].T
            outputs = graph.run({value: moved})[graph.output]
            rise = (samples.loss(outputs, samples.targets) - base).double()
            found.append(float(rise @ samples.weights / samples.weights.sum()))
    return np.array(found)


def assert_as_plainly(graph, samples, ablation, number, units=None, chunk=None):
    made = ablations_of(graph, samples, ablation)
    units = torch.arange(graph.sizes[number]) if units is None else units
    found = block_of(graph, samples, made, chunk).loss_increase(number, units).numpy()
    wanted = plainly(graph, samples, made[number], number, units)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[graph.dtype])
    return found


# ------------------------------------------------------------------------ four ways through


@pairwise(
    task=["classes", "probabilities", "targets", "summed", "labels"],
    activation=[*ACTIVATIONS, "prelu"],
    ablation=ABLATIONS,
    dtype=[torch.float64, torch.float32],
)
def test_every_group_behind_every_kind_of_layer(task, activation, ablation, dtype):
    around = SURROUNDINGS[len(activation) % 4]
    graph = make_graph(task, (9, 8, 7), activation, around, dtype=dtype)
    samples = make_samples(task, 31, dtype=dtype, weighted=True)
    for number in range(3):
        for chunk in (None, 60):
            assert_as_plainly(graph, samples, ablation, number, chunk=chunk)


@pairwise(
    around=["plain", "dropout", "norm_before"],
    ablation=ABLATIONS,
    dtype=[torch.float64, torch.float32],
)
def test_wide_layers_go_sample_by_sample(around, ablation, dtype):
    """256 units, 256 behind them, 128 behind those: 2^23 multiply-adds a sample."""
    graph = make_graph("classes", (256, 256, 128), "relu", around, dtype=dtype)
    samples = make_samples("classes", 4, dtype=dtype, weighted=True)
    # Some units speak on no sample at all, and one sample is silent throughout.
    with torch.no_grad():
        linears(graph)[0].bias[5:40] = -50.0
        linears(graph)[1].bias[7:90] = -50.0
    some = ids(0, 3, 7, 100, 255)
    others = make_samples("classes", 400, dtype=dtype, seed=1)
    made = ablations_of(graph, others, ablation, 1e-2)
    found = block_of(graph, samples, made).loss_increase(0, torch.arange(256)).numpy()
    wanted = plainly(graph, samples, made[0], 0, some)
    np.testing.assert_allclose(found[some], wanted, rtol=0, atol=TOLERANCE[dtype])
    parts = block_of(graph, samples, made, chunk=2**11).loss_increase(0, torch.arange(256)).numpy()
    np.testing.assert_allclose(found, parts, rtol=0, atol=TOLERANCE[dtype])
    assert np.ptp(found) > 1e-4


@pairwise(
    bias=[-100.0, -1.5, 0.0, 100.0],
    chunk=[1, 13, 2**10, None],
    dtype=[torch.float64, torch.float32],
)
def test_pairs_of_unit_and_sample_that_are_not_zero(bias, chunk, dtype):
    """None, few, half and all of the activations behind a ReLU."""
    graph = make_graph("classes", (12, 6, 5), "relu", dtype=dtype, seed=4)
    with torch.no_grad():
        linears(graph)[0].bias += bias
    samples = make_samples("classes", 40, dtype=dtype, weighted=True, seed=4)
    active = (hidden_and_sums(graph, samples.x)[0][0] != 0).double().mean()
    assert {-100.0: active == 0, -1.5: 0 < active < 0.3, 100.0: active == 1}.get(bias, active < 0.8)
    found = assert_as_plainly(graph, samples, "zero", 0, chunk=chunk)
    if bias == -100.0:
        assert abs(found).max() < 1e-15


@every_dtype
def test_pairs_of_any_units(dtype):
    graph, samples = (
        make_graph("targets", (12, 6), dtype=dtype),
        make_samples("targets", dtype=dtype),
    )
    for units in (ids(3), ids(11, 0, 5), ids()):
        assert_as_plainly(graph, samples, "zero", 0, units)


def test_threads_do_not_share_scratch_memory():
    cases = []
    for seed in range(8):
        graph = make_graph("classes", (20 + seed, 12), "relu", dtype=torch.float32, seed=seed)
        samples = make_samples("classes", 200, dtype=torch.float32, seed=seed)
        cases.append(block_of(graph, samples, ablations_of(graph, samples, "zero", 0.0)))

    def measured(block):
        return [block.loss_increase(0, torch.arange(20)).numpy() for _ in range(30)]

    alone = [measured(block)[0] for block in cases]
    with ThreadPoolExecutor(4) as pool:
        for wanted, found in zip(alone, pool.map(measured, cases), strict=True):
            for each in found:
                np.testing.assert_array_equal(each, wanted)


# ---------------------------------------------------------------------- feature-major losses


@pairwise(
    n_outputs=[2, 3, 10],
    size=[1.0, 300.0],
    dtype=[torch.float64, torch.float32],
)
def test_feature_major_losses_of_classes(n_outputs, size, dtype):
    loss = SampleLoss(nn.CrossEntropyLoss())
    outputs = size * torch.randn(n_outputs, 4, 9, generator=generator(0)).to(dtype)
    targets = torch.randint(n_outputs, (9,), generator=generator(1))
    assert loss.takes_feature_major(targets)
    wanted = [loss(outputs[:, k].T, targets) for k in range(4)]
    torch.testing.assert_close(loss.feature_major(outputs.clone(), targets), torch.stack(wanted))
    torch.testing.assert_close(loss.feature_major(outputs[:, 0].clone(), targets), wanted[0])
    if n_outputs == 2:
        assert loss.has_two(2, targets)
        found = loss.of_two(outputs[0] - outputs[1], loss.signs(targets, dtype))
        torch.testing.assert_close(found, torch.stack(wanted))


@every_dtype
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_feature_major_squared_errors(n_outputs, dtype):
    loss = SampleLoss(nn.MSELoss())
    outputs = torch.randn(n_outputs, 4, 9, generator=generator(0)).to(dtype)
    targets = torch.randn(9, n_outputs, generator=generator(1)).to(dtype)
    wanted = torch.stack([loss(outputs[:, k].T, targets) for k in range(4)])
    torch.testing.assert_close(loss.feature_major(outputs.clone(), targets), wanted)
    torch.testing.assert_close(loss.feature_major(outputs[:, 0].clone(), targets), wanted[0])


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)),
        nn.CrossEntropyLoss(ignore_index=1),
        nn.SmoothL1Loss(),
        nn.NLLLoss(),
        nn.BCEWithLogitsLoss(),
    ],
    ids=lambda criterion: type(criterion).__name__,
)
def test_other_losses_take_the_long_way(criterion):
    """Nothing is assumed of a loss that is not known to the last parameter."""
    graph = make_graph("classes", (6, 5))
    samples = replace(make_samples("classes", 30), loss=SampleLoss(criterion))
    if isinstance(criterion, (nn.SmoothL1Loss, nn.BCEWithLogitsLoss)):
        samples = replace(samples, targets=torch.rand(30, 3, generator=generator(3)).double())
    if isinstance(criterion, nn.NLLLoss):
        graph = Graph.of([*graph.layers(), nn.Softmax(dim=-1)])
    assert not samples.loss.takes_feature_major(samples.targets) or graph.has_tail
    for number in (0, 1):
        found = assert_as_plainly(graph, samples, "least_squares", number)
        assert np.ptp(found) > 1e-6


def test_probabilities_as_targets_take_the_long_way():
    loss = SampleLoss(nn.CrossEntropyLoss())
    assert not loss.takes_feature_major(torch.rand(5, 3))
    assert not loss.has_two(2, torch.rand(5, 2))
    graph, samples = make_graph("classes", (6, 5)), make_samples("classes", 30)
    samples = replace(
        samples, targets=torch.rand(30, 3, generator=generator(3)).double().softmax(-1)
    )
    assert_as_plainly(graph, samples, "mean", 1)


# ---------------------------------------------------------------------------- what it costs


@every_ablation
@pytest.mark.parametrize("hidden", [(40,), (40, 30, 20), (256, 256, 128)])
def test_a_pull_costs_at_most_what_is_downstream(hidden, ablation):
    """MACs of a unit and a sample: what is downstream, and for least squares its group."""
    n_samples = 5
    graph, samples = make_graph("classes", hidden), make_samples("classes", n_samples)
    block = block_of(graph, samples, ablations_of(graph, samples, ablation, 1e-3))
    widths = [*hidden, graph.n_outputs]
    for number, width in enumerate(hidden):
        with FlopCounterMode(display=False) as counter:
            block.loss_increase(number, torch.arange(width))
        downstream = sum(
            a * b for a, b in zip(widths[number + 1 :], widths[number + 2 :], strict=False)
        )
        predicted = width if ablation == "least_squares" else 0
        # The weighted sum over the samples is one more.
        assert counter.get_total_flops() <= 2 * width * n_samples * (downstream + predicted + 1)


def test_pulls_of_a_path():
    """pulls_per_neuron times the units that go, besides one each to start with."""
    graph, samples = example((30, 20), n_samples=200)
    found = walk(UCB1(), 0.8, graph=graph, samples=samples, step=5, pulls_per_neuron=3)
    assert sum(step.n_pulls for step in found.steps) <= 3 * 40 + 50
    assert sum(step.n_evaluations for step in found.steps) <= 25 * (3 * 40 + 50)
