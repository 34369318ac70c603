"""A skorch net around a smaller network: same class, same parameters, same training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fnmatch import fnmatch
from functools import singledispatch
from typing import Any

from sklearn.base import clone
from torch import nn

from ..graph.compact import copy_weights, narrowed_module
from ..graph.copies import UNCOPYABLE
from ..graph.graph import Graph
from ..graph.module import PrunedChain
from ..graph.module_network import ModuleNetwork
from ..graph.narrowing import Narrowing, composed
from ..utils.compat import drop_parameter, uncompiled
from ..utils.memory import out_of_memory
from ..utils.randomness import global_generators
from .mlp import MLP
from .optimizers import renew_optimizer

# Fitted attributes that a net around a smaller module needs as well.
_FITTED = (
    "classes_inferred_",
    "target_mean_",
    "target_scale_",
    "n_features_in_",
    "n_outputs_",
    "auto_dtype_",
    "multilabel_",
    "default_dropout_",
    "reads_integers_",
    "input_form_",
    "one_output_",
    "flat_",
)


def copy_of_net(net: Any) -> Any:
    """A net that shares nothing with a fitted one: weights, optimizer, callbacks, history.

    skorch copies by pickling, which fails for a module whose class was made inside a function.

    Raises
    ------
    TypeError
        If a part of it cannot be copied.
    """
    new: Any = object.__new__(type(net))
    try:
        new.__dict__.update(copy.deepcopy(vars(net), {id(net): new}))
    except UNCOPYABLE as error:
        if out_of_memory(error):
            raise
        raise TypeError(
            f"The {type(net).__name__} in FrozenEstimator cannot be copied ({error}), and only a "
            "copy of it is pruned. Keep what cannot be copied, such as a lock, an open file or a "
            "generator, out of its module and callbacks."
        ) from error
    return new


@singledispatch
def _recipe(network: Any, net: Any) -> tuple[Any, dict[str, Any]]:
    """What builds a module like a network of a net's: a callable, and its arguments as data."""
    raise TypeError(f"{type(network).__name__} is not a kind of network.")


@_recipe.register
def _(network: Graph, net: Any) -> tuple[Any, dict[str, Any]]:
    dtype = str(network.dtype).removeprefix("torch.")
    return PrunedChain, {"layers": network.descriptions(), "dtype": dtype}


@_recipe.register
def _(network: ModuleNetwork, net: Any) -> tuple[Any, dict[str, Any]]:
    arguments = net.get_params_for("module")
    module, narrowing = net.module, network.narrowing()
    if module is narrowed_module:
        # Of a net that was pruned already, the user's own module with all units.
        if not _has_all_units(network, arguments["narrowing"]):
            narrowing = composed(arguments["narrowing"], narrowing)
        module, arguments = arguments["module"], arguments["arguments"]
    built = type(module) if isinstance(module, nn.Module) else module
    if isinstance(built, type) and built is not type(network.module):
        # Something was put around it after the training, such as an AveragedModel.
        module, arguments = copy.deepcopy(network.module).train(), {}
    return narrowed_module, {
        "module": module,
        "arguments": arguments,
        "narrowing": narrowing,
        "form": net.input_form_,
    }


def _has_all_units(network: ModuleNetwork, narrowing: Narrowing) -> bool:
    """Whether a network is that of the module before a narrowing."""
    return all(
        network.weights[name].shape[axis] != len(places)
        for name, axes in narrowing["tensors"].items()
        for axis, places in axes
    )


def net_around(net: Any, graph: Any) -> Any:
    """A new net whose module computes what a graph computes.

    Its module is built from explicit sizes, so that ``clone``, ``initialize`` and
    ``load_params`` work, and ``partial_fit`` trains the small network on.

    Parameters
    ----------
    net : skorch net
        Fitted; left as it is.
    graph : Graph
        Left as it is; the new module shares no tensor with it.
    """
    if net.module is MLP:
        sizes: dict[str, Any] = {
            "module__n_features": graph.n_inputs,
            "module__n_outputs": graph.n_outputs,
            "module__hidden_layer_sizes": graph.sizes,
            "module__dtype": str(graph.dtype).removeprefix("torch."),
            "module__inputs": graph.encoder(),
        }
        dropouts = [node.layer.p for node in graph.nodes if node.kind.random]
        if dropouts:
            sizes["module__dropout"] = dropouts[0]
        new = clone(net)
    else:
        build, arguments = _recipe(graph, net)
        new, sizes = net_of(net, build, arguments), {}
        if isinstance(graph, Graph):
            sizes = _groups_by_number(net, graph)
    if getattr(net, "multilabel_", False):
        # Chosen by the data, which a clone of the smaller net has not seen.
        sizes["criterion"] = type(uncompiled(net.criterion_))
    new.set_params(**sizes)
    return initialised(new, net, lambda module: copy_weights(graph, module))


def _groups_by_number(net: Any, graph: Graph) -> dict[str, Any]:
    """The net's groups of parameters, where they are those of layers that have numbers now."""
    groups = getattr(net, "optimizer__param_groups", None)
    if not groups:
        return {}
    names = {
        f"{node.name}.{name}": f"{number}.{name}"
        for number, node in enumerate(graph.nodes)
        for name, _ in node.layer.named_parameters()
    }
    return {
        "optimizer__param_groups": [
            (names[name], options)
            for pattern, options in groups
            for name in names
            if fnmatch(name, pattern)
        ]
    }


def net_of(net: Any, build: Any, arguments: dict[str, Any]) -> Any:
    """A copy of a net, not initialised, with another module."""
    new = clone(net)
    # The new module does not have the parameters of the old one.
    for name in [name for name in vars(new) if name.startswith("module__")]:
        drop_parameter(new, name)
    parameters = {f"module__{name}": value for name, value in arguments.items()}
    return new.set_params(module=build, **parameters)


def initialised(new: Any, net: Any, fill: Callable[[nn.Module], Any]) -> Any:
    """A net with the weights that a function fills in, and what else a fitted one has."""
    for name in _FITTED:
        if hasattr(net, name):
            setattr(new, name, getattr(net, name))
    with global_generators(0, net.device):
        new.initialize()
    fill(uncompiled(new.module_))
    if hasattr(net, "criterion_"):
        # One of the user's own may have learned or counted something.
        state = uncompiled(net.criterion_).state_dict()
        uncompiled(new.criterion_).load_state_dict(state)
    new.module_.eval()
    new.history_ = net.history_
    renew_optimizer(new)
    return new
