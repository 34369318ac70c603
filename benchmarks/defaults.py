"""Where the defaults come from: one parameter changed at a time, on networks trained once.

Only training samples are used here: of the three quarters that the demo trains on, a third
scores.  The initial training (rate, patience, initialisation) was chosen otherwise, see
docs/defaults.md.

    python -m benchmarks.defaults --data FOLDER --sets vehicle segment phoneme
    python -m benchmarks.defaults --data FOLDER --sets vehicle segment --fine-tuning

The first compares ways of pruning, without fine-tuning, so that only the pruning shows; the
second compares ways of fine-tuning after pruning with default parameters.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.shared.data_sets import load
from benchmarks.shared.prepared import Prepared, points
from benchmarks.shared.walks import SHARES, walk
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.policies import UCB1
from sklearn_mabprune.training import fine_tuning
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.fine_tuning import FineTuning, fine_tune, validation_losses
from sklearn_mabprune.training.rebuilding import net_around

#: name: (options changed, policy, pruning samples)
VARIANTS: dict[str, tuple[dict[str, Any], Any, int]] = {
    "default": ({}, "boundary", 4096),
    "exhaustive": ({}, "exhaustive", 4096),
    "uniform": ({}, "uniform", 4096),
    "ucb1": ({}, "ucb1", 4096),
    "thompson": ({}, "thompson", 4096),
    "random": ({}, "random", 4096),
    "magnitude": ({}, "magnitude", 4096),
    "magnitude, layer": ({"scope": "layer"}, "magnitude", 4096),
    "ablation mean": ({"ablation": "mean"}, "boundary", 4096),
    "ablation zero": ({"ablation": "zero"}, "boundary", 4096),
    "ridge 1e-4": ({"ridge": 1e-4}, "boundary", 4096),
    "ridge 1e-2": ({"ridge": 1e-2}, "boundary", 4096),
    "step 0.01": ({"step": 0.01}, "boundary", 4096),
    "step 0.02": ({"step": 0.02}, "boundary", 4096),
    "step 0.05": ({"step": 0.05}, "boundary", 4096),
    "discount 0.5": ({"discount": 0.5}, "boundary", 4096),
    "discount 1": ({"discount": 1.0}, "boundary", 4096),
    "block 128": ({"pull_batch_size": 128}, "boundary", 4096),
    "samples 1024": ({}, "boundary", 1024),
    "samples 16384": ({}, "boundary", 16384),
    "loss_per_mac": ({"rank_by": "loss_per_mac"}, "boundary", 4096),
    "scope layer": ({"scope": "layer"}, "boundary", 4096),
    "estimates fisher": ({"control_variate": "fisher"}, "boundary", 4096),
    "no estimates": ({"control_variate": None}, "boundary", 4096),
    "ucb1, pulls 5": ({"pulls_per_neuron": 5}, "ucb1", 4096),
    "ucb1, pulls 20": ({"pulls_per_neuron": 20}, "ucb1", 4096),
    "ucb1, block 128": ({"pull_batch_size": 128}, "ucb1", 4096),
    "ucb1, block 2048": ({"pull_batch_size": 2048}, "ucb1", 4096),
    "ucb1, arms 1": ({"arms_per_pull": 1}, "ucb1", 4096),
    "ucb1, discount 0.5": ({"discount": 0.5}, "ucb1", 4096),
    "ucb1, discount 1": ({"discount": 1.0}, "ucb1", 4096),
    "ucb1, exploration 0": ({}, UCB1(exploration=0.0), 4096),
    "ucb1, exploration 1": ({}, UCB1(exploration=1.0), 4096),
}


#: name: (epochs, or a fraction of those trained in one cycle; learning rate, distillation,
#: temperature)
TUNINGS: dict[str, tuple[float | str, float | str, float, float]] = {
    "default": ("auto", "auto", 0.7, 2.0),
    "a quarter of the epochs": (0.25, "auto", 0.7, 2.0),
    "half of the epochs": (0.5, "auto", 0.7, 2.0),
    "as many epochs": (1.0, "auto", 0.7, 2.0),
    "lr 0.001": ("auto", 0.001, 0.7, 2.0),
    "lr 0.005": ("auto", 0.005, 0.7, 2.0),
    "lr 0.02": ("auto", 0.02, 0.7, 2.0),
    "distillation 0": ("auto", "auto", 0.0, 2.0),
    "distillation 0.5": ("auto", "auto", 0.5, 2.0),
    "distillation 0.9": ("auto", "auto", 0.9, 2.0),
    "temperature 1": ("auto", "auto", 0.7, 1.0),
    "temperature 4": ("auto", "auto", 0.7, 4.0),
    # The rate rises first, as for networks that are no chains.
    "warm-up": ("auto", "auto", 0.7, 2.0),
}


def walked(ready: Prepared, variant: str, seed: int) -> tuple[list[Graph], list[float]]:
    """Networks at 0, 50, 75 and 90 %; million (unit, sample) evaluations and seconds."""
    changed, policy, n_rows = VARIANTS[variant]
    graph, found = walk(ready, policy, n_rows, seed, **changed)
    graphs = [graph, *(at.graph for at in found)]
    return graphs, [found[-1].evaluations / 1e6, found[-1].seconds]


def pruned_points(ready: Prepared, variant: str, seed: int) -> tuple[list[float], list[float]]:
    """Scores x 100 of the networks of a walk, and its cost."""
    graphs, cost = walked(ready, variant, seed)
    return [points(ready.net, graph, ready.scored) for graph in graphs], cost


def tuned_points(ready: Prepared, variant: str, seed: int) -> tuple[list[float], list[float]]:
    """Scores x 100 of the networks of the default walk after fine-tuning, epochs and seconds."""
    original, *graphs = walked(ready, "default", seed)[0]
    rows, validation = samples_of(ready.net, ready.fitted), samples_of(ready.net, ready.validation)
    trained = len(ready.net.history)
    epochs, *way = TUNINGS[variant]
    options = FineTuning.of(
        epochs if epochs == "auto" else math.ceil(epochs * trained), trained, *way
    )
    wanted = validation_losses(ready.net.module_, validation)
    with torch.no_grad():
        teacher = original.forward(rows.x)
    found, done = [points(ready.net, original, ready.scored)], 0
    started = time.perf_counter()
    warm = fine_tuning._WARM if variant == "warm-up" else fine_tuning._WARM_OF_CHAINS
    for graph in graphs:
        net, numbers = net_around(ready.net, graph), [0]
        with patch.object(fine_tuning, "_WARM_OF_CHAINS", warm):
            fine_tune(net, rows, validation, teacher, options, seed, numbers.append, wanted)
        done += numbers[-1]
        found.append(points(net, recover_graph(net.module_, rows.x[:64]), ready.scored))
    n = len(graphs)
    return found, [done / n, (time.perf_counter() - started) / n]


def main() -> None:
    """Print one line a variant: mean difference from the unpruned score, and its cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--sets", nargs="+", default=["digits"])
    parser.add_argument("--fine-tuning", action="store_true")
    parser.add_argument("--variants", nargs="+")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 64])
    args = parser.parse_args()
    measure = tuned_points if args.fine_tuning else pruned_points
    variants = args.variants or list(TUNINGS if args.fine_tuning else VARIANTS)
    found: dict[str, list[list[float]]] = {name: [] for name in variants}
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name in args.sets:
            data = load(name, args.data)
            for seed in range(args.seeds):
                ready = Prepared.of(data, seed, tuple(args.sizes), test=False)
                for variant in variants:
                    score, cost = measure(ready, variant, seed)
                    lost = [after - score[0] for after in score[1:]]
                    found[variant].append([*lost, *cost])
                print(f"{name}, split {seed}: unpruned score x 100: {score[0]:.2f}", flush=True)
    cost = "epochs" if args.fine_tuning else "M eval."
    print(
        f"{'score difference at':24s}"
        + "".join(f"{s:9.0%}" for s in SHARES)
        + f" {cost:>8s}  seconds"
    )
    for variant in variants:
        print(f"{variant:24s}" + "".join(f"{x:9.2f}" for x in np.mean(found[variant], axis=0)))
    others = [name for name in variants if name != "default"]
    if "default" in variants and others and len(found["default"]) > 1:
        print("\nagainst default, with standard error over networks")
        for variant in others:
            apart = np.subtract(found[variant], found["default"])[:, : len(SHARES)]
            errors = apart.std(axis=0, ddof=1) / math.sqrt(len(apart))
            pairs = zip(apart.mean(axis=0), errors, strict=True)
            print(f"{variant:24s}" + "".join(f"  {x:+6.2f} ({e:.2f})" for x, e in pairs))


if __name__ == "__main__":
    main()
