"""Networks and paths of saved estimators, checked before anything is built from them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..export.files.container import Tensors
from ..export.files.records import record_from_plain
from ..export.files.saving import NOT_IN_ARRAYS
from ..graph.frozen import freeze
from ..graph.graph import Graph
from ..graph.kinds.base import argument_names
from ..graph.kinds.registry import BY_NAME, build, describe, kind_of, shapes_of
from ..graph.tracing import recover_graph
from ..reports.path_outline import outline_of, path_of_outline
from ..reports.path_record import PruningPath

#: Layers of a network, and of all networks of a path: a file of few bytes may name many layers
#: that have no weights, and each of them takes memory and time.
_MAX_LAYERS, _MAX_PATH_LAYERS = 1_000, 100_000

#: Units of the unpruned network, and layers times steps of a path: an outline of few bytes may name
#: many, and each of them takes memory.
_MAX_UNITS = 1_000_000


def require(condition: bool, problem: str) -> None:
    """Raise ValueError with the problem unless the condition holds."""
    if not condition:
        raise ValueError(problem)


def values_of(data: Any, name: str, *keys: str) -> list[Any]:
    """The values of a dict that must have these keys and no others."""
    require(type(data) is dict and set(data) == set(keys), f"{name} has other fields than {keys}")
    return [data[key] for key in keys]


def network_from_plain(data: Any, name: str, tensors: Tensors) -> Graph:
    """The network that a file describes; its weights are checked before it is built.

    Parameters
    ----------
    data : object
        Layers and dtype, from the JSON part of a file.
    name : str
        Name of the network, and beginning of the names of its tensors.
    tensors : dict of str to ndarray
        Arrays by name; those of the network are removed.

    Raises
    ------
    ValueError
        If data and tensors do not describe a network that a fit accepts.
    """
    layers, dtype, frozen = values_of(data, name, "layers", "dtype", "frozen")
    require(dtype in ("float32", "float64"), f"{name} is in precision {str(dtype)[:20]!r}")
    require(type(layers) is list and len(layers) > 0, f"{name} has no list of layers")
    require(len(layers) <= _MAX_LAYERS, f"{name} has {len(layers)} layers, more than {_MAX_LAYERS}")
    built = [
        _layer(layer, dtype, f"{name}.{k}", tensors).to(getattr(torch, dtype))
        for k, layer in enumerate(layers)
    ]
    module = nn.Sequential(*built)
    freeze_named(module, frozen, name)
    # Runs the layers on two samples: they must match each other, and be supported by fit.
    reading = [layer for layer in built if kind_of(layer).produces or kind_of(layer).encodes]
    n_inputs = kind_of(reading[0]).n_inputs(reading[0]) if reading else 1
    return recover_graph(module, torch.zeros(2, n_inputs, dtype=getattr(torch, dtype)))


def _layer(data: Any, dtype: str, name: str, tensors: Tensors) -> nn.Module:
    """A layer with its weights, which are removed from `tensors`."""
    require(type(data) is list and len(data) == 2, f"{name} is not a layer")
    kind, arguments = data
    require(
        type(kind) is str and kind in BY_NAME, f"{name} is of an unknown kind, {str(kind)[:40]!r}"
    )
    known = set(argument_names(BY_NAME[kind]))
    require(
        type(arguments) is dict
        and set(arguments) <= known
        and all(type(value) in (bool, int, float, str, type(None)) for value in arguments.values()),
        f"{name} has arguments that are not those of {kind}",
    )
    state = {
        key.removeprefix(f"{name}."): tensors.pop(key)
        for key in list(tensors)
        if key.startswith(f"{name}.")
    }
    # Checked before a layer is built: memory for its weights is bounded by the size of the file.
    for tensor, shape in shapes_of((kind, arguments)).items():
        require(
            tensor in state and state[tensor].shape == shape and state[tensor].size > 0,
            f"{name} is not of the shape {shape}",
        )
    layer = build((kind, arguments)).to(getattr(torch, dtype))
    expected = layer.state_dict()
    require(expected.keys() == state.keys(), f"{name} has other weights than {kind}")
    for key, value in expected.items():
        kept = np.dtype(str(value.dtype).removeprefix("torch."))
        finite_array(state[key], f"{name}.{key}", tuple(value.shape), kept)
        value.copy_(torch.as_tensor(state[key]))
    written = describe(layer)[1]
    require(all(written.get(k) == v for k, v in arguments.items()), f"{name} has other arguments")
    return layer


def freeze_named(module: nn.Module, frozen: Any, name: str) -> None:
    """Freeze the parameters that a file names, of a module called by `name` in messages.

    Raises
    ------
    ValueError
        If they are not a list of names of its parameters.
    """
    known = {key for key, _ in module.named_parameters()}
    require(
        type(frozen) is list and all(type(key) is str and key in known for key in frozen),
        f"{name} freezes parameters that it does not have",
    )
    freeze(module, set(frozen))


def finite_array(
    array: NDArray[Any], name: str, shape: tuple[int, ...], dtype: Any
) -> NDArray[Any]:
    """An array that must be finite and of a shape and dtype."""
    require(
        array.shape == shape and array.dtype == dtype and bool(np.isfinite(array).all()),
        f"{name} is not of shape {shape} and dtype {np.dtype(dtype).name}, or not finite",
    )
    return array


def path_from_plain(data: Any, tensors: Tensors) -> PruningPath:
    """The path that a file describes, with the networks that it kept.

    Parameters
    ----------
    data : object
        Arrays and networks, from the JSON part of a file.
    tensors : dict of str to ndarray
        Arrays by name; those of the path are removed.

    Raises
    ------
    ValueError
        If data and tensors do not describe a path that a fit leaves.
    """
    require(type(data) is dict, "its path is not a record")
    if "sizes" in data:
        return _outline_from_plain(data, tensors)
    arrays, networks = values_of(data, "path", "arrays", "networks")
    path = record_from_plain(arrays, PruningPath, "path", tensors, NOT_IN_ARRAYS)
    sizes = path.layer_sizes
    require(len(sizes) > 0 and len(sizes[0]) > 0, "its path is empty")
    require(all(len(step) == len(sizes[0]) for step in sizes), "its networks differ in depth")
    total = sum(sizes[0])
    for part in fields(path):
        value = getattr(path, part.name)
        if isinstance(value, (list, np.ndarray)):
            n_steps = len(value) if isinstance(value, list) or value.ndim else 0
            require(n_steps == len(sizes), f"its path has another length in {part.name}")
    sums = [sum(step) for step in sizes]
    require(path.n_neurons.tolist() == sums, "n_neurons of its path is not the sum of its layers")
    _check_shapes(path, len(sizes), total)
    _check_removed(np.concatenate(path.removed), total)
    require(
        path_of_outline(**outline_of(path)).layer_sizes == sizes,
        "its path removes other units than those by which its layers shrink",
    )
    path.networks.update(_networks(networks, sizes, tensors))
    return path


def _outline_from_plain(data: Any, tensors: Tensors) -> PruningPath:
    """The path of whose file only the outline was written."""
    (sizes,) = values_of(data, "path", "sizes")
    require(
        type(sizes) is list
        and len(sizes) > 0
        and all(type(size) is int and 0 < size <= _MAX_UNITS for size in sizes)
        and sum(sizes) <= _MAX_UNITS,
        "its path has invalid sizes",
    )
    names = ("removed", "rounds", "n_parameters", "n_macs")
    arrays = {name: tensors.pop(f"path.{name}") for name in names}
    for name, array in arrays.items():
        require(array.ndim == 1 and array.dtype.kind == "u", f"path.{name} is not a list of counts")
    _check_removed(arrays["removed"], sum(sizes))
    # No sum of them may overflow.
    counts = arrays["rounds"].tolist()
    require(
        sum(counts) == len(arrays["removed"])
        and all(n > 0 for n in counts)
        and (len(counts) + 1) * len(sizes) <= _MAX_UNITS,
        "the rounds of its path are not those of what was removed",
    )
    for name in ("n_parameters", "n_macs"):
        array = arrays[name]
        require(
            len(array) == len(counts) + 1 and int(array.max()) <= np.iinfo(np.intp).max,
            f"path.{name} has not a count for each step",
        )
    return path_of_outline(sizes, **arrays)


def _check_removed(removed: NDArray[Any], n_arms: int) -> None:
    """Raise ValueError if a path removes a unit twice, or one that does not exist."""
    require(
        len(np.unique(removed)) == len(removed)
        and bool(((removed >= 0) & (removed < n_arms)).all()),
        "its path removes a unit twice or one that does not exist",
    )


def _check_shapes(path: PruningPath, n_steps: int, n_arms: int) -> None:
    """Raise ValueError for an array of a path that is not of the shape that a fit leaves."""
    shapes = {"reward_scale": (n_steps, 2), "pulls_by_arm": (n_steps, n_arms)}
    for part in fields(path):
        value = getattr(path, part.name)
        if isinstance(value, np.ndarray):
            shape = shapes.get(part.name, (n_steps,))
            require(
                value.shape == shape,
                f"its path has {part.name} of shape {value.shape}, not {shape}",
            )
    for k, removed in enumerate(path.removed):
        require(removed.ndim == 1, f"its path has removed[{k}] of shape {removed.shape}")
        for name in ("loss_increase", "standard_error"):
            shape = getattr(path, name)[k].shape
            # Criteria estimate neither.
            require(
                shape in ((len(removed),), (0,)),
                f"its path has {name}[{k}] of shape {shape}, not {(len(removed),)}",
            )
    for step, estimates in path.estimates.items():
        require(
            0 <= step < n_steps and estimates.shape == (2, n_arms),
            f"its path has estimates of shape {estimates.shape} at step {step}",
        )


def _networks(data: Any, sizes: list[tuple[int, ...]], tensors: Tensors) -> dict[int, Any]:
    """The arrays of the networks of a path, by step."""
    require(type(data) is dict, "the networks of its path are not a record")
    layers = [network.get("layers") for network in data.values() if type(network) is dict]
    n_layers = sum(len(each) for each in layers if type(each) is list)
    require(
        n_layers <= _MAX_PATH_LAYERS,
        f"the networks of its path have {n_layers} layers, more than {_MAX_PATH_LAYERS}",
    )
    found = {}
    for key, network in data.items():
        step = int(key)
        require(0 <= step < len(sizes) and key == str(step), f"its path has no step {key[:20]!r}")
        graph = network_from_plain(network, f"path.network.{step}", tensors)
        require(graph.sizes == sizes[step], f"the network of step {step} has other sizes")
        found[step] = graph.to_arrays()
    return found
