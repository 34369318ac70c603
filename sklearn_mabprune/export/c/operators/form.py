"""A module that is no chain, as C computes it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
from ....graph.program import called
from ....utils.memory import out_of_memory
from ...chain import Array
from ..program import Program, Vector
from .folding import folded, readers
from .nodes import Step
from .places import Operand
from .reading import Reading
from .rules import read

_SAMPLES = "samples"

#: How far what nodes return may be from what the module returns.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Network:
    """Steps from samples to predictions.

    Parameters
    ----------
    steps : sequence of Step
    output : Operand
    sizes : tuple of int
        Numbers of each input of a sample; they stand one after the other.
    """

    steps: Sequence[Step]
    output: Operand
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, module: nn.Module, x: Tensor | dict[str, Tensor]) -> Network:
        """The steps of a module.

        Parameters
        ----------
        module : nn.Module
            On the CPU, in evaluation mode.
        x : Tensor or dict of Tensor
            A few samples, of one input or of several by name; predictions of the steps are
            compared with those of the module.

        Raises
        ------
        UnsupportedModuleError
            If an operator has no C form, or the module mixes samples.
        """
        one = each_input(x, lambda part: part[:1])
        program = _exported(module, one)
        weights = {**program.constants, **weights_of(module)}
        reading = Reading(weights, *_forms(program, one, weights))
        parts = list(one.values()) if isinstance(one, dict) else [one]
        for k, (number, part) in enumerate(zip(program.inputs, parts, strict=True)):
            places = np.arange(part.numel()).reshape(part.shape)
            reading.values[number] = Operand(key_of_input(k), places)
        for operation in program.operations:
            read(reading, operation)
        output = reading.values[program.output]
        found = cls(*folded(reading.steps, output), tuple(part.numel() for part in parts))
        found._compare(module, x)
        return found

    def _compare(self, module: nn.Module, x: Tensor | dict[str, Tensor]) -> None:
        with torch.inference_mode():
            outputs = called(module, x)
        expected = outputs.double().numpy().reshape(len(outputs), -1)
        try:
            error = np.abs(self.run(flat(x)) - expected)
        except Exception as failed:
            if out_of_memory(failed):
                raise
            error = np.full_like(expected, np.inf)
        if not (error <= _ROUNDING * np.maximum(1, np.abs(expected))).all():
            raise UnsupportedModuleError(
                "The network has no C form: its operators compute something else for one sample "
                "than for several. Use to_torch() or to_onnx()."
            )

    def values(self, x: NDArray[Any]) -> dict[Hashable, NDArray[Any]]:
        """All values, in float64."""
        ends = np.cumsum(self.sizes)[:-1]
        found: dict[Hashable, NDArray[Any]] = {
            key_of_input(k): part for k, part in enumerate(np.split(x, ends, axis=1))
        }
        for step in self.steps:
            found[step.value] = step.node.run(*(operand.read(found) for operand in step.reads))
        return found

    def run(self, x: NDArray[Any]) -> Array:
        """Predictions, (n_samples, n_outputs)."""
        return np.asarray(self.output.read(self.values(x)), dtype=np.float64)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add all calls, and return the predictions."""
        left = readers(self.steps, self.output)
        firsts = np.cumsum([0, *self.sizes[:-1]]).tolist()
        vectors: dict[Hashable, Vector] = {
            key_of_input(k): x if len(firsts) == 1 else x.part(first, size)
            for k, (first, size) in enumerate(zip(firsts, self.sizes, strict=True))
        }
        for step in self.steps:
            for operand in step.reads:
                left[operand.value] -= 1
            given = []
            for operand in step.reads:
                whole = vectors[operand.value]
                # Nothing may be written over what is read again, or over the caller's samples.
                whole.shared = left[operand.value] > 0 or is_input(operand.value)
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


def key_of_input(k: int) -> Hashable:
    """The key of an input."""
    return _SAMPLES, k


def is_input(value: Hashable) -> bool:
    """Whether a key is that of an input."""
    return isinstance(value, tuple) and value[0] == _SAMPLES


def each_input(x: Any, function: Callable[[Any], Any]) -> Any:
    """What a function makes of samples of one input, or of each of several by name."""
    return (
        {name: function(part) for name, part in x.items()} if isinstance(x, dict) else function(x)
    )


def flat(x: Any) -> Array:
    """Samples as numbers, all inputs side by side, (n_samples, n_numbers)."""
    parts = x.values() if isinstance(x, dict) else [x]
    arrays = [np.asarray(part, dtype=np.float64) for part in parts]
    return np.concatenate([part.reshape(len(part), -1) for part in arrays], axis=1)


def _exported(module: nn.Module, x: Tensor | dict[str, Tensor]) -> Operators:
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


def _forms(
    program: Operators, x: Tensor | dict[str, Tensor], weights: dict[str, Tensor]
) -> tuple[dict[int, tuple[int, ...]], dict[int, torch.dtype]]:
    """Shapes and dtypes of the values of one sample; of several tensors those of the first."""
    wanted = [operation.value for operation in program.operations]
    with torch.inference_mode():
        values = program.run(program.known(x), wanted, weights=weights)
    first = {number: _first(value) for number, value in {**program.known(x), **values}.items()}
    tensors = {number: value for number, value in first.items() if isinstance(value, Tensor)}
    shapes = {number: tuple(value.shape) for number, value in tensors.items()}
    return shapes, {number: value.dtype for number, value in tensors.items()}


def _first(value: Any) -> Any:
    """A tensor, or the first of several."""
    return value[0] if isinstance(value, tuple | list) else value
