"""Networks that criteria of users are tested with: a chain, and one with a skip connection."""

from __future__ import annotations

import torch
from torch import nn


class Chain(nn.Sequential):
    def __init__(self, n_outputs=3):
        super().__init__(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, n_outputs))


class Skip(nn.Module):
    def __init__(self, n_outputs=3):
        super().__init__()
        self.wide, self.short = nn.Linear(6, 12), nn.Linear(6, n_outputs)
        self.last = nn.Linear(12, n_outputs)

    def forward(self, x):
        return self.last(torch.tanh(self.wide(x))) + self.short(x)
