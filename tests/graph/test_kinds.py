"""The contract of all kinds of layer, on examples of each; see ``graph/kinds/base.py``."""

from __future__ import annotations

import ast

import pytest
import torch
from kind_cases import (
    ARGUMENTS,
    CASES,
    KEEP,
    LIMITS,
    N_SAMPLES,
    WIDTH,
    each,
    each_of,
    made,
    samples,
)
from pairwise import pairwise
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_mabprune.graph.kinds.registry import build, describe, kind_of, shapes_of

every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32], ids=("float64", "float32")
)


def output_keep(kind, layer):
    """Which output units stay."""
    if kind.elementwise:
        return KEEP
    return torch.arange(kind.n_outputs(layer)) % 2 == 0


def n_outputs_of(kind, layer):
    """Units of the output of a layer with WIDTH inputs."""
    return kind.n_outputs(layer) if kind.produces or kind.encodes else WIDTH


def jacobian(kind, layer, x):
    """Derivatives of outputs by inputs, (n_outputs, n_inputs, n_samples), by autograd."""
    rows = [torch.autograd.functional.jacobian(lambda z: layer(z[None])[0], one) for one in x]
    return torch.stack(rows, dim=-1)


def storage(layer):
    return {value.data_ptr() for value in layer.state_dict().values() if value.numel()}


def copies(layer):
    return {name: value.clone() for name, value in layer.state_dict().items()}


# ------------------------------------------------------------------------------------ run


@every_dtype
@each()
def test_run_is_the_module_in_both_layouts(kind, make, dtype):
    layer, x = made(make, dtype), samples(dtype)
    before = x.clone()
    with torch.no_grad():
        wanted = layer(x.clone())
        found = kind.run(layer, x)
        assert torch.equal(found, wanted)
        for across in (x.T, x.T.contiguous()):
            found = kind.run(layer, across, feature_major=True)
            torch.testing.assert_close(found.T, wanted, **LIMITS[dtype])
        # Each sample as if it were alone, and the same again.
        alone = torch.cat([kind.run(layer, x[k : k + 1]) for k in range(len(x))])
        torch.testing.assert_close(alone, wanted, **LIMITS[dtype])
        assert torch.equal(kind.run(layer, x), wanted)
    assert torch.equal(x, before)
    assert found.dtype == dtype


# ----------------------------------------------------------------------------------- ties


@each()
def test_ties_are_what_finite_differences_say(kind, make):
    """Which outputs change when one input unit does."""
    layer, x = made(make), samples()
    with torch.no_grad():
        y = kind.run(layer, x)
        changed = torch.zeros(WIDTH, y.shape[1], dtype=torch.bool)
        for unit in range(WIDTH):
            for step in (0.5, -0.5):
                moved = x.clone()
                moved[:, unit] += step
                changed[unit] |= (kind.run(layer, moved) != y).any(0)
    assert y.shape[1] == n_outputs_of(kind, layer)
    if kind.encodes:
        sources = torch.nn.functional.one_hot(kind.sources(layer), WIDTH).bool()
        assert kind.n_inputs(layer) == WIDTH
        assert not changed.T[~sources].any()
        # A function is constant outside its bins.
        assert changed.T[sources][: layer.n_passed].all()
    elif kind.produces or kind.mixes_units:
        assert changed.all()
        assert not kind.elementwise
    else:
        assert kind.elementwise or kind.flattens
        assert torch.equal(changed, torch.eye(WIDTH, dtype=torch.bool))


@each()
def test_silent_and_rectifying_layers(kind, make):
    layer, x = made(make), samples()
    assert float(x.max()) > 6 > -6 > float(x.min())
    y = kind.run(layer, x).detach()
    assert (kind.silent or kind.flattens) == torch.equal(y, x)
    assert kind.rectifies == torch.equal(y, x.relu())


# ------------------------------------------------------------------------------- pullback


@every_dtype
@each("elementwise")
def test_slopes_are_those_of_autograd(kind, make, dtype):
    layer, x = made(make, dtype), samples(dtype)
    wanted = jacobian(kind, layer, x).diagonal().T
    with torch.inference_mode():
        across = x.T.contiguous()
        y = kind.run(layer, across, feature_major=True)
        found = kind.slope(layer, across, y)
    assert found.shape == (WIDTH, N_SAMPLES)
    torch.testing.assert_close(found, wanted, **LIMITS[dtype])


