"""Steps that random networks are made of: what each may follow, and the layers that it draws.

A step is drawn for a value of some form, and returns a module and the form of its result.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations


@dataclass(frozen=True)
class Form:
    """Form of a value.

    Parameters
    ----------
    sizes : tuple of int
        Of one sample.
    last : bool
        Whether the features lie along the last dimension; else along the first one after the
        samples, as convolutions have them.
    """

    sizes: tuple[int, ...]
    last: bool

    @property
    def dim(self) -> int:
        """The dimension of the features, in a batch."""
        return len(self.sizes) if self.last else 1

    @property
    def width(self) -> int:
        """Number of features."""
        return self.sizes[self.dim - 1]

    @property
    def positions(self) -> tuple[int, ...]:
        """Sizes of the other dimensions."""
        return self.sizes[:-1] if self.last else self.sizes[1:]

    def wide(self, width: int) -> Form:
        """The form with another number of features."""
        sizes = (*self.positions, width) if self.last else (width, *self.positions)
        return Form(sizes, self.last)

    def at(self, *positions: int) -> Form:
        """The form with other positions."""
        sizes = (*positions, self.width) if self.last else (self.width, *positions)
        return Form(sizes, self.last or not positions)


class Step(nn.Module):
    """A function of values, with these layers."""

    def __init__(self, function: Callable[..., Tensor], **layers: Any):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, Tensor) and not isinstance(layer, nn.Parameter):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(self, *values)


Draw = Callable[[random.Random, Form], tuple[nn.Module, Form]]

#: Steps by name: whether a step may follow a value of some form, and how it is drawn.
STEPS: dict[str, tuple[Callable[[Form], bool], Draw]] = {}


def step(allowed: Callable[[Form], bool] = lambda form: True) -> Callable[[Draw], Draw]:
    """Register a step for values of some form."""

    def register(draw: Draw) -> Draw:
        STEPS[draw.__name__] = allowed, draw
        return draw

    return register


def is_vector(form: Form) -> bool:
    return len(form.sizes) == 1


def has_channels(form: Form) -> bool:
    return not form.last


def is_tokens(form: Form) -> bool:
    return form.last and len(form.sizes) == 2


def is_maps(form: Form) -> bool:
    return not form.last and len(form.sizes) == 3


WIDTHS = (4, 5, 6, 8)

ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    F.relu, torch.tanh, F.gelu, F.silu, torch.sin, torch.sigmoid, F.mish, F.hardswish, F.elu,
    F.softplus, torch.abs, lambda x: x * torch.sigmoid(x), lambda x: x.clamp(-0.5, 0.8),
    lambda x: torch.where(x > 0.2, torch.log1p(x.abs()), x), lambda x: x / (1 + x.abs()),
    lambda x: 1 - x, lambda x: x**2 / 4, lambda x: F.leaky_relu(x, 0.2) + 0.1,
    lambda x: torch.maximum(x, -x / 2), lambda x: x.masked_fill(x < 0, -0.1),
)  # fmt: skip


def layer_of(draw: random.Random, form: Form, width: int, plain: bool = False) -> nn.Module:
    """A linear layer or a convolution that keeps the positions."""
    bias = draw.random() < 0.8
    if form.last:
        return nn.Linear(form.width, width, bias=bias)
    convolution = getattr(nn, f"Conv{len(form.positions)}d")
    size = 1 if plain or min(form.positions) < 3 else draw.choice((1, 3))
    groups = 2 if not plain and form.width % 2 == width % 2 == 0 and draw.random() < 0.3 else 1
    return convolution(form.width, width, size, padding=size // 2, groups=groups, bias=bias)


@step()
def activation(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    function = draw.choice(ACTIVATIONS)
    return Step(lambda s, x: function(x)), form


@step()
def layer(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    made = layer_of(draw, form, width)
    return Step(lambda s, x: function(s.layer(x)), layer=made), form.wide(width)


@step()
def in_place(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    made, rate = layer_of(draw, form, form.width), draw.uniform(0.1, 0.5)

    def function(s: Any, x: Tensor) -> Tensor:
        h = s.layer(x)
        h += 0.1
        h.mul_(0.7)
        return F.dropout(F.relu(h, inplace=True), rate, s.training)

    return Step(function, layer=made), form


@step()
def skip(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    into, back = layer_of(draw, form, width), layer_of(draw, form.wide(width), form.width)
    return Step(lambda s, x: x + s.back(function(s.into(x))), into=into, back=back), form


@step()
def norm(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width = form.width
    kinds: list[Callable[[], nn.Module]] = []
    if is_vector(form):
        kinds += [lambda: nn.BatchNorm1d(width), lambda: nn.BatchNorm1d(width, affine=False)]
    if form.last:
        kinds += [lambda: nn.LayerNorm(width), lambda: nn.RMSNorm(width)]
    if form.last is False:
        n_dims = len(form.positions)
        batch, instance = (getattr(nn, f"{name}Norm{n_dims}d") for name in ("Batch", "Instance"))
        kinds += [lambda: batch(width), lambda: batch(width)]
        if all(size > 1 for size in form.positions):
            kinds += [lambda: instance(width, affine=draw.random() < 0.5)]
    if not form.last or is_vector(form):
        n_groups = draw.choice([g for g in (1, 2, 3, 4) if width % g == 0])
        kinds += [lambda: nn.GroupNorm(n_groups, width)]
    return draw.choice(kinds)(), form


@step()
def prelu(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    of_channels = form.dim == 1 and draw.random() < 0.6
    return nn.PReLU(form.width if of_channels else 1), form


@step()
def learned_scale(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    shape = [1] * len(form.sizes)
    if draw.random() < 0.7:
        shape[form.dim - 1] = form.width
    scale, shift = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))
    made = layer_of(draw, form, form.width)
    return Step(lambda s, x: s.layer(x) * s.scale + s.shift, scale=scale, shift=shift,
                layer=made), form  # fmt: skip


@step()
def glu(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width = draw.choice(WIDTHS)
    made = layer_of(draw, form, 2 * width)
    return Step(lambda s, x: F.glu(s.layer(x), form.dim), layer=made), form.wide(width)


@step()
def gate(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    one, other = (layer_of(draw, form, width) for _ in range(2))
    return Step(lambda s, x: function(s.one(x)) * s.other(x), one=one, other=other), (
        form.wide(width)
    )


@step()
def used_twice(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    function, made = draw.choice(ACTIVATIONS), layer_of(draw, form, form.width)
    return Step(lambda s, x: s.layer(function(s.layer(x))), layer=made), form


@step()
def halves(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    made = layer_of(draw, form, 2 * width)

    def combined(s: Any, x: Tensor) -> Tensor:
        one, other = s.layer(x).chunk(2, form.dim)
        return function(one) - other

    return Step(combined, layer=made), form.wide(width)


@step()
def parts(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, first = draw.choice(WIDTHS), draw.choice((1, 2, 3))
    made, function = layer_of(draw, form, width), draw.choice(ACTIVATIONS)

    def swapped(s: Any, x: Tensor) -> Tensor:
        one, other = s.layer(x).split([first, width - first], form.dim)
        return torch.cat([other, function(one)], form.dim)

    return Step(swapped, layer=made), form.wide(width)


@step()
def sliced(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width = draw.choice((5, 6, 8))
    made, strided = layer_of(draw, form, width), draw.random() < 0.5

    def function(s: Any, x: Tensor) -> Tensor:
        h = s.layer(x).movedim(form.dim, -1)
        return (h[..., ::2] if strided else h[..., 1:]).movedim(-1, form.dim)

    return Step(function, layer=made), form.wide((width + 1) // 2 if strided else width - 1)


@step()
def reordered(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    places = torch.tensor(draw.sample(range(form.width), form.width))
    made, kind = layer_of(draw, form, form.width), draw.choice(("index", "flip", "roll"))

    def function(s: Any, x: Tensor) -> Tensor:
        h = s.layer(x)
        if kind == "index":
            return h.index_select(form.dim, s.places)
        return h.flip(form.dim) if kind == "flip" else h.roll(1, form.dim)

    return Step(function, layer=made, places=places), form


@step()
def normalised(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    made, kind = layer_of(draw, form, form.width), draw.choice(("length", "softmax", "cumsum"))

    def function(s: Any, x: Tensor) -> Tensor:
        h = s.layer(x)
        if kind == "length":
            return F.normalize(h, dim=form.dim)
        return h.softmax(form.dim) if kind == "softmax" else h.cumsum(form.dim)

    return Step(function, layer=made), form


@step()
def parametrised(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    made = parametrizations.weight_norm(layer_of(draw, form, width))
    return Step(lambda s, x: function(s.layer(x)), layer=made), form.wide(width)


@step(lambda form: form.last)
def product(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    width, function = draw.choice(WIDTHS), draw.choice(ACTIVATIONS)
    weight = nn.Parameter(torch.randn(form.width, width) / 2)
    bias = nn.Parameter(torch.zeros(width))
    return Step(lambda s, x: function(x @ s.weight + s.bias), weight=weight, bias=bias), (
        form.wide(width)
    )


@step(lambda form: form.width % 2 == 0)
def heads(draw: random.Random, form: Form) -> tuple[nn.Module, Form]:
    """Features seen as a table, weighted by row."""
    made, weight = layer_of(draw, form, form.width), nn.Parameter(torch.ones(2, 1))

    def function(s: Any, x: Tensor) -> Tensor:
        h = s.layer(x).movedim(form.dim, -1)
        h = h.unflatten(-1, (2, -1)) * s.rows
        return h.flatten(-2).movedim(-1, form.dim)

    return Step(function, layer=made, rows=weight), form
