"""Modules made for the catalogue: forms that public packages of the list do not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from benchmarks.networks.nets.entry import Entry


class ResidualMLP(nn.Module):
    """Batch norm, two layers, and what they are added to."""

    def __init__(self, norm=nn.BatchNorm1d):
        super().__init__()
        self.enter, self.leave = nn.Linear(8, 32), nn.Linear(32, 3)
        self.norms = nn.ModuleList(norm(32) for _ in range(3))
        self.wide = nn.ModuleList(nn.Linear(32, 64) for _ in range(3))
        self.back = nn.ModuleList(nn.Linear(64, 32) for _ in range(3))

    def forward(self, x):
        x = self.enter(x)
        for norm, wide, back in zip(self.norms, self.wide, self.back, strict=True):
            x = x + back(F.relu(wide(norm(x))))
        return self.leave(x)


class SwiGLU(nn.Module):
    """Blocks with a gate of its own, as in language models."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(8, 32), nn.Linear(32, 3)
        self.norm = nn.RMSNorm(32)
        self.gate, self.up = nn.Linear(32, 86, bias=False), nn.Linear(32, 86, bias=False)
        self.down = nn.Linear(86, 32, bias=False)

    def forward(self, x):
        x = self.enter(x)
        h = self.norm(x)
        return self.leave(x + self.down(F.silu(self.gate(h)) * self.up(h)))


class WideAndDeep(nn.Module):
    """Categories and numbers, a deep branch beside a linear one."""

    def __init__(self):
        super().__init__()
        self.codes = nn.ModuleList(nn.Embedding(6, 4) for _ in range(3))
        self.deep = nn.Sequential(nn.Linear(12 + 3, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.output = nn.Linear(16 + 3, 2)

    def forward(self, x):
        codes, numbers = x[:, :3], x[:, 3:].float()
        embedded = [each(codes[:, k]) for k, each in enumerate(self.codes)]
        deep = self.deep(torch.cat([*embedded, numbers], dim=1))
        return self.output(torch.cat([deep, numbers], dim=1))


class DeepAndCross(nn.Module):
    """A cross layer, which multiplies its input with what is computed from it."""

    def __init__(self):
        super().__init__()
        self.cross = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.deep = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.output = nn.Linear(8 + 16, 2)

    def forward(self, x):
        h = x
        for layer in self.cross:
            h = x * layer(h) + h
        return self.output(torch.cat([h, self.deep(x)], dim=1))


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GELU(), nn.Flatten(),
            nn.Linear(32 * 16, 24),
        )  # fmt: skip
        self.widen = nn.Linear(24, 32 * 16)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.GELU(),
            nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, x):
        h = F.gelu(self.widen(self.encoder(x)))
        return self.decoder(h.unflatten(1, (-1, 4, 4)))


class TemporalBlocks(nn.Module):
    """Dilated convolutions over time with skips, group norm and a gate."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv1d(3, 16, 1)
        self.both = nn.ModuleList(
            nn.Conv1d(16, 48, 3, padding=2**k, dilation=2**k) for k in range(3)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(6, 24) for _ in range(3))
        self.back = nn.ModuleList(nn.Conv1d(24, 16, 1) for _ in range(3))
        self.output = nn.Linear(16, 4)

    def forward(self, x):
        x = self.enter(x)
        for both, norm, back in zip(self.both, self.norms, self.back, strict=True):
            x = x + back(norm(F.glu(both(x), dim=1)))
        return self.output(x.mean(dim=-1))


class MixerBlock(nn.Module):
    """MLP-Mixer: one MLP over the positions, one over the channels."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(6, 16)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))
        self.over_positions = nn.Sequential(nn.Linear(5, 20), nn.GELU(), nn.Linear(20, 5))
        self.over_channels = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16))
        self.output = nn.Linear(16, 3)

    def forward(self, x):
        x = self.enter(x)
        x = x + self.over_positions(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        x = x + self.over_channels(self.norms[1](x))
        return self.output(x.mean(dim=1))


class Ghost(nn.Module):
    """Channels of a convolution beside cheap ones made of them, and squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.cheap = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.down, self.up = nn.Linear(32, 8), nn.Linear(8, 32)
        self.last, self.output = nn.Conv2d(32, 24, 1), nn.Linear(24, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        x = torch.cat([x, F.relu(self.cheap(x))], dim=1)
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=(2, 3))))))
        x = F.relu(self.last(x * gate[:, :, None, None]))
        return self.output(F.adaptive_avg_pool2d(x, 1).flatten(1))


def weight_normed():
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(8, 32)), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(),
        nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3),
    )  # fmt: skip


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 12), nn.Linear(4, 12)
        self.both = nn.Bilinear(12, 12, 16)
        self.hidden, self.output = nn.Linear(16, 32), nn.Linear(32, 3)

    def forward(self, x):
        both = self.both(F.relu(self.left(x[:, :4])), F.relu(self.right(x[:, 4:])))
        return self.output(F.relu(self.hidden(both)))


HAND = "by hand"

ENTRIES = [
    Entry("residual MLP", HAND, ResidualMLP, (8,)),
    Entry("residual MLP, layer norm", HAND, lambda: ResidualMLP(nn.LayerNorm), (8,)),
    Entry("SwiGLU", HAND, SwiGLU, (8,)),
    Entry("wide and deep", HAND, WideAndDeep, (6,), codes=6),
    Entry("deep and cross", HAND, DeepAndCross, (8,)),
    Entry("autoencoder", HAND, AutoEncoder, (1, 16, 16)),
    Entry("temporal blocks", HAND, TemporalBlocks, (3, 32)),
    Entry("mixer", HAND, MixerBlock, (5, 6)),
    Entry("ghost", HAND, Ghost, (3, 12, 12)),
    Entry("weight norm", HAND, weight_normed, (8,)),
    Entry("bilinear", HAND, Bilinear, (8,)),
]
