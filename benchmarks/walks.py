"""Whole searches: rounds of pruning without fine-tuning, and what they cost on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.prepared import Prepared, points
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.graph import Chain
from sklearn_mabprune.pruning.path import PathOptions, Step, pruning_path
from sklearn_mabprune.pruning.schedules import Budget

SHARES = (0.5, 0.75, 0.9)


@dataclass
class Reached:
    """The last network of a path that has not lost more than a share, and the cost so far."""

    chain: Chain
    evaluations: int = 0  # (neuron, row) pairs
    backward: int = 0  # rows times backward passes
    seconds: float = 0.0  # of the process


def walk(
    ready: Prepared, policy: Any, n_rows: int, seed: int, **options: Any
) -> tuple[Chain, list[Reached]]:
    """The unpruned network, and what a path reached at every share.

    Parameters
    ----------
    ready : Prepared
    policy : str, Policy or Criterion
    n_rows : int
        Pruning rows, at most.
    seed : int
    **options
        Of the path, where they are not the defaults.
    """
    chain, rows = ready.chain(), ready.pruning_rows(n_rows, seed)
    total = sum(chain.hidden_sizes)
    found = [Reached(chain) for _ in SHARES]
    spent = Reached(chain)

    def note(step: Step) -> None:
        spent.evaluations += step.n_evaluations
        spent.backward += step.n_backward
        spent.seconds = time.process_time() - started
        for k, share in enumerate(SHARES):
            if total - sum(step.sizes) <= int(share * total) and step.chain is not None:
                found[k] = replace(spent, chain=step.chain)

    started = time.process_time()
    pruning_path(
        chain,
        rows,
        resolve_policy(policy),
        Budget.of(SHARES[-1], "neurons", chain.hidden_sizes, chain.cost, 1),
        replace(PathOptions(), **options),
        score=lambda pruned: 0.0,
        seed=seed,
        on_step=note,
    )
    return chain, found


def rows_of_walk(
    ready: Prepared, policy: Any, n_rows: int, seed: int, **options: Any
) -> list[dict[str, Any]]:
    """A row for every share: points on the scored rows, and the cost up to there."""
    chain, found = walk(ready, policy, n_rows, seed, **options)
    before = points(ready.net, chain, ready.scored)
    return [
        {
            "removed": share,
            "unpruned": before,
            "points": points(ready.net, at.chain, ready.scored),
            "evaluations": at.evaluations,
            "backward": at.backward,
            "seconds": at.seconds,
        }
        for share, at in zip(SHARES, found, strict=True)
    ]
