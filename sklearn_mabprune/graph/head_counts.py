"""Which attributes of modules count heads or other units, as far as names and values say.

Nothing but the user's code knows what its numbers mean, so there are several ways to set them, and
the first that passes the comparison of the smaller module with the masked network is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from .operators.step import Found
from .structure import Width, Widths
from .unit_groups import UnitGroup

_HEADS, _SIZES = (
    re.compile("head", re.IGNORECASE),
    re.compile("dim|size|width|feat|per_|channel|^d_"),
)
# Layers of torch count their units themselves.
_TORCH = re.compile(r"^torch\.")
#: Attributes that are tried one by one, after all together.
_MOST_ALONE = 4


def head_counts(
    module: nn.Module, found: Found, groups: Sequence[UnitGroup], group_of: Mapping[int, int]
) -> dict[int, tuple[Widths, ...]]:
    """Ways to say how many heads are left, by the number of the group.

    Parameters
    ----------
    module : nn.Module
    found : Found
        Of the walk that found the groups.
    groups : sequence of UnitGroup
    group_of : mapping of int to int
        The number of the group of each id that is in one.
    """
    sizes = tuple(group.size for group in groups)
    names: dict[int, dict[str, None]] = {}
    totals: dict[int, set[int]] = {}
    for ids, counts, name in found.heads:
        for number in {group_of[k] for k in ids.tolist() if k in group_of}:
            names.setdefault(number, {})[name] = None
            # Groups of heads that share keys are fewer than heads: the ids are theirs.
            totals.setdefault(number, {len(ids)}).update(counts)
    for ids, _, name in found.fixed:
        for number in {group_of[k] for k in ids.tolist() if k in group_of} & names.keys():
            names[number][name] = None
    return {
        number: _ways(module, groups[number], number, names[number], totals[number], sizes)
        for number in names
    }


def _ways(
    module: nn.Module,
    group: UnitGroup,
    number: int,
    names: Sequence[str] | Mapping[str, None],
    totals: set[int],
    sizes: tuple[int, ...],
) -> tuple[Widths, ...]:
    n_heads = min(totals)
    heads = {total: total // n_heads for total in totals if total % n_heads == 0}
    each = {places.shape[1] for places in group.members.values()}
    widths = {n_heads * n: n for n in each if n > 1 and n_heads * n not in heads}
    numbers = _whole_numbers(module, names)

    def chosen(of: Mapping[int, int], wanted: Any) -> Widths:
        return tuple(
            ((name, attribute), Width(value, {number: of[value]}, sizes))
            for name, attribute, value in numbers
            if value in of and wanted(attribute)
        )

    def is_count(attribute: str) -> bool:
        return bool(_HEADS.search(attribute)) and not _SIZES.search(attribute)

    counts = chosen(heads, is_count)
    inner = chosen(widths, _HEADS.search), chosen(widths, bool)
    others = chosen(heads, lambda attribute: not _SIZES.search(attribute))
    # Where heads are as wide as they are many, the width may have the same value.
    singles = [(one,) for one in others] if len(others) > 1 else []
    ways = [counts, *(counts + more for more in inner), others, others + inner[1]]
    ways += [way + more for way in singles for more in ((), inner[1])] + [()]
    return tuple(_distinct(ways))


def width_counts(
    module: nn.Module, found: Found, groups: Sequence[UnitGroup], group_of: Mapping[int, int]
) -> dict[int, tuple[Widths, ...]]:
    """Ways to say how many units are left that are no heads, by the number of the group.

    The first of them leaves all attributes as they are: where ``forward`` reads sizes from values,
    nothing counts units.  The others are for ``view(-1, self.width)``, ``split(self.width)`` or
    initial states ``zeros(len(x), self.width)``.

    Parameters
    ----------
    module, found, groups, group_of
        As for `head_counts`.
    """
    sizes = tuple(group.size for group in groups)
    names: list[dict[str, None]] = [{} for _ in groups]
    for ids, _, name in found.fixed:
        for number in {group_of[k] for k in ids.tolist() if k in group_of}:
            names[number][name] = None
    for group, own in zip(groups, names, strict=True):
        modules = [each.module for each in group.producers]
        for path in (*modules, *(reader.module for reader in group.readers)):
            parts = path.split(".")
            own |= {".".join(parts[:n]): None for n in reversed(range(len(parts)))}
    ways = {}
    for number, (group, own) in enumerate(zip(groups, names, strict=True)):
        each = {places.shape[1] for places in group.members.values()}
        widths = {group.size * n: n for n in sorted(each, reverse=True)}
        counted = [
            ((name, attribute), Width(value, {number: widths[value]}, sizes))
            for name, attribute, value in _whole_numbers(module, own)
            if value in widths and not _TORCH.search(type(module.get_submodule(name)).__module__)
        ]
        found_ways = [(), tuple(counted), *((one,) for one in counted[:_MOST_ALONE])]
        ways[number] = tuple(_distinct(found_ways))
    return ways


def _whole_numbers(module: nn.Module, names: Iterable[str]) -> list[tuple[str, str, int]]:
    """Attributes that are whole numbers, of modules with these names."""
    known = dict(module.named_modules())
    return [
        (name, attribute, value)
        for name in names
        if name in known
        for attribute, value in vars(known[name]).items()
        if type(value) is int
    ]


def _distinct(ways: Sequence[Widths]) -> list[Widths]:
    found: list[Widths] = []
    for way in ways:
        if way not in found:
            found.append(way)
    return found
