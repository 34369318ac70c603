"""How fast networks that are no chains are measured and pruned, against plain ways.

    python -m benchmarks.networks.speed                    # pulls and estimates
    python -m benchmarks.networks.speed --data FOLDER      # and prunes of mnist_cnn, cifar10_cnn
    python -m benchmarks.networks.speed --data FOLDER --check        # 1 when a bound is missed
    python -m benchmarks.networks.speed --clock cpu        # on a machine that others use

Every row is a ratio of two times of one run, on one thread; what takes short is measured in turns.
FOLDER is that of ``benchmarks.networks.images``.  Rows are written to
``benchmarks/results/network_speed.csv``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.ablation.measured import activations_of
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.module_network import ModuleNetwork
from sklearn_mabprune.graph.recovery import recover_network

from ..shared.results import RESULTS
from ..speed import timing
from ..speed.timing import Result, milliseconds, seconds
from .image_modules import Cifar10CNN
from .images import NETS, read, trained
from .stages import Stages

N_IMAGES, N_NAIVE, EPOCHS = 128, 4, 12

#: A prune takes at most so much of the seconds of twelve epochs; estimates so little of the loop.
MOST_OF_TRAINING, LEAST_ESTIMATES = 0.5, 20
#: Of the limit that multiply-adds allow; and times faster where no convolution runs again.
LEAST_OF_LIMIT, LEAST_DENSE = 0.8, 20

NAMES = {"zero": "zero", "least_squares": "least squares"}


def layer_macs(module: nn.Module, x: Tensor) -> dict[str, int]:
    """MACs per sample of each convolution and linear layer, in the order in which they run."""
    found: dict[str, int] = {}

    def hook(name: str) -> Any:
        def count(layer: Any, _: Any, output: Tensor) -> None:
            found[name] = layer.weight.numel() * output[0, 0].numel()

        return count

    handles = [
        layer.register_forward_hook(hook(name))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        module(x[:1])
    for handle in handles:
        handle.remove()
    return found


def limit(network: ModuleNetwork, number: int, macs: dict[str, int], ablation: str) -> float:
    """Times faster that multiply-adds allow: those of a forward pass over those of a pull.

    A pull makes the ablated part (least squares), its product with the reader's weights, and all
    layers after the reader.
    """
    (reader,) = network.groups[number].readers
    names = list(macs)
    n_each = reader.columns.shape[1]
    n_outputs, n_columns = reader.matrix(network.weights[reader.weight]).shape
    n_rows = macs[reader.module] // (n_outputs * n_columns)
    product = n_rows * n_each * (n_outputs + (n_columns if ablation == "least_squares" else 0))
    after = sum(macs[name] for name in names[names.index(reader.module) + 1 :])
    return sum(macs.values()) / (product + after)


def mask_forward_restore(
    module: nn.Module, x: Tensor, y: Tensor, weight: Tensor, columns: Tensor
) -> Tensor:
    """Loss of the module with each unit's columns of a weight at zero."""
    losses, flat = [], weight.flatten(1)
    with torch.no_grad():
        for own in columns:
            kept = flat[:, own].clone()
            flat[:, own] = 0.0
            losses.append(F.cross_entropy(module(x), y))
            flat[:, own] = kept
    return torch.stack(losses)


def pulls(repeats: int) -> Iterator[Result]:
    """Every unit of each group of cifar10_cnn once, and estimates for all of them."""
    torch.manual_seed(0)
    module, x = Cifar10CNN().eval(), torch.rand(N_IMAGES, 3, 32, 32)
    y, weights = torch.randint(10, (N_IMAGES,)), torch.ones(N_IMAGES, dtype=torch.float64)
    network, macs = recover_network(module, x[:8]), layer_macs(module, x)
    samples = Samples(x, y, weights, SampleLoss(nn.CrossEntropyLoss()))
    activations = activations_of(network, samples)
    parameters = dict(module.named_parameters())
    naive_total: list[float] = []
    for ablation in NAMES:
        block = activations.block(activations.statistics(ablation, 1e-3, 0.2).update(activations))
        for number, group in enumerate(network.groups):
            (reader,) = group.readers
            units, columns = torch.arange(group.size), torch.as_tensor(reader.columns)
            weight = parameters[reader.weight].detach()
            some = columns[:N_NAIVE]
            block.loss_increase(number, units[:N_NAIVE])
            taken = [
                (
                    seconds(lambda: mask_forward_restore(module, x, y, weight, some)),  # noqa: B023
                    seconds(lambda: block.loss_increase(number, units)),  # noqa: B023
                )
                for _ in range(repeats)
            ]
            naive = median(t for t, _ in taken) / N_NAIVE * group.size
            ours = median(t for _, t in taken)
            most = limit(network, number, macs, ablation)
            dense = reader.module in ("dense", "out")
            yield Result(
                f"pulls of {group.name}, {NAMES[ablation]}",
                naive / ours,
                LEAST_DENSE if dense else round(LEAST_OF_LIMIT * most, 2),
                True,
                f"{group.size} units, naive {milliseconds(naive)}, {milliseconds(ours)}; "
                f"multiply-adds allow {most:,.1f}",
            )
            naive_total.append(naive)
    naive = sum(naive_total) / len(NAMES)
    ours = median(seconds(lambda: block.estimate("linear", torch.Generator())) for _ in range(3))
    yield Result(
        "estimates of all units", naive / ours, LEAST_ESTIMATES, True,
        f"{sum(network.sizes)} units, naive {milliseconds(naive)}, {milliseconds(ours)}",
    )  # fmt: skip


