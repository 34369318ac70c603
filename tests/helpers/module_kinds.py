"""Small modules, one for each kind of layer or form of ``forward`` that users write."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from module_net import Net, head, lin
from recurrent_kinds import RECURRENT
from torch import nn
from torch.nn.utils import parametrizations


class OwnLinear(nn.Linear):
    """A subclass that computes what its class does."""


class OwnActivation(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.5 * x)


class WeightOnTheRight(nn.Module):
    """A linear layer as many write it: weight (in, out)."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_inputs, n_outputs))
        self.bias = nn.Parameter(torch.randn(n_outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Fixed(nn.Module):
    """A product with numbers that are drawn once and never trained."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.register_buffer("weight", torch.randn(n_inputs, n_outputs))

    def forward(self, x):
        return x @ self.weight


class PerFeature(nn.Module):
    """A linear layer for each feature, (n_features, in, out), as tabular networks have them."""

    def __init__(self, n_features, n_inputs, n_outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_features, n_inputs, n_outputs))
        self.bias = nn.Parameter(torch.randn(n_features, n_outputs))

    def forward(self, x):
        return (x[..., None, :] @ self.weight).squeeze(-2) + self.bias


class CodesAndNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.b, self.c = nn.Embedding(7, 4), nn.Linear(4 + 3, 6), nn.Linear(6, 2)

    def forward(self, number, code):
        return self.c(F.relu(self.b(torch.cat([self.e(code), number], 1))))


def conv(n_inputs, n_outputs, **kwargs):
    return nn.Conv2d(n_inputs, n_outputs, 3, padding=1, **kwargs)


def codes(*shape):
    return lambda n_samples: torch.randint(0, 7, (n_samples, *shape))


def pooled(x):
    return x.mean((2, 3))


IMAGE = (2, 6, 6)

#: How to make a module, the shape of a sample, and the sizes of its groups by name.
KINDS = {
    "conv1d": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(F.relu(s.a(x)))).amax(-1)),
                    a=nn.Conv1d(3, 6, 3, dilation=2), b=nn.Conv1d(6, 5, 2, stride=2), c=head(5)),
        (3, 12), {"a": 6, "b": 5},
    ),
    "fixed weights": (
        lambda: Net(lambda s, x: s.c(F.relu(s.mixed(F.relu(s.b(torch.cos(s.fixed(x))))))),
                    fixed=Fixed(4, 6), b=nn.Linear(6, 5), mixed=Fixed(5, 3), c=head(3)),
        (4,), {"fixed": 6, "b": 5, "mixed": 3},
    ),
    "fixed filters": (
        lambda: Net(lambda s, x: s.b(pooled(F.relu(F.conv2d(s.a(x), s.k, groups=len(s.k))))),
                    a=conv(2, 4), k=torch.rand(4, 1, 3, 3), b=head(4)),
        IMAGE, {"a": 4},
    ),
    "conv3d": (
        lambda: Net(lambda s, x: s.b(F.adaptive_avg_pool3d(F.relu(s.a(x)), 1).flatten(1)),
                    a=nn.Conv3d(1, 4, 2), b=head(4)),
        (1, 4, 4, 4), {"a": 4},
    ),
    "padding same": (
        lambda: Net(lambda s, x: s.c(s.b(F.relu(s.a(x))).flatten(1)),
                    a=nn.Conv2d(2, 4, 3, padding="same"),
                    b=nn.Conv2d(4, 3, 5, padding="same", dilation=2),
                    c=head(3 * 36)),
        IMAGE, {"a": 4, "b": 3},
    ),
    "transposed": (
        lambda: Net(lambda s, x: s.d(pooled(s.c(F.relu(s.b(F.relu(s.a(x))))))),
                    a=conv(2, 5),
                    b=nn.ConvTranspose2d(5, 4, 3, stride=2, padding=1, output_padding=1),
                    c=nn.ConvTranspose2d(4, 3, 2, dilation=2), d=head(3)),
        IMAGE, {"a": 5, "b": 4, "c": 3},
    ),
    "transposed 1d, 3d": (
        lambda: Net(lambda s, x: s.d(s.c(s.b(F.relu(s.a(x)))[..., None, None]).sum((2, 3, 4))),
                    a=nn.Conv1d(2, 4, 3), b=nn.ConvTranspose1d(4, 6, 3),
                    c=nn.ConvTranspose3d(6, 3, 1), d=head(3)),
        (2, 7), {"a": 4, "b": 6, "c": 3},
    ),
    "grouped": (
        lambda: Net(lambda s, x: s.d(pooled(s.c(F.relu(s.b(F.relu(s.a(x))))))),
                    a=conv(2, 8), b=conv(8, 12, groups=4), c=conv(12, 4), d=head(4)),
        IMAGE, {"a": 2, "b": 3, "c": 4},
    ),
    "grouped transposed": (
        lambda: Net(lambda s, x: s.d(pooled(s.c(F.relu(s.b(F.relu(s.a(x))))))),
                    a=conv(2, 8), b=nn.ConvTranspose2d(8, 12, 3, groups=2), c=conv(12, 4),
                    d=head(4)),
        IMAGE, {"a": 4, "b": 6, "c": 4},
    ),
    "depthwise": (
        lambda: Net(lambda s, x: s.d(pooled(F.relu(s.c(F.relu6(s.n(s.b(F.relu6(s.a(x))))))))),
                    a=conv(2, 5), b=conv(5, 5, groups=5), n=nn.BatchNorm2d(5),
                    c=nn.Conv2d(5, 6, 1), d=head(6)),
        IMAGE, {"a": 5, "c": 6},
    ),
    "depthwise, two of one": (
        lambda: Net(lambda s, x: s.d(pooled(F.relu(s.c(F.relu(s.b(s.a(x))))))),
                    a=conv(2, 5), b=conv(5, 10, groups=5), c=nn.Conv2d(10, 6, 1), d=head(6)),
        IMAGE, {"a": 5, "c": 6},
    ),
    "squeeze and excitation": (
        lambda: Net(lambda s, x: s.d(pooled(s.b(_gated(s, F.silu(s.a(x)))))),
                    a=conv(2, 6), down=nn.Conv2d(6, 3, 1), up=nn.Conv2d(3, 6, 1), b=conv(6, 4),
                    d=head(4)),
        IMAGE, {"a": 6, "down": 3, "b": 4},
    ),
    "group norm": (
        lambda: Net(lambda s, x: s.d(pooled(s.b(F.relu(s.n(s.a(x)))))),
                    a=conv(2, 8), n=nn.GroupNorm(4, 8), b=conv(8, 4), d=head(4)),
        IMAGE, {"a": 4, "b": 4},
    ),
    "instance norm": (
        lambda: Net(lambda s, x: s.d(pooled(s.m(F.relu(s.b(F.relu(s.n(s.a(x)))))).exp())),
                    a=conv(2, 6), n=nn.InstanceNorm2d(6), b=conv(6, 4),
                    m=nn.InstanceNorm2d(4, affine=True, track_running_stats=True), d=head(4)),
        IMAGE, {"a": 6, "b": 4},
    ),
    "layer norm": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.n(s.a(x))))),
                    a=lin(6, 8), n=nn.LayerNorm(8), b=lin(8, 5), c=head(5)),
        (6,), {"b": 5},
    ),
    "layer norm over others": (
        lambda: Net(lambda s, x: s.c(s.n(s.a(x.mT)).mean(1)),
                    a=lin(4, 8), n=nn.LayerNorm(8), c=head(8)),
        (4, 8), {},
    ),
    "rms norm": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.n(s.a(x))))),
                    a=lin(6, 8), n=nn.RMSNorm(8), b=lin(8, 5), c=head(5)),
        (6,), {"b": 5},
    ),
    "softmax over units": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.a(x).softmax(-1)))),
                    a=lin(6, 8), b=lin(8, 5), c=head(5)),
        (6,), {"b": 5},
    ),
    "prelu": (
        lambda: Net(lambda s, x: s.c(s.q(s.b(s.p(s.a(x))))),
                    a=lin(6, 8), p=nn.PReLU(8), b=lin(8, 5), q=nn.PReLU(), c=head(5)),
        (6,), {"a": 8, "b": 5},
    ),
    "glu": (
        lambda: Net(lambda s, x: s.c(F.glu(s.b(F.glu(s.a(x), -1)), 1)),
                    a=lin(6, 16), b=lin(8, 10), c=head(5)),
        (6,), {"a": 8, "b": 5},
    ),
    "reglu by slices": (
        lambda: Net(lambda s, x: s.c(_reglu(s.a(x))), a=lin(6, 16), c=head(8)),
        (6,), {"a": 8},
    ),
    "maxout": (
        lambda: Net(lambda s, x: s.c(s.a(x).unflatten(-1, (-1, 2)).amax(-1)),
                    a=lin(6, 16), c=head(8)),
        (6,), {"a": 8},
    ),
    "chunks for two readers": (
        lambda: Net(lambda s, x: (lambda h: s.b(h[0]) + s.c(F.relu(h[1])))(s.a(x).chunk(2, 1)),
                    a=lin(6, 16), b=head(8), c=head(8)),
        (6,), {"a": 8},
    ),
    "uneven split": (
        lambda: Net(lambda s, x: (lambda h: s.b(h[0]) + s.c(F.relu(h[1])))(s.a(x).split([4, 6], 1)),
                    a=lin(6, 10), b=head(4), c=head(6)),
        (6,), {},
    ),
    "stack": (
        lambda: Net(lambda s, x: s.c(torch.stack([s.a(x), F.relu(s.b(x))], 1).mean(1)),
                    a=lin(6, 5), b=lin(6, 5), c=head(5)),
        (6,), {"a": 5},
    ),
    "dense connections": (
        lambda: Net(lambda s, x: s.d(pooled(_dense(s, x))),
                    a=conv(2, 4), b=conv(6, 3), n=nn.BatchNorm2d(9), c=conv(9, 5), d=head(5)),
        IMAGE, {"a": 4, "b": 3, "c": 5},
    ),
    "shared": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(F.relu(s.b(F.relu(s.a(x))))))),
                    a=lin(6, 8), b=lin(8, 8), c=head(8)),
        (6,), {"a": 8},
    ),
    "siamese": (
        lambda: Net(lambda s, x: s.c((_tower(s, x[:, :3]) - _tower(s, x[:, 3:])).abs()),
                    a=lin(3, 8), b=lin(8, 5), c=head(5)),
        (6,), {"a": 8, "b": 5},
    ),
    "list of layers": (
        lambda: Net(lambda s, x: s.c(_through(s.parts, x)),
                    parts=nn.ModuleList([lin(6, 8), nn.ReLU(), lin(8, 7), nn.Tanh()]), c=head(7)),
        (6,), {"parts.0": 8, "parts.2": 7},
    ),
    "sequence of linears": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(F.relu(s.a(x)))).max(dim=1).values),
                    a=lin(4, 8), b=lin(8, 7), c=head(7)),
        (5, 4), {"a": 8, "b": 7},
    ),
    "embedding": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.a(x).flatten(1)))),
                    a=nn.Embedding(7, 4), b=lin(12, 6), c=head(6)),
        codes(3), {"a": 4, "b": 6},
    ),
    "embedding bag": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.a(x)))),
                    a=nn.EmbeddingBag(7, 4), b=lin(4, 6), c=head(6)),
        codes(3), {"a": 4, "b": 6},
    ),
    "text": (
        lambda: Net(lambda s, x: s.d(s.b(F.relu(s.a(s.e(x).permute(0, 2, 1)))).amax(2).relu()),
                    e=nn.Embedding(7, 6), a=nn.Conv1d(6, 5, 3), b=nn.Conv1d(5, 4, 1), d=head(4)),
        codes(8), {"e": 6, "a": 5, "b": 4},
    ),
    "codes and numbers": (
        CodesAndNumbers,
        {"number": (3,), "code": codes()}, {"e": 4, "b": 6},
    ),
    "per feature": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(F.relu(s.a(x[..., None]))).flatten(1))),
                    a=PerFeature(4, 1, 6), b=PerFeature(4, 6, 3), c=head(12)),
        (4,), {"a": 6, "b": 3},
    ),
    "weight on the right": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(F.relu(s.a(x))))),
                    a=WeightOnTheRight(6, 8), b=WeightOnTheRight(8, 5), c=head(5)),
        (6,), {"a": 8, "b": 5},
    ),
    "mixer": (
        lambda: Net(lambda s, x: s.c(s.b(F.gelu(s.a(x.mT))).mT.mean(1)),
                    a=lin(4, 8), b=lin(8, 4), c=head(6)),
        (4, 6), {"a": 8},
    ),
    "weight norm": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(F.relu(s.a(x))))),
                    a=lin(6, 8), b=parametrizations.weight_norm(lin(8, 7)), c=head(7)),
        (6,), {},
    ),
    "bilinear": (
        lambda: Net(lambda s, x: s.d(F.relu(s.c(s.b(s.a(x), x)))),
                    a=lin(6, 8), b=nn.Bilinear(8, 6, 5), c=lin(5, 4), d=head(4)),
        (6,), {"b": 5, "c": 4},
    ),
    "subclasses and own activations": (
        lambda: Net(lambda s, x: s.c(s.f(s.b(s.f(s.a(x))))),
                    a=OwnLinear(6, 8), b=OwnLinear(8, 7), f=OwnActivation(), c=head(7)),
        (6,), {"a": 8, "b": 7},
    ),
    "buffers and temperature": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.scale * s.a(x) - s.shift))) / s.temperature,
                    a=lin(6, 8), b=lin(8, 7), c=head(7), scale=nn.Parameter(torch.ones(8)),
                    shift=torch.ones(8), temperature=nn.Parameter(torch.ones(()))),
        (6,), {"a": 8, "b": 7},
    ),
    "one gate for all": (
        lambda: Net(lambda s, x: s.c(F.relu(s.a(x)) * torch.sigmoid(s.gate(x))),
                    a=lin(6, 8), gate=lin(6, 1), c=head(8)),
        (6,), {"a": 8},
    ),
    **RECURRENT,
    "transformer": (
        lambda: Net(lambda s, x: s.c(s.t(s.a(x)).mean(1)), a=lin(3, 8), c=head(8),
                    t=nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)),
        (4, 3), {"t.self_attn": 2, "t.linear1": 12},
    ),
    "rolled": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.a(x).roll(1, -1)))),
                    a=lin(6, 8), b=lin(8, 5), c=head(5)),
        (6,), {"b": 5},
    ),
    "rolled positions": (
        lambda: Net(lambda s, x: s.c(s.a(x).roll(1, 1)[:, 0]), a=lin(3, 8), c=head(8)),
        (4, 3), {"a": 8},
    ),
    "sums side by side": (
        lambda: Net(lambda s, x: s.c(torch.cat([s.p(s.a(x).sum(1)), F.relu(s.b(x[:, 0]))], 1)),
                    a=lin(3, 5), b=lin(3, 4), p=nn.PReLU(5), c=head(9)),
        (4, 3), {"a": 5, "b": 4},
    ),
    "shuffle": (
        lambda: Net(lambda s, x: s.d(pooled(s.b(F.pixel_shuffle(F.relu(s.a(x)), 2)))),
                    a=conv(2, 12), b=conv(3, 4), d=head(4)),
        IMAGE, {"a": 3, "b": 4},
    ),
    "upsampling": (
        lambda: Net(lambda s, x: s.d(pooled(s.b(torch.cat([_up(s.a(x)), x], 1)))),
                    a=nn.Conv2d(2, 4, 2, stride=2), b=conv(6, 4), d=head(4)),
        IMAGE, {"a": 4, "b": 4},
    ),
    "one output": (
        lambda: Net(lambda s, x: s.b(torch.relu_(s.a(x))).squeeze(-1), a=lin(6, 8), b=lin(8, 1)),
        (6,), {"a": 8},
    ),
}  # fmt: skip


def _gated(s, h):
    return h * torch.sigmoid(s.up(F.relu(s.down(F.adaptive_avg_pool2d(h, 1)))))


def _reglu(h):
    half = h.shape[-1] // 2
    return h[..., :half] * F.relu(h[..., half:])


def _dense(s, x):
    x = torch.cat([x, F.relu(s.a(x))], 1)
    x = torch.cat([x, F.relu(s.b(x))], 1)
    return F.relu(s.c(F.relu(s.n(x))))


def _tower(s, x):
    return s.b(F.relu(s.a(x)))


def _through(parts, x):
    for part in parts:
        x = part(x)
    return x


def _up(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear")
