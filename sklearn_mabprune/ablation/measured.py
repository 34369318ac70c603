"""What a network computes on samples, for every kind of network."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from ..data.samples import Samples
from ..graph.graph import Graph
from ..graph.module_network import ModuleNetwork
from .activations import Activations
from .module_activations import ModuleActivations


@singledispatch
def activations_of(network: Any, samples: Samples) -> Any:
    """What a network computes on samples, as its kind of network keeps it."""
    raise TypeError(f"{type(network).__name__} is not a kind of network.")


activations_of.register(Graph, Activations)
activations_of.register(ModuleNetwork, ModuleActivations)
