"""Modules of many kinds whose layers run one after the other."""

from __future__ import annotations

import torch
from builders import batch_norm, features, linear, network, prelu
from torch import nn
from user_nets import QuickStart

from sklearn_mabprune.training.mlp import MLP


class OtherOrder(nn.Module):
    """Layers declared in another order than they run in, called by keyword, one unused."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(5, 2)
        self.unused = nn.Linear(3, 3)
        self.blocks = nn.ModuleDict({"b": linear(7, 5, 1), "a": linear(6, 7, 2)})
        self.act = nn.Tanh()

    def forward(self, X):
        X = self.act(input=self.blocks["a"](X))
        return self.last(input=self.act(self.blocks["b"](X)))


class InPlaceBySideEffect(nn.Module):
    """What the activation returns is not looked at; it has overwritten what it was given."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = linear(6, 7, 0), nn.ReLU(inplace=True), linear(7, 3, 1)

    def forward(self, X):
        hidden = self.first(X)
        self.act(hidden)
        return self.last(hidden)


class Wrapper(nn.Module):
    """What torch.compile puts around a module."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module

    def forward(self, X):
        raise RuntimeError("compiled code must not run")


def nested():
    block = nn.Sequential(linear(6, 7, 0), batch_norm(7, 1), nn.ReLU())
    return nn.Sequential(
        block, nn.Sequential(nn.Sequential(linear(7, 5, 2)), nn.GELU()), linear(5, 3, 3)
    )


def in_place():
    return nn.Sequential(
        linear(6, 7, 0), nn.ReLU(inplace=True), nn.Dropout(0.3, inplace=True), linear(7, 3, 1)
    )


def tail(*layers, n_outputs=3):
    return nn.Sequential(linear(6, 7, 0), nn.ReLU(), linear(7, n_outputs, 1), *layers)


def with_head(*layers):
    return nn.Sequential(*layers, linear(6, 7, 0), nn.ReLU(), linear(7, 3, 1))


#: Modules that are read as a graph, and the sizes of its groups.
NETWORKS = {
    "mlp": (lambda: MLP(6, 3, (7, 5), random_state=0), (7, 5)),
    "mlp with all": (
        lambda: MLP(6, 3, (7, 5), "gelu", dropout=0.2, batch_norm=True, random_state=0),
        (7, 5),
    ),
    "sequential": (lambda: network(dtype=torch.float32), (7, 5)),
    "double precision": (lambda: network(around="norm_after"), (7, 5)),
    "nested": (nested, (7, 5)),
    "quick start": (QuickStart, (10, 10)),
    "quick start, slopes": (lambda: QuickStart(nonlin=nn.LeakyReLU(0.2)), (10, 10)),
    "other order": (OtherOrder, (7, 5)),
    "in place": (in_place, (7,)),
    "in place on the input": (lambda: with_head(nn.ReLU(inplace=True)), (7,)),
    "in place by side effect": (InPlaceBySideEffect, (7,)),
    "flatten": (lambda: tail(nn.Flatten()), (7,)),
    "flatten to one number a sample": (lambda: tail(nn.Flatten(0), n_outputs=1), (7,)),
    "log-softmax": (lambda: tail(nn.LogSoftmax(dim=1)), (7,)),
    "softmax": (lambda: tail(nn.Softmax(dim=-1)), (7,)),
    "sigmoid": (lambda: tail(nn.Sigmoid(), n_outputs=1), (7,)),
    "norm at the end": (lambda: tail(batch_norm(3, 2), prelu(3, 3)), (7,)),
    "norm of the input": (lambda: with_head(batch_norm(6, 4), nn.Dropout(0.1)), (7,)),
    "flatten of the input": (lambda: with_head(nn.Flatten()), (7,)),
    "wrapped": (lambda: Wrapper(network(dtype=torch.float32)), (7, 5)),
}


def samples_for(module, n_samples=20):
    """Samples in a module's dtype."""
    return features(n_samples, 6, next(module.parameters()).dtype)
