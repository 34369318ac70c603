"""Every kind of layer: written down and built again, cut, counted."""

from __future__ import annotations

import ast

import pytest
import torch
from builders import features
from torch import nn

from sklearn_mabprune.graph.kinds.registry import (
    BEHIND,
    BETWEEN,
    BY_NAME,
    STATELESS,
    build,
    describe,
)

# Arguments unlike the defaults, or {} where a layer has none.
ARGUMENTS = {
    nn.Linear: {"in_features": 6, "out_features": 4, "bias": False},
    nn.ReLU: {},
    nn.ReLU6: {},
    nn.LeakyReLU: {"negative_slope": 0.3},
    nn.ELU: {"alpha": 0.4},
    nn.SELU: {},
    nn.CELU: {"alpha": 0.6},
    nn.GELU: {"approximate": "tanh"},
    nn.SiLU: {},
    nn.Mish: {},
    nn.Tanh: {},
    nn.Sigmoid: {},
    nn.LogSigmoid: {},
    nn.Softplus: {"beta": 2.0, "threshold": 1.0},
    nn.Softsign: {},
    nn.Tanhshrink: {},
    nn.Softshrink: {"lambd": 0.2},
    nn.Hardshrink: {"lambd": 0.9},
    nn.Hardtanh: {"min_val": -0.3, "max_val": 0.2},
    nn.Hardsigmoid: {},
    nn.Hardswish: {},
    nn.Threshold: {"threshold": 0.2, "value": -0.7},
    nn.Identity: {},
    nn.Dropout: {"p": 0.15},
    nn.AlphaDropout: {"p": 0.25},
    nn.FeatureAlphaDropout: {"p": 0.35},
    nn.PReLU: {"num_parameters": 6},
    nn.BatchNorm1d: {"num_features": 6, "eps": 0.01, "momentum": 0.3, "affine": False},
    nn.Flatten: {"start_dim": 1, "end_dim": 1},
    nn.Softmax: {"dim": -1},
    nn.LogSoftmax: {"dim": 1},
}
IN_PLACE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.SiLU, nn.Mish, nn.Hardtanh,
    nn.Hardsigmoid, nn.Hardswish, nn.Threshold, nn.Dropout, nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)  # fmt: skip
# BatchNorm and PReLU also with their other arguments.
EXAMPLES = [
    *ARGUMENTS.items(),
    (nn.Linear, {"in_features": 6, "out_features": 4, "bias": True}),
    (nn.PReLU, {"num_parameters": 1}),
    (nn.BatchNorm1d, {"num_features": 6, "momentum": None}),
    (nn.BatchNorm1d, {"num_features": 6, "bias": False}),
]


def each_of(examples):
    names = [kind.__name__ for kind, _ in examples]
    return pytest.mark.parametrize(("kind", "arguments"), examples, ids=names)


every_example = each_of(EXAMPLES)
every_example_between = each_of([example for example in EXAMPLES if example[0] in BETWEEN])


def made(kind, arguments):
    """A layer in evaluation mode whose state is not that of a new one."""
    layer, source = kind(**arguments), torch.Generator().manual_seed(0)
    for value in layer.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=source))
        else:
            value.fill_(3)
    return layer.eval()


def test_every_kind_has_its_example():
    assert set(ARGUMENTS) == set(BY_NAME.values())
    assert set(BY_NAME) == {kind.__name__ for kind in ARGUMENTS}
    assert set(BETWEEN) | set(BEHIND) | {nn.Linear} == set(ARGUMENTS)
    assert not set(STATELESS) & {nn.Linear, nn.PReLU, nn.BatchNorm1d}


@every_example
def test_written_down_and_built_again(kind, arguments):
    layer = made(kind, arguments)
    name, kwargs = describe(layer)
    assert name == kind.__name__
    assert {key: kwargs[key] for key in arguments} == arguments
    # Plain data: a literal in Python, nothing that needs unpickling.
    assert ast.literal_eval(repr((name, kwargs))) == (name, kwargs)

    again = build((name, kwargs))
    assert type(again) is kind
    assert describe(again) == (name, kwargs)
    again.load_state_dict(layer.state_dict())
    x = features(9, 6, torch.float32)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), layer(x))


@pytest.mark.parametrize("kind", IN_PLACE)
def test_in_place_is_not_written_down(kind):
    layer = kind(**ARGUMENTS[kind], inplace=True).eval()
    again = build(describe(layer)).eval()
    assert not again.inplace
    x = features(9, 6, torch.float32)
    kept = x.clone()
    found = again(x)
    assert torch.equal(x, kept)
    assert torch.equal(found, layer(x))


@pytest.mark.parametrize("training", [True, False])
@every_example_between
def test_narrowed_to_the_kept_neurons(kind, arguments, training):
    layer = made(kind, arguments).train(training)
    keep = torch.tensor([1, 0, 0, 1, 1, 0]).bool()
    narrow = BETWEEN[kind].narrow(layer, keep)
    assert type(narrow) is kind
    assert narrow.training is training
    x = features(9, 6, torch.float32)
    with torch.no_grad():
        wanted = layer.eval()(x)[:, keep]
        torch.testing.assert_close(narrow.eval()(x[:, keep]), wanted)
    ours = {value.data_ptr() for value in narrow.state_dict().values()}
    assert not ours & {value.data_ptr() for value in layer.state_dict().values()}


@every_example_between
def test_parameters_of_a_neuron(kind, arguments):
    layer = made(kind, arguments)
    each = BETWEEN[kind].parameters_per_neuron(layer)
    owned = sum(p.numel() for p in layer.parameters())
    # A PReLU with one slope shares it, whatever the width.
    assert each == (0 if owned == 1 else owned // 6)
