"""Steps of random networks that change the form of a value, or join two of them."""

from __future__ import annotations

import math
import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .steps import (
    ACTIVATIONS,
    WIDTHS,
    Form,
    Step,
    has_channels,
    is_maps,
    is_tokens,
    is_vector,
    layer_of,
    step,
)  # fmt: skip


def _small(form: Form) -> bool:
    return math.prod(form.sizes) <= 150


@step(has_channels)
def convolution(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """With stride, dilation, padding by other modes."""
    n_dims, width = len(form.positions), draw.choice(WIDTHS)
    size = draw.choice([k for k in (1, 2, 3) if k <= min(form.positions)])
    stride, padding = draw.choice((1, 2)), size // 2
    dilation = 2 if 2 * (size - 1) < min(form.positions) else 1
    mode = draw.choice(("zeros", "zeros", "circular", "reflect"))
    mode = mode if min(form.positions) > 2 else "zeros"
    made = getattr(nn, f"Conv{n_dims}d")(
        form.width, width, size, stride, padding, dilation, padding_mode=mode
    )
    reach = dilation * (size - 1) + 1
    sizes = [(n + 2 * padding - reach) // stride + 1 for n in form.positions]
    return made, form.wide(width).at(*sizes)


@step(has_channels)
def depthwise(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    each = draw.choice((1, 1, 2))
    made = getattr(nn, f"Conv{len(form.positions)}d")(
        form.width, each * form.width, 3, padding=1, groups=form.width
    )
    return made, form.wide(each * form.width)


@step(lambda form: has_channels(form) and _small(form))
def transposed(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, stride = draw.choice((4, 6)), draw.choice((1, 2))
    groups = 2 if form.width % 2 == 0 and draw.random() < 0.3 else 1
    made = getattr(nn, f"ConvTranspose{len(form.positions)}d")(
        form.width, width, 3, stride, padding=1, groups=groups
    )
    return made, form.wide(width).at(*((n - 1) * stride + 1 for n in form.positions))


@step(lambda form: has_channels(form) and min(form.positions) >= 2)
def pool(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    n_dims, kind = len(form.positions), draw.choice(("Max", "Avg", "AdaptiveAvg"))
    if kind == "AdaptiveAvg":
        return getattr(nn, f"AdaptiveAvgPool{n_dims}d")(2), form.at(*[2] * n_dims)
    return getattr(nn, f"{kind}Pool{n_dims}d")(2), form.at(*(n // 2 for n in form.positions))


@step(lambda form: has_channels(form) and min(form.positions) >= 2 and len(form.positions) < 3)
def padded(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    mode = draw.choice(("constant", "reflect", "replicate"))
    pads = [1, 0] * len(form.positions)
    return Step(lambda s, x: F.pad(x, pads, mode=mode)), form.at(*(n + 1 for n in form.positions))


@step(lambda form: has_channels(form) and _small(form))
def upsampled(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    linear = ("linear", "bilinear", "trilinear")[len(form.positions) - 1]
    mode = draw.choice(("nearest", linear))
    return nn.Upsample(scale_factor=2, mode=mode), form.at(*(2 * n for n in form.positions))


@step(lambda form: is_maps(form) and form.width % 4 == 0)
def shuffled(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    sizes = [2 * n for n in form.positions]
    return nn.PixelShuffle(2), form.wide(form.width // 4).at(*sizes)


@step(has_channels)
def squeeze_and_excite(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    dims, width = list(range(2, 2 + len(form.positions))), draw.choice(WIDTHS)
    down, up = nn.Linear(form.width, width), nn.Linear(width, form.width)

    def function(s: Any, x: Tensor) -> Tensor:
        gate = torch.sigmoid(s.up(F.relu(s.down(x.mean(dims)))))
        return x * gate.view(*gate.shape, *[1] * len(dims))

    return Step(function, down=down, up=up), form


@step(lambda form: len(form.sizes) == 2)
def turned(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """Tokens to channels by position, or back."""
    made = layer_of(draw, form, form.width)
    width, (n_positions,) = form.width, form.positions
    sizes = (width, n_positions) if form.last else (n_positions, width)
    return Step(lambda s, x: s.layer(x).transpose(1, 2), layer=made), Form(sizes, not form.last)


@step(is_tokens)
def over_positions(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    (n_positions,) = form.positions
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    into, back = nn.Linear(n_positions, width), nn.Linear(width, n_positions)
    return Step(
        lambda s, x: x + s.back(function(s.into(x.transpose(1, 2)))).transpose(1, 2),
        into=into, back=back,
    ), form  # fmt: skip


@step(is_tokens)
def attention(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, by_hand = draw.choice((4, 6, 8)), draw.random() < 0.5
    query, key, value = (nn.Linear(form.width, width) for _ in range(3))
    back = nn.Linear(width, form.width)

    def function(s: Any, x: Tensor) -> Tensor:
        q, k, v = s.query(x), s.key(x), s.value(x)
        if by_hand:
            h = (q @ k.transpose(1, 2) / width**0.5).softmax(-1) @ v
        else:
            q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in (q, k, v))
            h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + s.back(h)

    return Step(function, query=query, key=key, value=value, back=back), form


@step(is_tokens)
def recurrent(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, both = draw.choice((4, 5)), draw.random() < 0.3
    kind = draw.choice((nn.LSTM, nn.GRU, nn.RNN))
    made = kind(form.width, width, batch_first=True, bidirectional=both)
    return Step(lambda s, x: s.layer(x)[0], layer=made), form.wide(width * (1 + both))


@step(is_tokens)
def multihead(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    enter = nn.Linear(form.width, 8)
    made = nn.MultiheadAttention(8, draw.choice((1, 2, 4)), batch_first=True)

    def function(s: Any, x: Tensor) -> Tensor:
        h = s.enter(x)
        return h + s.heads(h, h, h, need_weights=False)[0]

    return Step(function, enter=enter, heads=made), form.wide(8)


@step(lambda form: len(form.sizes) == 2)
def folded(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """Positions beside the samples, or before them, for a few layers."""
    kind = draw.choice(("beside", "beside", "first"))
    made = [nn.Linear(form.sizes[-1], 6), nn.Linear(6, form.sizes[-1])]
    function = draw.choice(ACTIVATIONS)

    def within(s: Any, x: Tensor) -> Tensor:
        return s.back(function(s.into(x)))

    def step_of(s: Any, x: Tensor) -> Tensor:
        if kind == "first":
            return within(s, x.transpose(0, 1)).transpose(0, 1)
        return within(s, x.flatten(0, 1)).view(-1, *x.shape[1:])

    return Step(step_of, into=made[0], back=made[1]), form


@step(is_tokens)
def recurrent_steps_first(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    made = draw.choice((nn.LSTM, nn.GRU, nn.RNN))(form.width, 4)
    return Step(lambda s, x: s.layer(x.transpose(0, 1))[0].transpose(0, 1), layer=made), form.wide(
        4
    )


@step(lambda form: True)
def sides(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """Samples and what becomes of them, one after the other, through the same layer."""
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    made, apart = layer_of(draw, form, width), draw.random() < 0.5

    def step_of(s: Any, x: Tensor) -> Tensor:
        one, other = function(s.layer(torch.cat([x, torch.tanh(x)]))).chunk(2)
        return (one - other).abs() if apart else one * other

    return Step(step_of, layer=made), form.wide(width)


@step(lambda form: not is_vector(form))
def gathered(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """One vector from all positions."""
    dims = [dim for dim in range(1, 1 + len(form.sizes)) if dim != form.dim]
    kind = draw.choice(("mean", "amax", "sum", "first", "std"))

    def function(s: Any, x: Tensor) -> Tensor:
        if kind == "first":
            x = x.movedim(form.dim, -1)
            return x.flatten(1, -2)[:, 0]
        return getattr(x, kind)(dims)

    kept = Form((form.width,), True)
    return Step(function), kept


@step(lambda form: not is_vector(form) and _small(form))
def flattened(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    size, kind = math.prod(form.sizes), draw.choice(("flatten", "view", "reshape", "fixed"))

    def function(s: Any, x: Tensor) -> Tensor:
        if kind == "view":
            return x.contiguous().view(x.size(0), -1)
        if kind == "fixed":
            return x.reshape(-1, size)
        return x.flatten(1) if kind == "flatten" else x.reshape(len(x), -1)

    return Step(function), Form((size,), True)


@step(is_vector)
def unflattened(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """Features of a layer as channels of small maps, or as positions of a series."""
    if draw.random() < 0.3:
        return Step(lambda s, x: x.unsqueeze(1)), Form((1, form.width), False)
    made = nn.Linear(form.width, 16)
    return Step(lambda s, x: s.layer(x).unflatten(1, (-1, 2, 2)), layer=made), Form(
        (4, 2, 2), False
    )


@step(is_vector)
def bilinear(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    one, both = nn.Linear(form.width, 4), nn.Bilinear(4, form.width, width)
    return Step(lambda s, x: s.both(function(s.one(x)), x), one=one, both=both), form.wide(width)


@step(is_vector)
def outer(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """Products of all pairs of two small vectors."""
    one, other = nn.Linear(form.width, 3), nn.Linear(form.width, 4)
    kind = draw.choice(("einsum", "bmm", "mul"))

    def function(s: Any, x: Tensor) -> Tensor:
        a, b = s.one(x), s.other(x)
        if kind == "einsum":
            return torch.einsum("na,nb->nab", a, b).flatten(1)
        a, b = a.unsqueeze(2), b.unsqueeze(1)
        return (torch.bmm(a, b) if kind == "bmm" else a * b).flatten(1)

    return Step(function, one=one, other=other), form.wide(12)
