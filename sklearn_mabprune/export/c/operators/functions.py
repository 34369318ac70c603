"""Rules of operators that treat elements by themselves or by their channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from ....graph.program import Operation, Value, Weight
from ..layers import writer_of
from .elements import Each, Joined, Normalised, Scaled, Sloped, Whole
from .formulas import FORMULAS, layer_of
from .nodes import Step
from .places import Operand
from .reading import Reading


def each(reading: Reading, operation: Operation) -> Operand:
    """An activation function."""
    layer = layer_of(operation)
    node = Each(layer, _writer(layer), isinstance(layer, nn.ReLU))
    return reading.add(operation, node, reading.operand(operation))


def _writer(layer: nn.Module) -> Any:
    written = writer_of(layer)
    return lambda program, x: written(program, x, layer)


def formula(reading: Reading, operation: Operation) -> Operand:
    """A function with numbers as parameters."""
    numbers = [float(part) for part in operation.args[1:] if isinstance(part, int | float)]
    if operation.packet == "pow" and numbers == [2.0]:
        return reading.add(operation, FORMULAS["square"](), reading.operand(operation))
    formula = FORMULAS[operation.packet](*numbers)
    return reading.add(operation, formula, reading.operand(operation))


def clamp(reading: Reading, operation: Operation) -> Operand:
    """Values within bounds."""
    low, high = (*operation.args[1:], None)[:2]
    low, high = operation.kwargs.get("min", low), operation.kwargs.get("max", high)
    if any(isinstance(bound, Value | Weight) for bound in (low, high)):
        raise reading.refused(operation, " with bounds that are computed")
    bounds = [-np.finfo(np.float32).max if low is None else low,
              np.finfo(np.float32).max if high is None else high]  # fmt: skip
    layer = nn.Hardtanh(float(bounds[0]), float(bounds[1]))
    return reading.add(operation, Each(layer, _writer(layer)), reading.operand(operation))


def prelu(reading: Reading, operation: Operation) -> Operand:
    """A slope below 0 for each channel."""
    operand, slopes = reading.operand(operation), reading.array(operation, operation.args[1])
    channels = operand.places.shape[1]
    node = Sloped(np.broadcast_to(slopes, channels), operand.places.size // channels)
    return reading.add(operation, node, operand)


def joined(reading: Reading, operation: Operation) -> Operand:
    """Two values, a value and a weight, or a value and a number."""
    one, other = operation.args[:2]
    if operation.kwargs.get("alpha", 1) != 1 or operation.kwargs.get("rounding_mode"):
        raise reading.refused(operation, " with alpha or rounding_mode")
    if isinstance(other, int | float):
        return formula(reading, operation)
    shape = reading.shapes[operation.value]
    if isinstance(one, Value) and isinstance(other, Value):
        reads = [reading.operand(operation, k) for k in (0, 1)]
        spread = [Operand(r.value, np.broadcast_to(r.places, shape)) for r in reads]
        return reading.add(operation, Joined(operation.packet), *spread)
    if isinstance(one, Weight) and operation.packet in ("sub", "div"):
        raise reading.refused(operation, " of a weight and a value")
    at = 0 if isinstance(one, Value) else 1
    operand = reading.operand(operation, at)
    operand = Operand(operand.value, np.broadcast_to(operand.places, shape))
    constant = np.broadcast_to(reading.array(operation, operation.args[1 - at]), shape)
    return reading.add(operation, Joined(operation.packet, constant.ravel()), operand)


def whole(kernel: str, reading: Reading, operation: Operation) -> Operand:
    """Softmax or its logarithm, of all values of a sample."""
    operand = reading.operand(operation)
    if operand.places.shape[operation.args[1]] != operand.places.size:
        raise reading.refused(operation, " of a part of the values of a sample")
    return reading.add(operation, Whole(kernel), operand)


def batch_norm(reading: Reading, operation: Operation) -> Operand:
    """A factor and a constant for each channel."""
    operand = reading.operand(operation)
    mean, variance = (reading.array(operation, part) for part in operation.args[3:5])
    weight, bias = (
        np.full(len(mean), fill) if part is None else reading.array(operation, part)
        for part, fill in zip(operation.args[1:3], (1.0, 0.0), strict=True)
    )
    factor = weight / np.sqrt(variance + operation.args[7])
    node = Scaled(factor, bias - mean * factor, 1, operand.places.size // len(mean))
    return reading.add(operation, node, operand)


def layer_norm(reading: Reading, operation: Operation) -> Operand:
    """Normalisation over the last axes."""
    n = math.prod(operation.args[1])
    return _normalised(reading, operation, n, operation.args[2:], True)


def rms_norm(reading: Reading, operation: Operation) -> Operand:
    """Division by the root of the mean square over the last axes."""
    shape, weight, epsilon = (*operation.args[1:], None, None)[:3]
    smallest = float(torch.finfo(torch.float32).eps) if epsilon is None else epsilon
    given = weight, None, smallest
    return _normalised(reading, operation, math.prod(shape), given, True, centred=False)


def group_norm(reading: Reading, operation: Operation) -> Operand:
    """Normalisation over groups of channels."""
    operand = reading.operand(operation)
    n = operand.places.size // operation.args[1]
    return _normalised(reading, operation, n, operation.args[2:], False)


def _normalised(
    reading: Reading,
    operation: Operation,
    n: int,
    given: Any,
    along_parts: bool,
    centred: bool = True,
) -> Operand:
    weight, bias, epsilon = (*given, *(None, None, 1e-5)[len(given) :])[:3]
    operand = reading.operand(operation)
    size = operand.places.size
    found = reading.add(operation, Normalised(size // n, n, epsilon, centred), operand)
    if weight is None and bias is None:
        return found
    width = n if along_parts else operand.places.shape[1]
    factor, constant = (
        np.full(width, fill) if part is None else reading.array(operation, part).ravel()
        for part, fill in ((weight, 1.0), (bias, 0.0))
    )
    count = size // n if along_parts else 1
    node = Scaled(factor, constant, count, 1 if along_parts else size // width)
    key = (operation.value, "scaled")
    reading.steps.append(Step(key, node, (found,)))
    return Operand(key, found.places)


def halves(reading: Reading, operation: Operation) -> Operand:
    """One half times the sigmoid of the other."""
    operand = reading.operand(operation)
    axis = operation.args[1] if len(operation.args) > 1 else -1
    value, gate = (Operand(operand.value, part) for part in np.split(operand.places, 2, axis))
    key = (operation.value, "gate")
    reading.steps.append(Step(key, Each(nn.Sigmoid(), _writer(nn.Sigmoid())), (gate,)))
    opened = Operand(key, np.arange(gate.places.size).reshape(gate.places.shape))
    return reading.add(operation, Joined("mul"), value, opened)
