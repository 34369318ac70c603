"""A module that is no chain, as C computes it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....exceptions import UnsupportedModuleError
from ....graph.exporting import exported_program
from ....graph.module_network import weights_of
from ....graph.program import Program as Operators
from ....utils.memory import out_of_memory
from ...chain import Array
from ..program import Program, Vector
from .folding import folded, readers
from .nodes import Step
from .places import Operand
from .reading import Reading
from .rules import read

#: The key of the samples.
SAMPLES = "samples"

#: How far what nodes return may be from what the module returns.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Network:
    """Steps from samples to predictions.

    Parameters
    ----------
    steps : sequence of Step
    output : Operand
    """

    steps: Sequence[Step]
    output: Operand

    @classmethod
    def of(cls, module: nn.Module, x: Tensor) -> Network:
        """The steps of a module.

        Parameters
        ----------
        module : nn.Module
            On the CPU, in evaluation mode.
        x : Tensor
            A few samples; predictions of the steps are compared with those of the module.

        Raises
        ------
        UnsupportedModuleError
            If an operator has no C form, or the module mixes samples.
        """
        program = _exported(module, x[:1])
        if len(program.inputs) != 1:
            raise UnsupportedModuleError(
                f"The network reads {len(program.inputs)} inputs, and C forms read one array. "
                "Use to_torch() or to_onnx()."
            )
        weights = {**program.constants, **weights_of(module)}
        shapes = _shapes(program, x[:1], weights)
        reading = Reading(weights, shapes)
        places = np.arange(x[0].numel()).reshape(1, *x.shape[1:])
        reading.values[program.inputs[0]] = Operand(SAMPLES, places)
        for operation in program.operations:
            read(reading, operation)
        output = reading.values[program.output]
        found = cls(*folded(reading.steps, output))
        found._compare(module, x)
        return found

    def _compare(self, module: nn.Module, x: Tensor) -> None:
        with torch.inference_mode():
            expected = module(x).double().numpy().reshape(len(x), -1)
        error = np.abs(self.run(x.double().numpy().reshape(len(x), -1)) - expected)
        if not (error <= _ROUNDING * np.maximum(1, np.abs(expected))).all():
            raise UnsupportedModuleError(
                "The network has no C form: it computes something else for one sample than for "
                "several. Use to_torch() or to_onnx()."
            )

    def values(self, x: NDArray[Any]) -> dict[Hashable, NDArray[Any]]:
        """All values, in float64."""
        found: dict[Hashable, NDArray[Any]] = {SAMPLES: x}
        for step in self.steps:
            found[step.value] = step.node.run(*(operand.read(found) for operand in step.reads))
        return found

    def run(self, x: NDArray[Any]) -> Array:
        """Predictions, (n_samples, n_outputs)."""
        return np.asarray(self.output.read(self.values(x)), dtype=np.float64)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add all calls, and return the predictions."""
        left = readers(self.steps, self.output)
        vectors: dict[Hashable, Vector] = {SAMPLES: x}
        for step in self.steps:
            for operand in step.reads:
                left[operand.value] -= 1
            given = []
            for operand in step.reads:
                whole = vectors[operand.value]
                # Nothing may be written over what is read again, or over the caller's samples.
                whole.shared = left[operand.value] > 0 or operand.value == SAMPLES
                given.append(operand.vector(program, whole))
            vectors[step.value] = step.node.write(program, *given)
        return self._as_output(program, vectors[self.output.value])

    def _as_output(self, program: Program, x: Vector) -> Vector:
        """The predictions as a vector of their own."""
        found = self.output.vector(program, x)
        if found.whole is None and not found.name:
            return found
        y = Vector(found.size)
        program.call("copy", found.size, found, y)
        return y


def _exported(module: nn.Module, x: Tensor) -> Operators:
    """The operators of a module for one sample."""
    try:
        return exported_program(module, x, any_number=False)
    except Exception as error:
        if out_of_memory(error) or isinstance(error, UnsupportedModuleError):
            raise
        raise UnsupportedModuleError(
            f"The network has no C form: torch cannot read it as operators on one sample "
            f"({str(error).strip().partition(chr(10))[0][:200]}). Use to_torch() or to_onnx()."
        ) from error


def _shapes(
    program: Operators, x: Tensor, weights: dict[str, Tensor]
) -> dict[int, tuple[int, ...]]:
    """Shapes of the values of one sample; of several tensors that of the first."""
    wanted = [operation.value for operation in program.operations]
    with torch.inference_mode():
        values = program.run(program.known(x), wanted, weights=weights)
    return {number: tuple(_first(value).shape) for number, value in values.items()}


def _first(value: Any) -> Any:
    """A tensor, or the first of several."""
    return value[0] if isinstance(value, tuple | list) else value
