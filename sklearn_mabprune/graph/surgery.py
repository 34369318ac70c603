"""Removing units: a new, smaller graph; the one it is cut from stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .graph import Graph
from .kinds.base import Fold


def cut(graph: Graph, keep: Sequence[Tensor | None], folds: Sequence[Fold]) -> Graph:
    """Remove units and let the layers that read them take over what they did.

    Parameters
    ----------
    graph : Graph
        Left as it is; the new graph shares no tensor with it.
    keep : sequence of Tensor of bool, shape (size,), or None, one for each group
        The units that stay; None: all of them.
    folds : sequence of Fold, one for each group
        The removed units' activations, as predicted from the kept ones: slopes of shape
        (n_kept, n_removed) or None, and constants of shape (n_removed,); None: taken as zero.

    Returns
    -------
    Graph
        In evaluation mode.
    """
    layers: dict[int, nn.Module] = {}
    for group, stay, fold in zip(graph.groups, keep, folds, strict=True):
        if stay is None or bool(stay.all()):
            continue
        for number in (*group.producers, *group.carriers):
            node = graph.nodes[number]
            layers[number] = node.kind.narrow_outputs(layers.get(number, node.layer), stay)
        for number in group.readers:
            node = graph.nodes[number]
            layers[number] = node.kind.narrow_inputs(node.layer, stay, fold)
    return graph.replaced(layers)
