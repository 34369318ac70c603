"""Operations of a module on their way to nodes that have C forms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....exceptions import UnsupportedModuleError
from ....graph.program import Operation, Value, Weight, leaves
from ...chain import Array
from .nodes import Node, Step
from .places import Operand


@dataclass
class Reading:
    """Operations on their way to nodes.

    Parameters
    ----------
    weights : dict of str to Tensor
        Parameters, buffers and constants.
    shapes : dict of int to tuple of int
        Of the values of one sample, by number.
    dtypes : dict of int to torch.dtype
        Of the same, and of the inputs.

    Attributes
    ----------
    steps : list of Step
    values : dict of int to (Operand or list of Operand)
        By the number of a value: the elements that it consists of.
    """

    weights: dict[str, Tensor]
    shapes: Mapping[int, tuple[int, ...]]
    dtypes: Mapping[int, torch.dtype]
    steps: list[Step] = field(default_factory=list)
    values: dict[int, Any] = field(default_factory=dict)

    def refused(self, operation: Operation, why: str = "") -> UnsupportedModuleError:
        """The error for an operation without a C form."""
        what = re.sub(r"^recurrent of", "The recurrent layer", operation.what)
        return UnsupportedModuleError(
            f"{what}{why} has no C form. Replace it, or export the network with "
            "to_torch() or to_onnx()."
        )

    def with_constants(self, operation: Operation) -> Operation:
        """The operation with weights in place of values that are the same for all samples."""

        def found(part: Any) -> Any:
            if isinstance(part, list | tuple):
                return type(part)(map(found, part))
            value = self.values.get(part.number) if isinstance(part, Value) else None
            return value if isinstance(value, Weight) else part

        return replace(operation, args=found(operation.args))

    def fold(self, operation: Operation) -> bool:
        """Compute what is the same for all samples, such as a weight with its norm."""
        parts = list(leaves((operation.args, operation.kwargs)))
        if any(isinstance(part, Value) for part in parts):
            return False

        def tensors(part: Any) -> Any:
            if isinstance(part, list | tuple):
                return type(part)(map(tensors, part))
            return self.weights[part.name].detach() if isinstance(part, Weight) else part

        result = operation.operator(*tensors(operation.args), **operation.kwargs)
        if not isinstance(result, Tensor):
            return False
        name = f"value {operation.value}"
        self.weights[name] = result
        self.values[operation.value] = Weight(name)
        return True

    def operand(self, operation: Operation, k: int = 0) -> Operand:
        """The elements of an argument."""
        argument = operation.args[k]
        found = self.values.get(argument.number) if isinstance(argument, Value) else None
        if not isinstance(found, Operand):
            raise self.refused(operation)
        return found

    def array(self, operation: Operation, argument: Any) -> Array:
        """A weight, in float64."""
        if not isinstance(argument, Weight):
            raise self.refused(operation, " with weights that are computed")
        return np.asarray(self.weights[argument.name].detach().double().numpy())

    def bias(self, operation: Operation, k: int, width: int) -> Array:
        """A weight that may be missing: then it is 0."""
        if len(operation.args) <= k or operation.args[k] is None:
            return np.zeros(width)
        return self.array(operation, operation.args[k])

    def add(self, operation: Operation, node: Node, *reads: Operand) -> Operand:
        """Add a node, and return its elements in the shape of the operation's value."""
        shape = self.shapes[operation.value]
        places = np.arange(math.prod(shape)).reshape(shape)
        return Operand(self.append(operation, node, *reads), places)

    def append(self, operation: Operation, node: Node, *reads: Operand) -> int:
        """Add a node, and return the key of its value."""
        self.steps.append(Step(operation.value, node, reads))
        return operation.value
