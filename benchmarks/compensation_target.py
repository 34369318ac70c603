"""What the layers after removed units are fitted to: what they returned before, or unpruned.

    python -m benchmarks.compensation_target --data FOLDER --sets phoneme segment

Chains of one to six hidden layers are trained once and pruned without fine-tuning in three ways:

- "chain": as the package prunes chains, by updates of the round before;
- "own": the same by the code for networks that are no chains, each removal fitted to what the
  layer returned before it;
- "dense": all layers are fitted anew after each removal, to what they returned in the unpruned
  network, as the package prunes networks that are no chains.

Only training samples are used, as in ``benchmarks.defaults``.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.shared.data_sets import load
from benchmarks.shared.prepared import Prepared, points
from benchmarks.shared.whole import whole_path
from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.ablation.reader_fits import LeastSquaresFit
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Step, Surroundings

SHARES = (0.5, 0.75, 0.9)
WIDTHS = (96, 96, 64, 64, 48, 48)
WAYS = ("chain", "own", "dense")


def lost(ready: Prepared, way: str, seed: int) -> tuple[list[float], float]:
    """Score x 100 minus that of the unpruned network by fraction removed, and seconds."""
    rows = ready.pruning_rows(4096, seed)
    network = ready.graph() if way == "chain" else recover_network(ready.net.module_, rows.x[:64])
    total, found = sum(network.sizes), [network] * len(SHARES)

    def note(step: Step) -> None:
        for k, share in enumerate(SHARES):
            if total - sum(step.sizes) <= int(share * total) and step.graph is not None:
                found[k] = step.graph

    started = time.process_time()
    kept = patch.object(LeastSquaresFit, "refitted", lambda fit, matrix: (matrix, None))
    with kept if way == "own" else nullcontext():
        whole_path(
            activations_of(network, rows),
            resolve_policy("boundary"),
            Budget.of(SHARES[-1], "neurons", network.sizes, network.cost, 1),
            PathOptions(),
            Surroundings(score=lambda pruned: 0.0, on_step=note),
            seed,
        )
    seconds = time.process_time() - started
    before = points(ready.net, network, ready.scored)
    return [points(ready.net, each, ready.scored) - before for each in found], seconds


def table(found: dict[tuple[int, str], list[list[float]]]) -> str:
    """One line for each depth and way; the difference of the last two with standard errors."""
    lines = [f"{'layers, score difference at':28s}" + "".join(f"{s:16.0%}" for s in SHARES)]
    lines[0] += " " * 9 + "seconds"
    for (depth, way), rows in found.items():
        means = np.mean(rows, axis=0)
        lines.append(f"{depth} {way:26s}" + "".join(f"{x:16.2f}" for x in means))
        if way == WAYS[-1] and len(rows) > 1:
            apart = np.subtract(rows, found[depth, "own"])[:, : len(SHARES)]
            errors = apart.std(axis=0, ddof=1) / np.sqrt(len(rows))
            cells = [f"{x:+.2f} ({e:.2f})" for x, e in zip(apart.mean(axis=0), errors, strict=True)]
            lines.append(f"{depth} {'dense minus own':26s}" + "".join(f"{c:>16s}" for c in cells))
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", default=["digits"])
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--most", type=int, default=4000, help="training samples, at most")
    args = parser.parse_args()
    found: dict[tuple[int, str], Any] = {(depth, way): [] for depth in args.depths for way in WAYS}
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name in args.sets:
            data = load(name, args.data)
            for seed in range(args.seeds):
                for depth in args.depths:
                    sizes = WIDTHS[:depth]
                    ready = Prepared.of(data, seed, sizes, test=False, most=args.most)
                    for way in WAYS:
                        differences, seconds = lost(ready, way, seed)
                        found[depth, way].append([*differences, seconds])
                        shown = " ".join(f"{x:7.2f}" for x in differences)
                        print(
                            f"{name} {seed} {depth} {way:6s} {shown} {seconds:6.1f} s", flush=True
                        )
    print(table(found))


if __name__ == "__main__":
    main()
