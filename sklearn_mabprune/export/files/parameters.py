"""Conversion of parameters to JSON-compatible data and back, without pickle.

A closed list of values is supported: numbers, booleans, strings, None, lists, tuples, dicts,
and the classes of this package and of torch in the registries below.  A class name from a file
is looked up in these registries and never imported.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from ...criteria import CRITERIA
from ...data.batches import TensorBatches
from ...policies import POLICIES
from ...training.mlp import MLP
from ...training.nets import MLPNetClassifier, MLPNetRegressor

_RANKERS = {cls.__name__: cls for cls in (*POLICIES.values(), *CRITERIA.values())}
_NETS = {cls.__name__: cls for cls in (MLPNetClassifier, MLPNetRegressor)}
#: skorch's own, whose module is the user's.
_USER_NETS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor)
}

#: Classes that may be the value of a parameter: losses, optimizers and parts of a net.
_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(getattr(nn, name) for name in nn.modules.loss.__all__),
        *(part for part in vars(torch.optim).values() if isinstance(part, type)),
        MLP, TensorBatches, Dataset, DataLoader,
    )
}  # fmt: skip

_NET_PREFIXES = (
    "module__", "criterion__", "optimizer__", "iterator_train__", "iterator_valid__", "dataset__",
    "callbacks__",
)  # fmt: skip

#: Parameters that are refused because they would weaken the checks of skorch's load_params.
_REFUSED = {"torch_load_kwargs"}

#: Characters that an array of strings may always have, padding included (64 MiB).
_PADDED = 2**24

_SPLIT = ("cv", "stratified", "random_state")


class DescriptionError(TypeError):
    """A value cannot be represented as JSON-compatible data; the message names it."""


def to_plain(value: Any, name: str) -> Any:
    """Convert the value of a parameter to JSON-compatible data.

    Parameters
    ----------
    value : object
        The value.
    name : str
        Name of the parameter, for error messages.

    Returns
    -------
    bool, int, float, str, None, list or dict

    Raises
    ------
    DescriptionError
        If the value is an object of an unsupported class.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) in (list, tuple):
        items = [to_plain(item, f"{name}[{k}]") for k, item in enumerate(value)]
        return items if type(value) is list else {"tuple": items}
    if type(value) is dict:
        items = [[to_plain(k, name), to_plain(v, f"{name}[{k!r}]")] for k, v in value.items()]
        return {"dict": items}
    if isinstance(value, type):
        if _CLASSES.get(value.__name__) is value:
            return {"class": value.__name__}
        raise DescriptionError(f"{name} is the class {value.__qualname__}")
    kind = type(value)
    if _RANKERS.get(kind.__name__) is kind:
        return _object(kind, value.get_params(deep=False), name)
    if kind is ValidSplit:
        return _object(kind, {part: getattr(value, part) for part in _SPLIT}, name)
    if _NETS.get(kind.__name__) is kind:
        return _object(kind, _changed_parameters(value, name), name)
    raise DescriptionError(f"{name} is a {kind.__qualname__}")


def _object(kind: type, parameters: dict[str, Any], name: str) -> dict[str, Any]:
    """The data of an object: the name of its class and its parameters."""
    plain = {key: to_plain(value, f"{name}.{key}") for key, value in parameters.items()}
    return {"object": kind.__name__, "parameters": plain}


def _changed_parameters(net: Any, name: str) -> dict[str, Any]:
    """Parameters of a net that differ from the defaults, which may be unsupported objects."""
    module = () if type(net).__name__ in _NETS else (net.module,)
    default = type(net)(*module).get_params(deep=False)
    found = {}
    for key, value in net.get_params(deep=False).items():
        if key.startswith("_"):
            continue
        if key in default:
            same = value is default[key] or (
                type(value) is type(default[key])
                and to_plain(value, f"{name}.{key}") == to_plain(default[key], key)
            )
            if same:
                continue
        if key in _REFUSED:
            raise DescriptionError(f"{name}.{key} is set")
        found[key] = value
    return found


def has_user_class(net: Any) -> bool:
    """Whether it is a skorch net that makes its module by a class or function of the user."""
    return _USER_NETS.get(type(net).__name__) is type(net) and not isinstance(net.module, nn.Module)


def is_user_net(data: Any) -> bool:
    """Whether data are of a form that :func:`user_net_to_plain` returns."""
    kind = data.get("object") if type(data) is dict else None
    return type(kind) is str and kind in _USER_NETS


def user_net_to_plain(net: Any, name: str) -> dict[str, Any]:
    """Convert a skorch net with a user's module, which is left out, to JSON-compatible data.

    Raises
    ------
    DescriptionError
        If a parameter, or the net itself, is of an unsupported class.
    """
    kind = type(net)
    if _USER_NETS.get(kind.__name__) is not kind:
        raise DescriptionError(f"{name} is a {kind.__qualname__}")
    return _object(kind, _changed_parameters(net, name), name)


def user_net_from_plain(data: Any, name: str, module: Any) -> Any:
    """Convert data from :func:`user_net_to_plain` back to a net, with the module of the caller.

    Raises
    ------
    ValueError
        If the data are not of a form that :func:`user_net_to_plain` returns.
    """
    if type(data) is not dict or set(data) != {"object", "parameters"}:
        raise ValueError(f"{name} is not a net")
    kind, parameters = data["object"], data["parameters"]
    if type(kind) is not str or kind not in _USER_NETS or type(parameters) is not dict:
        raise ValueError(f"{name} is a {str(kind)[:40]!r}, which is not a known net")
    values = {key: from_plain(inner, f"{name}.{key}") for key, inner in parameters.items()}
    default = _USER_NETS[kind](module).get_params(deep=False)
    known = {key for key in default if not key.startswith("_")} - _REFUSED - {"module"}
    known |= {key for key in values if key.startswith(_NET_PREFIXES)}
    if not set(values) <= known:
        raise ValueError(f"{kind} has no parameter {min(set(values) - known)!r}")
    return _USER_NETS[kind](module, **values)


