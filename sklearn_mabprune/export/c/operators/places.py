"""Which elements of a value an operator reads, and how C code reaches them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....exceptions import UnsupportedModuleError
from ..program import Program, Vector
from .kernels import COPY, MOVE, PICK

Places = NDArray[np.int64]

#: Loops of the function that moves elements, and the largest place in a table.
_LOOPS, _LARGEST = 4, np.iinfo(np.int16).max


@dataclass(frozen=True)
class Operand:
    """Elements of a value in an order of their own.

    Parameters
    ----------
    value : hashable
        The key of the value.
    places : ndarray of int
        Of each element in the value, in any shape; -1: the element is 0.
    """

    value: Hashable
    places: Places

    def read(self, values: Mapping[Hashable, NDArray[Any]]) -> NDArray[Any]:
        """The elements for samples, (n_samples, n_elements)."""
        x, places = values[self.value], self.places.ravel()
        if np.array_equal(places, np.arange(x.shape[1])):
            return x
        found = x[:, places]
        found[:, places < 0] = 0
        return found

    def vector(self, program: Program, x: Vector) -> Vector:
        """The elements side by side: a part of the value, or a copy of them."""
        places = self.places.ravel()
        if _is_range(places):
            return x if len(places) == x.size else x.part(int(places[0]), len(places))
        y = Vector(len(places), x.kind)
        target = np.arange(len(places)).reshape(self.places.shape)
        loops = None if places.min() < 0 else _loops(self.places, target)
        if loops is not None:
            _move(program, loops, x, y)
            return y
        if places.max() > _LARGEST:
            raise UnsupportedModuleError(
                f"The network picks elements beyond the first {_LARGEST:,} of a value, for which "
                "there is no C form. Use to_torch() or to_onnx()."
            )
        program.call(PICK[x.kind], program.constant("places", places, "int16_t"), len(places), x, y)
        return y


def copy_to(program: Program, x: Vector, y: Vector, places: Places) -> None:
    """Add the call that writes all elements of a vector to places in another one."""
    flat = places.ravel()
    if _is_range(flat):
        program.call(COPY[x.kind], x.size, x, y.part(int(flat[0]), x.size))
        return
    loops = _loops(np.arange(flat.size).reshape(places.shape), places)
    if loops is None:
        raise UnsupportedModuleError(
            "The network joins values in an order for which there is no C form. Use to_torch() or "
            "to_onnx()."
        )
    _move(program, loops, x, y)


def _is_range(places: Places) -> bool:
    return places[0] >= 0 and bool((np.diff(places) == 1).all())


def _move(program: Program, loops: list[list[int]], x: Vector, y: Vector) -> None:
    """Add the call of nested loops; offsets are those of parts."""
    (first, to), *each = loops
    sizes, strides, targets = zip(*each, strict=True)
    table = program.constant("strides", [*sizes, *strides, *targets], "int32_t")
    source, target = x.part(first, x.size - first), y.part(to, y.size - to)
    program.call(MOVE[x.kind], table, source, target)


def _loops(source: Places, target: Places) -> list[list[int]] | None:
    """Nested loops that go through two arrays of places at once; None if there are none.

    Returns
    -------
    list of list of int
        First places of both; then size and distances of each loop, outermost first.
    """
    steps: list[list[int]] = []
    for axis, size in enumerate(source.shape):
        if size > 1:
            step = [size]
            for places in (source, target):
                differences = np.diff(places, axis=axis)
                if (differences != differences.flat[0]).any():
                    return None
                step.append(int(differences.flat[0]))
            before = steps[-1] if steps else None
            if before and before[1:] == [size * distance for distance in step[1:]]:
                steps[-1] = [before[0] * size, *step[1:]]
            else:
                steps.append(step)
    if len(steps) > _LOOPS or any(distance < 0 for step in steps for distance in step):
        return None
    firsts = [int(source.flat[0]), int(target.flat[0])]
    return [firsts, *[[1, 0, 0]] * (_LOOPS - len(steps)), *steps]
