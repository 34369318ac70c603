"""From graphs to modules and back: networks that are written down as data."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..utils.randomness import global_generators
from .frozen import freeze
from .graph import Graph
from .kinds.base import Description
from .kinds.registry import build


class PrunedChain(nn.Sequential):
    """A network built from data: what a pruned network of any user is built from.

    Parameters
    ----------
    layers : sequence of (str, dict)
        Class name and constructor arguments of each layer.
    dtype : str, default="float32"
        Of the weights.

    Examples
    --------
    >>> from sklearn_mabprune.graph.module import PrunedChain
    >>> PrunedChain(layers=(("Linear", {"in_features": 2, "out_features": 3}), ("ReLU", {})))
    PrunedChain(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, layers: tuple[Description, ...] = (), dtype: str = "float32"):
        super().__init__(*(build(description) for description in layers))
        self.to(getattr(torch, dtype))
        for layer in self:
            # Weights that were not initialised when they were built.
            reset: Any = getattr(layer, "reset_parameters", None)
            if reset is not None:
                reset()

    def __getitem__(self, index: Any) -> Any:
        """A layer, or a part of the network: torch would build that from layers alone."""
        if isinstance(index, slice):
            return nn.Sequential(*list(self)[index])
        return super().__getitem__(index)


def module_of(graph: Graph) -> PrunedChain:
    """A module of its own that computes what a graph does, in training mode."""
    dtype = str(graph.dtype).removeprefix("torch.")
    module = PrunedChain(layers=graph.descriptions(), dtype=dtype).to(graph.device)
    graph.copy_to(module)
    return module


def graph_of(arrays: dict[str, Any], device: Any = "cpu") -> Graph:
    """The graph that :meth:`Graph.to_arrays` wrote down."""
    # What the layers draw for a start is overwritten.
    with global_generators(0):
        module = PrunedChain(layers=arrays["layers"], dtype=arrays["dtype"]).to(device)
    for layer, state in zip(module, arrays["state"], strict=True):
        layer.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
    for layer, names in zip(module, arrays["frozen"], strict=True):
        freeze(layer, names)
    return Graph.of(list(module), arrays.get("names"))
