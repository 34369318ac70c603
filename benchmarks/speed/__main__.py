"""How fast the library is, against the plain way of doing the same.

    python -m benchmarks.speed                      # the whole table, some minutes
    python -m benchmarks.speed --check              # exits with 1 when a bound is missed
    python -m benchmarks.speed --rows pulls predict # rows of the table, by their beginnings
    python -m benchmarks.speed --device cuda        # with the rows of the GPU

Every figure is a ratio of medians; the two sides take turns in one process, on one thread.
All parameters that a row does not name are the defaults.  The other side of each comparison is
in ``naive.py``.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import sklearn
import torch
from threadpoolctl import threadpool_limits

from benchmarks.speed import fitting, gpu, memory, prediction, pulls, timing
from benchmarks.speed.timing import Result
from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier

Row = Callable[[int, str], Iterator[Result]]

ROWS: dict[str, Row] = pulls.ROWS | fitting.ROWS | prediction.ROWS | memory.ROWS


def main() -> int:
    """Print the table; 1 when a bound is missed and --check was given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=__doc__.splitlines()[0]
    )
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
    print(f"\n{'what':55s} {'ratio':>8s}  {'bound':>8s}")


def numba_version() -> str:
    """Large calls of pulls are compiled where it is installed."""
    try:
        return f"Numba {version('numba')}"
    except PackageNotFoundError:
        return "no Numba"


if __name__ == "__main__":
    sys.exit(main())
