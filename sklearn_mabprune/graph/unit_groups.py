"""Groups of units of a network that is not a chain, and why the others are kept whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .labels import Axis
from .operators.step import Found, Source
from .program import Program
from .readers import Reader, reader_of


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
    unit_kind : {"neuron", "channel"}
    """

    name: str
    size: int
    members: Mapping[Axis, NDArray[np.intp]]
    producers: tuple[Source, ...]
    readers: tuple[Reader, ...]
    unit_kind: str


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
    classes, pinned, merged = found.labels.classes()
    operations = {operation.value: operation for operation in program.operations}
    groups: list[UnitGroup] = []
    kept_whole: dict[str, str] = {}
    for numbers, members in _same_axes(found, classes):
        producers = tuple(s for s in found.sources if (s.weight, s.outputs) in members)
        readers = tuple(s for s in found.sources if (s.weight, s.inputs) in members)
        if not producers:
            continue
        free = [k for k, number in enumerate(numbers) if number not in pinned]
        name = _name(producers[0])
        reasons = [r for number in numbers for r in pinned.get(number, [])]
        if not readers and not reasons:
            reasons = ["nothing reads them"]
        elif not reasons and len(free) < 2:
            reasons = [r for number in numbers for r in merged.get(number, [])] or ["is one unit"]
        elif not reasons and not residual_streams and _is_stream(program, producers, readers):
            reasons = [f"residual stream: {len(producers)} producers"]
        if reasons:
            _note(kept_whole, name, reasons)
        if len(free) < 2 or not readers or (reasons and len(free) == len(numbers)):
            continue
        name = _distinct(name, [group.name for group in groups])
        order = _order(members, producers[0], free)
        members = {axis: places[order] for axis, places in members.items()}
        kind = "channel" if "conv" in operations[producers[0].value].packet else "neuron"
        reading = tuple(
            reader_of(
                reader, operations[reader.value], weights[reader.weight].shape,
                members[reader.weight, reader.inputs],
            )
            for reader in readers
        )  # fmt: skip
        groups.append(UnitGroup(name, len(order), members, producers, reading, kind))
    groups.sort(key=lambda group: group.producers[0].value)
    return tuple(groups), kept_whole


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


def _name(source: Source) -> str:
    return source.module or source.weight


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


def _is_stream(
    program: Program, producers: tuple[Source, ...], readers: tuple[Source, ...]
) -> bool:
    """Whether a producer reads, through others, the units to which it adds."""
    after = {operation.value for operation in program.downstream(r.value for r in readers)}
    return any(producer.value in after for producer in producers)
