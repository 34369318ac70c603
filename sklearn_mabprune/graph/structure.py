"""What of a network that is no chain does not depend on its weights: groups, widths and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .labels import Axis
from .operators.step import Found
from .unit_groups import UnitGroup

# Why units behind an operator are kept whole, and heads.
_FIXED = (
    " has fixed sizes",
    " has fixed sizes, or sizes that follow from others: read the number of heads and the width of "
    "each from two attributes, such as n_heads and head_dim",
)


@dataclass(frozen=True)
class Width:
    """How wide something is, by the units of the groups.

    Parameters
    ----------
    total : int
        With all units.
    slices : dict of int to int
        How many slices one unit of a group stands for, by the group's number.
    sizes : tuple of int
        All units of each group.
    """

    total: int
    slices: Mapping[int, int]
    sizes: tuple[int, ...]

    def left(self, sizes: Sequence[int]) -> int:
        """How wide it is with these numbers of units."""
        gone = sum((self.sizes[k] - sizes[k]) * each for k, each in self.slices.items())
        return self.total - gone


#: Attributes of modules that count units, by module and attribute.
Widths = tuple[tuple[tuple[str, str], Width], ...]


@dataclass(frozen=True)
class Structure:
    """Groups of units, why others are kept whole, and what depends on how many units there are.

    Parameters
    ----------
    groups : tuple of UnitGroup
    kept_whole : dict of str to str
    widths : tuple of ((str, str), Width)
        Attributes of modules that count units, by module and attribute.
    shapes : dict of str to tuple of Width
        Of parameters, and of buffers that products multiply with.
    positions : tuple of (str, float)
        MACs per sample are the size of this weight times this number, summed over operations.
    shared_macs : tuple of (Width, float)
        MACs per sample that are in proportion to a width.
    other_macs : float
        MACs per sample that stay.
    fixed_sizes : dict of int to str
        Operators of fixed sizes that units of a group go through, by the group's number.
    counts : dict of int to tuple of tuple
        Attributes that may count the units of a group, as `widths`, by the group's number: the
        first of several ways counts.
    with_states : frozenset of str
        Recurrent modules that are given initial states.
    of_members : dict of str to int
        Weights that each member of an ensemble multiplies with, and the number of the members'
        group.
    buffers : frozenset of str
        Names in `shapes` that are no parameters.
    """

    groups: tuple[UnitGroup, ...]
    kept_whole: dict[str, str]
    widths: Widths
    shapes: Mapping[str, tuple[Width, ...]]
    positions: tuple[tuple[str, float], ...]
    shared_macs: tuple[tuple[Width, float], ...]
    other_macs: float
    fixed_sizes: Mapping[int, str]
    counts: Mapping[int, tuple[Widths, ...]] = field(default_factory=dict)
    with_states: frozenset[str] = frozenset()
    of_members: Mapping[str, int] = field(default_factory=dict)
    buffers: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        groups: tuple[UnitGroup, ...],
        kept_whole: dict[str, str],
        found: Found,
        weights: Mapping[str, Tensor],
        parameters: Sequence[str],
    ) -> Structure:
        """The structure of groups that a walk has found."""
        sizes = tuple(group.size for group in groups)
        classes = found.labels.classes()[0]
        unit_of = group_of_classes(groups, found, classes)

        def width(ids: NDArray[np.int64]) -> Width:
            numbers = [unit_of[c] for c in classes[ids].tolist() if c in unit_of]
            slices = {k: numbers.count(k) // sizes[k] for k in set(numbers)}
            return Width(len(ids), slices, sizes)

        widths = tuple((key, width(ids.numpy())) for key, ids in found.widths.items())
        shared = tuple((width(ids), macs) for ids, macs in found.shared_macs)
        buffers = frozenset(name for name, _ in found.positions) - set(parameters)
        shapes = {
            name: tuple(
                _width_of_axis(groups, (name, axis), size, sizes)
                for axis, size in enumerate(weights[name].shape)
            )
            for name in (*parameters, *buffers)
        }
        fixed = {
            unit_of[number]: what + _FIXED[groups[unit_of[number]].unit_kind == "head"]
            for ids, what, _ in reversed(found.fixed)
            for number in classes[ids].tolist()
            if number in unit_of
        }
        positions = tuple(found.positions)
        return cls(
            groups, kept_whole, widths, shapes, positions, shared, found.other_macs, fixed,
            with_states=frozenset(found.with_states), buffers=buffers,
        )  # fmt: skip

    def of_groups(self, numbers: Sequence[int], kept_whole: Mapping[str, str]) -> Structure:
        """The structure of some of the groups alone."""
        place = {number: k for k, number in enumerate(numbers)}

        def only(width: Width) -> Width:
            slices = {place[k]: each for k, each in width.slices.items() if k in place}
            return Width(width.total, slices, tuple(self.groups[k].size for k in numbers))

        return replace(
            self,
            groups=tuple(self.groups[k] for k in numbers),
            kept_whole={**self.kept_whole, **kept_whole},
            widths=tuple((key, only(width)) for key, width in self.widths),
            shared_macs=tuple((only(width), macs) for width, macs in self.shared_macs),
            counts={
                place[k]: tuple(tuple((key, only(w)) for key, w in way) for way in ways)
                for k, ways in self.counts.items()
                if k in place
            },
            shapes={name: tuple(map(only, shape)) for name, shape in self.shapes.items()},
            fixed_sizes={place[k]: what for k, what in self.fixed_sizes.items() if k in place},
            of_members={name: place[k] for name, k in self.of_members.items() if k in place},
        )

    @property
    def attributes(self) -> Widths:
        """Attributes of modules that count units, the user's own included."""
        return (*self.widths, *(width for ways in self.counts.values() for width in ways[0]))

    def other_counts(self, number: int) -> Structure | None:
        """The structure with the next way to count the units of a group; None: there is none."""
        ways = self.counts.get(number, ())
        return replace(self, counts={**self.counts, number: ways[1:]}) if len(ways) > 1 else None

    def cost(self, sizes: Sequence[int]) -> tuple[int, int]:
        """Parameters and MACs per sample, with these numbers of units in the groups."""
        size_of = {
            name: math.prod(width.left(sizes) for width in shape)
            for name, shape in self.shapes.items()
        }
        macs = self.other_macs + sum(
            size_of[name] * times * self._members_left(name, sizes)
            for name, times in self.positions
        )
        macs += sum(each * width.left(sizes) / width.total for width, each in self.shared_macs)
        parameters = sum(size for name, size in size_of.items() if name not in self.buffers)
        return parameters, round(macs)

    def _members_left(self, weight: str, sizes: Sequence[int]) -> float:
        number = self.of_members.get(weight)
        return 1.0 if number is None else sizes[number] / self.groups[number].size


def _width_of_axis(
    groups: Sequence[UnitGroup], axis: Axis, size: int, sizes: tuple[int, ...]
) -> Width:
    slices = {
        number: group.members[axis].shape[1]
        for number, group in enumerate(groups)
        if axis in group.members
    }
    return Width(size, slices, sizes)


def group_of_classes(
    groups: Sequence[UnitGroup], found: Found, classes: NDArray[np.int64]
) -> dict[int, int]:
    """The number of the group of each class that is in one."""
    result = {}
    for number, group in enumerate(groups):
        axis, places = next(iter(group.members.items()))
        for one in classes[found.labels.axes[axis].numpy()[places[:, 0]]].tolist():
            result[one] = number
    return result
