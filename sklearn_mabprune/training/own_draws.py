"""A training's random numbers: from generators of its own where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches import TensorBatches
from ..utils.compat import uncompiled
from ..utils.randomness import global_generators
from .mlp import MLP

# Where classes come from that draw nothing in a training.
_SILENT = ("torch.optim.", "torch.nn.", "sklearn_mabprune.")


def draws_apart(net: Any) -> bool:
    """Whether a net's epochs draw nothing but batches and the masks of Dropout.

    Parameters
    ----------
    net : skorch net
        Of any class; initialised or not.
    """
    made = [type(net), *(_class_of(part) for part in (net.criterion, net.optimizer))]
    return (
        net.module is MLP
        and all(f"{part.__module__}.".startswith(_SILENT) for part in made)
        and net.iterator_train is TensorBatches
        and net.iterator_valid is TensorBatches
        and not (net.callbacks or net.compile)
    )


@contextmanager
def seeded(net: Any, seed: int) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Have the global generators for a training, or for what comes before its epochs.

    Parameters
    ----------
    net : skorch net
    seed : int

    Yields
    ------
    callable
        Makes the context of the epochs.  Those of a net that can draw apart leave the global
        generators to others, and go on with the numbers that these would have given.
    """
    with ExitStack() as stack:
        stack.enter_context(global_generators(seed, net.device))

        def epochs() -> AbstractContextManager[None]:
            layers = _dropouts(net)
            if not draws_apart(net) or (layers and not on_cpu(net)):
                return nullcontext()
            state = torch.get_rng_state()
            stack.close()
            return _drawn_apart(layers, state)

        yield epochs


def _class_of(part: Any) -> type:
    return part if isinstance(part, type) else type(part)


def on_cpu(net: Any) -> bool:
    """Whether a net is trained on the CPU."""
    return torch.device(net.device).type == "cpu"


def _dropouts(net: Any) -> list[nn.Module]:
    """Layers of an initialised net that draw in training mode."""
    return [layer for layer in uncompiled(net.module_).modules() if type(layer) is nn.Dropout]


@contextmanager
def _drawn_apart(layers: list[nn.Module], state: Tensor) -> Iterator[None]:
    """Have Dropout layers draw from one generator of their own."""
    generator = torch.Generator()
    generator.set_state(state)
    for layer in layers:
        vars(layer)["forward"] = partial(_dropped, layer, generator)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def _dropped(layer: Any, generator: torch.Generator, x: Tensor) -> Tensor:
    """What Dropout returns, to the last bit, with masks from a generator."""
    if not (layer.training and layer.p):
        return x
    kept = 1 - layer.p
    return x * torch.empty_like(x).bernoulli_(kept, generator=generator).div_(kept)
