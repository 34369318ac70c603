"""How fast the library is, against the plain way of doing the same.

    python -m benchmarks.speed                      # the whole table, some minutes
    python -m benchmarks.speed --check              # exits with 1 when a bound is missed
    python -m benchmarks.speed --rows pulls predict # rows whose name begins so
    python -m benchmarks.speed --device cuda        # with the rows of the GPU

Every figure is a ratio of medians; the two sides take turns in one process, on one thread.
All parameters that a row does not name are the defaults.  The other side of each comparison is
in ``naive.py``.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.speed import gpu, naive, timing
from benchmarks.speed.timing import Result, in_turns, milliseconds
from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.block import Block
from sklearn_mabprune.ablation.compensation import ABLATIONS, ZeroAblation
from sklearn_mabprune.ablation.statistics import AblationStatistics
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.tracing import recover_graph

#: Layers, rows of the batch, bounds for zero and for least-squares ablation.
PULLS = (
    ((50, 128, 2), 256, 60, 40),
    ((50, 256, 128, 10), 256, 35, 22),
    ((50, 512, 256, 10), 256, 30, 18),
    ((784, 1024, 512, 256, 10), 128, 25, 14),
)
HIDDEN = (256, 128)
EPOCHS = 20
BATCH = 200
POLICIES = ("ucb1", "thompson", "lucb", "uniform", "magnitude")
BUDGETS = (0.25, 0.5, 0.75, 0.9)


def table(n_rows: int = 20_000, n_features: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Ten classes in float32."""
    X, y = make_classification(
        n_rows, n_features, n_informative=20, n_classes=10, flip_y=0.02, random_state=0
    )
    return X.astype(np.float32), y


def net(hidden: tuple[int, ...] = HIDDEN, epochs: int = EPOCHS, **parameters: Any) -> Any:
    """The default net, without early stopping: the same epochs on both sides."""
    return MLPNetClassifier(
        module__hidden_layer_sizes=hidden,
        max_epochs=epochs,
        early_stopping=False,
        **({"random_state": 0} | parameters),
    )


# ----------------------------------------------------------------------------- pulls


def pulls(
    repeats: int, device: str, sizes: tuple[int, ...], n_rows: int, zero: float, squares: float
) -> Iterator[Result]:
    """Every neuron once on one batch, zero and least-squares ablation."""
    module = naive.network(sizes, device)
    source = torch.Generator().manual_seed(1)
    x = torch.randn(n_rows, sizes[0], generator=source).to(device)
    y = torch.randint(sizes[-1], (n_rows,), generator=source).to(device)
    rows = Samples(
        x,
        y,
        torch.ones(n_rows, dtype=torch.float64, device=device),
        SampleLoss(nn.CrossEntropyLoss()),
    )
    graph = recover_graph(module, x)
    units = [torch.arange(size, device=device) for size in graph.sizes]

    def statistics(name: str) -> list[ZeroAblation]:
        return AblationStatistics(name, 1e-3).update(Activations(graph, rows))

    frozen = {name: statistics(name) for name in ABLATIONS}

    def batched(name: str) -> torch.Tensor:
        block = Block(Activations(graph, rows), frozen[name])
        return torch.cat([block.loss_increase(k, each) for k, each in enumerate(units)])

    found = in_turns(
        {
            "naive": lambda: naive.mask_forward_restore(module, x, y),
            "zero": lambda: batched("zero"),
            "least_squares": lambda: batched("least_squares"),
            "statistics": lambda: statistics("least_squares"),
        },
        repeats,
        device,
    )
    difference = batched("zero") - naive.mask_forward_restore(module, x, y).double()
    title = "-".join(map(str, sizes))
    sides = f"naive {milliseconds(found['naive'])}"
    yield Result(
        f"pulls, zero, {title}, {n_rows} rows",
        found["naive"] / found["zero"],
        zero,
        True,
        f"{sides}, {milliseconds(found['zero'])}; differ by {float(difference.abs().max()):.0e}",
    )
    yield Result(
        f"pulls, least squares, {title}, {n_rows} rows",
        found["naive"] / found["least_squares"],
        squares,
        True,
        f"{sides}, {milliseconds(found['least_squares'])}; mean, Gram and inverse apart: "
        f"{milliseconds(found['statistics'])}",
    )


# -------------------------------------------------------------------------- training


