"""One ranking on a frozen network: every policy on pulls that were measured once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.shared.frozen_pulls import FrozenPulls
from benchmarks.shared.prepared import Prepared
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.estimates import estimate
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.graph.units import UnitTable
from sklearn_mabprune.policies import POLICIES
from sklearn_mabprune.pruning.search import Search

#: Pulls per unit, initial pulls included.
PULLS = (2, 4, 8, 16)
BLOCK_ROWS = 32
KINDS = (None, "linear", "fisher")

Floats = NDArray[np.float64]


@dataclass
class Frozen:
    """Every unit's loss increase on every block of samples, exact and estimated."""

    increase: Floats  # (n_blocks, n_units)
    estimates: dict[str, Floats]
    layer: NDArray[np.intp]

    @classmethod
    def of(cls, ready: Prepared, n_rows: int, seed: int) -> Frozen:
        """Measure all."""
        graph, rows = ready.graph(), ready.pruning_rows(n_rows, seed)
        order = np.random.default_rng(seed).permutation(len(rows))
        n_blocks = len(rows) // BLOCK_ROWS
        rows = rows.at(torch.as_tensor(order[: n_blocks * BLOCK_ROWS]))
        activations = Activations(graph, rows)
        ablations = AblationStatistics("least_squares", 1e-3).update(activations)
        whole = activations.block(ablations)
        parts = [slice(k * BLOCK_ROWS, (k + 1) * BLOCK_ROWS) for k in range(n_blocks)]
        blocks = [activations.at(part).block(ablations) for part in parts]
        sizes = graph.sizes
        increase = [
            torch.cat([block.loss_increase(k, torch.arange(n)) for k, n in enumerate(sizes)])
            for block in blocks
        ]
        generator = torch.Generator().manual_seed(seed)
        estimates = {
            kind: estimate(whole, kind, generator, parts).numpy() for kind in ("linear", "fisher")
        }
        arms = np.arange(sum(sizes))
        return cls(torch.stack(increase).numpy(), estimates, UnitTable(sizes).group(arms))

    def pulls(self, kind: str | None, rng: np.random.Generator) -> FrozenPulls:
        """Pulls of the blocks in a random order, corrected by estimates of a kind, if any."""
        order = rng.permutation(len(self.increase))
        values = self.increase[order]
        if kind is None:
            return FrozenPulls(values)
        estimates = self.estimates[kind][order]
        expected = estimates.mean(axis=0)
        return FrozenPulls(values - estimates + expected, expected)


def rank(frozen: Frozen, name: str, kind: str | None, pulls: int, seed: int) -> dict[str, float]:
    """Select the safer half of the units; how good the selection is, and its cost.

    Returns
    -------
    dict
        ``overlap``: fraction of the selected units that belong to the safer half.  ``excess``:
        summed true loss increase of the selected units above that of the right ones, as a
        fraction of the excess of a random selection.  ``pulls``: pulls per unit.
    """
    true = frozen.increase.mean(axis=0)
    n_arms = len(true)
    half = n_arms // 2
    draws, blocks = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    policy = POLICIES[name]()
    source = frozen.pulls(kind, blocks)
    search = Search(policy, np.arange(n_arms), draws, groups=frozen.layer)
    initial = 0 if kind else policy.initial_pulls * n_arms
    order = search.run_round(source, half, pulls * n_arms - initial, np.ones(n_arms))
    best, chosen = np.sort(true)[:half], order[:half]
    return {
        "overlap": float(np.isin(chosen, np.argsort(true, kind="stable")[:half]).mean()),
        "excess": float((true[chosen].sum() - best.sum()) / (half * true.mean() - best.sum())),
        "pulls": float(source.done.sum() / n_arms),
    }


def measure(ready: Prepared, seed: int, n_rows: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of the table for one network, a mean over repeats each."""
    frozen = Frozen.of(ready, n_rows, seed)
    for name in POLICIES:
        if name == "exhaustive":
            continue
        for kind in KINDS:
            for pulls in PULLS:
                found = [rank(frozen, name, kind, pulls, seed + 1000 * k) for k in range(repeats)]
                mean = {key: float(np.mean([f[key] for f in found])) for key in found[0]}
                yield {"policy": name, "estimates": kind or "none", "budget": pulls, **mean}
