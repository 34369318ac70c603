"""Operators that change a value in place, run as operators that return a new one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from .source_lines import where

#: Operators whose result may be a view of what they are given.
_VIEWS = (
    "view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "numpy_T", "mT",
    "movedim", "swapaxes", "squeeze", "unsqueeze", "expand", "expand_as", "narrow", "slice",
    "select", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "getitem", "alias",
    "detach", "contiguous", "to", "diagonal", "view_as", "dropout", "feature_dropout",
    "alpha_dropout", "broadcast_to", "real", "unfold",
)  # fmt: skip


def packet_of(node: Any) -> str:
    """The name of a node's operator, without its overload."""
    return str(getattr(node.target, "overloadpacket", node.target)).rsplit(".", 1)[-1]


def changes_in_place(node: Any) -> bool:
    """Whether a node changes its first argument."""
    packet = packet_of(node)
    return node.op == "call_function" and packet.endswith("_") and not packet.endswith("__")


def in_place_of_others(nodes: Iterable[Any]) -> bool:
    """Whether a value is changed of which a view is used afterwards, or that is itself a view."""
    place = {node: number for number, node in enumerate(nodes)}
    shared: dict[Any, set[Any]] = {}
    for node in place:
        source = node.args[0] if node.args else None
        views = node.op == "call_function" and packet_of(node) in _VIEWS
        if changes_in_place(node):
            others = shared.get(source, {source}) - {source}
            if any(place[user] > place[node] for other in others for user in other.users):
                return True
            if functional(node) is None:
                return True
            shared[node] = shared.setdefault(source, {source})
            shared[node].add(node)
        elif views or packet_of(node) == "getitem":
            shared[node] = shared.setdefault(source, {source})
            shared[node].add(node)
    return False


def functional(node: Any) -> Any:
    """The operator that returns what a node's operator changes; None: torch has none."""
    space, packet = str(node.target.overloadpacket).split(".")
    names = getattr(torch.ops, space)
    overload = str(node.target).rsplit(".", 1)[-1]
    plain = packet.rstrip("_")
    return getattr(getattr(names, plain), overload, None) if hasattr(names, plain) else None


def changed_input(nodes: Iterable[Any], inputs: Iterable[str]) -> str | None:
    """The operator and the line where an input is changed in place; None: none is."""
    names = set(inputs)
    of_input: set[Any] = set()
    for node in nodes:
        source = node.args[0] if node.args else None
        if node.op == "placeholder" and node.name in names:
            of_input.add(node)
        elif source in of_input and changes_in_place(node):
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            return f"{packet_of(node)} {where(node.meta.get('stack_trace'), stack)}"
        elif source in of_input and node.op == "call_function" and packet_of(node) in _VIEWS:
            of_input.add(node)
    return None
