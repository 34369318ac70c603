"""A network of operators in integers: which steps, and what 1 stands for in each value."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..quantised import FEATURES_BEYOND, VALUES_BEYOND, Lookup, largest_input
from .elements import Each, Embedded, Joined, Together
from .folding import readers
from .form import Network, is_input, key_of_input
from .integer_nodes import (
    VALUE,
    IntegerEmbedded,
    IntegerPooled,
    IntegerReduced,
    Integers16,
    IntegerSum,
    IntegerTogether,
    IntegerWeighted,
    Looked,
    Numbers,
    Rectified,
    Same,
)
from .nodes import Convolution, Pooled, Reduced, Step, Weighted
from .places import Operand

#: Cells of the table of a function, and sums that 32 bits hold of so many values.
_CELLS, _MOST_VALUES = 256, 2**16


def in_integers(network: Network, x: NDArray[Any]) -> Network:
    """The network in integers.

    Parameters
    ----------
    network : Network
    x : ndarray of shape (n_samples, n_features)
        Calibration samples, from which the ranges of values are taken.
    """
    found = _Quantising(network, network.values(x))
    for step in network.steps:
        found.add(step)
    output = found.as_numbers(network.output)
    return Network(_shifted_alike(found.steps), output, network.sizes)


def _shifted_alike(steps: list[Step]) -> list[Step]:
    """Steps that shift by the same number of bits where that costs few bits of their factors."""
    shifts = [step.node.shift for step in steps if isinstance(step.node, IntegerWeighted)]
    least = min((shift for shift in shifts if shift), default=0)
    return [
        replace(step, node=replace(step.node, shift=least))
        if isinstance(step.node, IntegerWeighted) and 0 < step.node.shift - least <= 8
        else step
        for step in steps
    ]


@dataclass
class _Quantising:
    """Steps on their way to integers.

    Parameters
    ----------
    network : Network
    values : dict
        What each value is for the calibration samples, in numbers.

    Attributes
    ----------
    steps : list of Step
    units : dict
        By value that there is in integers: what 1 stands for.
    integers : dict
        By the same: the integers of the calibration samples.
    numbers : set
        Values that there are in numbers.
    """

    network: Network
    values: dict[Hashable, NDArray[Any]]
    steps: list[Step] = field(default_factory=list)
    units: dict[Hashable, float] = field(default_factory=dict)
    integers: dict[Hashable, NDArray[Any]] = field(default_factory=dict)
    numbers: set[Hashable] = field(default_factory=set)
    rectified: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.numbers.update(map(key_of_input, range(len(self.network.sizes))))
        self.readers: dict[Hashable, list[Step]] = {}
        for step in self.network.steps:
            for operand in step.reads:
                self.readers.setdefault(operand.value, []).append(step)
        self.n_readers = readers(self.network.steps, self.network.output)

    def add(self, step: Step) -> None:
        """Add a step, in integers where there is a way, else in numbers."""
        way: Any = _WAYS.get(type(step.node))
        if way is None or not way(self, step):
            reads = tuple(self.as_numbers(operand) for operand in step.reads)
            self.steps.append(replace(step, reads=reads))
            self.numbers.add(step.value)

    def append(self, step: Step, node: Any, unit: float, *reads: Operand) -> bool:
        """Add a step in integers."""
        key = (step.value, "integers")
        self.steps.append(Step(key, node, reads))
        self.units[step.value] = unit
        given = [operand.read(self._all()) for operand in reads]
        self.integers[step.value] = node.run(*given)
        return True

    def _all(self) -> dict[Hashable, NDArray[Any]]:
        found = dict(self.values)
        found.update({(value, "integers"): x for value, x in self.integers.items()})
        return found

    def as_integers(self, operand: Operand) -> Operand:
        """An operand in integers, made from numbers if it has to be."""
        value = operand.value
        if value not in self.units:
            unit, limit = self.unit(value), self.limit(value)
            node = Integers16(unit, limit)
            self.steps.append(Step((value, "integers"), node, (_whole(value, self.values),)))
            self.units[value] = unit
            self.integers[value] = node.run(self.values[value])
        return replace(operand, value=(value, "integers"))

    def as_numbers(self, operand: Operand) -> Operand:
        """An operand in numbers, made from integers if it has to be."""
        value = operand.value
        if value not in self.numbers:
            given = _whole(value, self.values)
            read = replace(given, value=(value, "integers"))
            self.steps.append(Step(value, Numbers(self.units[value]), (read,)))
            self.numbers.add(value)
        return operand

    def limit(self, value: Hashable) -> int:
        """The largest integer with which no sum that reads a value overflows."""
        found = VALUE
        for step in self.readers.get(value, []):
            if isinstance(step.node, Weighted | Convolution):
                found = min(found, largest_input(step.node.n_inputs))
            elif _keeps_unit(step.node):
                found = min(found, self.limit(step.value))
        return found

    def unit(self, value: Hashable) -> float:
        """What 1 stands for, so that the range of a value is used well."""
        beyond = FEATURES_BEYOND if is_input(value) else VALUES_BEYOND
        largest = float(np.abs(self.values[value]).max()) or 1.0
        return largest * beyond / self.limit(value)

    def only_numbers(self, value: Hashable) -> bool:
        """Whether all that read a value need numbers."""
        return all(type(step.node) not in _WAYS for step in self.readers.get(value, []))


def _whole(value: Hashable, values: dict[Hashable, NDArray[Any]]) -> Operand:
    return Operand(value, np.arange(values[value].shape[1]))


def _keeps_unit(node: Any) -> bool:
    largest = isinstance(node, Pooled) and node.factor is None
    return largest or (isinstance(node, Each) and node.rectifies)


def _weighted(found: _Quantising, step: Step) -> bool:
    read = found.as_integers(step.reads[0])
    x = read.read(found._all())
    unit_before = found.units[step.reads[0].value]
    after = found.readers.get(step.value, [])
    rectifies = found.n_readers[step.value] == 1 and bool(after) and _rectifies(after[0])
    last = isinstance(step.node, Weighted) and step.node.rows == 1
    if last and not rectifies and found.only_numbers(step.value):
        node = IntegerWeighted.of(step.node, unit_before, x, None, -VALUE, VALUE)
        found.steps.append(Step(step.value, node, (read,)))
        found.numbers.add(step.value)
        return True
    ranged = after[0].value if rectifies else step.value
    unit = found.unit(ranged)
    if rectifies:
        found.rectified.add(after[0].value)
    high = found.limit(ranged)
    low = 0 if rectifies else -high
    node = IntegerWeighted.of(step.node, unit_before, x, unit, low, high)
    return found.append(step, node, unit, read)


def _rectifies(step: Step) -> bool:
    return isinstance(step.node, Each) and step.node.rectifies


def _each(found: _Quantising, step: Step) -> bool:
    node: Each = step.node  # type: ignore[assignment]
    if node.jumps or (not node.rectifies and step.reads[0].value not in found.units):
        # A table has no jumps; and of numbers that a step has just returned, integers would only
        # be rounded.
        return False
    read = found.as_integers(step.reads[0])
    unit = found.units[step.reads[0].value]
    if node.rectifies:
        done = Same() if step.value in found.rectified else Rectified()
        return found.append(step, done, unit, read)
    grid = np.arange(-(_CELLS // 2), _CELLS // 2 + 1) * (_CELLS * unit)
    values = node.run(grid.astype(np.float64))
    if not np.isfinite(values).all():
        return False
    new = float(np.abs(values).max()) / found.limit(step.value) or 1.0
    table = np.rint(values / new).astype(np.int64)
    return found.append(step, Looked(Lookup(table)), new, read)


def _pooled(found: _Quantising, step: Step) -> bool:
    node: Pooled = step.node  # type: ignore[assignment]
    read = found.as_integers(step.reads[0])
    unit = found.units[step.reads[0].value]
    if node.factor is None:
        return found.append(step, IntegerPooled(node.windows, None, VALUE), unit, read)
    new = found.unit(step.value)
    limit = found.limit(step.value)
    done = IntegerPooled(node.windows, node.factor * unit / new, limit)
    return found.append(step, done, new, read)


def _reduced(found: _Quantising, step: Step) -> bool:
    node: Reduced = step.node  # type: ignore[assignment]
    if node.factor is None or node.n >= _MOST_VALUES:
        return False
    read = found.as_integers(step.reads[0])
    unit, new = found.units[step.reads[0].value], found.unit(step.value)
    done = IntegerReduced(node, node.factor * unit / new, found.limit(step.value))
    return found.append(step, done, new, read)


def _joined(found: _Quantising, step: Step) -> bool:
    node: Joined = step.node  # type: ignore[assignment]
    if node.name not in ("add", "sub") or node.constant is not None:
        return False
    reads = [found.as_integers(operand) for operand in step.reads]
    one, other = (found.units[operand.value] for operand in step.reads)
    new, sign = found.unit(step.value), -1 if node.name == "sub" else 1
    done = IntegerSum((one / new, sign * other / new), found.limit(step.value))
    return found.append(step, done, new, *reads)


def _together(found: _Quantising, step: Step) -> bool:
    node: Together = step.node  # type: ignore[assignment]
    reads = [found.as_integers(operand) for operand in step.reads]
    units = [found.units[operand.value] for operand in step.reads]
    new = max(*units, found.unit(step.value))
    factors = tuple(unit / new for unit in units)
    done = IntegerTogether(node, factors, found.limit(step.value))
    return found.append(step, done, new, *reads)


def _embedded(found: _Quantising, step: Step) -> bool:
    node: Embedded = step.node  # type: ignore[assignment]
    largest = float(np.abs(node.table).max()) or 1.0
    steps = min(127, found.limit(step.value) // 128)
    table = np.rint(node.table / largest * steps).astype(np.int64)
    read = found.as_numbers(step.reads[0])
    return found.append(step, IntegerEmbedded(table), largest / steps / 128, read)


_WAYS = {
    Weighted: _weighted,
    Convolution: _weighted,
    Each: _each,
    Pooled: _pooled,
    Reduced: _reduced,
    Joined: _joined,
    Together: _together,
    Embedded: _embedded,
}
