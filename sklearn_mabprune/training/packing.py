"""A fitted skorch net as plain data: parameters and weights, without what only training needs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch.history import History
from skorch.utils import get_map_location
from torch import nn

from ..utils.compat import hooks_of, uncompiled
from ..utils.randomness import global_generators
from .optimizers import renew_optimizer

# What `initialize` makes anew.
_MADE = (
    "module_", "criterion_", "optimizer_", "callbacks_", "prefixes_", "cuda_dependent_attributes_",
    "init_context_",
)  # fmt: skip
_COMPONENTS = ["module_", "criterion_", "optimizer_"]


def pack_net(net: Any, with_history: bool = False) -> dict[str, Any]:
    """A fitted net as data from which :func:`unpack_net` makes its equal.

    The state of the optimizer and of callbacks is left out: they start anew when the net is
    trained further.  A net whose module ``initialize`` would not build again, such as one with
    hooks or with layers that were replaced, is packed as it is.

    Parameters
    ----------
    net : skorch net
        Left as it is.
    with_history : bool, default=False
        Whether to keep the history of its training.

    Returns
    -------
    dict
    """
    history = net.history_ if with_history else None
    twin = clone(net)
    fitted = _fitted(net, twin)
    vars(twin).update(fitted)
    with global_generators(0, net.device):
        twin.initialize()
    if not _same_structure(net, twin):
        return {"net": _light(net), "history": history}
    return {
        "class": type(net),
        # The twin's own: the parameters of a fitted net may hold callbacks with weights in them.
        "parameters": _not_default(twin),
        "fitted": fitted,
        # Those of the user are not initialised when a net is unpacked: some create folders.
        "callbacks": twin.callbacks_ if net.callbacks else None,
        "module": _arrays(net.module_),
        "criterion": _arrays(net.criterion_),
        "history": history,
    }


def unpack_net(data: dict[str, Any]) -> Any:
    """The net that :func:`pack_net` made data of, in evaluation mode.

    A net of a GPU is put on the CPU where there is none, with skorch's DeviceWarning.
    """
    history = data["history"]
    if "net" in data:
        net = data["net"]
        net.history_ = History() if history is None else history
        return net
    net = data["class"](**data["parameters"])
    vars(net).update(data["fitted"])
    here = get_map_location(net.device)
    if net.device is not None and torch.device(net.device) != here:
        net.device = str(here)
    if data["callbacks"] is not None:
        net.callbacks_ = data["callbacks"]
        net.initialize_callbacks = lambda: net
    try:
        with global_generators(0, net.device):
            net.initialize()
    finally:
        vars(net).pop("initialize_callbacks", None)
    _load(net.module_, data["module"])
    _load(net.criterion_, data["criterion"])
    net.module_.eval()
    renew_optimizer(net)
    if history is not None:
        net.history_ = history
    return net


def untrained(estimator: Any) -> Any:
    """A net without its training, for a parameter that ``fit`` would only copy.

    Parameters
    ----------
    estimator : object
        A skorch net, or anything else, which is returned as it is.
    """
    return clone(estimator) if getattr(estimator, "initialized_", False) else estimator


def _fitted(net: Any, twin: Any) -> dict[str, Any]:
    """Public attributes that are neither parameters nor made by ``initialize``."""
    return {
        name: value
        for name, value in vars(net).items()
        if not (name in vars(twin) or name in _MADE or name.startswith("_"))
    }


def _same_structure(net: Any, twin: Any) -> bool:
    """Whether ``initialize`` makes modules into which the weights of a net can be loaded."""
    if list(net.cuda_dependent_attributes_) != _COMPONENTS:
        return False
    states = [uncompiled(part).state_dict() for part in (net.module_, net.criterion_)]
    if not all(isinstance(value, torch.Tensor) for state in states for value in state.values()):
        return False  # a state of the user's own, of ``get_extra_state``
    parts = zip((net.module_, net.criterion_), (twin.module_, twin.criterion_), strict=True)
    return all(_structure(uncompiled(one)) == _structure(uncompiled(other)) for one, other in parts)


def _structure(module: nn.Module) -> list[Any]:
    """Layers with their arguments and hooks, shapes of tensors, and which of them are trained."""
    layers = [(name, type(layer), *hooks_of(layer)) for name, layer in module.named_modules()]
    tensors = [(name, value.shape, value.dtype) for name, value in module.state_dict().items()]
    trained = [parameter.requires_grad for parameter in module.parameters()]
    return [layers, tensors, trained, str(module)]


def _light(net: Any) -> Any:
    """A net that shares its module with another one, without history and optimizer state."""
    light = object.__new__(type(net))
    vars(light).update(vars(net))
    light.history_ = History()
    renew_optimizer(light)
    return light


def snapshot(module: nn.Module) -> dict[str, Any]:
    """A copy of a module's ``state_dict``, in a tenth of ``deepcopy``'s time for small tensors."""
    state = module.state_dict()
    for name, value in state.items():
        state[name] = value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
    return state


def _arrays(module: nn.Module) -> list[Any]:
    """The tensors of a module as arrays, in the order of its ``state_dict``."""
    return [value.cpu().numpy() for value in uncompiled(module).state_dict().values()]


def _load(module: nn.Module, arrays: list[Any]) -> None:
    """Copy arrays into the tensors of a module."""
    with torch.no_grad():
        # Arrays may be read-only, such as those of joblib's memory maps.
        for value, array in zip(uncompiled(module).state_dict().values(), arrays, strict=True):
            value.copy_(torch.from_numpy(np.array(array)))


def _not_default(net: Any) -> dict[str, Any]:
    """The parameters that a net of the same class does not have by itself."""
    parameters = net.get_params(deep=False)
    needed = ("module", "criterion")
    bare = {name: parameters[name] for name in needed}
    try:
        defaults = type(net)(**bare).get_params(deep=False)
    except TypeError:
        # A class with other arguments that are required.
        return parameters
    return {
        name: value
        for name, value in parameters.items()
        if name in needed or not (name in defaults and _are_same(value, defaults[name]))
    }


def _are_same(one: Any, other: Any) -> bool:
    """Whether two values are one object, or equal numbers or strings of one type."""
    plain = type(one) in (bool, int, float, str) and type(one) is type(other)
    return one is other or (plain and bool(one == other))
