"""Modules of the user's own that are no chains, with small data for them; they pickle."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.nn import functional as F


class SmallConv(nn.Module):
    """Two convolutions and a hidden layer, with functions in between."""

    def __init__(self, n_channels=6, n_outputs=3):
        super().__init__()
        self.conv1 = nn.Conv2d(1, n_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(n_channels)
        self.conv2 = nn.Conv2d(n_channels, 8, 3)
        self.fc1, self.fc2 = nn.Linear(8 * 9, 10), nn.Linear(10, n_outputs)

    def forward(self, x):
        x = F.relu(self.norm(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.dropout(x.view(x.size(0), -1), 0.1, self.training)
        return self.fc2(F.relu(self.fc1(x)))


class SmallResidual(nn.Module):
    """A table's residual network: a skip connection, a gate, a concatenation."""

    def __init__(self, width=8, hidden=12, n_outputs=3):
        super().__init__()
        self.enter, self.norm = nn.Linear(6, width), nn.BatchNorm1d(width)
        self.wide, self.back = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.gate, self.value = nn.Linear(width, 7), nn.Linear(width, 7)
        self.leave = nn.Linear(7 + 6, n_outputs)

    def forward(self, X):
        h = self.enter(X)
        h = h + self.back(F.gelu(self.wide(self.norm(h))))
        h = torch.sigmoid(self.gate(h)) * self.value(h)
        return self.leave(torch.cat([h, X], dim=1))


class Words(nn.Module):
    """Mean embedding of a text, and a hidden layer."""

    def __init__(self, n_words=20, n_dims=8):
        super().__init__()
        self.words, self.hidden = nn.Embedding(n_words, n_dims), nn.Linear(n_dims, 10)
        self.last = nn.Linear(10, 2)

    def forward(self, X):
        return self.last(F.relu(self.hidden(self.words(X).mean(dim=1))))


class Mixed(nn.Module):
    """Numbers, a category, and whether the numbers are known."""

    def __init__(self):
        super().__init__()
        self.codes, self.dense = nn.Embedding(5, 4), nn.Linear(3, 8)
        self.out = nn.Linear(8 + 4, 2)

    def forward(self, numbers, code, known):
        h = F.relu(self.dense(numbers.masked_fill(~known[:, None], 0.0)))
        return self.out(torch.cat([h, self.codes(code)], 1))


class Joined(nn.Module):
    """A concatenation; one output."""

    def __init__(self, flat=True):
        super().__init__()
        self.flat = flat
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 6), nn.Linear(12, 1)

    def forward(self, X):
        z = self.c(torch.cat([F.relu(self.b(F.relu(self.a(X)))), X], 1))
        return z.squeeze(-1) if self.flat else z


def images(n_samples=160, n_classes=3):
    """Digits as float32 images, (n_samples, 1, 8, 8), and their classes."""
    X, y = load_digits(n_class=n_classes, return_X_y=True)
    return (X[:n_samples] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[:n_samples]


def texts(n_samples=120, seed=0):
    """Numbers of words, (n_samples, 5), and whether low ones are frequent."""
    X = np.random.default_rng(seed).integers(0, 20, size=(n_samples, 5))
    return X, (X.mean(axis=1) < 9.5).astype(int)


def mixed_samples(n_samples=90):
    """Inputs by name, and classes that depend on all of them."""
    rng = np.random.default_rng(0)
    numbers, code = rng.normal(size=(n_samples, 3)), rng.integers(0, 5, n_samples)
    known = rng.random(n_samples) < 0.9
    y = (numbers[:, 0] * known + (code > 2) > 0.5).astype(int)
    return {"numbers": numbers, "code": code, "known": known}, y


def net_of(module, net=NeuralNetClassifier, **params):
    """A skorch net, silent and quick."""
    loss = nn.MSELoss if net is NeuralNetRegressor else nn.CrossEntropyLoss
    defaults = {"criterion": loss, "optimizer": torch.optim.Adam, "max_epochs": 6, "lr": 0.01}
    defaults |= {"batch_size": 32, "verbose": 0}
    return net(module, **{**defaults, **params})
