"""Modules whose layers are not a chain: refused, and the message says where."""

from __future__ import annotations

import pytest
import torch
from builders import features, linear
from torch import nn

from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.tracing import recover_graph


def sequential(*layers):
    return lambda: nn.Sequential(*layers)


class Parts(nn.Module):
    """Three Linear layers for the modules below."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = linear(6, 6, 0), linear(6, 6, 1), linear(6, 3, 2)
        self.act = nn.ReLU()


class FunctionalActivation(Parts):
    def forward(self, X):
        return self.last(self.act(self.second(torch.relu(self.first(X)))))


class FunctionalTail(Parts):
    def forward(self, X):
        return torch.softmax(self.last(self.act(self.first(X))), dim=-1)


class FunctionalHead(Parts):
    def forward(self, X):
        return self.last(self.act(self.first(X - X.mean())))


class Skip(Parts):
    def forward(self, X):
        hidden = self.act(self.first(X))
        return self.last(hidden + self.second(hidden))


class SkipToTheEnd(Parts):
    def forward(self, X):
        return self.last(self.act(self.first(X))) + X[:, :3]


class DenseConnection(Parts):
    def __init__(self):
        super().__init__()
        self.last = linear(12, 3, 2)

    def forward(self, X):
        hidden = self.act(self.first(X))
        return self.last(torch.cat([X, hidden], dim=1))


class Branches(Parts):
    def forward(self, X):
        return self.last(self.act(self.first(X)) * torch.sigmoid(self.second(X)))


class OneOfTwoBranches(Parts):
    """The second branch is computed and thrown away."""

    def forward(self, X):
        hidden = self.act(self.first(X))
        self.second(X)
        return self.last(hidden)


class ReusedLinear(Parts):
    def forward(self, X):
        hidden = self.act(self.first(X))
        return self.last(self.act(self.second(self.act(self.second(hidden)))))


class ReusedNorm(Parts):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, X):
        hidden = self.norm(self.first(X))
        return self.last(self.norm(self.second(hidden)))


class Reshaped(Parts):
    def forward(self, X):
        return self.last(self.act(self.first(X))[:, [1, 0, 2, 3, 4, 5]])


class TupleOutput(Parts):
    def forward(self, X):
        hidden = self.act(self.first(X))
        return self.last(hidden), hidden


class FunctionalLinear(Parts):
    def forward(self, X):
        return self.last(nn.functional.linear(X, self.first.weight))


class Scaled(Parts):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, X):
        return self.scale * self.last(self.act(self.first(X)))


class Swish(nn.Module):
    def forward(self, X):
        return X * torch.sigmoid(X)


REFUSED = {
    "layer norm behind a hidden layer": (
        sequential(linear(6, 4, 0), nn.LayerNorm(4), nn.ReLU(), linear(4, 3, 1)),
        r"Layer '1' \(LayerNorm\) of Sequential cannot be pruned around",
    ),
    "layer norm of the input": (
        sequential(nn.LayerNorm(6), linear(6, 4, 0), nn.ReLU(), linear(4, 3, 1)),
        r"Layer '0' \(LayerNorm\)",
    ),
    "convolution": (
        sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Flatten(), linear(8, 3, 1)),
        r"Layer '[01]' \((Unflatten|Conv1d)\)",
    ),
    "convolution first": (
        sequential(nn.Conv1d(6, 2, 1), nn.ReLU(), linear(2, 3, 1)),
        r"Layer '0' \(Conv1d\)",
    ),
    "embedding": (sequential(nn.Embedding(9, 4), linear(4, 3, 1)), r"Layer '0' \(Embedding\)"),
    "deep inside": (
        sequential(nn.Sequential(linear(6, 4, 0), nn.Sequential(nn.GLU())), linear(2, 3, 1)),
        r"Layer '0.1.0' \(GLU\)",
    ),
    "a layer of one's own": (
        sequential(linear(6, 4, 0), Swish(), linear(4, 3, 1)),
        r"Layer '1' \(Swish\)",
    ),
    "no layer at all": (Swish, r"Layer 'module' \(Swish\)"),
    "functional activation": (FunctionalActivation, "Between 'first' and 'second', forward does"),
    "functional tail": (FunctionalTail, "Between 'last' and 'the output', forward does"),
    "functional head": (FunctionalHead, "Between 'the input' and 'first', forward does"),
    "skip connection": (Skip, "Between 'second' and 'last'.* a skip connection"),
    "skip to the end": (SkipToTheEnd, "Between 'last' and 'the output'"),
    "dense connection": (DenseConnection, "Between 'act' and 'last'"),
    "branches": (Branches, "Between 'act' and 'second'"),
    "a branch that is not used": (OneOfTwoBranches, "Between 'act' and 'second'"),
    "reused linear": (ReusedLinear, r"Layer 'second' \(Linear\) is used more than once"),
    "reused norm": (ReusedNorm, r"Layer 'norm' \(BatchNorm1d\) is used more than once"),
    "units in another order": (Reshaped, "Between 'act' and 'last'.* a reshape"),
    "tuple output": (TupleOutput, "TupleOutput.forward must return one tensor .* got a tuple of 2"),
    "functional linear": (FunctionalLinear, "has 1 Linear layers; pruning needs a hidden layer"),
    "a parameter beside the layers": (Scaled, "Between 'last' and 'the output'"),
    "one linear only": (sequential(linear(6, 3, 0), nn.Softmax(dim=-1)), "has 1 Linear layers"),
    "softmax between layers": (
        sequential(linear(6, 4, 0), nn.Softmax(dim=-1), linear(4, 3, 1)),
        r"Layer '1' \(Softmax\) mixes neurons",
    ),
    "log-softmax between layers": (
        sequential(linear(6, 4, 0), nn.ReLU(), nn.LogSoftmax(dim=1), linear(4, 3, 1)),
        r"Layer '2' \(LogSoftmax\) mixes neurons",
    ),
    "softmax over the samples": (
        sequential(linear(6, 4, 0), nn.ReLU(), linear(4, 3, 1), nn.Softmax(dim=0)),
        r"Layer '3' \(Softmax\) mixes samples",
    ),
    "norm over the batch": (
        sequential(linear(6, 4, 0), nn.BatchNorm1d(4, track_running_stats=False), linear(4, 3, 1)),
        r"Layer '1' \(BatchNorm1d\) mixes samples",
    ),
    "norm over the batch at the end": (
        sequential(linear(6, 4, 0), linear(4, 3, 1), nn.BatchNorm1d(3, track_running_stats=False)),
        r"Layer '2' \(BatchNorm1d\) mixes samples",
    ),
    "outputs of all samples in one": (
        sequential(linear(6, 4, 0), nn.ReLU(), linear(4, 3, 1), nn.Flatten(0)),
        r"a row for each sample of X, got a tensor of shape \(30,\) for 10 samples",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    make, message = REFUSED[name]
    module = make().train()
    x = features(10, 6, torch.float32)
    kept = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(UnsupportedModuleError, match=message):
        recover_graph(module, x)
    for key, value in module.state_dict().items():
        assert torch.equal(value, kept[key])
    for layer in module.modules():
        assert layer.training
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks


@pytest.mark.parametrize("name", ["layer norm behind a hidden layer", "skip connection"])
def test_message_says_what_is_supported(name):
    with pytest.raises(UnsupportedModuleError, match="Supported is a chain of Linear") as caught:
        recover_graph(REFUSED[name][0](), features(10, 6, torch.float32))
    assert "nn.ReLU() rather than torch.relu" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_difference_on_any_sample_is_found():
    """A functional activation that changes one number of one sample."""

    class Clipped(Parts):
        def forward(self, X):
            return self.last(self.act(self.first(X)).clamp(max=limit))

    x = features(200, 6, torch.float32)
    module = Clipped()
    with torch.no_grad():
        hidden = module.act(module.first(x))
    limit = float(hidden.flatten().sort().values[-2])
    with pytest.raises(UnsupportedModuleError, match="Between 'act' and 'last'"):
        recover_graph(module, x)
