"""Operators that compute in integers of 16 bits, with weights of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...chain import Array, Linear
from ..program import Program, Vector
from ..quantised import IntegerLinear
from . import integer_kernels as kernels
from .elements import Together
from .nodes import Convolution, Pooled, Reduced, Windows
from .places import copy_to

Integers = NDArray[np.int64]

#: Largest magnitude of values.
VALUE = 2**15 - 1


def fixed(factor: float) -> tuple[int, int]:
    """A factor as an integer of 31 bits, and the number of bits by which products are shifted."""
    shift = int(np.clip(30 - np.floor(np.log2(factor)), 1, 62))
    return int(min(np.rint(factor * 2.0**shift), 2**31 - 1)), shift


def _rescaled(products: Integers, shift: int, low: int, high: int) -> Integers:
    return np.clip((products + (1 << (shift - 1))) >> shift, low, high)


@dataclass(frozen=True)
class Integers16:
    """Numbers as integers: their quotient by a unit, rounded."""

    unit: float
    limit: int

    def run(self, x: Array) -> Integers:
        """Integers, of the shape of `x`."""
        scaled = np.clip(x / self.unit, -self.limit, self.limit)
        return np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(xs[0].size, "int16_t")
        factor = program.constant("factors", [1 / self.unit])
        program.call("quantise", factor, 0, float(self.limit), xs[0].size, xs[0], y)
        return y


@dataclass(frozen=True)
class Numbers:
    """Integers as the numbers that they stand for."""

    unit: float

    def run(self, x: Integers) -> Array:
        """Numbers, of the shape of `x`."""
        return np.asarray(x * self.unit)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(xs[0].size)
        program.call(kernels.NUMBERS, float(self.unit), xs[0].size, xs[0], y)
        return y


@dataclass(frozen=True)
class IntegerWeighted:
    """Weighted sums in integers, rescaled to integers within bounds, or as numbers.

    Parameters
    ----------
    node : Weighted or Convolution
        Where the weights stand.
    linear : IntegerLinear
        The weights, (n_outputs, n_inputs).
    unit : float or None
        What 1 stands for afterwards; None: the sums become numbers.
    low, high : int
        Bounds; `low` is 0 for a ReLU.
    shift : int
    """

    node: Any
    linear: IntegerLinear
    unit: float | None
    low: int = -VALUE
    high: int = VALUE
    shift: int = 0

    @classmethod
    def of(
        cls, node: Any, unit_before: float, x: Integers, unit: float | None, low: int, high: int
    ) -> IntegerWeighted:
        """The sums of a node whose inputs are integers, of which 1 stands for `unit_before`."""
        groups = [
            IntegerLinear.of(
                Linear(node.weight[rows], node.bias[rows]), np.array([unit_before]), inputs
            )
            for rows, inputs in node.inputs(x)
        ]
        linear = IntegerLinear(
            np.concatenate([group.weight for group in groups]),
            np.concatenate([group.bias for group in groups]),
            np.concatenate([group.factor for group in groups]),
        )
        if unit is None:
            return cls(node, linear, None)
        return cls(node, linear, unit, low, high, fixed(float((linear.factor / unit).max()))[1])

    @property
    def _factors(self) -> Integers:
        assert self.unit is not None
        scaled = np.rint(self.linear.factor / self.unit * 2.0**self.shift)
        return np.minimum(scaled, 2**31 - 1).astype(np.int64)

    def sums(self, x: Integers) -> Integers:
        """Sums of 32 bits, (n_samples, n_elements)."""
        integers = type(self.node)(
            self.linear.weight.astype(float), self.linear.bias.astype(float), *_place(self.node)
        )
        return np.rint(integers.run(x.astype(float))).astype(np.int64)

    def _of_outputs(self, values: NDArray[Any]) -> NDArray[Any]:
        """A value of each output, for all elements."""
        return np.tile(np.repeat(values, self.node.inner), self.node.rows)

    def run(self, x: Integers) -> NDArray[Any]:
        """Integers or numbers, (n_samples, n_elements)."""
        if self.unit is None:
            return self.sums(x) * self._of_outputs(self.linear.factor)
        products = self.sums(x) * self._of_outputs(self._factors)
        return _rescaled(products, self.shift, self.low, self.high)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        node, n, m = self.node, self.node.n_inputs, len(self.node.bias)
        weight = program.constant("weights", self.linear.weight, "int8_t")
        bias = program.constant("biases", self.linear.bias, "int32_t")
        if self.unit is None:
            y, factor = Vector(m), program.constant("factors", self.linear.factor)
            program.call("linear8_last", weight, bias, factor, n, m, xs[0], y, macs=node.macs)
            return y
        y = Vector(node.rows * node.inner * m, "int16_t")
        factor = program.constant("factors", self._factors, "int32_t")
        scaling = factor, self.shift, self.low, self.high
        if isinstance(node, Convolution):
            sizes = node.sizes(program)
            program.call(kernels.CONV8, sizes, weight, bias, *scaling, xs[0], y, macs=node.macs)
        elif node.rows == 1:
            program.call("linear8", weight, bias, *scaling, n, m, xs[0], y, macs=node.macs)
        else:
            program.call(
                kernels.LINEAR8_ROWS, weight, bias, *scaling, node.rows, n, m, xs[0], y,
                macs=node.macs,
            )  # fmt: skip
        return y


def _place(node: Any) -> tuple[Any, ...]:
    """What a node has beside its weights and biases."""
    return (node.groups, node.windows) if isinstance(node, Convolution) else (node.rows,)


@dataclass(frozen=True)
class Same:
    """The identity: what a step before has computed already."""

    def run(self, x: Integers) -> Integers:
        """The integers."""
        return x

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Nothing to add."""
        return xs[0]


