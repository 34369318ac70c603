"""Which attributes of modules count the heads of attention, as far as their names and values say.

Nothing but the user's code knows what its numbers mean, so there are several ways to set them, and
the first that passes the comparison of the smaller module with the masked network is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from .operators.step import Found
from .structure import Width, Widths
from .unit_groups import UnitGroup

_HEADS, _SIZES = (
    re.compile("head", re.IGNORECASE),
    re.compile("dim|size|width|feat|per_|channel|^d_"),
)


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
    known = dict(module.named_modules())
    numbers = [
        (name, attribute, value)
        for name in names
        if name in known
        for attribute, value in vars(known[name]).items()
        if type(value) is int
    ]

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


def _distinct(ways: Sequence[Widths]) -> list[Widths]:
    found: list[Widths] = []
    for way in ways:
        if way not in found:
            found.append(way)
    return found
