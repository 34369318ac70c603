"""Modules with attention in the forms that users write, on samples of shape (n_samples, 5, 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """A residual block around an attention, and a head."""

    def __init__(self, attention):
        super().__init__()
        self.enter, self.norm, self.attention = nn.Linear(3, 8), nn.LayerNorm(8), attention
        self.leave = nn.Linear(8, 2)

    def forward(self, x):
        x = self.enter(x)
        return self.leave((x + self.attention(self.norm(x))).mean(1))


class Fused(nn.Module):
    """One layer for queries, keys and values."""

    def __init__(self, n_heads=4, head_dim=3):
        super().__init__()
        self.qkv = nn.Linear(8, 3 * n_heads * head_dim)
        self.out = nn.Linear(n_heads * head_dim, 8)
        self.n_heads, self.head_dim = n_heads, head_dim

    def forward(self, x):
        shape = x.size(0), x.size(1), 3, self.n_heads, self.head_dim
        q, k, v = self.qkv(x).view(shape).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(self.heads(q, k, v).transpose(1, 2).flatten(2))

    def heads(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)


class ByHand(Fused):
    """With a learned temperature for each head, rotated queries and keys, and a causal mask."""

    def __init__(self, n_heads=4, head_dim=4):
        super().__init__(n_heads, head_dim)
        self.scale = nn.Parameter(torch.ones(n_heads, 1, 1))
        self.register_buffer("angle", torch.arange(5.0)[:, None] * torch.ones(head_dim))

    def turned(self, x):
        one, other = x.chunk(2, -1)
        return x * self.angle.cos() + torch.cat([-other, one], -1) * self.angle.sin()

    def heads(self, q, k, v):
        scores = self.turned(q) @ self.turned(k).transpose(-2, -1) * self.scale
        past = torch.ones(scores.shape[-2:]).tril().bool()
        return F.dropout(scores.masked_fill(~past, -1e9).softmax(-1), 0.1, self.training) @ v


class Letters(Fused):
    """With einsum, and heads that are added up."""

    def heads(self, q, k, v):
        weights = torch.einsum("bhid,bhjd->bhij", q, k).softmax(-1)
        return torch.einsum("bhij,bhjd->bhid", weights, v)


class Grouped(nn.Module):
    """Two heads of queries share one of keys and values; sizes of heads with other names."""

    def __init__(self):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.inner_dim = 6, 3, 12
        self.q, self.kv, self.out = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        q = self.q(x).unflatten(2, (self.num_heads, 2)).transpose(1, 2)
        k, v = self.kv(x).chunk(2, -1)
        k, v = (h.unflatten(2, (self.num_kv_heads, 2)).transpose(1, 2) for h in (k, v))
        k, v = (h.repeat_interleave(2, 1) for h in (k, v))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.out(y.reshape(*y.shape[:2], self.inner_dim))


class Folded(nn.Module):
    """Samples and heads in one dimension."""

    def __init__(self):
        super().__init__()
        self.heads = 4
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 12)
        self.out = nn.Linear(12, 8)

    def forward(self, x):
        def folded(h):
            h = h.unflatten(2, (self.heads, -1)).transpose(1, 2)
            return h.reshape(h.size(0) * self.heads, h.size(2), h.size(3))

        q, k, v = folded(self.q(x)), folded(self.k(x)), folded(self.v(x))
        y = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)
        y = y.reshape(x.size(0), self.heads, y.size(1), y.size(2))
        return self.out(y.transpose(1, 2).flatten(2))


class WidthByDivision(nn.Module):
    """The width of a head follows from the number of heads: fewer would be wider."""

    def __init__(self):
        super().__init__()
        self.q, self.out, self.n_head = nn.Linear(8, 8), nn.Linear(8, 8), 4

    def forward(self, x):
        b, t, c = x.size()
        q = self.q(x).view(b, t, self.n_head, c // self.n_head).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(b, t, c)
        return self.out(y)


class AsWideAsMany(nn.Module):
    """Heads and the width of each are the same number, of two attributes whose names say little."""

    def __init__(self):
        super().__init__()
        self.q, self.out, self.h, self.d = nn.Linear(8, 9), nn.Linear(9, 8), 3, 3

    def sizes(self):
        return self.h, self.d

    def forward(self, x):
        q = self.q(x).view(x.size(0), x.size(1), *self.sizes()).transpose(1, 2)
        return self.out(F.scaled_dot_product_attention(q, q, q).transpose(1, 2).flatten(2))


class OneNumber(AsWideAsMany):
    """Heads and the width of each are one attribute."""

    def sizes(self):
        return self.h, self.h


class MeanOfHeads(Fused):
    """What heads look at is averaged: another number of heads is another mean."""

    def heads(self, q, k, v):
        return (q @ k.transpose(-2, -1)).softmax(-1).mean(1, keepdim=True) @ v


class Pooled(nn.Module):
    """A learned query, with torch's module for keys and values of other widths."""

    def __init__(self, **options):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True, **options)

    def forward(self, x):
        return self.attention(self.query.expand(x.size(0), 1, 8), x, x)[0]


class Encoder(nn.Module):
    """Codes with padding, which torch's encoder leaves out."""

    def __init__(self):
        super().__init__()
        self.codes = nn.Embedding(9, 8, padding_idx=0)
        layer = nn.TransformerEncoderLayer(8, 4, 12, batch_first=True)
        self.encoder, self.leave = nn.TransformerEncoder(layer, 1), nn.Linear(8, 2)

    def forward(self, x):
        x = (x[..., 0].abs() * 4).long().clamp(0, 8)
        return self.leave(self.encoder(self.codes(x), src_key_padding_mask=x == 0).mean(1))


class Graph(nn.Module):
    """Neighbours are added up: a product of two values without heads."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x):
        near = (x @ x.transpose(1, 2)).softmax(-1)
        return self.other(near @ F.relu(self.one(x))).mean(1)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(3, 8), nn.Linear(8, 2)
        self.layer = nn.TransformerDecoderLayer(8, 2, 6, batch_first=True)

    def forward(self, x):
        x = self.enter(x)
        return self.leave(self.layer(x[:, :2], x).mean(1))


#: How to make a module, and the sizes of its groups by name.
ATTENTION = {
    "fused": (lambda: Block(Fused()), {"attention": 4}),
    "by hand": (lambda: Block(ByHand()), {"attention": 4}),
    "einsum": (lambda: Block(Letters()), {"attention": 4}),
    "grouped": (lambda: Block(Grouped()), {"attention": 3}),
    "folded": (lambda: Block(Folded()), {"attention": 4}),
    "width by division": (lambda: Block(WidthByDivision()), {}),
    "as wide as many": (lambda: Block(AsWideAsMany()), {"attention": 3}),
    "one number": (lambda: Block(OneNumber()), {}),
    "one head": (lambda: Block(nn.Sequential(Fused(1, 8))), {}),
    "mean of heads": (lambda: Block(MeanOfHeads()), {}),
    "pooled": (
        lambda: Block(Pooled(add_bias_kv=True, add_zero_attn=True)),
        {"attention.attention": 4},
    ),
    "no bias": (lambda: Block(Pooled(bias=False, kdim=8)), {"attention.attention": 4}),
    "encoder": (Encoder, {"encoder.layers.0.self_attn": 4, "encoder.layers.0.linear1": 12}),
    "decoder": (
        Decoder,
        {"layer.self_attn": 2, "layer.multihead_attn": 2, "layer.linear1": 6},
    ),
    "graph": (Graph, {"one": 6}),
}  # fmt: skip