@dataclass(frozen=True)
class Rectified:
    """max(0, x)."""

    def run(self, x: Integers) -> Integers:
        """Integers, of the shape of `x`."""
        return np.maximum(x, 0)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = program.target(xs[0])
        program.call(kernels.RELU16, xs[0].size, xs[0], y)
        return y


@dataclass(frozen=True)
class Looked:
    """A function of each integer, as a table that is linear between its entries.

    Parameters
    ----------
    lookup : Lookup
    """

    lookup: Any

    def run(self, x: Integers) -> Integers:
        """Integers, of the shape of `x`."""
        return np.asarray(self.lookup.run(x))

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call, and a copy before it if `x` is read again."""
        x = xs[0]
        if x.shared:
            y = Vector(x.size, "int16_t")
            copy_to(program, x, y, np.arange(x.size))
            x = y
        return self.lookup.write(program, x)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class IntegerPooled:
    """The largest integer, or the rescaled sum, of each window of each channel."""

    windows: Windows
    factor: float | None
    limit: int

    def run(self, x: Integers) -> Integers:
        """Integers, (n_samples, n_channels * n_windows)."""
        if self.factor is None:
            return Pooled(self.windows).run(x.astype(float)).astype(np.int64)
        sums = Pooled(self.windows, 1.0).run(x.astype(float)).astype(np.int64)
        factor, shift = fixed(self.factor)
        return _rescaled(sums * factor, shift, -self.limit, self.limit)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(self.windows.channels * self.windows.n_outputs, "int16_t")
        sizes = self.windows.constant(program, self.windows.channels)
        if self.factor is None:
            program.call(kernels.LARGEST16, sizes, xs[0], y)
        else:
            program.call(kernels.MEAN16, sizes, *fixed(self.factor), self.limit, xs[0], y)
        return y


@dataclass(frozen=True)
class IntegerReduced:
    """Rescaled sums of `n` integers that stand `m` apart."""

    node: Reduced
    factor: float
    limit: int

    def run(self, x: Integers) -> Integers:
        """Integers, (n_samples, count * m)."""
        node, (factor, shift) = self.node, fixed(self.factor)
        sums = x.reshape(len(x), node.count, node.n, node.m).sum(axis=2)
        found = _rescaled(sums * factor, shift, -self.limit, self.limit)
        return found.reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        node = self.node
        y = Vector(node.count * node.m, "int16_t")
        scaling = *fixed(self.factor), self.limit
        program.call(kernels.REDUCED16, *scaling, node.count, node.n, node.m, xs[0], y)
        return y


@dataclass(frozen=True)
class IntegerSum:
    """Sums of two integers times factors of 30 bits."""

    factors: tuple[float, float]
    limit: int

    def _fixed(self) -> tuple[int, int, int]:
        _, shift = fixed(2 * max(map(abs, self.factors)))
        one, other = (int(np.rint(factor * 2.0**shift)) for factor in self.factors)
        return one, other, shift

    def run(self, *xs: Integers) -> Integers:
        """Integers, of the shape of each operand."""
        one, other, shift = self._fixed()
        return _rescaled(xs[0] * one + xs[1] * other, shift, -self.limit, self.limit)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        x, other = xs
        y = program.target(x)
        if other.place[0] is x.place[0] and other.place[1] != x.place[1]:
            y = Vector(x.size, x.kind)
        program.call(kernels.SUM16, *self._fixed(), self.limit, x.size, x, other, y)
        return y


@dataclass(frozen=True)
class IntegerTogether:
    """Several values as one, each times a factor."""

    node: Together
    factors: tuple[float, ...]
    limit: int

    def run(self, *xs: Integers) -> Integers:
        """Elements of all values, (n_samples, n_elements)."""
        scaled = []
        for x, given in zip(xs, self.factors, strict=True):
            factor, shift = fixed(given)
            scaled.append(_rescaled(x * factor, shift, -self.limit, self.limit))
        return self.node.run(*scaled)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the calls."""
        scaled = []
        for x, factor in zip(xs, self.factors, strict=True):
            y = program.target(x)
            program.call(kernels.SCALE16, *fixed(factor), self.limit, x.size, x, y)
            scaled.append(y)
        return self.node.write(program, *scaled)


@dataclass(frozen=True)
class IntegerEmbedded:
    """Rows of a table of 8 bits, by codes, times 128."""

    table: Integers

    def run(self, x: Array) -> Integers:
        """Rows side by side, (n_samples, n_codes * n_columns)."""
        return 128 * self.table[x.astype(np.int64)].reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        n_rows, m = self.table.shape
        y = Vector(xs[0].size * m, "int16_t")
        table = program.constant("weights", self.table, "int8_t")
        program.call(kernels.EMBED8, table, n_rows, m, xs[0].size, xs[0], y)
        return y