def from_plain(data: Any, name: str) -> Any:
    """Convert data from :func:`to_plain` back to the value of a parameter.

    Parameters
    ----------
    data : object
        Content of a JSON file.
    name : str
        Name of the parameter, for error messages.

    Raises
    ------
    ValueError
        If the data are not of a form that :func:`to_plain` returns.
    """
    if data is None or type(data) in (bool, int, float, str):
        return data
    if type(data) is list:
        return [from_plain(item, name) for item in data]
    if type(data) is dict and len(data) == 1:
        ((form, inner),) = data.items()
        if form == "float" and inner in ("nan", "inf", "-inf"):
            return float(inner)
        if form == "tuple" and type(inner) is list:
            return tuple(from_plain(item, name) for item in inner)
        if form == "dict" and type(inner) is list:
            return {from_plain(k, name): from_plain(v, name) for k, v in inner}
        if form == "class" and type(inner) is str and inner in _CLASSES:
            return _CLASSES[inner]
    if type(data) is dict and set(data) == {"object", "parameters"}:
        kind, parameters = data["object"], data["parameters"]
        if type(kind) is str and type(parameters) is dict:
            values = {key: from_plain(inner, f"{name}.{key}") for key, inner in parameters.items()}
            return _built(kind, values, name)
    raise ValueError(f"{name} is {str(data)[:80]}, which is not a known value")


def _built(kind: str, values: dict[str, Any], name: str) -> Any:
    """An object of a registered class; unknown parameters are refused."""
    if kind in _RANKERS:
        cls: Any = _RANKERS[kind]
        known = set(cls().get_params(deep=False))
    elif kind in _NETS:
        cls = _NETS[kind]
        default = cls().get_params(deep=False)
        known = {key for key in default if not key.startswith("_")} - _REFUSED
        known |= {key for key in values if key.startswith(_NET_PREFIXES)}
    elif kind == ValidSplit.__name__:
        cls, known = ValidSplit, set(_SPLIT)
    else:
        raise ValueError(f"{name} is an object of the unsupported class {kind!r}")
    if not set(values) <= known:
        raise ValueError(f"{kind} has no parameter {min(set(values) - known)!r}")
    return cls(**values)


# -------------------------------------------------------------------------------- labels


def labels_to_plain(labels: NDArray[Any], name: str) -> dict[str, Any]:
    """Convert a 1-d array of numbers or strings to JSON-compatible data.

    Parameters
    ----------
    labels : ndarray of shape (n_labels,)
        The array, such as class labels or feature names.
    name : str
        Name of the array, for error messages.

    Returns
    -------
    dict
        The dtype and the list of values.

    Raises
    ------
    DescriptionError
        If the array contains values that are neither numbers nor strings, or so many short
        strings beside a long one that NumPy's padding takes most of its memory.
    """
    kind = labels.dtype.kind
    values = labels.tolist()
    if kind == "U" and not _is_width(labels.dtype.itemsize // 4, values):
        labels = labels.astype(f"U{max(map(len, values), default=1)}")
        if not _is_width(labels.dtype.itemsize // 4, values):
            raise DescriptionError(
                f"{name} has {len(values)} strings, which NumPy pads to the longest one, of "
                f"{labels.dtype.itemsize // 4} characters: shorten it"
            )
    if not (kind in "biufU" or (kind == "O" and all(type(value) is str for value in values))):
        raise DescriptionError(
            f"{name} must contain only numbers or only strings to be saved, got {values[:5]}"
        )
    return {"dtype": labels.dtype.str.lstrip("<>=|"), "values": values}


def labels_from_plain(data: Any, name: str) -> NDArray[Any]:
    """Convert data from :func:`labels_to_plain` back to an array.

    Raises
    ------
    ValueError
        If the data are not of the form that :func:`labels_to_plain` returns.
    """
    if (
        type(data) is not dict
        or set(data) != {"dtype", "values"}
        or type(data["values"]) is not list
    ):
        raise ValueError(f"{name} is not an array of labels")
    dtype, values = data["dtype"], data["values"]
    known = {
        **dict.fromkeys(("b1",), bool),
        **dict.fromkeys(("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"), int),
        **dict.fromkeys(("f2", "f4", "f8"), float),
        "O": str,
    }
    width = 0
    if type(dtype) is str and dtype.startswith("U") and dtype[1:].isdecimal():
        width = int(dtype[1:])
        known[dtype] = str
    if dtype not in known or not _is_width(width, values):
        raise ValueError(f"{name} is an array of the unsupported dtype {str(dtype)[:40]!r}")
    if not all(type(value) is known[dtype] for value in values):
        raise ValueError(f"{name} contains values that are not of type {known[dtype].__name__}")
    return np.array(values, dtype=dtype)


def _is_width(width: int, values: list[Any]) -> bool:
    """Whether strings may be padded to a width: the array stays in proportion to its content.

    The width may be larger than the longest string, because NumPy keeps it when a subset of the
    samples is selected.
    """
    lengths = [len(value) for value in values if type(value) is str]
    longest = max(lengths, default=0)
    return width <= max(1000, 10 * longest) and width * len(values) <= max(
        _PADDED, 10 * sum(lengths)
    )
