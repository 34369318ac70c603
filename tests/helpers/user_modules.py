"""Modules as users write them, that are no chains: how to make one, its input, its groups."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class FunctionalMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        h = F.dropout(torch.relu(self.first(x)), 0.5, self.training)
        return F.log_softmax(self.last(F.gelu(self.second(h))), dim=-1)


class ResidualMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(6, 8), nn.Linear(8, 3)
        self.wide = nn.ModuleList([nn.Linear(8, 12) for _ in range(2)])
        self.back = nn.ModuleList([nn.Linear(12, 8) for _ in range(2)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(8) for _ in range(2)])

    def forward(self, x):
        x = self.enter(x)
        for norm, wide, back in zip(self.norms, self.wide, self.back, strict=True):
            x = x + back(F.relu(wide(norm(x))))
        return self.leave(x)


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
        self.fc1, self.fc2 = nn.Linear(8 * 9, 10), nn.Linear(10, 3)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 1))
        x = F.avg_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(torch.tanh(self.fc1(x)))


class ResidualConv(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.conv1, self.bn1 = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return self.head(x.mean(dim=(2, 3)))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.both, self.out = nn.Linear(6, 20), nn.Linear(10, 8)
        self.gate, self.value, self.last = nn.Linear(8, 7), nn.Linear(8, 7), nn.Linear(7, 3)

    def forward(self, x):
        a, b = self.both(x).chunk(2, dim=-1)
        h = self.out(a * torch.sigmoid(b))
        return self.last(F.silu(self.gate(h)) * self.value(h))


class Concat(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 5), nn.Linear(6, 7)
        self.last = nn.Linear(5 + 7 + 6, 3)

    def forward(self, x):
        h = torch.cat([F.relu(self.left(x)), torch.tanh(self.right(x)), x], dim=1)
        return self.last(h)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
        self.gru, self.last = nn.GRU(10, 6), nn.Linear(6 + 5 + 6, 3)

    def forward(self, x):
        h, (_, c) = self.lstm(x)
        h, last = self.gru(h.transpose(0, 1))
        return self.last(torch.cat([last[-1], c[0], h.mean(0)], dim=1))


class Folded(nn.Module):
    """Samples come second, then beside steps in one dimension, after them and before them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 7), nn.Linear(7, 5)
        self.third, self.conv = nn.Linear(5, 8), nn.Conv1d(1, 5, 3)
        self.conv2, self.last = nn.Conv1d(5, 4, 2), nn.Linear(4 * 4, 3)

    def forward(self, x):
        h = torch.relu(self.first(x.transpose(0, 1)))  # (steps, samples, units)
        h = torch.tanh(self.second(h).flatten(0, 1))  # (steps * samples, units)
        h = torch.relu(self.third(h)).unflatten(0, (4, -1)).transpose(0, 1)
        h = torch.relu(self.conv(h.reshape(-1, 1, 8)))  # (samples * steps, channels, positions)
        h = torch.relu(self.conv2(h)).amax(2)
        return self.last(h.reshape(x.size(0), -1))


class Additive(nn.Module):
    """Steps weighted by a product with a vector, in training with a second head."""

    def __init__(self):
        super().__init__()
        self.enter, self.key = nn.Linear(3, 6), nn.Linear(6, 5)
        self.query, self.out = nn.Parameter(torch.randn(5)), nn.Linear(6, 3)
        self.second = nn.Linear(6, 3)

    def forward(self, x):
        h = torch.relu(self.enter(x))
        y = torch.einsum("bt,btc->bc", (torch.tanh(self.key(h)) @ self.query).softmax(1), h)
        return self.out(y) + 0.1 * self.second(y) if self.training else self.out(y)


#: How to make a module, the shape of a sample, and the sizes of its groups by name.
MODULES = {
    "functional": (FunctionalMLP, (6,), {"first": 10, "second": 8}),
    "residual": (ResidualMLP, (6,), {"wide.0": 12, "wide.1": 12}),
    "convolutions": (ConvNet, (2, 8, 8), {"conv1": 6, "conv2": 8, "fc1": 10}),
    "residual convolutions": (ResidualConv, (2, 6, 6), {"conv1": 6}),
    "gates": (Gated, (6,), {"both": 10, "out": 8, "gate": 7}),
    "concatenation": (Concat, (6,), {"left": 5, "right": 7}),
    "folded": (Folded, (4, 6), {"first": 7, "second": 5, "conv": 5, "conv2": 4}),
    "additive": (Additive, (4, 3), {"enter": 6, "key": 5}),
    "recurrent": (Recurrent, (4, 3), {"lstm.l0": 5, "lstm.l0_reverse": 5, "gru": 6}),
}


def made(name, dtype=torch.float64, n_samples=5):
    """A module with weights that no zero hides, and samples for it."""
    make, shape, _ = MODULES[name]
    torch.manual_seed(0)
    module = make().to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) / 4)
        for buffer_name, buffer in module.named_buffers():
            if buffer.is_floating_point() and "running" in buffer_name:
                buffer.add_(torch.rand_like(buffer))
    return module, samples_of(shape, dtype, n_samples)


def samples_of(shape, dtype, n_samples):
    """Samples of a shape; of a callable what it makes; of a dict one for each name."""
    if isinstance(shape, dict):
        return {name: samples_of(part, dtype, n_samples) for name, part in shape.items()}
    if callable(shape):
        return shape(n_samples)
    return torch.randn(n_samples, *shape, dtype=dtype)
