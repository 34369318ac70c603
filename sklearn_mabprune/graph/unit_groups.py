"""Groups of units of a network that is not a chain, and why the others are kept whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..utils.words import counted
from .labels import Axis
from .operators.step import Found, Source
from .program import Operation, Program
from .readers import Reader, reader_of
from .whole_weights import without_parametrization


@dataclass(frozen=True)
class UnitGroup:
    """Units of one kind: each of them is removed from all these weights or from none.

    Parameters
    ----------
    name : str
        Of the first module that produces them.
    size : int
        Units, in the order of that module's outputs.
    members : dict of (str, int) to ndarray of shape (n_units, n_slices)
        Places of each unit along these axes of parameters and buffers.
    producers : tuple of Source
        Operations that return the units.
    readers : tuple of Reader
        Operations that compute weighted sums of them.
    unit_kind : {"neuron", "channel", "head", "member"}
    named_only : {"", "streams", "members"}
        Not empty: the kind of group that is pruned only where it is named.
    """

    name: str
    size: int
    members: Mapping[Axis, NDArray[np.intp]]
    producers: tuple[Source, ...]
    readers: tuple[Reader, ...]
    unit_kind: str
    named_only: str = ""

    def same_places(self, other: UnitGroup) -> bool:
        """Whether the units of another group have the same places of the same weights."""
        return self.members.keys() == other.members.keys() and all(
            np.array_equal(places, other.members[axis]) for axis, places in self.members.items()
        )


def find_unit_groups(
    found: Found,
    program: Program,
    weights: Mapping[str, Tensor],
    residual_streams: bool = False,
) -> tuple[tuple[UnitGroup, ...], dict[str, str]]:
    """Groups of the units that can be removed, and why others are kept whole.

    Parameters
    ----------
    found : Found
        Of a walk over the program.
    program : Program
    weights : mapping of str to Tensor
    residual_streams : bool, default=False
        Whether units that a block adds to are in a group.

    Returns
    -------
    groups : tuple of UnitGroup
        In the order of their producers.
    kept_whole : dict of str to str
        Reasons by the name of the first producer.
    """
    walk = _Walk(found, program, *found.labels.classes())
    groups: list[UnitGroup] = []
    kept_whole: dict[str, str] = {}
    for numbers, members in _same_axes(found, walk.classes):
        producers = tuple(s for s in found.sources if (s.weight, s.outputs) in members)
        readers = tuple(s for s in found.sources if (s.weight, s.inputs) in members)
        if not producers:
            continue
        name = _name(producers, found.sources)
        free = [k for k, number in enumerate(numbers) if number not in walk.pinned]
        pinned, reasons = walk.pinned_reasons(numbers), walk.reasons(numbers, readers)
        stream, is_stream = [], walk.is_stream(numbers, readers)
        if is_stream and not residual_streams:
            stream = [f"residual stream of {layers_of(producers)}"]
        if pinned or reasons or stream:
            _note(kept_whole, name, [*stream, *(pinned or reasons)])
        if reasons or stream or len(free) < 2:
            continue
        kind = walk.kind(numbers, producers[0])
        if kind == "head":
            name = shared_path(source.module for source in (*producers, *readers)) or name
        name = _distinct(name, [group.name for group in groups])
        order = _order(members, producers[0], free)
        members = {axis: places[order] for axis, places in members.items()}
        # What reads them beside themselves comes first.
        readers = tuple(sorted(readers, key=lambda source: source.runs >= 0))
        reading = tuple(walk.reader(source, weights, members) for source in readers)
        groups.append(
            UnitGroup(
                name,
                len(order),
                members,
                producers,
                reading,
                kind,
                "streams" if is_stream else "",
            )
        )
    groups.sort(key=lambda group: group.producers[0].value)
    return tuple(groups), kept_whole


@dataclass(frozen=True)
class _Walk:
    """What a walk has found, by classes of ids."""

    found: Found
    program: Program
    classes: NDArray[np.int64]
    pinned: Mapping[int, list[str]]
    merged: Mapping[int, list[str]]

    def pinned_reasons(self, numbers: Iterable[int]) -> list[str]:
        """Why some of these classes cannot be removed."""
        return [reason for number in numbers for reason in self.pinned.get(number, [])]

    def reasons(self, numbers: list[int], readers: Sequence[Source]) -> list[str]:
        """Why none of these classes can be removed, besides those that are pinned."""
        readers = [source for source in readers if source.runs < 0]
        if not readers and not self.pinned_reasons(numbers):
            return ["nothing reads them"]
        if len(numbers) < 2:
            merged = [reason for number in numbers for reason in self.merged.get(number, [])]
            if self.are_heads(numbers):
                return [": ".join(["is one head", *merged[:1]])]
            return merged or ["is one unit"]
        return [] if readers else ["nothing else reads them"]

    def is_stream(self, numbers: list[int], readers: Sequence[Source]) -> bool:
        """Whether what is computed from units is added to them."""
        sums = [
            added for ids, added in self.found.sums if np.isin(self.classes[ids], numbers).any()
        ]
        for reader in readers if sums else ():
            if reader.runs >= 0:
                continue  # the next step's state is no block that adds to a stream
            again = self.program.downstream([reader.value])
            after = {reader.value, *(operation.value for operation in again)}
            if any(len({value in after for value in added}) > 1 for added in sums):
                return True
        return False

    def reader(
        self, source: Source, weights: Mapping[str, Tensor], members: Mapping[Axis, Any]
    ) -> Reader:
        """The reader that a source is."""
        shape = weights[source.weight].shape
        return reader_of(
            source, self._operation(source), shape, members[source.weight, source.inputs]
        )

    def kind(self, numbers: list[int], source: Source) -> str:
        """What units with these classes, which a source produces, are called."""
        if self.are_heads(numbers):
            return "head"
        return "channel" if "conv" in self._operation(source).packet else "neuron"

    def are_heads(self, numbers: list[int]) -> bool:
        """Whether units with these classes are heads."""
        return any(np.isin(self.classes[ids], numbers).any() for ids, _, _ in self.found.heads)

    def _operation(self, source: Source) -> Operation:
        return next(o for o in self.program.operations if o.value == source.value)


def _same_axes(
    found: Found, classes: NDArray[np.int64]
) -> Iterable[tuple[list[int], dict[Axis, NDArray[np.intp]]]]:
    """Classes with the same axes, and how many slices of each: their numbers and places."""
    places: dict[int, dict[Axis, NDArray[np.intp]]] = {}
    for axis, ids in found.labels.axes.items():
        numbers = classes[ids.numpy()]
        order = np.argsort(numbers, kind="stable")
        cuts = np.flatnonzero(np.diff(numbers[order])) + 1
        for part in np.split(order, cuts):
            places.setdefault(int(numbers[part[0]]), {})[axis] = part
    alike: dict[Any, list[int]] = {}
    for number, members in places.items():
        key = tuple(sorted((axis, len(part)) for axis, part in members.items()))
        alike.setdefault(key, []).append(number)
    for numbers_alike in alike.values():
        first = places[numbers_alike[0]]
        yield (
            numbers_alike,
            {axis: np.stack([places[n][axis] for n in numbers_alike]) for axis in first},
        )


def _order(
    members: Mapping[Axis, NDArray[np.intp]], producer: Source, free: list[int]
) -> NDArray[np.intp]:
    first = members[producer.weight, producer.outputs][:, 0]
    numbers = np.asarray(free, dtype=np.intp)
    return numbers[np.argsort(first[numbers], kind="stable")]


def _name(producers: Sequence[Source], sources: Sequence[Source]) -> str:
    """The first producer's module, with the layer where units of several layers are in it."""
    first = producers[0]
    layer = first.weight.rpartition("weight_ih_")[2]
    own = {source.weight for source in producers}
    if layer != first.weight and first.module:
        others = [s for s in sources if s.module == first.module and s.runs < 0]
        if any(source.weight not in own for source in others):
            return f"{first.module}.{layer}"
    return without_parametrization(first.module or first.weight)


def shared_path(modules: Iterable[str]) -> str:
    """The innermost module that has all of these."""
    paths = [module.split(".") for module in modules]
    parts = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        parts.append(names[0])
    return ".".join(parts)


def layers_of(producers: Sequence[Source]) -> str:
    """How many layers produce units, each counted once however often it runs."""
    return counted(len({(source.module, source.weight) for source in producers}), "layer")


def _distinct(name: str, taken: list[str]) -> str:
    number = 2
    found = name
    while found in taken:
        found, number = f"{name} ({number})", number + 1
    return found


def _note(kept_whole: dict[str, str], name: str, reasons: list[str]) -> None:
    known = kept_whole.get(name)
    distinct = list(dict.fromkeys([*([known] if known else []), *reasons]))
    kept_whole[name] = "; ".join(distinct[:2])
