"""Transformers of the study: torch's encoder, and attention written by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Encoder(nn.Module):
    """torch's encoder over the rows of images."""

    def __init__(self, n_heads: int, hidden: int):
        super().__init__()
        self.tokens, self.places = nn.Linear(14, 32), nn.Parameter(torch.randn(14, 32) / 10)
        layer = nn.TransformerEncoderLayer(32, n_heads, hidden, dropout=0.1, batch_first=True)
        self.encoder, self.leave = nn.TransformerEncoder(layer, 2), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images, (n_samples, 14, 14)."""
        return self.leave(self.encoder(self.tokens(x) + self.places).mean(1))


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each normalised first and added."""

    def __init__(self, width: int, n_heads: int, hidden: int):
        super().__init__()
        self.n_heads, self.head_dim = n_heads, width // n_heads
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out, self.again = nn.Linear(width, width), nn.LayerNorm(width)
        self.wide, self.back = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of the same shape."""
        shape = x.size(0), x.size(1), 3, self.n_heads, self.head_dim
        q, k, v = self.qkv(self.norm(x)).view(shape).permute(2, 0, 3, 1, 4).unbind(0)
        heads = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(heads.transpose(1, 2).flatten(2))
        value, gate = self.wide(self.again(x)).chunk(2, -1)
        return x + self.back(value * F.relu(gate))


class Features(nn.Module):
    """A transformer over the features of a table, as FT-Transformer."""

    def __init__(self, n_heads: int, hidden: int, width: int = 32):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, width) / width**0.5)
        self.bias = nn.Parameter(torch.randn(16, width) / width**0.5)
        self.first = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.blocks = nn.Sequential(*(Block(width, n_heads, hidden) for _ in range(2)))
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, 26)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of tables, (n_samples, 16)."""
        tokens = x[..., None] * self.weight + self.bias
        tokens = torch.cat([self.first.expand(x.size(0), 1, -1), tokens], 1)
        return self.leave(F.relu(self.norm(self.blocks(tokens)[:, 0])))
