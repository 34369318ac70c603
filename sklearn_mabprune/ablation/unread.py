"""Outputs of an input stage that a network hardly reads, and their removal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.graph import Graph
from ..graph.groups import Node

#: Fraction of the loss by which it may increase, all removals together.
ALLOWED = 1e-4
# Samples on which it is measured.
_MOST = 2000


def without_unread(graph: Any, samples: Samples) -> Any:
    """A network whose input stage computes what is read, and nothing else.

    Outputs of the stage are replaced by their means, those first that increase the loss least, as
    long as the loss is at most 0.01 % higher with all of them replaced.  The layer behind the stage
    takes over the means.

    Parameters
    ----------
    graph : Graph or other network
        Left as it is.
    samples : Samples
        Training samples with the targets of y.

    Returns
    -------
    Graph or other network
        The same one if it has no input stage, or if all outputs are read.
    """
    nodes = getattr(graph, "nodes", ())
    pairs = zip(enumerate(nodes), nodes[1:], strict=False)
    found = [k for (k, node), after in pairs if node.kind.encodes and after.kind.produces]
    if not found:
        return graph
    stage, reader = nodes[found[0]], nodes[found[0] + 1]
    with torch.no_grad():
        keep, means = _read(graph, stage, reader, samples.at(slice(0, _MOST)))
    if bool(keep.all()):
        return graph
    layers = {
        found[0]: stage.kind.narrow_outputs(stage.layer, keep),
        found[0] + 1: reader.kind.narrow_inputs(reader.layer, keep, (None, means[~keep])),
    }
    return graph.replaced(layers)


def _read(graph: Graph, stage: Node, node: Node, samples: Samples) -> tuple[Tensor, Tensor]:
    """Which outputs of the stage stay, (n_outputs,), and the means of all of them."""
    value = stage.value
    x = graph.run({0: samples.x}, [value])[value]
    means = x.double().mean(dim=0)
    centered = (x - means.to(x.dtype)).T
    z = graph.run({value: x}, [node.value])[node.value].T

    def loss(gone: Tensor) -> float:
        """Mean loss with these outputs replaced by their means."""
        moved = z - node.kind.enter(node.layer, centered[gone], gone)
        outputs = graph.run({node.value: moved.T}, [graph.output])[graph.output]
        each = samples.loss(outputs, samples.targets).double()
        return float((each * samples.weights).sum() / samples.weights.sum())

    none = torch.arange(0, device=z.device)
    whole = loss(none)
    numbers = torch.arange(len(means), device=z.device)
    losses = torch.tensor([loss(numbers[k : k + 1]) for k in range(len(means))])
    order = torch.argsort(losses, stable=True).to(z.device)
    # The largest number of removals that is allowed, by bisection; one output stays.
    good, bad = 0, len(order)
    while bad - good > 1:
        middle = (good + bad) // 2
        fine = loss(order[:middle]) <= whole + ALLOWED * abs(whole)
        good, bad = (middle, bad) if fine else (good, middle)
    keep = torch.ones(len(means), dtype=torch.bool, device=z.device)
    keep[order[:good]] = False
    return keep, means
