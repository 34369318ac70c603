"""How the cost of pruning grows: seconds and evaluations of a prune to 75 %.

    python -m benchmarks.speed.scaling                          # writes results and plot
    python -m benchmarks.speed.scaling --sweeps samples depth   # some of the sweeps
    python -m benchmarks.speed.scaling --most-units 4096        # smaller
    python -m benchmarks.speed.scaling --plot                   # the plot again, from the results

Networks are not trained: what a round costs does not depend on the weights.  All parameters
that a sweep does not vary are the defaults.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.shared.results import RESULTS
from benchmarks.shared.whole import whole_path
from benchmarks.speed import naive
from benchmarks.speed.memory import peak
from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.estimators.parameters import resolve_policy
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Surroundings, Walk

PLOT = Path(__file__).parents[2] / "docs" / "_static"
N_FEATURES, N_OUTPUTS, N_ROWS = 50, 10, 4096
FIELDS = (
    "sweep", "value", "hidden", "samples", "seconds", "rounds", "pulls", "evaluations", "backward",
    "factorisations", "peak_mib", "device",
)  # fmt: skip


def prune(graph: Graph, rows: Samples, device: str) -> Walk:
    """The path to 75 % with default parameters."""
    used = MABPrunedClassifier().get_params(deep=False)
    names = set(PathOptions.__dataclass_fields__) & set(used)
    # As the estimator does: more samples than that are left out before anything is measured.
    if len(rows) > used["max_pruning_samples"]:
        rows = rows.at(torch.randperm(len(rows))[: used["max_pruning_samples"]].to(device))
    return whole_path(
        Activations(graph, rows),
        resolve_policy(used["policy"]),
        Budget.of(0.75, "neurons", graph.sizes, graph.cost, used["min_neurons"]),
        PathOptions(**{name: used[name] for name in names}),
        Surroundings(score=lambda _: 0.0),
        seed=0,
    )


def made(hidden: tuple[int, ...], n_rows: int, device: str) -> tuple[Graph, Samples]:
    """A random network and samples that it labels itself."""
    module = naive.network((N_FEATURES, *hidden, N_OUTPUTS), device)
    x = torch.randn(n_rows, N_FEATURES, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        y = torch.cat([module(part).argmax(1) for part in x.split(8192)])
    weights = torch.ones(n_rows, dtype=torch.float64, device=device)
    return recover_graph(module, x[:64]), Samples(x, y, weights, SampleLoss(nn.CrossEntropyLoss()))


def sweeps(most: int) -> dict[str, list[tuple[int, tuple[int, ...], int]]]:
    """Of each sweep the value that varies, the hidden layers and the number of samples."""
    units = [2**k for k in range(7, 15) if 2**k <= most]
    return {
        "units, 1 layer": [(n, (n,), N_ROWS) for n in units],
        "units, 3 layers": [(n, (n // 2, n // 4, n // 4), N_ROWS) for n in units],
        "width of 3 layers": [(n, (n,) * 3, N_ROWS) for n in (64, 128, 256, 512, 1024, 4096)],
        "samples": [(n, (128, 64), n) for n in (1000, 4000, 16_000, 64_000, 250_000, 1_000_000)],
        "depth": [(n, (64,) * n, N_ROWS) for n in (1, 2, 3, 4, 6, 8)],
    }


def measure(names: list[str], most: int, limit: float, device: str) -> Iterator[dict[str, Any]]:
    """One row a point; a sweep ends when the next point is likely to pass the limit."""
    for name in names:
        before: list[float] = []
        for value, hidden, n_rows in sweeps(most)[name]:
            if len(before) > 1 and before[-1] ** 2 / before[-2] > limit:
                print(f"{name} {value}: left out, about {before[-1] ** 2 / before[-2]:,.0f} s")
                break
            graph, rows = made(hidden, n_rows, device)
            # Processor time: on one thread that of a machine with nothing else to do.
            now = time.process_time if device == "cpu" else time.perf_counter
            forget_peak()
            started = now()
            walk = prune(graph, rows, device)
            before.append(now() - started)
            yield {
                "sweep": name,
                "value": value,
                "hidden": "-".join(map(str, hidden)),
                "samples": n_rows,
                "seconds": round(before[-1], 4),
                "rounds": len(walk.steps) - 1,
                "pulls": sum(step.n_pulls for step in walk.steps),
                "evaluations": sum(step.n_evaluations for step in walk.steps),
                "backward": sum(step.n_backward for step in walk.steps),
                "factorisations": max(walk.n_factorisations),
                "peak_mib": round(peak() / 2**20),
                "device": device,
            }


def forget_peak() -> None:
    """Let the peak of the process's memory start again from here, where Linux can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def exponent(rows: list[dict[str, Any]], of: str) -> float:
    """Slope of the logarithms, from the upper half of the points: what growth comes to.

    NaN where fewer than two of them are above zero: estimates may leave nothing to pull.
    """
    upper = rows[len(rows) // 2 - 1 :] if len(rows) > 3 else rows
    points = [(float(row["value"]), float(row[of])) for row in upper]
    points = [point for point in points if point[1] > 0]
    if len(points) < 2:
        return float("nan")
    x, y = np.log(points).T
    return float(np.polyfit(x, y, 1)[0])


def summarise(rows: list[dict[str, Any]]) -> None:
    """Exponents of each sweep."""
    for name in dict.fromkeys(row["sweep"] for row in rows):
        some = [row for row in rows if row["sweep"] == name]
        if len(some) > 1:
            print(
                f"{name}: seconds grow with exponent {exponent(some, 'seconds'):.2f}, "
                f"evaluations with {exponent(some, 'evaluations'):.2f}"
            )


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """Seconds and evaluations over each sweep."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "scaling"
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["sweep"] for row in rows))
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 3), layout="constrained")
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        some = [row for row in rows if row["sweep"] == name]
        x = [float(row["value"]) for row in some]
        axis.loglog(x, [float(row["seconds"]) for row in some], "o-", label="seconds")
        made = [float(row["evaluations"]) / 1e6 or np.nan for row in some]
        axis.loglog(x, made, "s--", label="evaluations / 1e6")
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axis.set_xticks(x[::2], [f"{value:,.0f}" for value in x[::2]], rotation=30)
        axis.set_xlabel(name)
        axis.set_title(f"seconds ~ {name.split(',')[0]}^{exponent(some, 'seconds'):.2f}", size=9)
    np.atleast_1d(axes)[0].legend()
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Measure, write the rows, print the exponents, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", nargs="+", help="beginnings of their names")
    parser.add_argument("--most-units", type=int, default=16_384)
    parser.add_argument("--limit", type=float, default=300, help="seconds a point may take")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", action="store_true")
    args = parser.parse_args()
    file = RESULTS / f"scaling_{args.device}.csv"
    with threadpool_limits(args.threads):
        torch.set_num_threads(args.threads)
        if not args.plot:
            known = sweeps(args.most_units)
            names = [n for n in known if not args.sweeps or n.startswith(tuple(args.sweeps))]
            kept = [row for row in read(file) if row["sweep"] not in names]
            for row in measure(names, args.most_units, args.limit, args.device):
                print(", ".join(f"{key}={value}" for key, value in row.items()), flush=True)
                kept.append(row)
                write(file, kept)
    rows = read(file)
    print(f"{platform.machine()}, torch {torch.__version__}, {args.threads} thread(s)")
    summarise(rows)
    plot(rows, PLOT / f"scaling_{args.device}.svg")


def read(file: Path) -> list[dict[str, Any]]:
    """Rows measured before."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as CSV."""
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
