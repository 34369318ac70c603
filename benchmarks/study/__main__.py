"""The study: pruning methods on the same trained networks, scored on rows that no fit has seen.

    python -m benchmarks.study --quick                      # data inside scikit-learn: minutes
    python -m benchmarks.study --data FOLDER --jobs 2       # all sets of the folder: an hour
    python -m benchmarks.report                             # tables and figures from it

A *cell* is a data set, a seed and hidden layers: one network is trained, and every method
starts from it.  Results of a method are written when it is done, in a file of their own;
what is there is not run again, so that the study can be stopped anywhere and started again.
At the end, and with --collect at any time, they are gathered in benchmarks/results.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path

from tqdm import tqdm

from benchmarks.shared.data_sets import INSIDE
from benchmarks.shared.results import RESULTS
from benchmarks.study.cells import MOST_ROWS, SIZES, run
from benchmarks.study.files import Place, collect
from benchmarks.study.workers import run_all

SEEDS = 3
PARTS = ("parameters", "rivals", "ours", "policies", "context")
LIBRARIES = ("numpy", "scikit-learn", "scipy", "skorch", "torch", "torch-pruning")


def names_in(folder: Path) -> Iterator[str]:
    """Data sets of a folder, large ones first: then the last processes end together."""
    files = [
        f for task in ("classification", "regression") for f in (folder / task).glob("*.csv.gz")
    ]
    for file in sorted(files, key=lambda f: (-f.stat().st_size, f.name)):
        yield file.name.removesuffix(".csv.gz")


def main() -> None:
    """Run what is missing, gather, say where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, help="folder of data sets; default: scikit-learn's")
    parser.add_argument("--sets", nargs="+", help="some of them")
    parser.add_argument("--quick", action="store_true", help="one seed, one size, main part")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--parts",
        nargs="*",
        default=list(PARTS),
        choices=PARTS,
        help="beside the main methods",
    )
    named = {"-".join(map(str, hidden)): hidden for hidden in SIZES}
    parser.add_argument("--sizes", nargs="+", choices=named, help="hidden layers; default: all")
    parser.add_argument("--name", help="of the results; default: study, or study_quick")
    parser.add_argument("--out", type=Path, help="folder of the parts; default: results/NAME")
    parser.add_argument("--collect", action="store_true", help="gather only")
    args = parser.parse_args()
    name = args.name or ("study_quick" if args.quick else "study")
    folder = args.out or RESULTS / name
    sets = args.sets or (list(names_in(args.data)) if args.data else list(INSIDE))
    seeds, parts = args.seeds, args.parts
    sizes = SIZES if args.sizes is None else tuple(named[text] for text in args.sizes)
    if args.quick:
        seeds, sizes, parts = 1, SIZES[:1], ["context"]
    places = [
        Place(name, seed, hidden, args.data, folder)
        for seed, hidden in sorted(product(range(seeds), sizes), key=_order)
        for name in sets
    ]
    if not args.collect:
        done = run_all(run, [(place, parts) for place in places], args.jobs)
        for _ in tqdm(done, total=len(places), unit="cell"):
            pass
    facts = {
        "command": _command(args),
        "commit": _commit(),
        "sets": sets,
        "seeds": list(range(seeds)),
        "sizes": ["-".join(map(str, hidden)) for hidden in sizes],
        "parts": parts,
        "most_rows": MOST_ROWS,
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    collect(folder, RESULTS, name, facts)
    print(f"{RESULTS / name}.csv.gz; tables and figures: python -m benchmarks.report")


def _command(args: argparse.Namespace) -> str:
    """The command line, without what changes no results."""
    words = ["python -m benchmarks.study", "--quick" if args.quick else "--data FOLDER"]
    if args.name:
        words += ["--name", args.name, "--seeds", str(args.seeds)]
        words += ["--sizes", *args.sizes] if args.sizes else []
        words += ["--parts", *args.parts]
    return " ".join(words)


def _order(cell: tuple[int, tuple[int, ...]]) -> tuple[int, int]:
    """One seed of everything first; then, where time is short, the smaller networks."""
    seed, hidden = cell
    return (0, len(hidden)) if seed == 0 else (len(hidden), seed)


def _commit() -> str:
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found.stdout.strip()


if __name__ == "__main__":
    main()