@every_dtype
@pytest.mark.parametrize("n_columns", [N_SAMPLES, 1], ids=("each sample", "all samples"))
@each("elementwise", "produces")
def test_pullback_is_autograd(kind, make, n_columns, dtype):
    layer, x = made(make, dtype), samples(dtype)
    derivative = jacobian(kind, layer, x)
    source = torch.Generator().manual_seed(2)
    gradient = torch.randn(len(derivative), 4, n_columns, generator=source).to(dtype)
    wanted = torch.einsum("okn,oin->ikn", gradient.expand(-1, -1, N_SAMPLES), derivative)
    with torch.inference_mode():
        across = x.T.contiguous()
        y = kind.run(layer, across, feature_major=True)
        before = across.clone(), y.clone()
        found = kind.pullback(layer, gradient.clone(), across, y)
        torch.testing.assert_close(found.expand_as(wanted), wanted, **LIMITS[dtype])
        assert torch.equal(across, before[0])
        assert torch.equal(y, before[1])
        if kind.produces:
            units = torch.tensor([5, 0, 2])
            some = kind.pullback(layer, gradient, units=units)
            torch.testing.assert_close(some.expand(3, 4, N_SAMPLES), wanted[units], **LIMITS[dtype])


def test_slope_of_a_relu_where_it_bends():
    x = torch.tensor([[0.0, -0.0, 1.0, -1.0]])
    kind, layer = kind_of(nn.ReLU()), nn.ReLU()
    assert kind.slope(layer, x, layer(x)).tolist() == [[0.0, 0.0, 1.0, 0.0]]


# ------------------------------------------------------------------------------ narrowing


@every_dtype
@pytest.mark.parametrize("training", [True, False], ids=("training", "evaluation"))
@each("elementwise", "produces", "encodes")
def test_narrowed_outputs_are_those_of_the_masked_module(kind, make, training, dtype):
    layer = made(make, dtype).train(training)
    keep, before, x = output_keep(kind, layer), copies(layer), samples(dtype)
    narrow = kind.narrow_outputs(layer, keep)
    assert type(narrow) is type(layer)
    assert narrow.training is layer.training is training
    assert all(p.requires_grad for p in narrow.parameters())
    assert all(
        value.dtype == dtype for value in narrow.state_dict().values() if value.is_floating_point()
    )
    assert not storage(narrow) & storage(layer)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    with torch.no_grad():
        wanted = kind.run(layer.eval(), x)[:, keep]
        given = x[:, keep] if kind.elementwise else x
        for feature_major in (False, True):
            z = given.T if feature_major else given
            found = kind.run(narrow.eval(), z, feature_major)
            found = found.T if feature_major else found
            torch.testing.assert_close(found, wanted, **LIMITS[dtype])
    # It is a layer of its kind: narrowed and written down once more.
    few = torch.arange(int(keep.sum())) == 0
    again = kind.narrow_outputs(narrow, few)
    with torch.no_grad():
        found = kind.run(again, given[:, few] if kind.elementwise else given)
        torch.testing.assert_close(found, wanted[:, few], **LIMITS[dtype])
    assert type(build(describe(narrow))) is type(layer)


FOLDS = {
    "zero": None,
    "constants": (None, torch.tensor([3.0, -1.5, 0.25]).double()),
    "slopes": (
        torch.randn(3, 3, generator=torch.Generator().manual_seed(3)).double(),
        torch.tensor([3.0, -1.5, 0.25]).double(),
    ),
}


@each("produces")
@pairwise(
    fold=FOLDS,
    training=[True, False],
    dtype=[torch.float64, torch.float32],
)
def test_narrowed_inputs_are_those_of_the_masked_module(kind, make, fold, training, dtype):
    layer = made(make, dtype).train(training)
    before, x = copies(layer), samples(dtype)
    narrow = kind.narrow_inputs(layer, KEEP, FOLDS[fold])
    assert type(narrow) is type(layer)
    assert narrow.training is layer.training is training
    assert all(value.dtype == dtype for value in narrow.state_dict().values())
    assert not storage(narrow) & storage(layer)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    # Only a constant that must be taken over makes a bias.
    assert (narrow.bias is not None) == (layer.bias is not None or fold != "zero")
    masked = x.clone()
    slopes, constants = FOLDS[fold] or (None, torch.zeros(3).double())
    predicted = constants + (x[:, KEEP].double() @ slopes if slopes is not None else 0.0)
    masked[:, ~KEEP] = predicted.to(dtype)
    with torch.no_grad():
        found, wanted = kind.run(narrow, x[:, KEEP]), kind.run(layer, masked)
    torch.testing.assert_close(found, wanted, **LIMITS[dtype])


@every_dtype
@each("produces")
def test_what_enters_is_what_replacing_units_takes_away(kind, make, dtype):
    layer, x = made(make, dtype), samples(dtype)
    units = torch.tensor([4, 1])
    residual = torch.randn(2, N_SAMPLES, generator=torch.Generator().manual_seed(4)).to(dtype)
    replaced = x.clone()
    replaced[:, units] -= residual.T
    with torch.no_grad():
        wanted = (kind.run(layer, x) - kind.run(layer, replaced)).T
        torch.testing.assert_close(kind.enter(layer, residual, units), wanted, **LIMITS[dtype])
        # One after the other they add up.
        columns = kind.columns(layer, units)
        torch.testing.assert_close(columns @ residual, wanted, **LIMITS[dtype])
        for k, unit in enumerate(units):
            alone = x.clone()
            alone[:, unit] -= residual[k]
            moved = (kind.run(layer, x) - kind.run(layer, alone)).T
            torch.testing.assert_close(columns[:, [k]] * residual[k], moved, **LIMITS[dtype])
    weight, bias = kind.weights(layer)
    assert kind.n_inputs(layer) == WIDTH
    assert weight.shape == (kind.n_outputs(layer), WIDTH)
    assert torch.equal(columns, weight[:, units])
    assert (bias is None) == (layer.bias is None)


