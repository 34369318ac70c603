"""Operations of a module on their way to nodes that have C forms."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from ....exceptions import UnsupportedModuleError
from ....graph.program import Operation, Value, Weight
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

    Attributes
    ----------
    steps : list of Step
    values : dict of int to (Operand or list of Operand)
        By the number of a value: the elements that it consists of.
    """

    weights: Mapping[str, Tensor]
    shapes: Mapping[int, tuple[int, ...]]
    steps: list[Step] = field(default_factory=list)
    values: dict[int, Any] = field(default_factory=dict)

    def refused(self, operation: Operation, why: str = "") -> UnsupportedModuleError:
        """The error for an operation without a C form."""
        what = re.sub(r"^recurrent of", "The recurrent layer", operation.what)
        return UnsupportedModuleError(
            f"{what}{why} has no C form. Replace it, or export the network with "
            "to_torch() or to_onnx()."
        )

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
