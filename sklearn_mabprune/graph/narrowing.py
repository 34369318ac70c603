"""A user's module with fewer units inside; its own ``forward`` goes on computing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .attention import (
    PrunedMultiheadAttention,
    with_prunable_attention,
    without_nested_tensors,
)
from .labels import Axis
from .recurrent_modules import fit_to_weights, recurrent_names
from .unit_groups import UnitGroup


class Narrowing(TypedDict):
    """What makes a module smaller, as plain data.

    Attributes
    ----------
    tensors : dict of str to list of (int, list of int)
        Axes of parameters and buffers, and the places along them that stay.
    attributes : dict of str to dict of str to int
        Attributes of modules that count units, by module and attribute.
    with_states : list of str, optional
        Recurrent modules that are given initial states of the large module.
    """

    tensors: dict[str, list[tuple[int, list[int]]]]
    attributes: dict[str, dict[str, int]]
    with_states: NotRequired[list[str]]


def removed_places(
    groups: Sequence[UnitGroup], kept: Sequence[NDArray[np.bool_]]
) -> dict[Axis, NDArray[np.intp]]:
    """Places along the axes of weights that go, for masks of the units that stay."""
    gone: dict[Axis, list[NDArray[np.intp]]] = {}
    for group, mask in zip(groups, kept, strict=True):
        for axis, places in group.members.items():
            gone.setdefault(axis, []).append(places[~mask].reshape(-1))
    return {axis: np.unique(np.concatenate(parts)) for axis, parts in gone.items()}


def narrowing_of(
    gone: Mapping[Axis, NDArray[np.intp]],
    shapes: Mapping[str, torch.Size],
    widths: Iterable[tuple[tuple[str, str], int]],
    with_states: Iterable[str] = (),
) -> Narrowing:
    """What makes a module smaller, from the places that go and what attributes will count."""
    tensors: dict[str, list[tuple[int, list[int]]]] = {}
    for (name, axis), places in sorted(gone.items()):
        if len(places):
            stay = np.setdiff1d(np.arange(shapes[name][axis]), places)
            tensors.setdefault(name, []).append((axis, stay.tolist()))
    attributes: dict[str, dict[str, int]] = {}
    for (module, attribute), width in widths:
        attributes.setdefault(module, {})[attribute] = width
    return {
        "tensors": tensors,
        "attributes": attributes,
        "with_states": sorted(with_states),
    }


def narrow(module: nn.Module, narrowing: Narrowing) -> nn.Module:
    """Make a module smaller, in place.

    Parameters
    ----------
    module : nn.Module
        With all units.  A parameter with two names is narrowed once.
    narrowing : Narrowing

    Returns
    -------
    nn.Module
        The module itself; in place of an ``nn.MultiheadAttention`` with fewer heads, or narrower
        inputs or outputs, a `PrunedMultiheadAttention`.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_mabprune.graph.narrowing import narrow
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> stay = [(0, [1, 5])]
    >>> narrow(module, {
    ...     "tensors": {"0.weight": stay, "0.bias": stay, "2.weight": [(1, [1, 5])]},
    ...     "attributes": {"0": {"out_features": 2}, "2": {"in_features": 2}},
    ... })
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=3, bias=True)
    )
    """
    tensors, attributes = narrowing["tensors"], narrowing["attributes"]
    parameters = list(module.named_parameters(remove_duplicate=False))
    changed = {id(parameter) for name, parameter in parameters if name in tensors}
    # torch's attention compares the width of its inputs with the one that it was made for, and
    # shares that out to its heads: with any narrower weight, another takes its place.
    narrow_parts = {
        name
        for name, part in module.named_modules(remove_duplicate=False)
        if any(id(parameter) in changed for parameter in part.parameters())
    }
    module = with_prunable_attention(without_nested_tensors(module), narrow_parts)
    narrower: dict[int, nn.Parameter] = {}
    for name, parameter in parameters:
        if id(parameter) not in narrower and name in tensors:
            value = sliced(parameter.detach(), tensors[name])
            narrower[id(parameter)] = nn.Parameter(value, requires_grad=parameter.requires_grad)
    for name, parameter in parameters:
        if id(parameter) in narrower:
            owner, attribute = _owner(module, name)
            setattr(owner, attribute, narrower[id(parameter)])
    persistent = module.state_dict(keep_vars=True)
    for name, buffer in list(module.named_buffers(remove_duplicate=False)):
        if name in tensors:
            owner, attribute = _owner(module, name)
            value = sliced(buffer, tensors[name])
            owner.register_buffer(attribute, value, persistent=name in persistent)
    for part in module.modules():
        if isinstance(part, PrunedMultiheadAttention):
            part.count_inputs()
    for name, counts in attributes.items():
        for attribute, count in counts.items():
            setattr(module.get_submodule(name), attribute, count)
    _fit_recurrent(module, narrowing)
    return module


def _fit_recurrent(module: nn.Module, narrowing: Narrowing) -> None:
    """Recurrent modules whose weights are narrowed count their units anew."""
    tensors = narrowing["tensors"]
    for path in sorted({name.rpartition(".")[0] for name in tensors}):
        part, units = module.get_submodule(path), []
        for name in recurrent_names(part):
            stay = dict(tensors.get(f"{path}.{name}".lstrip("."), []))
            units.append(stay.get(1, range(getattr(part, name).shape[1])))
        fit_to_weights(part, units, path in narrowing.get("with_states", ()))


def composed(first: Narrowing, second: Narrowing) -> Narrowing:
    """The narrowing that does what one does, and then another.

    Examples
    --------
    >>> from sklearn_mabprune.graph.narrowing import composed
    >>> first = {"tensors": {"weight": [(0, [1, 4, 5])]}, "attributes": {}}
    >>> second = {"tensors": {"weight": [(0, [0, 2])]}, "attributes": {}}
    >>> composed(first, second)["tensors"]
    {'weight': [(0, [1, 5])]}
    """
    tensors: dict[str, list[tuple[int, list[int]]]] = {}
    for name in [*first["tensors"], *(set(second["tensors"]) - set(first["tensors"]))]:
        stay = dict(first["tensors"].get(name, []))
        for axis, places in second["tensors"].get(name, []):
            stay[axis] = [stay[axis][k] for k in places] if axis in stay else places
        tensors[name] = sorted(stay.items())
    attributes = {name: dict(counts) for name, counts in first["attributes"].items()}
    for name, counts in second["attributes"].items():
        attributes[name] = {**attributes.get(name, {}), **counts}
    with_states = {*first.get("with_states", ()), *second.get("with_states", ())}
    return {"tensors": tensors, "attributes": attributes, "with_states": sorted(with_states)}


def narrowing_from_plain(data: Any, module: nn.Module) -> Narrowing:
    """The narrowing of a module that a file describes.

    Parameters
    ----------
    data : object
        From JSON.
    module : nn.Module
        With all units.

    Raises
    ------
    ValueError
        If it has other fields, names what the module does not have, or makes it larger.
    """
    if type(data) is not dict or set(data) - {"with_states"} != {"tensors", "attributes"}:
        raise ValueError("what stays of its module is not described")
    known: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    known |= dict(module.named_buffers(remove_duplicate=False))
    tensors = {}
    for name, axes in data["tensors"].items():
        if name not in known:
            raise ValueError(f"its module has no weight {name[:40]!r}")
        tensors[name] = [_axis_from_plain(axis, known[name].shape, name) for axis in axes]
    for name, counts in data["attributes"].items():
        part = module.get_submodule(name)
        for attribute, count in counts.items():
            old = vars(part).get(attribute)
            if type(old) is not int or type(count) is not int or not 0 < count <= old:
                raise ValueError(f"{name[:40]!r} of its module cannot have {attribute[:40]!r}")
    with_states = data.get("with_states", [])
    for name in with_states:
        if not isinstance(module.get_submodule(name), nn.RNNBase | nn.RNNCellBase):
            raise ValueError(f"{name[:40]!r} of its module has no initial states")
    return {"tensors": tensors, "attributes": data["attributes"], "with_states": with_states}


def _axis_from_plain(data: Any, shape: torch.Size, name: str) -> tuple[int, list[int]]:
    axis, places = data
    whole = [type(number) is int for number in (axis, *places)]
    if not (all(whole) and places and 0 <= axis < len(shape)):
        raise ValueError(f"what stays of {name[:40]!r} is not a list of places")
    increasing = all(a < b for a, b in pairwise(places))
    if not (increasing and places[0] >= 0 and places[-1] < shape[axis]):
        raise ValueError(f"what stays of {name[:40]!r} is not in it, or not in order")
    return axis, places


def sliced(tensor: Tensor, axes: Iterable[tuple[int, Sequence[int]]]) -> Tensor:
    """A weight with these places along its axes alone."""
    for axis, stay in axes:
        tensor = tensor.index_select(axis, torch.as_tensor(stay).to(tensor.device))
    return tensor.contiguous()


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, attribute = name.rpartition(".")
    return module.get_submodule(path), attribute
