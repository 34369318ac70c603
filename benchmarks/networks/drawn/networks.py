"""Networks of random steps, each of which reads the last value, and some an older one too."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from . import shapes
from .steps import STEPS, WIDTHS, Form, Step, is_vector, layer_of

#: Inputs: the form of the first value.
INPUTS = {
    "numbers": Form((6,), True),
    "tokens": Form((5, 4), True),
    "codes": Form((5, 4), True),
    "bags": Form((6,), True),
    "series": Form((3, 8), False),
    "maps": Form((2, 6, 6), False),
    "volume": Form((2, 3, 4, 3), False),
    "pair": Form((6,), True),
}
N_CODES, N_OUTPUTS = 9, 3

JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "maximum": torch.maximum,
    "where": lambda a, b: torch.where(a > 0, a, b),
    "stacked sum": lambda a, b: torch.stack([a, b], 1).sum(1),
    "stacked max": lambda a, b: torch.stack([a, b]).max(0).values,
    "weighted": lambda a, b: torch.lerp(a, b, 0.3),
}


class DrawnNetwork(nn.Module):
    """A network drawn from a seed.

    Parameters
    ----------
    seed : int
    most_steps : int, default=6

    Attributes
    ----------
    names : list of str
        Its input, its steps and its output, in order.
    """

    def __init__(self, seed: int, most_steps: int = 6):
        super().__init__()
        draw = random.Random(seed)
        self.kind = draw.choice(list(INPUTS))
        self.names = [self.kind]
        self.enter: nn.Module = nn.Identity()
        forms = [INPUTS[self.kind]]
        if self.kind in ("codes", "bags"):
            embedding = nn.Embedding if self.kind == "codes" else nn.EmbeddingBag
            self.enter = embedding(N_CODES, forms[0].width)
        self.steps, self.reads = nn.ModuleList(), []
        for _ in range(draw.randint(2, most_steps)):
            name, made, reads, form = self._next(draw, forms)
            self.names.append(name)
            self.steps.append(made)
            self.reads.append(reads)
            forms.append(form)
        self.head, name = self._head(draw, forms[-1])
        self.names.append(name)

    def _next(self, draw: random.Random, forms: list[Form]) -> tuple[str, nn.Module, list, Form]:
        last = len(forms) - 1
        alike = [k for k, form in enumerate(forms[:-1]) if form == forms[-1]]
        if alike and draw.random() < 0.25:
            name = draw.choice(list(JOINS))
            join = JOINS[name]
            reads = draw.sample([draw.choice(alike), last], 2)
            return name, Step(lambda s, a, b: join(a, b)), reads, forms[-1]
        beside = [k for k, form in enumerate(forms[:-1]) if _side_by_side(form, forms[-1])]
        if beside and draw.random() < 0.2:
            other, dim = draw.choice(beside), forms[-1].dim
            width = forms[-1].width + forms[other].width
            joined = Step(lambda s, a, b: torch.cat([a, b], dim))
            return "cat", joined, [last, other], forms[-1].wide(width)
        names = [name for name, (allowed, _) in STEPS.items() if allowed(forms[-1])]
        of_form = [name for name in names if STEPS[name][1].__module__ == shapes.__name__]
        share = 0.15 if is_vector(forms[-1]) else 0.4
        name = draw.choice(of_form if draw.random() < share else [*names, "layer"])
        made, form = STEPS[name][1](draw, forms[-1])
        return name, made, [last], form

    def _head(self, draw: random.Random, form: Form) -> tuple[nn.Module, str]:
        """A vector of outputs for each sample."""
        squash = draw.choice((None, None, "softmax", "log_softmax", "sigmoid"))
        width, flat = form.width, math.prod(form.sizes) <= 150 and draw.random() < 0.5
        hidden = layer_of(draw, form, draw.choice(WIDTHS)) if draw.random() < 0.3 else None
        if hidden is not None:
            width = hidden.out_features if form.last else hidden.out_channels
            form = form.wide(width)
        width = math.prod(form.sizes) if flat else width
        dims = [dim for dim in range(1, 1 + len(form.sizes)) if dim != form.dim]

        def function(s: Any, x: Tensor) -> Tensor:
            x = x if hidden is None else torch.relu(s.hidden(x))
            x = x.flatten(1) if flat else x.mean(dims) if dims else x
            x = s.output(x)
            if squash is None:
                return x
            return torch.sigmoid(x) if squash == "sigmoid" else getattr(x, squash)(-1)

        layers = {"output": nn.Linear(width, N_OUTPUTS)}
        layers |= {} if hidden is None else {"hidden": hidden}
        return Step(function, **layers), squash or "linear"

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        values = [self.enter(x)]
        if other is not None:
            values = [values[0] - other.abs()]
        for made, reads in zip(self.steps, self.reads, strict=True):
            values.append(made(*(values[k] for k in reads)))
        return self.head(values[-1])

    def samples(self, n_samples: int, dtype: torch.dtype = torch.float64) -> Any:
        """Samples that it takes, from torch's generator."""
        sizes = INPUTS[self.kind].sizes
        if self.kind in ("codes", "bags"):
            return torch.randint(0, N_CODES, (n_samples, 5))
        if self.kind == "pair":
            return {name: torch.randn(n_samples, *sizes, dtype=dtype) for name in ("x", "other")}
        return torch.randn(n_samples, *sizes, dtype=dtype)


def _side_by_side(one: Form, other: Form) -> bool:
    return one.last == other.last and one.positions == other.positions


def drawn(seed: int, dtype: torch.dtype = torch.float64, most_steps: int = 6) -> DrawnNetwork:
    """A network drawn from a seed, with weights that no zero or one hides."""
    torch.manual_seed(seed)
    module = DrawnNetwork(seed, most_steps).to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) / 8)
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return module
