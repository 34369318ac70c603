"""Torch-Pruning's Taylor pruner on our trained network, a peer from its own package."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.shared.prepared import Prepared
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.module import module_of
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.pruning.budget import Budget

#: Halvings of the interval in which the ratio is looked for.
_HALVINGS = 12


def torch_pruning(ready: Prepared, budget: Budget, n_rows: int, seed: int) -> Graph:
    """One step of ``BasePruner`` with ``GroupTaylorImportance``, everything else its default.

    It takes a ratio, the same for every layer, and rounds layer by layer: the largest ratio
    that stays within the budget is looked for, so that it never removes more than the others.

    Parameters
    ----------
    ready : Prepared
    budget : Budget
        In neurons or parameters.
    n_rows : int
        Training rows that the gradients come from, at most.
    seed : int
        Of the choice of rows.

    Returns
    -------
    Graph
    """
    rows = ready.pruning_rows(n_rows, seed)

    def pruned(ratio: float) -> Graph:
        import torch_pruning as peer

        module = module_of(ready.graph())
        rows.loss(module(rows.x), rows.targets).mean().backward()
        last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
        pruner = peer.pruner.BasePruner(
            module,
            rows.x[:2],
            importance=peer.importance.GroupTaylorImportance(),
            pruning_ratio=ratio,
            ignored_layers=[last],
        )
        pruner.step()
        with torch.no_grad():
            return recover_graph(module.eval(), rows.x[:64])

    low, high = 0.0, 1.0
    found = pruned(low)
    for _ in range(_HALVINGS):
        ratio = (low + high) / 2
        graph = pruned(ratio)
        gone = budget.gone(graph.sizes)
        # A ratio that would empty a layer removes nothing from it.
        if budget.gone(found.sizes) <= gone <= budget.target:
            low, found = ratio, graph
        else:
            high = ratio
    return found
