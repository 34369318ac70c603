"""Comparisons, masks and what they choose: true is 1, false is 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ....graph.program import Operation, Value, Weight
from ...chain import Array
from ..kernel import Kernel
from ..literals import number
from ..program import Program, Vector
from .formulas import FORMULAS
from .functions import joined
from .places import Operand
from .reading import Reading

#: What operators of two values do if both are true or false.
_OF_BOOLEANS = {
    "add": "logical_or", "bitwise_or": "logical_or", "mul": "logical_and",
    "bitwise_and": "logical_and", "bitwise_xor": "logical_xor", "__or__": "logical_or",
    "__and__": "logical_and", "__xor__": "logical_xor",
}  # fmt: skip
#: Comparisons with the two sides swapped.
_SWAPPED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def pair(reading: Reading, operation: Operation) -> Operand:
    """Two values, or a value and a weight or number, of which some are true or false."""
    known = _OF_BOOLEANS.get(operation.packet)
    if known and reading.dtypes[operation.value] == torch.bool:
        operation = _named(operation, known)
    elif operation.packet.startswith(("bitwise_", "__")):
        raise reading.refused(operation, " of integers")
    if operation.packet in _SWAPPED and isinstance(operation.args[0], Weight):
        one, other = operation.args[:2]
        operation = replace(_named(operation, _SWAPPED[operation.packet]), args=(other, one))
    return joined(reading, operation)


def _named(operation: Operation, packet: str) -> Operation:
    return replace(operation, name=f"aten.{packet}.default")


def negated(reading: Reading, operation: Operation) -> Operand:
    """True where the operand is 0."""
    if operation.packet == "bitwise_not" and reading.dtypes[operation.value] != torch.bool:
        raise reading.refused(operation, " of integers")
    return reading.add(operation, FORMULAS["logical_not"](), reading.operand(operation))


def converted(reading: Reading, operation: Operation) -> Operand:
    """Values in another dtype: integers lose what is behind the point, booleans are 1 or 0."""
    operand = reading.operand(operation)
    (before, after) = (
        reading.dtypes[number] for number in (operation.args[0].number, operation.value)
    )
    if after == torch.bool and before != torch.bool:
        return reading.add(operation, FORMULAS["ne"](0.0), operand)
    if before.is_floating_point and not after.is_floating_point:
        return reading.add(operation, FORMULAS["trunc"](), operand)
    return operand


def filled(reading: Reading, operation: Operation) -> Operand:
    """A number where a mask is true."""
    x, mask, value = operation.args[:3]
    return _filled(reading, operation, x, mask, value, inverted=False)


def where(reading: Reading, operation: Operation) -> Operand:
    """One of two values, or a number and a value, as a mask says."""
    mask, one, other = operation.args[:3]
    if isinstance(one, Value) and isinstance(other, Value):
        reads = [_spread(reading, operation, part) for part in (mask, one, other)]
        return reading.add(operation, Chosen(), *reads)
    if isinstance(one, Value):
        return _filled(reading, operation, one, mask, other, inverted=True)
    return _filled(reading, operation, other, mask, one, inverted=False)


def _filled(
    reading: Reading, operation: Operation, x: Any, mask: Any, value: Any, inverted: bool
) -> Operand:
    if isinstance(value, Weight) and reading.weights[value.name].numel() == 1:
        value = float(reading.weights[value.name])
    if not isinstance(value, int | float):
        raise reading.refused(operation, " with other values than numbers")
    reads = [_spread(reading, operation, part) for part in (x, mask)]
    return reading.add(operation, Filled(float(value), inverted), *reads)


def _spread(reading: Reading, operation: Operation, part: Any) -> Operand:
    """The elements of an argument, repeated where it is broadcast."""
    found = reading.values.get(part.number) if isinstance(part, Value) else None
    if not isinstance(found, Operand):
        raise reading.refused(operation, " with a mask or values that are the same for all samples")
    places = np.broadcast_to(found.places, reading.shapes[operation.value])
    return Operand(found.value, places)


@dataclass(frozen=True)
class Filled:
    """A number where a mask is not 0, or where it is."""

    value: float
    inverted: bool

    def run(self, x: Array, mask: Array) -> Array:
        """Values, of the shape of `x`."""
        return np.where((mask != 0) != self.inverted, self.value, x)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(xs[0].size)
        value = number(self.value) if np.isfinite(self.value) else _beyond(self.value)
        sign = "==" if self.inverted else "!="
        text = (
            "/* A number where a mask says so. */\n"
            "static void @@(int n, const float *u, const float *mask, float *y)\n{\n    int i;\n"
            f"    for (i = 0; i < n; i++)\n        y[i] = mask[i] {sign} 0.0f ? {value} : u[i];\n"
            "}\n"
        )
        program.call(Kernel("fill", text, 45), xs[0].size, *xs, y)
        return y


def _beyond(value: float) -> str:
    """NaN or an infinity of math.h."""
    return "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"


_CHOOSE = Kernel(
    "choose",
    """\
/* One of two values, as a mask says. */
static void @@(int n, const float *mask, const float *u, const float *v, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = mask[i] != 0.0f ? u[i] : v[i];
}
""",
    50,
)


@dataclass(frozen=True)
class Chosen:
    """The first of two values where a mask is not 0, else the second."""

    def run(self, mask: Array, one: Array, other: Array) -> Array:
        """Values, of the shape of each operand."""
        return np.where(mask != 0, one, other)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(xs[0].size)
        program.call(_CHOOSE, xs[0].size, *xs, y)
        return y
