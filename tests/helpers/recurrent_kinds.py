"""Small modules with recurrent layers and cells, as `KINDS` of :mod:`module_kinds`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from module_net import Net, head, lin
from torch import nn


class OneGRU(nn.GRU):
    """A subclass with a call of its own."""

    def __init__(self, *sizes):
        super().__init__(*sizes, batch_first=True)

    def forward(self, x, state):
        return super().forward(x, state[None])


def _zeros(n_layers, x):
    return (x.new_zeros(n_layers, x.size(0), 4),) * 2


def _folded(h):
    one, other = h.mean(1).chunk(2, -1)
    return one + other


def _unrolled(s, x):
    first, second, third = None, x.new_zeros(x.size(0), 6), None
    for step in range(x.size(1)):
        first = s.r(x[:, step], first)
        second = s.q(first[0], second)
        third = s.p(second, third)
    return third


#: How to make a module, the shape of a sample, and the sizes of its groups by name.
RECURRENT = {
    "lstm": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.r(s.a(x))[0][:, -1]))),
                    a=lin(3, 5), r=nn.LSTM(5, 6, batch_first=True), b=lin(6, 7), c=head(7)),
        (4, 3), {"a": 5, "r": 6, "b": 7},
    ),
    "lstm, two layers, both directions": (
        lambda: Net(lambda s, x: s.c(s.r(x, _zeros(4, x))[0].relu().amax(1)),
                    r=nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True, bias=False),
                    c=head(8)),
        (4, 3), {"r.l0": 4, "r.l0_reverse": 4, "r.l1": 4, "r.l1_reverse": 4},
    ),
    "lstm with projections": (
        lambda: Net(lambda s, x: s.c(s.b(s.r(x.transpose(0, 1))[1][0][-1])),
                    r=nn.LSTM(3, 6, proj_size=2), b=lin(2, 5), c=head(5)),
        (4, 3), {"b": 5},
    ),
    "gru, states in one tensor": (
        lambda: Net(lambda s, x: s.c(s.r(x.transpose(0, 1))[1].transpose(0, 1).flatten(1)),
                    r=nn.GRU(3, 5, 2), c=head(10)),
        (4, 3), {"r": 5},
    ),
    "gru that starts from a layer": (
        lambda: Net(lambda s, x: s.c(s.r(x, torch.tanh(s.a(x[:, 0])))[0].mean(1)),
                    a=lin(3, 6), r=OneGRU(3, 6), c=head(6)),
        (4, 3), {"a": 6},
    ),
    "rnn of both directions, added": (
        lambda: Net(lambda s, x: s.c(_folded(s.r(x)[0])),
                    r=nn.RNN(3, 5, batch_first=True, bidirectional=True, nonlinearity="relu"),
                    c=head(5)),
        (4, 3), {"r": 5},
    ),
    "cells": (
        lambda: Net(lambda s, x: s.c(_unrolled(s, x)), r=nn.LSTMCell(3, 5), q=nn.GRUCell(5, 6),
                    p=nn.RNNCell(6, 4), c=head(4)),
        (3, 3), {"r": 5, "q": 6, "p": 4},
    ),
}  # fmt: skip
