"""Rules of operators that move elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....graph.program import Operation, Value, Weight, leaves
from .elements import Together
from .places import Operand
from .reading import Reading


def same(reading: Reading, operation: Operation) -> Operand:
    """What a sample in evaluation mode does not change."""
    return reading.operand(operation)


def moved(reading: Reading, operation: Operation) -> Any:
    """Run the operator on the places of its elements."""
    operand = reading.operand(operation)
    if any(isinstance(part, Value | Weight) for part in leaves(operation.args[1:])):
        raise reading.refused(operation, " with places that are computed")
    places = torch.as_tensor(operand.places)
    if operation.packet in ("view", "_unsafe_view"):
        found: Any = places.reshape(operation.args[1])
    elif operation.packet == "pad":
        found = _padded(reading, operation, places)
    else:
        found = operation.operator(places, *operation.args[1:], **operation.kwargs)
    if isinstance(found, Tensor):
        return Operand(operand.value, found.numpy())
    return [Operand(operand.value, part.numpy()) for part in found]


def _padded(reading: Reading, operation: Operation, places: Tensor) -> Tensor:
    pad, mode, value = (*operation.args[1:], "constant", None)[:3]
    if mode != "constant":
        padded = nn.functional.pad(places.double(), pad, mode=mode)
        return padded.round().long()
    if value:
        raise reading.refused(operation, f" with value={value}")
    return nn.functional.pad(places, pad, value=-1)


def item(reading: Reading, operation: Operation) -> Any:
    """One of several values."""
    return reading.values[operation.args[0].number][operation.args[1]]


def together(reading: Reading, operation: Operation) -> Operand:
    """Run the operator on numbers of all elements, which say where each of them goes."""
    given = [reading.values.get(getattr(part, "number", -1)) for part in operation.args[0]]
    parts = [part for part in given if isinstance(part, Operand)]
    if len(parts) < len(given):
        raise reading.refused(operation)
    ends = np.cumsum([part.places.size for part in parts])
    numbers = [
        torch.arange(end - part.places.size, end).reshape(part.places.shape)
        for part, end in zip(parts, ends, strict=True)
    ]
    order = operation.operator(numbers, *operation.args[1:], **operation.kwargs).flatten()
    places = torch.argsort(order).numpy()
    node = Together(tuple(places[n.numpy().ravel()].reshape(n.shape) for n in numbers))
    return reading.add(operation, node, *parts)
