"""Lazy layers, which get their sizes from the first samples that they are run on."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..data.named import NamedSamples
from ..exceptions import UnsupportedModuleError
from ..utils.memory import out_of_memory
from ..utils.modes import modes_kept
from .program import Samples, called
from .refusals import failing

#: Name (None: it is the only one), shape of a sample, and dtype of each input of a module.
InputForm = list[tuple[str | None, list[int], str]]


def unsized(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Layers that have no size yet, and their names."""
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if any(is_lazy(each) for each in chain(layer.parameters(False), layer.buffers(False)))
    ]


def form_of(x: Samples) -> InputForm:
    """The inputs of a module as plain data, from samples."""
    parts = x.parts if isinstance(x, NamedSamples) else {None: x}
    return [
        (name, list(part.shape[1:]), str(part.dtype).removeprefix("torch."))
        for name, part in parts.items()
    ]


def drawn(form: InputForm, n_samples: int, device: Any = "cpu") -> Samples:
    """Samples of a form: floating-point numbers are drawn from a fixed seed, others are 0."""
    generator = torch.Generator().manual_seed(0)
    parts: dict[Any, torch.Tensor] = {}
    for name, shape, kind in form:
        dtype, size = getattr(torch, kind), (n_samples, *shape)
        if dtype.is_floating_point:
            parts[name] = torch.randn(size, generator=generator).to(device, dtype)
        else:
            parts[name] = torch.zeros(size, dtype=dtype, device=device)
    return parts[None] if None in parts else NamedSamples(parts)


def give_sizes(module: nn.Module, form: InputForm) -> None:
    """Run a module with lazy layers once, in evaluation mode; their weights are drawn then.

    Raises
    ------
    UnsupportedModuleError
        If it fails.
    """
    if not unsized(module):
        return
    device = next(iter(module.parameters())).device
    try:
        with modes_kept(module), torch.no_grad():
            called(module.eval(), drawn(form, 2, device))
    except Exception as error:
        if out_of_memory(error):
            raise
        raise failing(module, error) from error


def check_sized(module: nn.Module) -> None:
    """Refuse layers that have no size after a run.

    Raises
    ------
    UnsupportedModuleError
    """
    for name, layer in unsized(module):
        raise UnsupportedModuleError(
            f"Layer {name!r} ({type(layer).__name__}) of {type(module).__name__} has no size: "
            "forward does not use it. Leave it out, or pass a layer with its number of inputs: "
            "nn.Linear(n_features, n_units)."
        )
