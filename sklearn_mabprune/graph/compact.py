"""Networks as small as they are: what is scored, timed, trained on and handed out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from ..data.sparse import outputs_of
from ..utils.compat import uncompiled_name, without_compiled
from .frozen import freeze, frozen_names
from .graph import Graph
from .lazy import InputForm, give_sizes
from .module import graph_of
from .module_network import ModuleNetwork, weights_of
from .narrowing import Narrowing, narrow, narrowing_of, sliced
from .program import Program, Samples
from .structure import Structure


class SmallModule:
    """A user's module with fewer units, with the face of a network that predicts.

    Parameters
    ----------
    module : nn.Module
        With the units that stay; put into evaluation mode.
    network : ModuleNetwork
        Whose units these are.

    Attributes
    ----------
    sizes : tuple of int
        Units of each group.
    """

    def __init__(self, module: nn.Module, network: ModuleNetwork):
        self.module = module.eval()
        self.sizes, self._cost, self.n_bytes = network.sizes, network.cost(), network.n_bytes
        self.device, self.dtype = network.device, network.dtype

    def forward(self, x: Samples) -> Tensor:
        """The module's outputs."""
        return outputs_of(self.module, x)

    def cost(self) -> tuple[int, int]:
        """Parameters and MACs per sample."""
        return self._cost

    def input_weights(self) -> None:
        """Weights of the features are not known."""

    def unread_features(self) -> list[int]:
        """Nor which of them are not read."""
        return []


@singledispatch
def compact(network: Any) -> Any:
    """The network that computes no more than it has to."""
    return network


@compact.register
def _(network: ModuleNetwork) -> SmallModule:
    return SmallModule(network.narrowed(), network)


@singledispatch
def with_weights_of(network: Any, module: nn.Module) -> Any:
    """A small network with copies of the weights of a module that was built from a network."""
    raise TypeError(f"{type(network).__name__} is not a kind of network.")


@with_weights_of.register
def _(network: Graph, module: nn.Module) -> Graph:
    return network.with_layers(list(module.children()))


@with_weights_of.register
def _(network: ModuleNetwork, module: nn.Module) -> SmallModule:
    return SmallModule(copy.deepcopy(module), network)


@singledispatch
def with_trained(network: Any, module: nn.Module) -> Any:
    """The network of a module that was trained since it was analysed."""
    raise TypeError(f"{type(network).__name__} is not a kind of network.")


@with_trained.register
def _(network: Graph, module: nn.Module) -> Graph:
    return network.with_layers_of(module)


@with_trained.register
def _(network: ModuleNetwork, module: nn.Module) -> ModuleNetwork:
    state: dict[str, Tensor] = {}
    state |= dict(module.named_parameters(remove_duplicate=False))
    state |= dict(module.named_buffers(remove_duplicate=False))
    state = {uncompiled_name(name): value for name, value in state.items()}
    copied = network.copied()
    # A callback may have frozen some of them when the training began.
    freeze(copied.module, [uncompiled_name(name) for name in frozen_names(module)])
    return copied.with_weights({name: state[name].detach().clone() for name in network.weights})


def narrowed_module(
    module: Any, arguments: Mapping[str, Any], narrowing: Narrowing, form: InputForm
) -> nn.Module:
    """A user's module with fewer units, built from data: what ``estimator_`` is built from.

    Parameters
    ----------
    module : class, function or nn.Module
        The user's own; a module is copied.
    arguments : dict
        Of the class or function.
    narrowing : Narrowing
    form : list of (str or None, list of int, str)
        Inputs of the module, from which lazy layers get their sizes.

    Returns
    -------
    nn.Module
        With weights as the user's code initialises them.
    """
    if isinstance(module, nn.Module):
        built = type(module)(**arguments) if arguments else copy.deepcopy(module)
    else:
        built = module(**arguments)
    built = without_compiled(built)
    give_sizes(built, form)
    return narrow(built, narrowing)


@singledispatch
def copy_weights(network: Any, module: nn.Module) -> None:
    """Copy the weights of a network into a module that was built like it."""
    raise TypeError(f"{type(network).__name__} is not a kind of network.")


@copy_weights.register
def _(network: Graph, module: nn.Module) -> None:
    network.copy_to(module)  # type: ignore[arg-type]


@copy_weights.register
def _(network: ModuleNetwork, module: nn.Module) -> None:
    narrowed = network.narrowed()
    with torch.no_grad():
        module.load_state_dict(narrowed.state_dict())
    freeze(module, frozen_names(narrowed))


@dataclass(frozen=True)
class Template:
    """What the networks of a path have in common: the module without weights, and its operators.

    Parameters
    ----------
    module : nn.Module
        With all units, on torch's device without memory.
    program : Program
    structure : Structure
    """

    module: nn.Module
    program: Program
    structure: Structure


def described(network: Any, pruned: Iterable[bool]) -> dict[str, Any]:
    """What a report says of groups: of a user's module that is no chain, and of those left out."""
    pairs = list(zip(network.groups, pruned, strict=True))
    left_out = {group.name: "not among layers" for group, chosen in pairs if not chosen}
    going = {group.name for group, chosen in pairs if chosen}
    names = tuple(group.name for group in network.groups)
    chain = not isinstance(network, ModuleNetwork)
    if chain and all(name.isdecimal() for name in names):  # places in a chain
        return {"kept_whole": left_out}
    reasons = {**network.kept_whole, **left_out}
    return {
        "groups": names,
        "unit_kinds": tuple(group.unit_kind for group in network.groups),
        "kept_whole": {name: why for name, why in reasons.items() if name not in going},
    }


@singledispatch
def to_arrays(network: Any) -> dict[str, Any]:
    """A network as plain data and NumPy arrays, and what it has in common with others."""
    raise TypeError(f"{type(network).__name__} is not a kind of network.")


@to_arrays.register
def _(network: Graph) -> dict[str, Any]:
    return network.to_arrays()


@to_arrays.register
def _(network: ModuleNetwork) -> dict[str, Any]:
    tensors = network.narrowing()["tensors"]
    return {
        "template": Template(_without_weights(network.module), network.program, network.structure),
        "kept": [mask.copy() for mask in network.kept],
        "state": {
            name: sliced(weight, tensors.get(name, [])).cpu().numpy().copy()
            for name, weight in network.weights.items()
        },
    }


def network_from(arrays: dict[str, Any], device: Any = "cpu") -> Any:
    """The network that :func:`to_arrays` wrote down."""
    if "template" not in arrays:
        return graph_of(arrays, device)
    template: Template = arrays["template"]
    module = copy.deepcopy(template.module).to_empty(device=device)
    network = ModuleNetwork(module, template.program, template.structure, {}, arrays["kept"])
    shapes = {name: tensor.shape for name, tensor in weights_of(module).items()}
    gone = narrowing_of(network.removed(), shapes, [])["tensors"]
    with torch.no_grad():
        for name, tensor in weights_of(module).items():
            tensor.copy_(
                _widened(torch.as_tensor(arrays["state"][name]), gone.get(name, []), tensor)
            )
    weights = {name: tensor.clone() for name, tensor in weights_of(module).items()}
    return network.with_weights(weights)


def _without_weights(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).to("meta")


def _widened(small: Tensor, axes: list[tuple[int, list[int]]], like: Tensor) -> Tensor:
    """A weight with zeros where units are gone."""
    small = small.to(like.device)
    for axis, stay in reversed(axes):
        shape = list(small.shape)
        shape[axis] = like.shape[axis]
        places = torch.as_tensor(stay).to(small.device)
        small = small.new_zeros(shape).index_copy(axis, places, small)
    return small