def training(repeats: int, device: str) -> Iterator[Result]:
    """Epochs of the default net against scikit-learn and against a bare loop of torch."""
    X, y = table()
    for dtype, bound in (("float32", 1.0), ("float64", 0.7)):
        rows = X.astype(dtype)
        theirs = MLPClassifier(HIDDEN, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0)
        ours = net(device=device, train_split=None)
        found = in_turns(
            {
                "ours": partial(ours.fit, rows, y),
                "scikit-learn": partial(theirs.fit, rows, y),
            },
            repeats,
            device,
        )
        yield Result(
            f"training, {dtype}, against MLPClassifier",
            found["ours"] / found["scikit-learn"],
            bound,
            False,
            f"{found['ours']:.2f} s, scikit-learn {found['scikit-learn']:.2f} s",
        )
    x, targets = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)

    def bare(**adam: Any) -> None:
        module = naive.network((X.shape[1], *HIDDEN, 10), device)
        naive.train(module, x, targets, EPOCHS, BATCH, **adam)

    found = in_turns(
        {
            "ours": partial(net(device=device, train_split=None).fit, X, y),
            "bare": bare,
            "fused": partial(bare, fused=True),
        },
        repeats,
        device,
    )
    for name, bound in (("bare", 1.0), ("fused", None)):
        yield Result(
            f"training, against a {name} torch loop",
            found["ours"] / found[name],
            bound,
            False,
            f"{found['ours']:.2f} s, loop {found[name]:.2f} s",
        )


def pruning(repeats: int, device: str) -> Iterator[Result]:
    """Seconds of pruning to 75 % against seconds of the initial training."""
    X, y = table()
    model = MABPrunedClassifier(net(device=device), pruning_budget=0.75, random_state=0)
    model.fit(X[:2000], y[:2000])
    reports = [model.fit(X, y).pruning_report_ for _ in range(repeats)]
    trained = median(report.seconds_training for report in reports)
    pruned = median(report.seconds_pruning for report in reports)
    yield Result(
        "pruning to 75 % / training",
        pruned / trained,
        0.15,
        False,
        f"{pruned:.2f} s in {reports[0].n_rounds} rounds, training {trained:.2f} s",
    )


# ------------------------------------------------------------------------- prediction


def predict(repeats: int, device: str) -> Iterator[Result]:
    """Rows a second before and after; one row against scikit-learn."""
    X, y = table()
    hidden = (512, 256)
    shared = {"estimator": net(hidden, 2, device=device), "fine_tune_epochs": 0}
    before = MABPrunedClassifier(**shared, pruning_budget=0, random_state=0).fit(X, y)
    after = MABPrunedClassifier(**shared, pruning_budget=0.75, random_state=0).fit(X, y)
    many = X[:10_000]
    found = in_turns(
        {
            "before": lambda: before.predict_proba(many),
            "after": lambda: after.predict_proba(many),
        },
        10 * repeats,
        device,
    )
    yield Result(
        "predict, 10,000 rows, 75 % removed",
        found["before"] / found["after"],
        3.0,
        True,
        f"before {milliseconds(found['before'])}, after {milliseconds(found['after'])}",
    )
    one = X[:1]
    model = MABPrunedClassifier(net(epochs=2, device=device), pruning_budget=0).fit(X, y)
    theirs = MLPClassifier(HIDDEN, max_iter=2).fit(X, y)
    found = in_turns(
        {
            "ours": lambda: model.predict_proba(one),
            "scikit-learn": lambda: theirs.predict_proba(one),
        },
        10 * repeats,
        device,
    )
    yield Result(
        "predict, one row, against MLPClassifier",
        found["ours"] / found["scikit-learn"],
        1.0,
        False,
        f"{milliseconds(found['ours'])}, scikit-learn {milliseconds(found['scikit-learn'])}",
    )


# ------------------------------------------------------------------- grid and memory


