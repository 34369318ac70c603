"""Groups of units: axes of a network's values that can only be cut together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .kinds.registry import kind_of


@dataclass(frozen=True)
class Node:
    """A layer of a graph, and the numbers of the values that it reads and returns.

    Parameters
    ----------
    name : str
        Of the layer in the module that the graph was read from.
    layer : nn.Module
        In evaluation mode.
    reads : int
        The value that the layer reads; 0 is the network's input.
    value : int
        The value that it returns.
    """

    name: str
    layer: Any
    reads: int
    value: int

    @property
    def kind(self) -> Any:
        """What the package knows about the layer."""
        return kind_of(self.layer)


@dataclass(frozen=True)
class Group:
    """Units that are removed in all these layers or in none.

    Parameters
    ----------
    name : str
        Of the first producer.
    size : int
        Units.
    producers : tuple of int
        Nodes whose output units they are.
    carriers : tuple of int
        Nodes between producers and readers that treat each unit by itself.
    readers : tuple of int
        Nodes that compute weighted sums of them.
    value : int
        What the readers read: the units' activations.
    """

    name: str
    size: int
    producers: tuple[int, ...]
    carriers: tuple[int, ...]
    readers: tuple[int, ...]
    value: int

    #: What the units are called, and a kind of group that is pruned only where it is named: none.
    unit_kind: ClassVar[str] = "neuron"
    named_only: ClassVar[str] = ""


@dataclass
class _Axis:
    """The units of a value, while the nodes are walked through."""

    producers: list[int] = field(default_factory=list)
    carriers: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)
    value: int = 0
    pinned: bool = False


def find_groups(nodes: Sequence[Node]) -> tuple[Group, ...]:
    """Groups of the units that can be removed, in the order of their producers.

    The units of the network's input, of layers that encode it, and of its output are in no group.

    Parameters
    ----------
    nodes : sequence of Node
        In the order in which they run.
    """
    # Nobody produces the input: it cannot be cut.
    axes = {0: _Axis(pinned=True)}
    found: list[_Axis] = []
    for number, node in enumerate(nodes):
        axis = axes[node.reads]
        if node.kind.produces:
            axis.readers.append(number)
            found.append(_Axis([number], value=node.value))
            axes[node.value] = found[-1]
        elif node.kind.encodes:
            axes[node.value] = _Axis(pinned=True)
        else:
            axis.carriers.append(number)
            axis.value = node.value
            axis.pinned |= not node.kind.elementwise
            axes[node.value] = axis
    axes[nodes[-1].value].pinned = True
    return tuple(
        Group(
            nodes[axis.producers[0]].name,
            nodes[axis.producers[0]].kind.n_outputs(nodes[axis.producers[0]].layer),
            tuple(axis.producers),
            tuple(axis.carriers),
            tuple(axis.readers),
            axis.value,
        )
        for axis in found
        if not axis.pinned
    )
