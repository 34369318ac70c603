"""One operation while labels are found, and the registry of the rules for operators."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..labels import NO_UNIT, Labels, along, compact
from ..program import Operation, Value, Weight


@dataclass(frozen=True)
class Source:
    """A weight that produces or reads units in an operation.

    Parameters
    ----------
    value : int
        The number of the operation.
    module : str
        Name of the module that runs it.
    weight, bias : str
        Names; an empty bias: there is none, or it is computed.
    outputs, inputs : int
        Axes of the weight along which the units lie that it returns and that it reads; -1: none.
    reads : int
        The value that is read; -1: none.
    runs : int
        The operation that runs again when the weight changes; -1: that of `value`.  A recurrent
        weight is read at each step, and what it returns at all steps is a value of its own.
    gradient : int
        The value with whose gradient that of `value` is taken; -1: itself.
    """

    value: int
    module: str
    weight: str
    bias: str
    outputs: int
    inputs: int = -1
    reads: int = -1
    runs: int = -1
    gradient: int = -1


@dataclass
class Found:
    """What a walk over all operations has found, on so many samples.

    `tied`: recurrent modules whose units of all layers and directions are to go together.
    `in_parts`: operators, by `Operation.what`, that divide units into parts as wide as each other.
    """

    n_samples: int
    labels: Labels
    tied: Collection[str] = ()
    in_parts: Collection[str] = ()
    sources: list[Source] = field(default_factory=list)
    #: Ids of the units that an attribute of a module counts, such as ("conv1", "out_channels").
    widths: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    #: Weights of operations; their sizes times these numbers are MACs per sample.
    positions: list[tuple[str, float]] = field(default_factory=list)
    #: Ids that sums return, and the values that are added up.
    sums: list[tuple[Any, list[int]]] = field(default_factory=list)
    #: Ids that go through operators whose sizes are numbers, what these are, and the module.
    fixed: list[tuple[Any, str, str]] = field(default_factory=list)
    #: Ids of heads, how many of them there are (queries and keys may differ), and the module.
    heads: list[tuple[Any, tuple[int, ...], str]] = field(default_factory=list)
    #: Ids of units, and the MACs per sample of products of two values that go with them.
    shared_macs: list[tuple[Any, float]] = field(default_factory=list)
    #: MACs per sample that do not depend on what is removed.
    other_macs: float = 0.0
    #: Recurrent modules that are given initial states, and the first units of each of them.
    with_states: set[str] = field(default_factory=set)
    first_units: dict[str, Tensor] = field(default_factory=dict)
    #: By the value of a recurrent bias at all steps: its name, and the operation of the steps.
    biases: dict[int, str] = field(default_factory=dict)
    steps_of: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One operation: its arguments, what it returns for two samples, and the labels so far.

    Parameters
    ----------
    found : Found
    operation : Operation
    args, kwargs : tuple, dict
        Values in place of references.
    result : object
    labels_of : mapping of int to object
        Labels by number of value.
    views : mapping of int to (str, tuple of int)
        Values that are a weight with its axes in another order.
    rows : mapping of int to (str, int, Tensor)
        Values that are rows of a weight, how many that has, and which; of several parts a list.
    by_sample : collection of int
        Values that depend on the samples.
    """

    found: Found
    operation: Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    labels_of: Mapping[int, Any]
    views: Mapping[int, tuple[str, tuple[int, ...]]]
    rows: Mapping[int, Any]
    by_sample: Collection[int]

    @property
    def labels(self) -> Labels:
        """Ids and unions of the whole walk."""
        return self.found.labels

    @property
    def what(self) -> str:
        """The operator and where it is called."""
        return self.operation.what

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def reference(self, place: int, name: str = "") -> Any:
        """The reference that stands for an argument."""
        given = self.operation.args
        return given[place] if len(given) > place else self.operation.kwargs.get(name)

    def label(self, reference: Any, value: Any) -> Any:
        """The label of what a reference stands for; lists give lists."""
        if isinstance(reference, list | tuple):
            return [self.label(r, v) for r, v in zip(reference, value, strict=True)]
        if isinstance(reference, Value):
            return self.labels_of.get(reference.number, no_unit(value))
        if isinstance(reference, Weight) and isinstance(value, Tensor):
            return self.labels.of_weight(reference.name, value)
        return no_unit(value)

    def given(self, place: int, name: str = "") -> Any:
        """The label of an argument."""
        return self.label(self.reference(place, name), self.argument(place, name))

    def all_given(self) -> list[Tensor]:
        """The labels of all tensors among the arguments."""
        found: list[Tensor] = []
        pairs = [*zip(self.operation.args, self.args, strict=True)]
        pairs += [(self.operation.kwargs[name], value) for name, value in self.kwargs.items()]
        for reference, value in pairs:
            label = self.label(reference, value)
            found += [
                part for part in (label if isinstance(label, list) else [label]) if part is not None
            ]
        return found

    def number(self, place: int) -> int:
        """The number of the value that an argument is; -1 for a weight or a number."""
        reference = self.reference(place)
        return reference.number if isinstance(reference, Value) else -1

    def plain(self, place: int, name: str = "") -> tuple[str, tuple[int, ...]] | None:
        """A weight as it is, or with its axes in another order: its name and its axes."""
        reference = self.reference(place, name)
        if isinstance(reference, Weight):
            value = self.argument(place, name)
            return reference.name, tuple(range(value.dim()))
        return self.views.get(reference.number) if isinstance(reference, Value) else None

    def some_rows(self, place: int) -> tuple[str, int, Tensor] | None:
        """A part of a weight: its name, how many rows that has, and which these are."""
        reference = self.reference(place)
        found = self.rows.get(reference.number) if isinstance(reference, Value) else None
        return found if isinstance(found, tuple) else None

    def depends_on_input(self, reference: Any) -> bool:
        """Whether a value is not the same for all samples."""
        return isinstance(reference, Value) and reference.number in self.by_sample

    def ids(self, weight: str, axis: int, size: int) -> Tensor:
        """Ids of the slices of a weight."""
        return self.labels.ids(weight, axis, size)

    def note_macs(self, label: Any, macs: float) -> None:
        """MACs per sample that go with the units of a result; those of other elements stay."""
        if isinstance(label, Tensor):
            ids, counts = compact(label)[0].unique(return_counts=True)
            units = ids > NO_UNIT
            share = float(counts[units].sum() / counts.sum())
            if share:
                self.found.shared_macs.append((ids[units].numpy(), macs * share))
            macs *= 1 - share
        self.found.other_macs += macs

    def width(self, attribute: str, ids: Tensor) -> None:
        """Note that an attribute of the module that runs this counts these units."""
        if self.operation.module:
            self.found.widths[self.operation.module, attribute] = ids

    def pin_all(self, reason: str) -> Any:
        """All units that enter are pinned; the label of a result that has none."""
        for label in self.all_given():
            self.labels.pin(label, reason)
        return no_unit(self.result)


def no_unit(value: Any) -> Any:
    """The label of a value that has no units; None for what is not a tensor."""
    if isinstance(value, list | tuple):
        return [no_unit(part) for part in value]
    if isinstance(value, Tensor):
        return torch.full((1,) * value.dim(), NO_UNIT).expand(value.shape)
    return None


Rule = Callable[[Step], Any]

#: Rules by the operators' names.
RULES: dict[str, Rule] = {}


def rule(*packets: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(packets, function))
        return function

    return register


#: Said of weights that read units and other values alike.
READS_DATA = "reads other values with them"


def read(step: Step, label: Tensor, dim: int, weight: str, axis: int) -> None:
    """Units along a dimension of a value are read by slices of a weight along an axis."""
    ids = step.ids(weight, axis, label.shape[dim])
    step.labels.unite(along(ids, label.shape, dim), label, f"{step.what} {READS_DATA}")
