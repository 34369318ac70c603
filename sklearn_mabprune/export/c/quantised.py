"""Networks in integers: weights of 8 bits, values of 16 bits, sums of 32 bits.

Symmetric quantisation with a scale for each output of a layer, and calibrated ranges of values.
Values have 16 bits because they are few: what takes memory is the weights.  TensorFlow Lite has
the same scheme as "16x8"; see Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", CVPR 2018.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...graph.kinds.registry import kind_of
from ..chain import Affine, Array, Linear, Part
from .embeddings import in_8_bits
from .layers import write
from .program import Program, Vector
from .rounding import rounded_together

#: Largest magnitude of weights and of values, and what sums may reach without their bias.
_WEIGHT, _VALUE, _SUM = 127, 2**15 - 1, 2**30

#: How far beyond the calibration samples features and hidden values may go; bits are left over.
FEATURES_BEYOND, VALUES_BEYOND = 4.0, 2.0

#: Features whose ranges differ by less than this factor have one scale.
_SIMILAR = 16.0

#: Cells of a lookup table.
_CELLS = 256

#: Bits of the factors of a layer that values of 16 bits do not need.
_SPARE_BITS = 8


@dataclass(frozen=True)
class Quantise:
    """Numbers as integers: their product with a factor, rounded.

    Parameters
    ----------
    factor : ndarray of shape (n_inputs,) or (1,)
    limit : int
        Largest magnitude; what is beyond it becomes it.
    """

    factor: Array
    limit: int

    def run(self, x: Array) -> NDArray[Any]:
        """Integers, (n_samples, n_inputs)."""
        scaled = np.clip(x * self.factor, -self.limit, self.limit)
        return np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the call."""
        y = Vector(x.size, "int16_t")
        factor, stride = program.constant("factors", self.factor), int(len(self.factor) > 1)
        program.call("quantise", factor, stride, float(self.limit), x.size, x, y)
        return y


@dataclass(frozen=True)
class IntegerLinear:
    """Weighted sums of integers; ``factor * sum`` is the number that a sum stands for.

    Parameters
    ----------
    weight : ndarray of int, shape (n_outputs, n_inputs)
    bias : ndarray of int, shape (n_outputs,)
    factor : ndarray of float, shape (n_outputs,)
    """

    weight: NDArray[np.int64]
    bias: NDArray[np.int64]
    factor: Array

    @classmethod
    def of(cls, layer: Linear, unit: Array, x: NDArray[Any]) -> IntegerLinear:
        """A layer whose inputs are integers, of which 1 stands for `unit`.

        Parameters
        ----------
        layer : Linear
        unit : ndarray of shape (n_inputs,) or (1,)
        x : ndarray of int, shape (n_samples, n_inputs)
            Calibration samples: weights are rounded so that sums of theirs change little.
        """
        weight = layer.weight * unit
        largest = np.abs(weight).max(axis=1)
        # A bias beyond all sums makes the weights of its output coarser.
        factor = np.maximum(largest / _WEIGHT, np.abs(layer.bias) / _SUM)
        factor[factor == 0] = 1.0
        scaled = weight / factor[:, None]
        whole = rounded_together(scaled, x.astype(np.float64), _WEIGHT)
        bias = layer.bias / factor + (scaled - whole) @ x.mean(axis=0)
        bias = np.clip(np.rint(bias), -_SUM, _SUM)
        return cls(whole.astype(np.int64), bias.astype(np.int64), factor)

    def sums(self, x: NDArray[Any]) -> NDArray[Any]:
        """Sums, (n_samples, n_outputs)."""
        return x @ self.weight.T + self.bias

    def run(self, x: NDArray[Any]) -> Array:
        """Numbers, (n_samples, n_outputs)."""
        return self.sums(x) * self.factor

    def constants(self, program: Program) -> tuple[Any, Any, int, int]:
        """Weights, biases, and their numbers, for a call."""
        n_outputs, n_inputs = self.weight.shape
        weight = program.constant("weights", self.weight, "int8_t")
        return weight, program.constant("biases", self.bias, "int32_t"), n_inputs, n_outputs

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the call."""
        weight, bias, n_inputs, n_outputs = self.constants(program)
        y = Vector(n_outputs)
        factor = program.constant("factors", self.factor)
        macs = n_inputs * n_outputs
        program.call("linear8_last", weight, bias, factor, n_inputs, n_outputs, x, y, macs=macs)
        return y


@dataclass(frozen=True)
class Rescaled:
    """Weighted sums of integers as integers again: a product in 64 bits, shifted.

    Parameters
    ----------
    linear : IntegerLinear
    unit : float
        What 1 stands for afterwards.
    low, high : int
        Bounds; 0 and the limit of values for a ReLU.
    shift : int
        By how many bits products are shifted.
    """

    linear: IntegerLinear
    unit: float
    low: int
    high: int
    shift: int

    @classmethod
    def of(cls, linear: IntegerLinear, unit: float, low: int, high: int) -> Rescaled:
        """With factors of 31 bits."""
        largest = float((linear.factor / unit).max())
        shift = int(np.clip(30 - np.floor(np.log2(largest)), 1, 62))
        return cls(linear, unit, low, high, shift)

    @property
    def _fixed(self) -> NDArray[np.int64]:
        """Factors as integers."""
        scaled = np.rint(self.linear.factor / self.unit * 2.0**self.shift)
        return np.minimum(scaled, 2**31 - 1).astype(np.int64)

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """Integers, (n_samples, n_outputs)."""
        product = self.linear.sums(x) * self._fixed + (1 << (self.shift - 1))
        return np.clip(product >> self.shift, self.low, self.high)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the call."""
        weight, bias, n_inputs, n_outputs = self.linear.constants(program)
        factor = program.constant("factors", self._fixed, "int32_t")
        y = Vector(n_outputs, "int16_t")
        program.call(
            "linear8", weight, bias, factor, self.shift, self.low, self.high, n_inputs, n_outputs,
            x, y, macs=n_inputs * n_outputs,
        )  # fmt: skip
        return y


