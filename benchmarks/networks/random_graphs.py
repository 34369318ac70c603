"""Networks drawn at random: is the smaller one ever wrong, does an unnamed error ever come?

    python -m benchmarks.networks.random_graphs              # 500 networks, about fifteen minutes
    python -m benchmarks.networks.random_graphs --first 500  # others
    python -m benchmarks.networks.random_graphs --table      # counts of the rows that are there
    python -m benchmarks.networks.random_graphs --write-page # the same, into docs/catalogue.md

Of each network random halves of all groups are removed twice: the smaller module must return what
the network returns whose units are masked, and have as many parameters as the costs say.  Of some
units of each group, with one of the three kinds of compensation, what a pull measures must be the
loss of the smaller module, computed by torch alone; then a fifth of all units goes at once, twice.
A network of which nothing can be removed must be refused with a reason.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.module_network import ModuleNetwork
from sklearn_mabprune.graph.program import called
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference

from ..shared.pages import DOCS, write_part
from ..shared.results import RESULTS, Results
from .drawn.networks import drawn

N_SAMPLES = 24
ABLATIONS = ("least_squares", "mean", "zero")
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}

#: Outcomes that must not be.
BAD = ("wrong", "wrong pull", "unnamed error")


def trial(seed: int, most_steps: int = 6) -> dict[str, Any]:
    """One network: what becomes of it."""
    dtype = torch.float32 if seed % 5 == 4 else torch.float64
    module = drawn(seed, dtype, most_steps)
    x = module.samples(N_SAMPLES, dtype)
    row = {
        "seed": seed, "result": "", "steps": "; ".join(module.names), "groups": 0, "units": 0,
        "kept_whole": 0, "difference": 0.0, "pull_difference": 0.0, "what": "",
    }  # fmt: skip
    try:
        network = recover_network(module, x, residual_streams=seed % 3 == 2)
        row |= {
            "result": "right", "groups": len(network.groups), "units": sum(network.sizes),
            "kept_whole": len(network.kept_whole), "difference": _masked_gap(network, x, seed),
        }  # fmt: skip
        if row["difference"] > TOLERANCES[dtype]:
            return row | {"result": "wrong"}
        if not isinstance(x, dict):
            row["pull_difference"], row["what"] = _pull_gap(network, x, seed)
        if row["pull_difference"] > TOLERANCES[dtype]:
            row["result"] = "wrong pull"
    except UnsupportedModuleError as error:
        reason = str(error)
        named = reason.startswith("DrawnNetwork has no units that can be removed. ")
        row |= {"result": "refused" if named else "unnamed error", "what": _short(reason)}
    except Exception as error:
        row |= {"result": "unnamed error", "what": _short(f"{type(error).__name__}: {error}")}
    return row


def _short(text: str) -> str:
    return " ".join(text.split())[:300]


def _masked_gap(network: ModuleNetwork, x: Any, seed: int) -> float:
    """Largest difference between smaller modules and masked networks; infinite for wrong costs."""
    rng = np.random.default_rng(seed)
    gap = 0.0
    for _ in range(2):
        masks = [rng.random(size) < rng.uniform(0.3, 0.9) for size in network.sizes]
        for mask in masks:
            mask[rng.integers(len(mask))] = True
        masked = network.masked(masks)
        gap = max(gap, difference(masked, x))
        smaller = masked.narrowed()
        if masked.cost()[0] != sum(parameter.numel() for parameter in smaller.parameters()):
            return float("inf")
    return gap


def _pull_gap(network: ModuleNetwork, x: torch.Tensor, seed: int) -> tuple[float, str]:
    """Largest difference between a pull and the loss of the smaller module, and of which group."""
    rng = np.random.default_rng(seed)
    labels = torch.as_tensor(rng.integers(0, 3, len(x)))
    weights = torch.as_tensor(rng.uniform(0.5, 1.5, len(x)))
    samples = Samples(x, labels, weights, SampleLoss(torch.nn.CrossEntropyLoss()))
    activations = activations_of(network, samples)
    statistics = activations.statistics(ABLATIONS[seed % 3], 1e-3, 0.2).update(activations)
    worst, where = 0.0, ""
    for step in range(2):
        network = activations.graph
        block = activations.block(statistics)
        before = loss_of(network.narrowed(), samples)
        for number, group in enumerate(network.groups):
            units = torch.as_tensor(rng.choice(network.sizes[number], 1))
            found = float(block.loss_increase(number, units)[0])
            changed = statistics.weights_without(network, number, units[0])
            masks = [mask.copy() for mask in network.kept]
            masks[number][np.flatnonzero(masks[number])[units[0]]] = False
            after = loss_of(network.with_weights(changed, masks).narrowed(), samples)
            gap = abs(found - (after - before)) / max(1.0, before, after)
            if not gap <= worst:
                worst, where = gap, f"{group.name}, step {step}"
        block.estimate("linear", torch.Generator().manual_seed(0))
        going: list[torch.Tensor | None] = [
            torch.as_tensor(np.sort(rng.choice(size, size // 5, replace=False)))
            if size >= 5 else None
            for size in network.sizes
        ]  # fmt: skip
        activations = activations.without(going, statistics)
        after = loss_of(activations.graph.narrowed(), samples)
        gap = abs(activations.mean_loss() - after) / max(1.0, after)
        if not gap <= worst:
            worst, where = gap, f"after removal {step}"
    return worst, where if worst > 0 else ""


def loss_of(module: torch.nn.Module, samples: Samples) -> float:
    """Weighted mean loss of a module, computed by torch alone."""
    with torch.no_grad():
        outputs = called(module.eval(), samples.x).double()
    losses = F.cross_entropy(outputs, samples.targets, reduction="none")
    return float(losses @ samples.weights / samples.weights.sum())


def summary(rows: list[dict[str, str]]) -> str:
    """How many networks of each outcome, and the largest differences."""
    count = {
        name: sum(row["result"] == name for row in rows) for name in ("right", "refused", *BAD)
    }
    right = [row for row in rows if row["result"] == "right"]
    exact = [row for row in right if int(row["seed"]) % 5 != 4]

    def largest(name: str) -> str:
        return f"{max((float(row[name]) for row in exact), default=0.0):.0e}"

    return (
        f"{len(rows)} networks drawn: {count['right']} pruned ({_total(right, 'groups')} groups, "
        f"{_total(right, 'units')} units; {_total(right, 'kept_whole')} layers kept whole), "
        f"{count['refused']} refused with a reason, {count['wrong']} wrong, "
        f"{count['wrong pull']} with a wrong pull, {count['unnamed error']} unnamed errors. "
        "Largest relative difference in float64 between smaller and masked: "
        f"{largest('difference')}, between pull and surgery: {largest('pull_difference')}."
    )


def _total(rows: list[dict[str, str]], name: str) -> int:
    return sum(int(row[name]) for row in rows)


def main() -> int:
    """Run networks that have no row; 1 if one is wrong or an error has no name."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks.random_graphs", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    parser.add_argument("--n", type=int, default=500, help="how many networks")
    parser.add_argument("--results", type=Path, default=RESULTS / "random_graphs.csv")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--write-page", action="store_true", help="put the counts into the page")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = Results(options.results, ("seed",))
    start = time.process_time()
    for seed in (
        []
        if options.table or options.write_page
        else range(options.first, options.first + options.n)
    ):
        if (seed,) not in results:
            row = trial(seed)
            results.add([row])
            if row["result"] in BAD:
                print(", ".join(f"{name}={value}" for name, value in row.items()), flush=True)
    if options.write_page:
        write_part(DOCS / "catalogue.md", "random graphs", [summary(results.rows)])
    print(f"{summary(results.rows)}\n{time.process_time() - start:.0f} s")
    return int(any(row["result"] in BAD for row in results.rows))


if __name__ == "__main__":
    sys.exit(main())