def grid(repeats: int, device: str) -> Iterator[Result]:
    """A grid with `memory` against three trainings and sixty prunings timed apart."""
    X, y = table(4000)
    folds = StratifiedKFold(3)
    values = {"policy": list(POLICIES), "pruning_budget": list(BUDGETS)}
    estimator = net((128, 64), device=device)
    ratios, notes = [], []
    for _ in range(max(1, repeats // 2)):
        with tempfile.TemporaryDirectory() as folder:
            model = MABPrunedClassifier(estimator, memory=folder, random_state=0)
            started = time.perf_counter()
            GridSearchCV(model, values, cv=folds, refit=False).fit(X, y)
            together = time.perf_counter() - started
        trained = pruned = 0.0
        for train, test in folds.split(X, y):
            seconds_of_training = []
            for parameters in ParameterGrid(values):
                apart = MABPrunedClassifier(estimator, random_state=0, **parameters)
                started = time.perf_counter()
                apart.fit(X[train], y[train])
                apart.score(X[test], y[test])
                spent = time.perf_counter() - started
                seconds_of_training.append(apart.pruning_report_.seconds_training)
                pruned += spent - seconds_of_training[-1]
            trained += median(seconds_of_training)
        ratios.append(together / (trained + pruned))
        notes.append(f"{together:.1f} s; trainings {trained:.1f} s, the rest {pruned:.1f} s")
    yield Result("grid of 60 fits with memory", median(ratios), 1.1, False, notes[-1])


def memory(repeats: int, device: str) -> Iterator[Result]:
    """Peak memory of a fit in copies of X, X itself included."""
    copies = []
    for _ in range(max(1, repeats // 2)):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.memory", "100000", "100"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        size, grown = (int(value) for value in out.split())
        copies.append(grown / size)
    note = f"{grown / 2**20:.0f} MiB for 100,000 x 100 float32 ({size / 2**20:.0f} MiB)"
    yield Result("memory, copies of X at the peak of a fit", median(copies), 4.0, False, note)


# ------------------------------------------------------------------------------ table

Row = Callable[[int, str], Iterator[Result]]


def _pulls_of(case: tuple[tuple[int, ...], int, float, float]) -> Row:
    return lambda repeats, device: pulls(repeats, device, *case)


ROWS: dict[str, Row] = {
    **{f"pulls-{'-'.join(map(str, case[0]))}": _pulls_of(case) for case in PULLS},
    "training": training,
    "pruning": pruning,
    "predict": predict,
    "grid": grid,
    "memory": memory,
}


def main() -> int:
    """Print the table; 1 when a bound is missed and --check was given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", help="only rows whose name begins with one of these")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bound is missed")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=7, help="turns of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--clock",
        choices=list(timing.CLOCKS),
        default="wall",
        help="cpu: processor time, for a machine that others use (not for pruning and grid)",
    )
    args = parser.parse_args()
    rows = ROWS | (gpu.ROWS if args.device == "cuda" else {})
    chosen = [
        name for name in rows if not args.rows or any(name.startswith(some) for some in args.rows)
    ]
    if not chosen:
        parser.error(f"--rows: known are {', '.join(rows)}.")
    warnings.simplefilter("ignore")
    timing.clock = args.clock
    describe(args.device, args.threads, args.repeats)
    missed = 0
    with threadpool_limits(args.threads):
        torch.set_num_threads(args.threads)
        for name in chosen:
            for result in rows[name](args.repeats, args.device):
                print(result.line(), flush=True)
                missed += not result.holds
    print(f"{missed} bounds missed" if missed else "all bounds met")
    return int(args.check and missed > 0)


def describe(device: str, threads: int, repeats: int) -> None:
    """What was measured, and where."""
    defaults = MABPrunedClassifier().get_params(deep=False)
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}, NumPy {np.__version__}, {numba_version()}; {platform.machine()}, "
        f"{threads} thread(s), {timing.clock} time, medians of {repeats} turns"
    )
    if device == "cuda":
        print(f"device: {torch.cuda.get_device_name()}")
    print("estimator: " + ", ".join(f"{name}={value!r}" for name, value in defaults.items()))
    used = MLPNetClassifier().get_params(deep=False)
    names = ("lr", "batch_size", "max_epochs", "patience", "dtype")
    print(
        "net: module__hidden_layer_sizes=(128, 64), optimizer=Adam, "
        + ", ".join(f"{name}={used[name]!r}" for name in names)
    )
    print(f"\n{'what':46s} {'ratio':>8s}  {'bound':>8s}")


def numba_version() -> str:
    """Large calls of pulls are compiled where it is installed."""
    try:
        return f"Numba {version('numba')}"
    except PackageNotFoundError:
        return "no Numba"


if __name__ == "__main__":
    sys.exit(main())
