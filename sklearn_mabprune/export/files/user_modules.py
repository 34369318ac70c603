"""A user's module as data: its class by name, its arguments, what stays of it, and its weights."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from ...exceptions import UnsupportedModuleError
from ...graph.compact import narrowed_module
from ...graph.frozen import frozen_names
from ...utils.compat import uncompiled
from ...utils.randomness import global_generators
from .container import ARRAY_DTYPES, Tensors
from .parameters import DescriptionError, to_plain


def state_to_arrays(module: nn.Module, prefix: str) -> Tensors:
    """The ``state_dict`` of a user's module or criterion as arrays for a file.

    Parameters
    ----------
    module : nn.Module
    prefix : {"module", "criterion"}
        Beginning of their names.

    Raises
    ------
    UnsupportedModuleError
        If one is not a tensor, or is of a dtype that no file has.
    """
    found: Tensors = {}
    for key, value in module.state_dict().items():
        kind = str(value.dtype).removeprefix("torch.") if torch.is_tensor(value) else None
        if kind not in ARRAY_DTYPES:
            raise UnsupportedModuleError(
                f"save() writes tensors of {', '.join(ARRAY_DTYPES)}, and {key} of the {prefix} "
                f"{type(module).__name__} is "
                f"{f'of {kind}' if kind else f'an object of the class {type(value).__name__}'}. "
                "Use tensors of these; or use pickle, to_torch() or to_onnx()."
            )
        found[f"{prefix}.{key}"] = np.array(value.cpu().numpy(), order="C")
    return found


def user_module_to_plain(net: Any, tensors: Tensors) -> dict[str, Any]:
    """A net's module as data; its weights become tensors.

    Parameters
    ----------
    net : skorch net
        Around a user's module.
    tensors : dict of str to ndarray
        Receives the weights; modified in place.

    Returns
    -------
    dict

    Raises
    ------
    UnsupportedModuleError
        If the module is an object, has arguments that are not plain, or is not what its class
        builds from them.
    ValueError
        If a weight is not finite.
    """
    given = net.get_params_for("module")
    made = given["module"] if net.module is narrowed_module else net.module
    name = f"{type(net).__name__}(module={getattr(made, '__name__', type(made).__name__)})"
    if isinstance(made, nn.Module) or net.module is not narrowed_module:
        raise UnsupportedModuleError(
            f"save() writes how a module is made, and {name} was given an object. Pass its class "
            f"and its arguments to the net, {type(net).__name__}({type(made).__name__}, "
            "module__width=...), and fit again; or use pickle, to_torch() or to_onnx()."
        )
    try:
        arguments = to_plain(dict(given["arguments"]), "module")
    except DescriptionError as error:
        raise UnsupportedModuleError(
            f"save() writes the arguments of {name} as data, and cannot write one: {error}. Pass "
            "numbers, strings, lists or dictionaries of them, and make the rest of these in the "
            "module's constructor; or use pickle, to_torch() or to_onnx()."
        ) from error
    module = uncompiled(net.module_)
    arrays = state_to_arrays(module, "module")
    with global_generators(0, "cpu"):
        built = narrowed_module(**copy.deepcopy(given)).state_dict()
    shapes = {f"module.{key}": tuple(value.shape) for key, value in built.items()}
    if shapes != {key: array.shape for key, array in arrays.items()}:
        raise UnsupportedModuleError(
            f"The module of {name} was changed: its class no longer builds one with these weights. "
            "Use pickle, to_torch() or to_onnx()."
        )
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(
                f"{key} contains infinity or NaN, so the network cannot predict and is not saved. "
                "Scale the features or lower the net's lr, and fit again."
            )
    tensors.update(arrays)
    return {
        "name": f"{made.__module__}.{made.__qualname__}",
        "arguments": arguments,
        "narrowing": given["narrowing"],
        "form": given["form"],
        "frozen": list(frozen_names(module)),
    }