# ----------------------------------------------------------------------------------- cost


def counted(layer, x):
    """Parameters and multiply-adds of a sample, as torch counts them."""
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        layer(x[:1])
    # A multiply-add is two operations there.
    return sum(p.numel() for p in layer.parameters()), flops.get_total_flops() // 2


@each()
def test_cost_is_what_is_counted(kind, make):
    layer, x = made(make), samples()
    n_outputs = n_outputs_of(kind, layer)
    assert kind.cost(layer, WIDTH, n_outputs) == counted(layer, x)


@each("elementwise", "produces")
def test_cost_of_narrowed_layers_is_foreseen(kind, make):
    layer, x = made(make), samples()
    keep = output_keep(kind, layer)
    narrow, n_outputs = kind.narrow_outputs(layer, keep), int(keep.sum())
    n_inputs, given = (WIDTH, x) if kind.produces else (n_outputs, x[:, keep])
    assert kind.cost(layer, n_inputs, n_outputs) == counted(narrow, given)
    if kind.produces:
        both = kind.narrow_inputs(narrow, KEEP, FOLDS["constants"])
        assert kind.cost(layer, 3, n_outputs) == counted(both, x[:, KEEP])


# -------------------------------------------------------------------------- written down


@each()
def test_written_down_and_built_again(kind, make):
    layer, x = made(make), samples()
    name, arguments = describe(layer)
    assert name == type(layer).__name__
    # Plain data: a literal in Python, nothing that needs unpickling.
    assert ast.literal_eval(repr((name, arguments))) == (name, arguments)
    again = build((name, arguments)).double()
    assert type(again) is type(layer)
    assert describe(again) == (name, arguments)
    again.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(kind.run(again.eval(), x), kind.run(layer, x))
    # The sizes that a file must have are those that the layer has.
    state = layer.state_dict()
    shapes = shapes_of((name, arguments))
    assert shapes == {key: tuple(state[key].shape) for key in shapes}
    assert bool(shapes) == bool(state)


@pytest.mark.parametrize(("module", "arguments"), ARGUMENTS, ids=lambda value: str(value)[-40:])
def test_arguments_are_those_that_were_given(module, arguments):
    name, found = describe(module(**arguments))
    assert name == module.__name__
    assert {key: found[key] for key in arguments} == arguments


@each_of([case for case in CASES if hasattr(case[2](), "inplace")])
def test_in_place_is_not_written_down(kind, make):
    layer, x = made(make), samples()
    before, wanted = x.clone(), layer(x.clone())
    layer.inplace = True
    again = build(describe(layer)).eval()
    assert not again.inplace
    found = kind.run(again, x)
    assert torch.equal(x, before)
    assert torch.equal(found, wanted)


# ------------------------------------------------------------------------- training mode


@each()
def test_what_training_mode_shows(kind, make):
    layer, x = made(make).train(), samples(n_samples=40)
    assert kind.has_state == bool(layer.state_dict())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        runs = [layer(x) for _ in range(4)]
        differ = any(not torch.equal(runs[0], run) for run in runs[1:])
        assert kind.random == differ
        others = x.clone()
        others[1:] += 1.0
        torch.manual_seed(1)
        alone = layer(x)[0]
        torch.manual_seed(1)
        assert kind.batch_statistics == (not torch.allclose(alone, layer(others)[0]))


@every_dtype
@each()
def test_affine_layers(kind, make, dtype):
    layer, x = made(make, dtype), samples(dtype)
    found = kind.affine(layer)
    if found is None:
        assert not kind.batch_statistics
        return
    factor, constant = found
    assert factor.dtype == constant.dtype == torch.float64
    assert factor.shape == constant.shape == (WIDTH,)
    wanted = kind.run(layer, x).detach().double()
    torch.testing.assert_close(x.double() * factor + constant, wanted, **LIMITS[dtype])


# ------------------------------------------------------------------------------- refusal


@each()
def test_examples_are_not_refused(kind, make):
    assert kind.refusal(make()) is None


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.Softmax(dim=0),
        nn.Softmax(dim=-2),
        nn.LogSoftmax(dim=0),
        nn.LogSoftmax(dim=-2),
    ],
    ids=str,
)
def test_layers_that_mix_samples_are_refused(layer):
    assert "mixes samples" in kind_of(layer).refusal(layer)
    # And so they do.
    x = samples()
    assert not torch.allclose(layer.eval()(x.float())[0], layer(x[:4].float() + 1)[0])
