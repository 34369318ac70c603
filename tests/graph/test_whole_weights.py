"""Layers that are kept whole are named with the reason, also where they make no units."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn.utils import parametrizations
from user_nets import classes_table, classifier

from sklearn_mabprune.graph.recovery import recover_network


class Net(nn.Module):
    """A first layer of some kind, and two Linear layers behind it."""

    def __init__(self, first, **parts):
        super().__init__()
        self.first, self.mid, self.last = first, nn.Linear(12, 10), nn.Linear(10, 3)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        h = self.first(x) if isinstance(self.first, nn.Module) else self.first(self, x)
        return self.last(torch.relu(self.mid(torch.relu(h))))


def weight(*shape):
    return nn.Parameter(torch.randn(*shape) / 3)


COMPUTED = r"the weight is computed that {} in Net.forward \(test_whole_weights.py:\d+\) reads"
UNKNOWN = r"{} in Net.forward \(test_whole_weights.py:\d+\) is not known to keep units apart"

#: How to make a network, the shape of a sample, the layer that is named, and the reason.
KINDS = {
    "weight norm": (
        lambda: Net(parametrizations.weight_norm(nn.Linear(6, 12))),
        (6,), "first", COMPUTED.format("linear of 'first'"),
    ),
    "spectral norm of a convolution": (
        lambda: Net(nn.Sequential(
            parametrizations.spectral_norm(nn.Conv1d(2, 12, 3)), nn.AdaptiveAvgPool1d(1),
            nn.Flatten())),
        (2, 5), "first.0", COMPUTED.format("conv1d of 'first.0'"),
    ),
    "orthogonal": (
        lambda: Net(parametrizations.orthogonal(nn.Linear(6, 12))),
        (6,), "first", "the weight is computed that linear of 'first' in Net.forward",
    ),
    "masked": (
        lambda: Net(lambda s, x: F.linear(x, s.w * s.mask), w=weight(12, 6),
                    mask=torch.ones(12, 6)),
        (6,), "w", COMPUTED.format("linear"),
    ),
    "positive": (
        lambda: Net(lambda s, x: x @ s.w.exp(), w=weight(6, 12)),
        (6,), "w", COMPUTED.format("matmul"),
    ),
    "einsum": (
        lambda: Net(lambda s, x: torch.einsum("bi,ij->bj", x, s.w), w=weight(6, 12)),
        (6,), "w", "einsum in Net.forward .* sums over products",
    ),
    "depthwise": (
        lambda: Net(nn.Sequential(nn.Conv1d(6, 12, 3, groups=6), nn.AdaptiveAvgPool1d(1),
                                  nn.Flatten())),
        (6, 5), "first.0", "conv1d of 'first.0' in Net.forward .* reads other values with them",
    ),
    "distances": (
        lambda: Net(lambda s, x: torch.cdist(x, s.centres), centres=weight(12, 6)),
        (6,), "centres", UNKNOWN.format("cdist"),
    ),
}  # fmt: skip


def recovered(make, shape):
    torch.manual_seed(0)
    return recover_network(make().eval(), torch.randn(8, *shape))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_without_units_are_named_with_the_reason(kind):
    make, shape, name, reason = KINDS[kind]
    network = recovered(make, shape)
    assert [group.name for group in network.groups] == ["mid"]
    assert list(network.kept_whole) == [name, "last"]
    assert re.match(reason, network.kept_whole[name])


@pytest.mark.parametrize(
    "first",
    [
        nn.Sequential(nn.Conv1d(2, 12, 3), nn.Conv1d(12, 12, 3, groups=12), nn.Flatten()),
        nn.Sequential(nn.LayerNorm((2, 5)), nn.Flatten(), nn.Linear(10, 12)),
    ],
)
def test_weights_that_go_with_units_or_scale_values_are_no_layers(first):
    network = recovered(lambda: Net(first), (2, 5))
    assert list(network.kept_whole) == ["last"]
    assert len(network.groups) == 2


class Normed(Net):
    def __init__(self):
        super().__init__(parametrizations.weight_norm(nn.Linear(6, 12)))


def test_a_report_and_a_refusal_name_them():
    X, y = classes_table(60)
    net = NeuralNetClassifier(Normed, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    X = X.astype(np.float32)
    model = classifier(net).fit(X, y)
    assert "weight is computed" in model.pruning_report_.kept_whole["first"]
    with pytest.raises(ValueError, match="layers names 'first', which is kept whole: the weight"):
        classifier(net, layers=["first"]).fit(X, y)
