"""What stale statistics of the ablation cost in accuracy: digits, three seeds, no fine-tuning.

    python -m benchmarks.speed.refresh

The statistics of a layer are factorised again when a fraction ``refresh`` of the units before it
has been removed.  All other parameters are the defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.shared.whole import whole_path
from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Data, Samples
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Surroundings
from sklearn_mabprune.training.initial import train

REFRESH = (0.02, 0.1, 0.2, 0.5, 1.0)
SEEDS = 3

Score = Callable[[Graph], float]


def digits(seed: int) -> tuple[Graph, Samples, Score]:
    """A trained network, its training samples, and its accuracy on the others."""
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(X))
    inside, outside = order[:1200], order[1200:]
    net = MLPNetClassifier(module__hidden_layer_sizes=(96, 64, 48), max_epochs=40)
    data = [Data(X[side], y[side], None, 10) for side in (inside, outside)]
    net, _ = train(net, data[0], data[1], seed)
    x, targets = torch.from_numpy(X[inside]), torch.from_numpy(y[inside])
    weights = torch.ones(len(x), dtype=torch.float64)
    samples = Samples(x, targets, weights, SampleLoss(nn.CrossEntropyLoss()))
    held_out, wanted = torch.from_numpy(X[outside]), torch.from_numpy(y[outside])

    def accuracy(graph: Graph) -> float:
        return float((graph.forward(held_out).argmax(1) == wanted).double().mean())

    return recover_graph(net.module_, x[:64]), samples, accuracy


def measure(
    fraction: float, seed: int, graph: Graph, samples: Samples, score: Score
) -> list[float]:
    """Factorisations of a layer, at most, and accuracy at 50, 75 and 90 % of the units removed."""
    walk = whole_path(
        Activations(graph, samples),
        resolve_policy(MABPrunedClassifier().policy),
        Budget.of(0.9, "neurons", graph.sizes, graph.cost, 1),
        PathOptions(refresh=fraction),
        Surroundings(score=score),
        seed,
    )
    sizes = np.array([sum(step.sizes) for step in walk.steps])
    near = [int(np.argmin(abs(sizes - kept * sizes[0]))) for kept in (0.5, 0.25, 0.1)]
    return [max(walk.n_factorisations), *(walk.steps[number].score for number in near)]


def main() -> None:
    """Print one line for each value of ``refresh``, means over the seeds."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    found: dict[float, list[list[float]]] = {fraction: [] for fraction in REFRESH}
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for seed in range(SEEDS):
            network = digits(seed)
            for fraction in REFRESH:
                found[fraction].append(measure(fraction, seed, *network))
    print(f"{'refresh':>8s} {'factor.':>8s} {'50 %':>8s} {'75 %':>8s} {'90 %':>8s}   accuracy")
    for fraction, values in found.items():
        n_factorisations, *scores = np.mean(values, axis=0)
        print(
            f"{fraction:8.2f} {n_factorisations:8.1f} "
            + " ".join(f"{score:8.4f}" for score in scores)
        )


if __name__ == "__main__":
    main()
