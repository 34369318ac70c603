"""The list of kinds: complete, and looked up by exact class and by name."""

from __future__ import annotations

import pytest
import torch
from builders import batch_norm, linear, prelu
from torch import nn

from sklearn_mabprune import PiecewiseLinearEmbedding
from sklearn_mabprune.graph.kinds.base import Kind
from sklearn_mabprune.graph.kinds.registry import (
    BY_NAME,
    KINDS,
    build,
    describe,
    kind_of,
    layers_of,
    shapes_of,
)

#: What networks may consist of, whatever kinds are added.
SUPPORTED = (
    nn.Linear, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Softshrink,
    nn.Hardshrink, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Threshold, nn.Identity, nn.Dropout,
    nn.AlphaDropout, nn.FeatureAlphaDropout, nn.PReLU, nn.BatchNorm1d, nn.Flatten, nn.Softmax,
    nn.LogSoftmax, PiecewiseLinearEmbedding,
)  # fmt: skip


def test_every_class_has_one_kind_and_its_name():
    classes = [module for kind in KINDS for module in kind.modules]
    assert len(classes) == len(set(classes))
    assert set(classes) == set(SUPPORTED)
    assert {name: module for name, module in BY_NAME.items() if module in SUPPORTED} == BY_NAME
    assert {module.__name__: module for module in SUPPORTED} == BY_NAME
    assert len(set(KINDS)) == len(KINDS)
    assert all(issubclass(kind, Kind) for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_class_of_a_kind_is_among_its_examples(kind):
    for width in (1, 6):
        examples = kind.examples(width)
        assert {type(layer) for layer in examples} == set(kind.modules)
        assert all(kind_of(layer) is kind for layer in examples)
        assert not any(one is other for one in examples for other in kind.examples(width))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_capabilities_do_not_contradict_each_other(kind):
    exclusive = ("elementwise", "produces", "encodes", "mixes_units", "flattens")
    assert sum(getattr(kind, name) for name in exclusive) == 1
    if kind.silent or kind.rectifies:
        assert kind.elementwise
        assert not kind.has_state
    assert not (kind.silent and kind.rectifies)


def test_only_the_exact_class_is_known():
    class Own(nn.Linear):
        """May do anything in its forward."""

    class OwnActivation(nn.ReLU):
        pass

    for layer in (Own(3, 2), OwnActivation(), nn.LayerNorm(3), nn.Conv1d(1, 1, 1), nn.Sequential()):
        assert kind_of(layer) is None
    with pytest.raises(KeyError, match="Own"):
        build(("Own", {"in_features": 3, "out_features": 2}))


def test_layers_by_what_they_can_do():
    module = nn.Sequential(
        batch_norm(4, 0),
        nn.Sequential(linear(4, 6, 1), nn.Dropout(0.1), nn.LayerNorm(6), prelu(6, 2)),
        nn.Linear(6, 3),
        nn.Softmax(dim=-1),
    )
    norm, (first, dropout, _, slopes), last, softmax = module
    assert layers_of(module, "random") == [dropout]
    assert layers_of(module, "batch_statistics") == [norm]
    assert layers_of(module, "produces") == [first, last]
    assert layers_of(module, "has_state") == [norm, first, slopes, last]
    assert layers_of(module, "mixes_units") == [softmax]
    assert layers_of(first, "produces") == [first]


def test_shapes_of_what_is_not_said():
    """A description from a file may lack an argument: then nothing is known of that size."""
    assert shapes_of(("Linear", {"in_features": 4})) == {"weight": (None, 4)}
    assert shapes_of(("BatchNorm1d", {})) == {"running_mean": (None,)}
    assert shapes_of(("ReLU", {})) == {}


@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Linear(6, 4, bias=False)], ids=str)
def test_built_layers_draw_nothing(layer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        before = torch.random.get_rng_state()
        build(describe(layer))
        assert torch.equal(torch.random.get_rng_state(), before)
