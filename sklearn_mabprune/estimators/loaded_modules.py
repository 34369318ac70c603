"""Users' modules of saved estimators, built by what the caller passes and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.sparse import outputs_of
from ..export.files.container import Tensors, shown
from ..export.files.parameters import from_plain, is_user_net
from ..graph.compact import narrowed_module
from ..graph.frozen import freeze, frozen_names
from ..graph.lazy import InputForm, drawn
from ..graph.narrowing import narrowing_from_plain
from ..utils.memory import out_of_memory
from ..utils.randomness import global_generators
from .loaded_networks import finite_array, freeze_named, require, values_of

#: Numbers of a sample, and parameters of the module before it was pruned for each of the file: a
#: file of few bytes may name many, and each takes memory.
_MAX_NUMBERS, _MAX_TIMES, _FREE = 2**24, 10_000, 10**7


@dataclass(frozen=True)
class LoadedModule:
    """A user's module in a file.

    Parameters
    ----------
    arguments : dict
        Of :func:`~sklearn_mabprune.graph.compact.narrowed_module`.
    state : dict of str to Tensor
        Weights of the smaller module.
    frozen : tuple of str
        Names of those that no training changes.
    form : list of (str or None, list of int, str)
        Its inputs.
    n_outputs : int
    dtype : torch.dtype
    sizes : tuple of int
        Units of each group; the report knows them.
    """

    arguments: dict[str, Any]
    state: dict[str, Tensor]
    frozen: tuple[str, ...]
    form: InputForm
    n_outputs: int
    dtype: torch.dtype
    sizes: tuple[int, ...] = ()

    def fill(self, module: nn.Module) -> None:
        """Give a module that was built from the arguments the weights of the file."""
        module.load_state_dict(self.state)
        freeze(module, self.frozen)

    @property
    def input_shape(self) -> Any:
        """Shape of a sample; of several inputs by name."""
        shapes = {name: tuple(shape) for name, shape, _ in self.form}
        return shapes.get(None, shapes)

    @property
    def n_inputs(self) -> int | None:
        """Length of the first axis of a sample; None for several inputs."""
        return None if isinstance(self.input_shape, dict) else self.input_shape[0]

    @property
    def reads_integers(self) -> Any:
        """Whether a single input is of integers; dtypes of those of several that are no floats."""
        kinds = {name: kind for name, _, kind in self.form if not kind.startswith("float")}
        return kinds if isinstance(self.input_shape, dict) else bool(kinds)


def class_named(content: Any) -> str | None:
    """Name of the class of the module whose weights are in a file; None: a chain of layers."""
    try:
        name: str | None = content["net"]["network"].get("name")
    except (KeyError, TypeError, AttributeError):
        return None  # said better when the file is read
    return name


def check_given(path: Any, content: Any, module: Any) -> None:
    """Refuse a `module` that is missing, not needed or cannot be called.

    Raises
    ------
    TypeError
    """
    name = class_named(content)
    parameters = content.get("parameters")
    made = parameters.get("estimator") if type(parameters) is dict else None
    if name is not None and module is None:
        own = shown(str(name))
        raise TypeError(
            f"{path} has the weights of a module of the class {own}, and no code is imported by "
            f"the name in a file. Pass the class: load(path, module={own.rsplit('.')[-1]})."
        )
    if module is None:
        return
    if name is None and not is_user_net(made):
        raise TypeError(
            f"load() was given module, but the network in {path} is a chain of layers, which is "
            "built without it. Leave it out."
        )
    if isinstance(module, nn.Module):
        own = type(module).__name__
        raise TypeError(
            f"module must be the class of the module, or the function that makes it; an object of "
            f"the class {own} was given. Pass the class: load(path, module={own})."
        )
    if not callable(module):
        raise TypeError(
            f"module={shown(repr(module))} must be the class of the module, or the function that "
            "makes it."
        )


def user_module_from_plain(data: Any, module: Any, tensors: Tensors) -> LoadedModule:
    """The module that a file describes; its weights are removed from `tensors`.

    Parameters
    ----------
    data : object
        From the JSON part of a file.
    module : class or function
        Of the caller.
    tensors : dict of str to ndarray

    Raises
    ------
    ValueError
        If `module` does not build one with the weights of the file.
    """
    name, arguments, narrowing, form, frozen = values_of(
        data, "network", "name", "arguments", "narrowing", "form", "frozen"
    )
    require(type(name) is str, "the name of its module is not a string")
    inputs = _form(form)
    given = from_plain(arguments, "module")
    require(
        type(given) is dict and all(type(key) is str for key in given),
        "the arguments of its module are not a dictionary",
    )
    arrays = {
        key.removeprefix("module."): tensors.pop(key)
        for key in list(tensors)
        if key.startswith("module.")
    }
    who = f"module={getattr(module, '__name__', module)}"
    with global_generators(0, "cpu"):
        _check_size(module, given, arrays)
        try:
            whole = narrowed_module(module, given, {"tensors": {}, "attributes": {}}, inputs)
        except Exception as error:
            if out_of_memory(error):
                raise
            raise ValueError(
                f"{who} fails with the arguments that were saved for {name[:80]}: {error}"
            ) from error
        stay = narrowing_from_plain(narrowing, whole)
        made = {"module": module, "arguments": given, "narrowing": stay, "form": inputs}
        built = narrowed_module(**made)
    expected = built.state_dict()
    require(
        expected.keys() == arrays.keys(),
        f"{who} has other weights than those that were saved for {name[:80]}",
    )
    for key, value in expected.items():
        kind = np.dtype(str(value.dtype).removeprefix("torch."))
        finite_array(arrays[key], f"{who} has {key}, which", tuple(value.shape), kind)
    state = {key: torch.as_tensor(array) for key, array in arrays.items()}
    built.load_state_dict(state)
    with torch.no_grad():
        outputs = outputs_of(built.eval(), drawn(inputs, 2))
    require(outputs.shape[:1] == (2,) and outputs.dim() == 2, f"{who} returns other outputs")
    dtype = next(built.parameters()).dtype
    freeze_named(built, frozen, who)
    return LoadedModule(made, state, frozen_names(built), inputs, outputs.shape[1], dtype)


def _form(data: Any) -> InputForm:
    """Inputs of a module, checked."""
    require(type(data) is list and len(data) > 0, "the inputs of its module are not a list")
    found: InputForm = []
    for entry in data:
        require(type(entry) is list and len(entry) == 3, "an input of its module is not described")
        name, shape, kind = entry
        require(
            (type(name) is str or (name is None and len(data) == 1))
            and type(shape) is list
            and all(type(size) is int and size > 0 for size in shape)
            and math.prod(shape) <= _MAX_NUMBERS
            and kind in ("float32", "float64", "int64", "bool")
            and name not in [other for other, _, _ in found],
            "an input of its module is not described",
        )
        found.append((name, shape, kind))
    return found


def _check_size(module: Any, arguments: dict[str, Any], arrays: Tensors) -> None:
    """Refuse arguments of a module that is far larger than what the file holds of it.

    It is built without memory first; one that cannot be is built as it is.
    """
    try:
        with torch.device("meta"):
            whole = module(**arguments)
        count = sum(parameter.numel() for parameter in whole.parameters())
    except Exception:
        return
    held = sum(array.size for array in arrays.values())
    require(
        count <= _FREE + _MAX_TIMES * held,
        f"its module has {count:,} parameters, of which the file has {held:,}",
    )