def prunes(name: str, folder: Path, n_epochs: int) -> Iterator[Result]:
    """Seconds of a prune to 50 % with default settings, by stage, against twelve epochs."""
    X, X_test, y, y_test = read(NETS[name][1], folder)
    X, y = np.concatenate([X, X_test]), np.concatenate([y, y_test])
    nets: list[Any] = []
    training = seconds(lambda: nets.append(trained(name, X, y, 0, "cpu", n_epochs)))
    training *= EPOCHS / n_epochs
    frozen = FrozenEstimator(nets[0])
    model = MABPrunedClassifier(
        frozen, pruning_budget=0.5, fine_tune_epochs=0, tolerance=1.0, random_state=0
    )
    stages = Stages(timing.CLOCKS[timing.clock])
    with stages.running():
        taken = seconds(lambda: model.fit(X, y))
    yield Result(
        f"prune of {name}, {len(X):,} images", taken / training, MOST_OF_TRAINING, False,
        f"{taken:.1f} s in {model.pruning_report_.n_rounds} rounds, {EPOCHS} epochs {training:.1f} "
        f"s ({n_epochs} measured)",
    )  # fmt: skip
    found = stages.seconds | {"scores, losses, report": taken - sum(stages.seconds.values())}
    for stage, each in found.items():
        yield Result(f"  {stage}", each / training, None, False, f"{each:.2f} s")


def main() -> int:
    """Print the table, write the rows; 1 when a bound is missed and --check was given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks.speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, help="folder of the image files")
    parser.add_argument("--nets", nargs="*", default=["mnist_cnn", "cifar10_cnn"], choices=NETS)
    parser.add_argument("--no-pulls", action="store_true", help="prunes alone")
    parser.add_argument("--repeats", type=int, default=5, help="turns of pulls")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="that are timed, of twelve")
    parser.add_argument("--clock", choices=list(timing.CLOCKS), default="wall")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bound is missed")
    parser.add_argument("--results", type=Path, default=RESULTS / "network_speed.csv")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    timing.clock = args.clock
    print(f"torch {torch.__version__}, one thread, {args.clock} time\n")
    rows: list[Result] = []

    def keep(results: Iterator[Result]) -> None:
        for result in results:
            rows.append(result)
            print(result.line(), flush=True)

    if not args.no_pulls:
        keep(pulls(args.repeats))
    for name in args.nets if args.data else []:
        keep(prunes(name, args.data, args.epochs))
    _write(rows, args.results, args.clock)
    missed = sum(not result.holds for result in rows)
    print(f"{missed} bounds missed" if missed else "all bounds met")
    return int(args.check and missed > 0)


def _write(rows: list[Result], file: Path, clock: str) -> None:
    """In place of rows of the same names."""
    old: dict[str, dict[str, str]] = {}
    part = ""
    if file.exists():
        with file.open(newline="", encoding="utf-8") as lines:
            old = {row["what"]: row for row in csv.DictReader(lines)}
    for result in rows:
        # A stage is named after its prune.
        part = part if result.what.startswith("  ") else result.what
        name = f"{part}: {result.what.strip()}" if result.what.startswith("  ") else part
        bound = "" if result.bound is None else f"{result.bound:g}"
        old[name] = {
            "what": name, "ratio": f"{result.ratio:.4g}", "bound": bound, "clock": clock,
            "torch": torch.__version__, "note": result.note,
        }  # fmt: skip
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(next(iter(old.values()))), lineterminator="\n")
        writer.writeheader()
        writer.writerows(old.values())


if __name__ == "__main__":
    sys.exit(main())
