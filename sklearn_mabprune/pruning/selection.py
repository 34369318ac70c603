"""Which groups of units are pruned, by name, pattern or kind, and how many units each keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from ..utils.words import counted
from .budget import Limits

_WILD = "*?["


def limits_of(
    groups: Sequence[Any],
    layers: Sequence[str] | None = None,
    min_neurons: int | Mapping[str, int] = 1,
) -> Limits:
    """How many units each group keeps at least.

    Parameters
    ----------
    groups : sequence of Group or UnitGroup
    layers : sequence of str, optional
        Names, patterns (as of ``fnmatch``) or kinds of the groups that are pruned; all but those
        that have to be named when not given.
    min_neurons : int or mapping of str to int, default=1
        Units that every group keeps, or those that match; of several that match the most.

    Raises
    ------
    ValueError
        If a name, pattern or kind matches no group.

    Examples
    --------
    >>> from sklearn_mabprune.graph.graph import Graph
    >>> from sklearn_mabprune.pruning.selection import limits_of
    >>> from torch import nn
    >>> graph = Graph.of([nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.Linear(6, 3)])
    >>> limits_of(graph.groups, ("2",), {"neurons": 2}).least
    (8, 2)
    """
    pruned = selected(groups, layers)
    wanted = min_neurons if isinstance(min_neurons, Mapping) else {None: min_neurons}
    _check_known(groups, "min_neurons", [key for key in wanted if key is not None])
    least = []
    for group, chosen in zip(groups, pruned, strict=True):
        sizes = [n for key, n in wanted.items() if key is None or matches(group, key)]
        least.append(min(max(sizes, default=1), group.size) if chosen else group.size)
    said = {"layers": layers} if layers is not None else {}
    kinds = {group.unit_kind for group, chosen in zip(groups, pruned, strict=True) if chosen}
    called = "neurons" if kinds <= {"neuron"} else "units"
    return Limits(tuple(least), pruned, {"min_neurons": min_neurons, **said}, called)


def selected(groups: Sequence[Any], layers: Sequence[str] | None) -> tuple[bool, ...]:
    """Which groups `layers` names; parameters as for :func:`limits_of`."""
    if layers is None:
        return tuple(not group.named_only for group in groups)
    _check_known(groups, "layers", layers)
    return tuple(any(matches(group, key) for key in layers) for group in groups)


def matches(group: Any, key: str) -> bool:
    """Whether a name, pattern or kind means a group: patterns never mean those to be named."""
    if key in (group.name, kind_of(group)):
        return True
    return not group.named_only and fnmatchcase(group.name, key)


def kind_of(group: Any) -> str:
    """What the units of a group are called: of those to be named, what the group is."""
    return group.named_only or f"{group.unit_kind}s"


def _sized(group: Any) -> str:
    """How many units of which kind."""
    return (
        f"{group.size} {group.named_only}"
        if group.named_only
        else counted(group.size, group.unit_kind)
    )


def _check_known(groups: Sequence[Any], parameter: str, keys: Iterable[str]) -> None:
    for key in keys:
        if any(matches(group, key) for group in groups):
            continue
        names = [group.name for group in groups]
        inside = any(matches(group, f"{key}.*") for group in groups)
        close = [f"{key}.*"] if inside else get_close_matches(key, names, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(f"{group.name!r} ({_sized(group)})" for group in groups)
        what = "pattern" if any(each in key for each in _WILD) else "name or kind"
        raise ValueError(
            f"{parameter} has the {what} {key!r}, which is none of this network's groups of units."
            f"{hint} There are {listed}."
        )
