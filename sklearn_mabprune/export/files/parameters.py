"""Parameters as plain data for JSON, and back, without any code in between.

What a parameter may be is a closed list: numbers, strings, None, lists, tuples, dicts, and
the classes of this library and of torch that stand in the registries below.  A name that is
read from a file is looked up there, never imported.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader

from ...criteria import CRITERIA
from ...data.batches import TensorBatches
from ...policies import POLICIES
from ...training.mlp import MLP
from ...training.nets import MLPNetClassifier, MLPNetRegressor

_CHOOSERS = {made.__name__: made for made in (*POLICIES.values(), *CRITERIA.values())}
_NETS = {made.__name__: made for made in (MLPNetClassifier, MLPNetRegressor)}

#: Classes that may be named as such: losses, optimizers and the parts of a net.
_CLASSES: dict[str, type] = {
    made.__name__: made
    for made in (
        *(getattr(nn, name) for name in nn.modules.loss.__all__),
        *(part for part in vars(torch.optim).values() if isinstance(part, type)),
        MLP, TensorBatches, Dataset, DataLoader,
    )
}  # fmt: skip

_NET_PREFIXES = (
    "module__", "criterion__", "optimizer__", "iterator_train__", "iterator_valid__", "dataset__",
    "callbacks__",
)  # fmt: skip

#: Would weaken what skorch's own load_params checks.
_NEVER_WRITTEN = {"torch_load_kwargs"}

_SPLIT = ("cv", "stratified", "random_state")


class DescriptionError(TypeError):
    """A value that plain data cannot stand for; the message says which."""


def to_plain(value: Any, name: str) -> Any:
    """A parameter as what JSON knows.

    Parameters
    ----------
    value : object
    name : str
        For errors.

    Raises
    ------
    DescriptionError
        If it is an object of another kind.
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
    if _CHOOSERS.get(kind.__name__) is kind:
        return _object(kind, value.get_params(deep=False), name)
    if kind is ValidSplit:
        return _object(kind, {part: getattr(value, part) for part in _SPLIT}, name)
    if _NETS.get(kind.__name__) is kind:
        return _object(kind, _set_parameters(value, name), name)
    raise DescriptionError(f"{name} is a {kind.__qualname__}")


def _object(kind: type, parameters: dict[str, Any], name: str) -> dict[str, Any]:
    plain = {key: to_plain(value, f"{name}.{key}") for key, value in parameters.items()}
    return {"object": kind.__name__, "parameters": plain}


def _set_parameters(net: Any, name: str) -> dict[str, Any]:
    """Parameters of a net that are not the defaults: those need not be describable."""
    default = type(net)().get_params(deep=False)
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
        if key in _NEVER_WRITTEN:
            raise DescriptionError(f"{name}.{key} is set")
        found[key] = value
    return found


def from_plain(data: Any, name: str) -> Any:
    """The value that :func:`to_plain` wrote down.

    Raises
    ------
    ValueError
        If it wrote nothing like this.
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
    raise ValueError(f"{name} is {str(data)[:80]}, which stands for nothing")


def _built(kind: str, values: dict[str, Any], name: str) -> Any:
    """An object of a registered class, with parameters that it has."""
    if kind in _CHOOSERS:
        made: Any = _CHOOSERS[kind]
        known = set(made().get_params(deep=False))
    elif kind in _NETS:
        made = _NETS[kind]
        default = made().get_params(deep=False)
        known = {key for key in default if not key.startswith("_")} - _NEVER_WRITTEN
        known |= {key for key in values if key.startswith(_NET_PREFIXES)}
    elif kind == ValidSplit.__name__:
        made, known = ValidSplit, set(_SPLIT)
    else:
        raise ValueError(f"{name} is an object of class {kind!r}, which is not one of ours")
    if not set(values) <= known:
        raise ValueError(f"{kind} has no parameter {min(set(values) - known)!r}")
    return made(**values)


# -------------------------------------------------------------------------------- labels


def labels_to_plain(labels: NDArray[Any], name: str) -> dict[str, Any]:
    """A flat array of numbers or strings.

    Raises
    ------
    DescriptionError
        If it holds anything else.
    """
    kind = labels.dtype.kind
    values = labels.tolist()
    if not (kind in "biufU" or (kind == "O" and all(type(value) is str for value in values))):
        raise DescriptionError(f"{name} holds neither numbers nor strings: {values[:5]}")
    return {"dtype": labels.dtype.str.lstrip("<>=|"), "values": values}


def labels_from_plain(data: Any, name: str) -> NDArray[Any]:
    """The array that :func:`labels_to_plain` wrote down."""
    if (
        type(data) is not dict
        or set(data) != {"dtype", "values"}
        or type(data["values"]) is not list
    ):
        raise ValueError(f"{name} is no array of labels")
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
    longest = max((len(value) for value in values if type(value) is str), default=0)
    # Labels of a training set may be a few of those of its column, which are wider.
    if dtype not in known or width > max(1000, 10 * longest):
        raise ValueError(f"{name} is an array of dtype {str(dtype)[:40]!r}")
    if not all(type(value) is known[dtype] for value in values):
        raise ValueError(f"{name} has values that are not {known[dtype].__name__}")
    return np.array(values, dtype=dtype)
