"""Rules of operators that sum or compare: linear layers, convolutions, pooling, means."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ....graph.program import Operation
from ...chain import Array
from .elements import Embedded
from .functions import joined
from .nodes import Convolution, Pooled, Reduced, Weighted, Windows
from .places import Operand
from .reading import Reading


def linear(reading: Reading, operation: Operation) -> Operand:
    """A linear layer."""
    operand = reading.operand(operation)
    weight = reading.array(operation, operation.args[1])
    return _weighted(reading, operation, operand, weight, reading.bias(operation, 2, len(weight)))


def matmul(reading: Reading, operation: Operation) -> Operand:
    """A product with a weight on the right."""
    operand = reading.operand(operation)
    weight = reading.array(operation, operation.args[1])
    if weight.ndim == 3 and operand.places.shape[1:] == (len(weight), 1, weight.shape[1]):
        return _each_its_own(reading, operation, operand, weight)
    if weight.ndim != 2:
        raise reading.refused(operation)
    return _weighted(reading, operation, operand, weight.T, np.zeros(weight.shape[1]))


def _each_its_own(
    reading: Reading, operation: Operation, operand: Operand, weight: Array
) -> Operand:
    """A weight for each of several rows, as a convolution of groups over one element."""
    n, n_inputs, n_outputs = weight.shape
    one = (1, 1)
    windows = Windows(n * n_inputs, 1, 1, one, one, one, (0, 0), one)
    rows = weight.transpose(0, 2, 1).reshape(n * n_outputs, n_inputs)
    return reading.add(operation, Convolution(rows, np.zeros(len(rows)), n, windows), operand)


def addmm(reading: Reading, operation: Operation) -> Operand:
    """A product with a weight on the right, plus a bias."""
    operand, weight = reading.operand(operation, 1), reading.array(operation, operation.args[2])
    return _weighted(
        reading, operation, operand, weight.T, reading.array(operation, operation.args[0])
    )


def _weighted(
    reading: Reading, operation: Operation, operand: Operand, weight: Array, bias: Array
) -> Operand:
    rows = operand.places.size // weight.shape[1]
    return reading.add(operation, Weighted(weight, bias, rows), operand)


def _pair(value: Any, default: int, images: bool) -> tuple[int, int]:
    """Rows and columns; a sequence has one row."""
    parts = [default] if value is None or value == [] else list(np.atleast_1d(value))
    if images:
        return int(parts[0]), int(parts[-1])
    return (1 if default else 0), int(parts[0])


def _windows(
    reading: Reading,
    operation: Operation,
    operand: Operand,
    kernel: Any,
    stride: Any,
    padding: Any = 0,
    dilation: Any = 1,
) -> Windows:
    """Windows of the images or sequences that an operation reads."""
    shape, outputs = operand.places.shape, reading.shapes[operation.value]
    images = "2d" in operation.packet
    n_axes = 2 if images else 1
    if len(shape) == n_axes + 2 and shape[0] != 1:
        raise reading.refused(operation, " over several images or sequences of one sample")
    size, produced = (1, *shape[-n_axes:])[-2:], (1, *outputs[-n_axes:])[-2:]
    found = Windows(
        shape[-n_axes - 1],
        size[0],
        size[1],
        _pair(kernel, 1, images),
        (produced[0], produced[1]),
        _pair(stride, 1, images),
        _pair(padding, 0, images),
        _pair(dilation, 1, images),
    )
    if max(*size, *found.outputs, found.channels) > np.iinfo(np.int16).max:
        raise reading.refused(operation, f" of {shape[1:]} values")
    return found


def convolution(reading: Reading, operation: Operation) -> Operand:
    """A convolution over images or sequences."""
    defaults = (None, None, None, [1], [0], [1], 1)
    args = (*operation.args, *defaults[len(operation.args) :])
    operand, weight = reading.operand(operation), reading.array(operation, args[1])
    stride, padding, dilation, groups = args[3:]
    if isinstance(padding, str):
        reach = [
            (size - 1) * step
            for size, step in zip(
                weight.shape[2:], np.broadcast_to(dilation, weight.ndim - 2), strict=True
            )
        ]
        # What is missing on the other side is taken to be 0.
        padding = [total // 2 for total in reach] if padding == "same" else [0]
    windows = _windows(reading, operation, operand, weight.shape[2:], stride, padding, dilation)
    bias = reading.bias(operation, 2, len(weight))
    node = Convolution(weight.reshape(len(weight), -1), bias, groups, windows)
    return reading.add(operation, node, operand)


def embedding(reading: Reading, operation: Operation) -> Operand:
    """Rows of a table."""
    table = reading.array(operation, operation.args[0])
    return reading.add(operation, Embedded(table), reading.operand(operation, 1))


def max_pool(reading: Reading, operation: Operation) -> Operand:
    """Largest value of each window."""
    args = (*operation.args[1:], *_POOL[len(operation.args) - 1 :])
    kernel, stride, padding, dilation, _ = args
    operand = reading.operand(operation)
    windows = _windows(reading, operation, operand, kernel, stride or kernel, padding, dilation)
    return reading.add(operation, Pooled(windows), operand)


_POOL: tuple[Any, ...] = (None, [], 0, 1, False)


def avg_pool(reading: Reading, operation: Operation) -> Operand:
    """Mean of each window."""
    defaults: tuple[Any, ...] = (None, [], 0, False, True, None)
    args = (*operation.args[1:], *defaults[len(operation.args) - 1 :])
    kernel, stride, padding, ceil, includes, divisor = args
    if ceil or (np.any(padding) and not includes):
        raise reading.refused(operation, " with ceil_mode=True or count_include_pad=False")
    operand = reading.operand(operation)
    windows = _windows(reading, operation, operand, kernel, stride or kernel, padding)
    node = Pooled(windows, 1 / (divisor or math.prod(windows.kernel)))
    return reading.add(operation, node, operand)


def adaptive(reading: Reading, operation: Operation) -> Operand:
    """Means of windows that divide an image or a sequence."""
    operand = reading.operand(operation)
    n_axes = 2 if "2d" in operation.packet else 1
    size, outputs = operand.places.shape[-n_axes:], reading.shapes[operation.value][-n_axes:]
    if any(n % m for n, m in zip(size, outputs, strict=True)):
        raise reading.refused(operation, f" from {size} to {outputs}")
    kernel = [n // m for n, m in zip(size, outputs, strict=True)]
    windows = _windows(reading, operation, operand, kernel, kernel)
    return reading.add(operation, Pooled(windows, 1 / math.prod(kernel)), operand)


def reduced(reading: Reading, operation: Operation) -> Operand:
    """Mean, sum or largest value along axes that stand side by side."""
    operand = reading.operand(operation)
    shape = operand.places.shape
    given = operation.args[1] if len(operation.args) > 1 and operation.args[1] != [] else None
    every = range(1, len(shape))
    axes = sorted(axis % len(shape) for axis in np.atleast_1d(every if given is None else given))
    # The samples are one; the steps of a sequence may come before them.
    if (0 in axes and shape[0] == 1) or axes != list(range(axes[0], axes[-1] + 1)):
        raise reading.refused(operation, f" along {given}")
    n = math.prod(shape[axes[0] : axes[-1] + 1])
    factor = {"mean": 1 / n, "sum": 1.0}.get(operation.packet)
    node = Reduced(factor, math.prod(shape[: axes[0]]), n, math.prod(shape[axes[-1] + 1 :]))
    return reading.add(operation, node, operand)


def largest(reading: Reading, operation: Operation) -> Any:
    """The largest value along an axis, of which the place is not known."""
    if operation.name == "aten.max.other":
        return joined(reading, replace(operation, name="aten.maximum.default"))
    return [reduced(reading, operation), None]
