"""Small random networks of supported operators, drawn from a seed."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = (F.relu, torch.tanh, F.gelu, F.silu, lambda x: x * torch.sigmoid(x), torch.sin)


class RandomNetwork(nn.Module):
    """Steps on a stack of feature maps or vectors; each reads the last value, some an older one.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int):
        super().__init__()
        drawn = random.Random(seed)
        self.image = drawn.random() < 0.5
        self.layers = nn.ModuleList()
        self.steps = []
        width, older = (2 if self.image else 6), []
        for _ in range(drawn.randint(3, 6)):
            kind = drawn.choice(("layer", "layer", "norm", "gate", "skip", "cat", "split"))
            made, width = self._step(drawn, kind, width, older)
            older.append(width)
            self.steps.append(made)
        self.head = nn.Linear(width, 3)

    def _layer(self, drawn, n_inputs, n_outputs):
        size = drawn.choice((1, 3))
        groups = 2 if self.image and n_inputs % 2 == n_outputs % 2 == 0 and size == 3 else 1
        self.layers.append(
            nn.Conv2d(n_inputs, n_outputs, size, padding=size // 2, groups=groups)
            if self.image
            else nn.Linear(n_inputs, n_outputs, bias=drawn.random() < 0.8)
        )
        return len(self.layers) - 1

    def _step(self, drawn, kind, width, older):
        """A function of the values so far, and how wide its result is."""
        activation, number = drawn.choice(ACTIVATIONS), drawn.choice((4, 5, 6, 8))
        if kind == "norm":
            self.layers.append(
                nn.GroupNorm(2 if width % 2 == 0 else 1, width)
                if drawn.random() < 0.3
                else (nn.BatchNorm2d if self.image else nn.BatchNorm1d)(width)
            )
            layer = len(self.layers) - 1
            return (lambda s, v: activation(s.layers[layer](v[-1]))), width
        if kind == "gate":
            one, other = (self._layer(drawn, width, number) for _ in range(2))
            return (lambda s, v: activation(s.layers[one](v[-1])) * s.layers[other](v[-1])), number
        if kind == "skip":
            into = self._layer(drawn, width, number)
            back = self._layer(drawn, number, width)
            return (lambda s, v: v[-1] + s.layers[back](activation(s.layers[into](v[-1])))), width
        if kind == "cat" and older:
            place = drawn.randrange(len(older))
            return (lambda s, v: torch.cat([v[-1], v[place + 1]], 1)), width + older[place]
        if kind == "split":
            layer = self._layer(drawn, width, 2 * number)

            def halves(s, v):
                one, other = s.layers[layer](v[-1]).chunk(2, 1)
                return activation(one) - other

            return halves, number
        layer = self._layer(drawn, width, number)
        return (lambda s, v: activation(s.layers[layer](v[-1]))), number

    def forward(self, x):
        values = [x]
        for step in self.steps:
            values.append(step(self, values))
        h = values[-1]
        return self.head(h.mean((2, 3)) if self.image else h)

    def samples(self, n_samples, dtype=torch.float64):
        """Samples that it takes."""
        shape = (2, 5, 5) if self.image else (6,)
        return torch.randn(n_samples, *shape, dtype=dtype)
