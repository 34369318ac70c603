"""What networks cost where they run, in every form, beside rivals.

    python -m benchmarks.deploy                          # digits
    python -m benchmarks.deploy --data FOLDER --save     # and adult and california_housing
    python -m benchmarks.deploy --check                  # exits with 1 when a bound is missed
    python -m benchmarks.deploy --quick                  # fewer samples

Times are medians of one run, in which the forms take turns on one thread; bounds are ratios of
them, of bytes, and of points (accuracy or R2, x 100).  arm-none-eabi-gcc and QEMU's user mode,
where they are installed, give the columns of microcontrollers, and emlearn, where it is, its rows.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.deploy import cross, emlearn_forms
from benchmarks.deploy.bounds import bounds
from benchmarks.deploy.models import FEW, MOST, Task
from benchmarks.deploy.rows import COLUMNS, rows_of
from benchmarks.shared.results import RESULTS, as_text

#: Committed rows.
FILE = RESULTS / "deploy.csv"


def main() -> int:
    """Print the table; 1 when a bound is missed and --check was given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deploy", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, help="folder of data sets beside digits")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bound is missed")
    parser.add_argument("--quick", action="store_true", help=f"{FEW:,} samples, not {MOST:,}")
    parser.add_argument("--save", action="store_true", help=f"replace {FILE.name}")
    args = parser.parse_args()
    names = ["digits", *(["adult", "california_housing"] if args.data else [])]
    if not cross.available():
        print("arm-none-eabi-gcc is not installed: no columns of microcontrollers")
    if not emlearn_forms.is_installed():
        print("emlearn is not installed: no rows of it")
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    print(" ".join(f"{name[:14]:>14s}" for name in COLUMNS))
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        torch.set_num_threads(1)
        for name in names:
            task = Task.of(name, args.data, FEW if args.quick else MOST)
            for row in rows_of(task, Path(folder)):
                rows.append(row)
                print(" ".join(f"{as_text(row.get(c, ''))[:14]:>14s}" for c in COLUMNS), flush=True)
    if args.save:
        save(rows)
    missed = 0
    for bound in bounds(rows):
        print(bound.line())
        missed += not bound.holds
    print(f"{missed} bounds missed" if missed else "all bounds met")
    return int(args.check and missed > 0)


def save(rows: list[dict[str, Any]]) -> None:
    """Replace the committed rows."""
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: as_text(row.get(name, "")) for name in COLUMNS} for row in rows)


if __name__ == "__main__":
    sys.exit(main())
