"""Whole searches: rounds of pruning without fine-tuning, and what they cost on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.shared.prepared import Prepared, points
from benchmarks.shared.whole import whole_path
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Step, Surroundings

SHARES = (0.5, 0.75, 0.9)


@dataclass
class Reached:
    """The last network of a path within a fraction of removed units, and the cost so far."""

    graph: Graph
    evaluations: int = 0  # (unit, sample) pairs
    backward: int = 0  # samples times backward passes
    seconds: float = 0.0  # of the process


def walk(
    ready: Prepared, policy: Any, n_rows: int, seed: int, **options: Any
) -> tuple[Graph, list[Reached]]:
    """The unpruned network, and what a path reached at every fraction.

    Parameters
    ----------
    ready : Prepared
    policy : str, Policy or Criterion
    n_rows : int
        Pruning samples, at most.
    seed : int
    **options
        Of the path, where they are not the defaults.
    """
    graph, rows = ready.graph(), ready.pruning_rows(n_rows, seed)
    total = sum(graph.sizes)
    found = [Reached(graph) for _ in SHARES]
    spent = Reached(graph)

    def note(step: Step) -> None:
        spent.evaluations += step.n_evaluations
        spent.backward += step.n_backward
        spent.seconds = time.process_time() - started
        for k, share in enumerate(SHARES):
            if total - sum(step.sizes) <= int(share * total) and step.graph is not None:
                found[k] = replace(spent, graph=step.graph)

    started = time.process_time()
    whole_path(
        Activations(graph, rows),
        resolve_policy(policy),
        Budget.of(SHARES[-1], "neurons", graph.sizes, graph.cost, 1),
        replace(PathOptions(), **options),
        Surroundings(score=lambda pruned: 0.0, on_step=note),
        seed,
    )
    return graph, found


def rows_of_walk(
    ready: Prepared, policy: Any, n_rows: int, seed: int, **options: Any
) -> list[dict[str, Any]]:
    """A table row for every fraction: scores x 100, and the cost up to there."""
    graph, found = walk(ready, policy, n_rows, seed, **options)
    before = points(ready.net, graph, ready.scored)
    return [
        {
            "removed": share,
            "unpruned": before,
            "points": points(ready.net, at.graph, ready.scored),
            "evaluations": at.evaluations,
            "backward": at.backward,
            "seconds": at.seconds,
        }
        for share, at in zip(SHARES, found, strict=True)
    ]