@dataclass(frozen=True)
class Lookup:
    """A function of integers, linear between the entries of a table.

    Parameters
    ----------
    table : ndarray of int, shape (257,)
    """

    table: NDArray[np.int64]

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """Integers, of the shape of `x`."""
        cell, rest = np.divmod(x + 2**15, _CELLS)
        low, high = self.table[cell], self.table[cell + 1]
        return low + (((high - low) * rest + _CELLS // 2) >> 8)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the call, which overwrites `x`."""
        program.call("lookup", program.constant("table", self.table, "int16_t"), x.size, x)
        return x


@dataclass(frozen=True)
class InFloat:
    """Parts of a network that are computed in float32: what they cost grows with units alone."""

    parts: tuple[Part, ...]

    def run(self, x: Array) -> Array:
        """Numbers, (n_samples, n_outputs)."""
        return forward(self.parts, x)

    def write(self, program: Program, x: Vector) -> Vector:
        """Add the calls."""
        return write(program, list(self.parts), x)


Stage = Quantise | IntegerLinear | Rescaled | Lookup | InFloat


def forward(parts: Sequence[Part], x: Array) -> Array:
    """Values of parts of a network in float64, (n_samples, n_outputs)."""
    for part in parts:
        if isinstance(part, Linear):
            x = x @ part.weight.T + part.bias
        elif isinstance(part, Affine):
            x = x * part.factor + part.constant
        else:
            with torch.inference_mode():
                x = copy.deepcopy(part).double()(torch.as_tensor(x)).numpy()
    return x


def run(stages: Sequence[Stage], x: Array) -> Array:
    """What the C form computes for samples, but for rounding in float32."""
    for stage in stages:
        x = stage.run(x)
    return x


def quantised(parts: Sequence[Part], x: Array) -> list[Stage]:
    """The stages of a network in integers.

    Parameters
    ----------
    parts : sequence of Linear, Affine and nn.Module
        At least one Linear.
    x : ndarray of shape (n_samples, n_features)
        Calibration samples, from which the ranges of values are taken.
    """
    at = [k for k, part in enumerate(parts) if isinstance(part, Linear)]
    layers: list[Any] = [parts[k] for k in at]
    between = [tuple(parts[k + 1 : end]) for k, end in zip(at, [*at[1:], None], strict=True)]
    before = tuple(map(in_8_bits, parts[: at[0]]))
    stages: list[Stage] = [InFloat(before)] if before else []
    x = forward(before, x)
    unit, limit = _units(x, _limit(layers[0]))
    stages.append(Quantise(1 / unit, limit))
    inputs, reached = _walk(layers, between, x)
    # What each layer reads in integers: errors of the layers before are known to it.
    whole = run(stages[-1:], x)
    for k, layer in enumerate(layers[:-1]):
        linear, n_before = IntegerLinear.of(layer, unit, whole), len(stages)
        limit = _limit(layers[k + 1])
        if not between[k] or _is_relu(between[k]):
            step = _range(inputs[k]) / limit
            stages.append(Rescaled.of(linear, step, 0 if between[k] else -limit, limit))
        elif _is_function(between[k]):
            # Layers with the same activation have the same table.
            alike = [j for j in range(len(layers) - 1) if str(between[j]) == str(between[k])]
            widest = max(_range(inputs[j]) for j in alike)
            limit = min(_limit(layers[j + 1]) for j in alike)
            table, step = _table(between[k], widest, limit)
            stages += [Rescaled.of(linear, widest / _VALUE, -_VALUE, _VALUE), Lookup(table)]
        else:
            step = _range(reached[k]) / limit
            stages += [linear, InFloat(between[k]), Quantise(np.array([1 / step]), limit)]
        unit, whole = np.array([step]), run(stages[n_before:], whole)
    stages.append(IntegerLinear.of(layers[-1], unit, whole))
    if between[-1]:
        stages.append(InFloat(between[-1]))
    return _shifted_alike(stages)


def _shifted_alike(stages: list[Stage]) -> list[Stage]:
    """Stages that shift by the same number of bits where that costs few bits of their factors.

    Calls with the same arguments are less code.
    """
    least = min((stage.shift for stage in stages if isinstance(stage, Rescaled)), default=0)
    return [
        replace(stage, shift=least)
        if isinstance(stage, Rescaled) and stage.shift - least <= _SPARE_BITS
        else stage
        for stage in stages
    ]


def _walk(
    layers: list[Linear], between: list[tuple[Part, ...]], x: Array
) -> tuple[list[Array], list[Array]]:
    """What layers return, and what the parts after them make of it."""
    inputs, reached = [], []
    for layer, parts in zip(layers, between, strict=True):
        inputs.append(forward([layer], x))
        x = forward(parts, inputs[-1])
        reached.append(x)
    return inputs, reached


def _limit(layer: Linear) -> int:
    """The largest input of a layer with which no sum overflows."""
    return largest_input(layer.weight.shape[1])


def largest_input(n_inputs: int) -> int:
    """The largest integer of which a sum with so many weights does not overflow."""
    return min(_VALUE, _SUM // (_WEIGHT * n_inputs))


def _units(x: Array, limit: int) -> tuple[Array, int]:
    """What 1 stands for in each feature, or in all, and the largest integer."""
    largest = np.abs(x).max(axis=0)
    used = largest[largest > 0]
    if len(used) == 0:
        return np.ones(1), limit
    if used.max() <= _SIMILAR * used.min():
        largest = used.max(keepdims=True)
    largest = np.where(largest > 0, largest, used.min())
    return largest * FEATURES_BEYOND / limit, limit


def _range(x: Array) -> float:
    """The largest magnitude that hidden values may have."""
    return float(np.abs(x).max()) * VALUES_BEYOND or 1.0


def _is_relu(parts: tuple[Part, ...]) -> bool:
    return len(parts) == 1 and isinstance(parts[0], nn.ReLU)


def _is_function(parts: tuple[Part, ...]) -> bool:
    """Whether parts are one function for all units, so that a table can take their place."""
    kinds: list[Any] = [kind_of(part) for part in parts if isinstance(part, nn.Module)]
    return len(kinds) == len(parts) and all(k.elementwise and not k.has_state for k in kinds)


def _table(parts: tuple[Part, ...], widest: float, limit: int) -> tuple[NDArray[np.int64], float]:
    """A function as a table over ``[-widest, widest]``, and what 1 stands for in its values."""
    grid = np.arange(-(_CELLS // 2), _CELLS // 2 + 1) * (_CELLS * widest / _VALUE)
    values = forward(parts, grid.astype(np.float64))
    step = float(np.abs(values).max()) / limit or 1.0
    return np.rint(values / step).astype(np.int64), step
