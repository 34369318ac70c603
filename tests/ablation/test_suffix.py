"""Fast ways through the layers behind a neuron, against the plain way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from builders import (
    ACTIVATIONS,
    SURROUNDINGS,
    TOLERANCE,
    example,
    generator,
    ids,
    make_chain,
    make_rows,
    walk,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_mabprune.ablation.block import Block, LayerStatistics
from sklearn_mabprune.ablation.compensation import ABLATIONS
from sklearn_mabprune.criteria import Magnitude
from sklearn_mabprune.data.losses import RowLoss
from sklearn_mabprune.graph.kinds.registry import run
from sklearn_mabprune.graph.units import NeuronTable
from sklearn_mabprune.policies import UCB1, Boundary
from sklearn_mabprune.pruning.forecast import forecast
from sklearn_mabprune.pruning.path import PathOptions, remove_together
from sklearn_mabprune.pruning.schedules import Budget

every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)
every_ablation = pytest.mark.parametrize("ablation", ABLATIONS)


def plainly(chain, rows, ablation, layer, units):
    """Move the next pre-activations of one neuron after the other, run what follows."""
    hidden, pre = chain.activations(rows.x)
    following, found = chain.stages[layer + 1].linear, []
    with torch.no_grad():
        base = rows.loss(run(chain.stages[-1].after, pre[-1]), rows.targets)
        for unit in units.tolist():
            part = ablation.residual_together(hidden[layer], ids(unit))
            outputs = chain.finish(pre[layer + 1] - part @ following.weight[:, [unit]].T, layer + 1)
            rise = (rows.loss(outputs, rows.targets) - base).double()
            found.append(float(rise @ rows.weights / rows.weights.sum()))
    return np.array(found)


def assert_as_plainly(chain, rows, ablation, layer, units=None, chunk=None):
    made = LayerStatistics(ablation, 1e-3).update(chain, rows)
    units = torch.arange(chain.hidden_sizes[layer]) if units is None else units
    found = Block(chain, rows, made, chunk).loss_increase(layer, units).numpy()
    wanted = plainly(chain, rows, made[layer], layer, units)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[chain.dtype])
    return found


# ----------------------------------------------------------------------- three ways through


@every_dtype
@every_ablation
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "prelu"])
@pytest.mark.parametrize("task", ["classes", "probabilities", "targets", "summed", "labels"])
def test_every_layer_of_every_kind(task, activation, ablation, dtype):
    around = SURROUNDINGS[len(activation) % 4]
    chain = make_chain(task, (9, 8, 7), activation, around, dtype=dtype)
    rows = make_rows(task, 31, dtype=dtype, weighted=True)
    for layer in range(3):
        for chunk in (None, 60):
            assert_as_plainly(chain, rows, ablation, layer, chunk=chunk)


@every_dtype
@every_ablation
@pytest.mark.parametrize("around", ["plain", "dropout", "norm_before"])
def test_wide_layers_go_row_by_row(around, ablation, dtype):
    """256 neurons, 256 behind them, 128 behind those: 2^23 multiply-adds a row."""
    chain = make_chain("classes", (256, 256, 128), "relu", around, dtype=dtype)
    rows = make_rows("classes", 4, dtype=dtype, weighted=True)
    # Some neurons speak on no row at all, and one row is silent throughout.
    with torch.no_grad():
        chain.stages[0].linear.bias[5:40] = -50.0
        chain.stages[1].linear.bias[7:90] = -50.0
    some = ids(0, 3, 7, 100, 255)
    others = make_rows("classes", 400, dtype=dtype, seed=1)
    made = LayerStatistics(ablation, 1e-2).update(chain, others)
    found = Block(chain, rows, made).loss_increase(0, torch.arange(256)).numpy()
    wanted = plainly(chain, rows, made[0], 0, some)
    np.testing.assert_allclose(found[some], wanted, rtol=0, atol=TOLERANCE[dtype])
    parts = Block(chain, rows, made, chunk=2**11).loss_increase(0, torch.arange(256)).numpy()
    np.testing.assert_allclose(found, parts, rtol=0, atol=TOLERANCE[dtype])
    assert np.ptp(found) > 1e-4


@every_dtype
@pytest.mark.parametrize("chunk", [1, 13, 2**10, None])
@pytest.mark.parametrize("bias", [-100.0, -1.5, 0.0, 100.0])
def test_pairs_of_neuron_and_row_that_are_not_zero(bias, chunk, dtype):
    """None, few, half and all of the activations behind a ReLU."""
    chain = make_chain("classes", (12, 6, 5), "relu", dtype=dtype, seed=4)
    with torch.no_grad():
        chain.stages[0].linear.bias += bias
    rows = make_rows("classes", 40, dtype=dtype, weighted=True, seed=4)
    active = (chain.activations(rows.x)[0][0] != 0).double().mean()
    assert {-100.0: active == 0, -1.5: 0 < active < 0.3, 100.0: active == 1}.get(bias, active < 0.8)
    found = assert_as_plainly(chain, rows, "zero", 0, chunk=chunk)
    if bias == -100.0:
        assert abs(found).max() < 1e-15


@every_dtype
def test_pairs_of_any_units(dtype):
    chain, rows = make_chain("targets", (12, 6), dtype=dtype), make_rows("targets", dtype=dtype)
    for units in (ids(3), ids(11, 0, 5), ids()):
        assert_as_plainly(chain, rows, "zero", 0, units)


def test_threads_do_not_share_scratch_memory():
    cases = []
    for seed in range(8):
        chain = make_chain("classes", (20 + seed, 12), "relu", dtype=torch.float32, seed=seed)
        rows = make_rows("classes", 200, dtype=torch.float32, seed=seed)
        cases.append(Block(chain, rows, LayerStatistics("zero", 0.0).update(chain, rows)))

    def measured(block):
        return [block.loss_increase(0, torch.arange(20)).numpy() for _ in range(30)]

    alone = [measured(block)[0] for block in cases]
    with ThreadPoolExecutor(4) as pool:
        for wanted, found in zip(alone, pool.map(measured, cases), strict=True):
            for each in found:
                np.testing.assert_array_equal(each, wanted)


# ------------------------------------------------------------------------ rows in columns


@every_dtype
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "prelu"])
def test_activations_with_rows_in_columns(activation, around, dtype):
    chain, rows = make_chain("targets", (5, 4), activation, around, dtype=dtype), make_rows()
    x = rows.x.to(dtype)
    with torch.no_grad():
        for found, wanted in zip(chain.activations_across(x), chain.activations(x), strict=True):
            for across, down in zip(found, wanted, strict=True):
                torch.testing.assert_close(across.T, down)


@every_dtype
@pytest.mark.parametrize("size", [1.0, 300.0])
@pytest.mark.parametrize("n_outputs", [2, 3, 10])
def test_losses_of_classes_in_columns(n_outputs, size, dtype):
    loss = RowLoss(nn.CrossEntropyLoss())
    outputs = size * torch.randn(n_outputs, 4, 9, generator=generator(0)).to(dtype)
    targets = torch.randint(n_outputs, (9,), generator=generator(1))
    assert loss.knows_columns(targets)
    wanted = [loss(outputs[:, k].T, targets) for k in range(4)]
    torch.testing.assert_close(loss.across(outputs.clone(), targets), torch.stack(wanted))
    torch.testing.assert_close(loss.across(outputs[:, 0].clone(), targets), wanted[0])
    if n_outputs == 2:
        assert loss.has_two(2, targets)
        found = loss.of_two(outputs[0] - outputs[1], loss.signs(targets, dtype))
        torch.testing.assert_close(found, torch.stack(wanted))


@every_dtype
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_squared_errors_in_columns(n_outputs, dtype):
    loss = RowLoss(nn.MSELoss())
    outputs = torch.randn(n_outputs, 4, 9, generator=generator(0)).to(dtype)
    targets = torch.randn(9, n_outputs, generator=generator(1)).to(dtype)
    wanted = torch.stack([loss(outputs[:, k].T, targets) for k in range(4)])
    torch.testing.assert_close(loss.across(outputs.clone(), targets), wanted)
    torch.testing.assert_close(loss.across(outputs[:, 0].clone(), targets), wanted[0])


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
    chain = make_chain("classes", (6, 5))
    rows = make_rows("classes", 30)
    rows.loss = RowLoss(criterion)
    if isinstance(criterion, (nn.SmoothL1Loss, nn.BCEWithLogitsLoss)):
        rows.targets = torch.rand(30, 3, generator=generator(3)).double()
    if isinstance(criterion, nn.NLLLoss):
        chain.stages[-1].after.append(nn.Softmax(dim=-1))
    assert not rows.loss.knows_columns(rows.targets) or chain.stages[-1].after
    for layer in (0, 1):
        found = assert_as_plainly(chain, rows, "least_squares", layer)
        assert np.ptp(found) > 1e-6


def test_probabilities_as_targets_take_the_long_way():
    loss = RowLoss(nn.CrossEntropyLoss())
    assert not loss.knows_columns(torch.rand(5, 3))
    assert not loss.has_two(2, torch.rand(5, 2))
    chain, rows = make_chain("classes", (6, 5)), make_rows("classes", 30)
    rows.targets = torch.rand(30, 3, generator=generator(3)).double().softmax(-1)
    assert_as_plainly(chain, rows, "mean", 1)


# ---------------------------------------------------------------------------- what it costs


@every_ablation
@pytest.mark.parametrize("hidden", [(40,), (40, 30, 20), (256, 256, 128)])
def test_a_pull_costs_at_most_its_suffix(hidden, ablation):
    """Multiply-adds of a neuron and a row: what stands behind, and for least squares its layer."""
    n_rows = 5
    chain, rows = make_chain("classes", hidden), make_rows("classes", n_rows)
    block = Block(chain, rows, LayerStatistics(ablation, 1e-3).update(chain, rows))
    widths = [*hidden, chain.n_outputs]
    for layer, width in enumerate(hidden):
        with FlopCounterMode(display=False) as counter:
            block.loss_increase(layer, torch.arange(width))
        behind = sum(a * b for a, b in zip(widths[layer + 1 :], widths[layer + 2 :], strict=False))
        predicted = width if ablation == "least_squares" else 0
        # The weighted sum over the rows is one more.
        assert counter.get_total_flops() <= 2 * width * n_rows * (behind + predicted + 1)


def test_pulls_of_a_path():
    """pulls_per_neuron times the neurons that go, besides one each to start with."""
    chain, rows = example((30, 20), n_rows=200)
    found = walk(UCB1(), 0.8, chain=chain, rows=rows, step=5, pulls_per_neuron=3)
    assert sum(step.n_pulls for step in found.steps) <= 3 * 40 + 50
    assert sum(step.n_evaluations for step in found.steps) <= 25 * (3 * 40 + 50)


def test_forecast_counts_what_a_path_does():
    """Only ratios: how fast the machine is does not matter."""

    def seconds(hidden, n_rows=300, budget=0.75, chooser=Boundary, **options):
        chain = make_chain("classes", hidden, dtype=torch.float32)
        rows = make_rows("classes", n_rows, dtype=torch.float32)
        target = Budget.of(budget, "neurons", chain.hidden_sizes, chain.cost, 1)
        return forecast(chain, rows, PathOptions(**options), target, chooser())

    small, large = seconds((20, 20)), seconds((600, 600))
    assert 0 < small < large
    assert seconds((20, 20), budget=0) == 0
    assert seconds((600, 600), ablation="zero") < large
    assert seconds((600, 600), chooser=Magnitude) < large
    assert seconds((600, 600), control_variate=None) > large
    assert seconds((600, 600), n_rows=1200) > 2 * large
    assert seconds((600, 600), chooser=UCB1, control_variate="linear") > large


# ----------------------------------------------------------------- from one round to the next


@every_dtype
@every_ablation
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("hidden", [(12,), (12, 9), (10, 9, 8)])
def test_a_trace_follows_removals(hidden, around, ablation, dtype):
    """Moved from round to round it is what the smaller network computes."""
    chain = make_chain("classes", hidden, "relu", around, dtype=dtype)
    rows = make_rows("classes", 60, dtype=dtype, weighted=True)
    rows.keep_trace(chain)
    table, statistics = NeuronTable(hidden), LayerStatistics(ablation, 1e-3)
    rng = np.random.default_rng(0)
    for number in range(4):
        ablations = statistics.update(chain, rows)
        # Sometimes one layer loses nothing.
        live = table.live_arms()
        layers = table.layer(live)
        allowed = live[layers == number % len(hidden)] if number < 2 else live[layers >= 0]
        arms = np.sort(rng.choice(allowed, 2, replace=False))
        chain = remove_together(chain, table, arms, ablations, rows)
        table.remove(arms)
        assert rows.trace.chain is chain
        anew = make_rows("classes", 60, dtype=dtype, weighted=True)
        with torch.no_grad():
            wanted, hidden_now = chain.activations(anew.x), rows.trace.hidden
        tolerance = {"rtol": 0, "atol": 1e-10 if dtype == torch.float64 else 2e-4}
        for kept, made in zip(rows.trace.behind, wanted[1][1:], strict=True):
            torch.testing.assert_close(kept.T, made, **tolerance)
        for kept, made in zip(hidden_now, wanted[0], strict=True):
            torch.testing.assert_close(kept.T, made, **tolerance)
        assert rows.mean_loss(chain) == pytest.approx(anew.mean_loss(chain), abs=1e-5)


def test_a_path_leaves_the_rows_as_they_were():
    chain, rows = example((12, 9), n_rows=60)
    found = walk(UCB1(), 0.5, chain=chain, rows=rows, step=3)
    assert rows.trace is None
    for step in found.steps:
        if step.chain is not None:
            assert step.loss == pytest.approx(rows.mean_loss(step.chain), abs=1e-9)


def test_rows_picked_out_of_a_trace_are_those_that_run():
    chain, rows = example((12, 9), n_rows=60)
    rows.keep_trace(chain)
    for index in (ids(7, 3, 50), slice(10, 20)):
        kept, anew = rows.at(index), make_rows("classes", 60).at(index)
        anew.x = rows.x[index]
        for one, other in zip(
            (*kept.traced(chain).hidden, *kept.traced(chain).behind),
            (*anew.traced(chain).hidden, *anew.traced(chain).behind),
            strict=True,
        ):
            torch.testing.assert_close(one, other)
        assert kept.trace is not None
        assert anew.trace is None
