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
import csv
import gzip
import io
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks.shared.data_sets import INSIDE, load
from benchmarks.shared.prepared import Prepared
from benchmarks.study.context import context_rows
from benchmarks.study.methods import (
    MAIN,
    OURS,
    POLICIES,
    RIVALS,
    TUNINGS,
    Cell,
    default_rows,
    pruned_rows,
    tuned_default_rows,
    unpruned_rows,
)

RESULTS = Path(__file__).parents[1] / "results"
SIZES = ((128, 64), (256, 128, 64))
SEEDS = 3
#: Training rows of larger sets are a random sample of so many.
MOST_ROWS = 2000
PARTS = ("parameters", "rivals", "ours", "policies", "context")
COLUMNS = (
    "part",
    "set",
    "task",
    "seed",
    "sizes",
    "view",
    "method",
    "removed",
    "tuned",
    "score",
    "neurons",
    "parameters",
    "macs",
    "epochs",
    "seconds",
)
CONTEXT = ("set", "task", "seed", "model", "score", "n_bytes", "ms_row", "ms_single")
LIBRARIES = ("numpy", "scikit-learn", "scipy", "skorch", "torch", "torch-pruning")


@dataclass(frozen=True)
class Place:
    """Where a cell is found and kept."""

    name: str
    seed: int
    sizes: tuple[int, ...]
    data: Path | None
    folder: Path

    @property
    def key(self) -> str:
        """As a file name."""
        sizes = "-".join(map(str, self.sizes))
        return f"{self.name.replace(' ', '_')}_{self.seed}_{sizes}"

    def file(self, part: str, view: str, method: str) -> Path:
        """Where the rows of a method are."""
        name = f"{part}_{view}_{method}".replace(" ", "-").replace(",", "")
        return self.folder / f"{self.key}.{name}.csv"


def units(cell: Cell, place: Place, parts: list[str]) -> Iterator[tuple[Path, dict, Any]]:
    """File, facts and rows of everything that is measured on a cell, the default first.

    Equal parameters, and everything beside the main methods, are for the smaller networks of
    the first seed.
    """
    first = place.sizes == SIZES[0] and place.seed == 0

    def unit(part: str, view: str, method: str, rows: Any) -> tuple[Path, dict, Any]:
        facts = {"part": part, "view": view, "method": method}
        return place.file(part, view, method), facts, rows

    def as_long(view: str) -> dict[float, int]:
        """Epochs that the default was fine-tuned for: all others get as many."""
        with place.file("main", view, "default").open(newline="") as file:
            rows = list(csv.DictReader(file, COLUMNS))
        ours = [row for row in rows if row["method"] == "default" and row["tuned"] == "1"]
        return {float(row["removed"]): int(row["epochs"]) for row in ours}

    scratch = ("scratch", "scratch_cosine") if first else ("scratch",)
    views = {"neurons": scratch} | ({"parameters": ()} if "parameters" in parts and first else {})
    for view, anew in views.items():
        yield unit("main", view, "unpruned", lambda: unpruned_rows(cell))
        way = partial(default_rows, cell, MAIN["default"], view, scratch=anew)
        yield unit("main", view, "default", way)
        for name in [name for name in MAIN if name != "default"]:
            way = partial(pruned_rows, cell, MAIN[name], view, as_long(view))
            yield unit("main", view, name, way)
    others = {"rivals": RIVALS, "ours": OURS, "policies": POLICIES} if first else {}
    for part, methods in others.items():
        for name, method in methods.items() if part in parts else ():
            epochs = None if part == "policies" else as_long("neurons")
            yield unit(part, "neurons", name, partial(pruned_rows, cell, method, "neurons", epochs))
    for name, tuning in TUNINGS.items() if first and "ours" in parts else ():
        way = partial(tuned_default_rows, cell, as_long("neurons"), **tuning)
        yield unit("ours", "neurons", name, way)


def run(place: Place, parts: list[str]) -> str:
    """Measure what a cell lacks; in a process of its own, on one thread."""
    torch.set_num_threads(1)
    place.folder.mkdir(parents=True, exist_ok=True)
    done = place.folder / f"{place.key}.{'+'.join(parts)}.done"
    if done.exists():
        return place.key
    with threadpool_limits(1):
        data = load(place.name, place.data)
        kept = place.folder / f"{place.key}.network"
        if kept.exists():
            ready = joblib.load(kept)
        else:
            ready = Prepared.of(data, place.seed, place.sizes, test=True, most=MOST_ROWS)
            _write(kept, lambda file: joblib.dump(ready, file))
        facts = {
            "set": place.name,
            "task": data.task,
            "seed": place.seed,
            "sizes": "-".join(map(str, place.sizes)),
        }
        for file, what, rows in units(Cell(ready, place.seed), place, parts):
            if not file.exists():
                _write_rows(file, [{**facts, **what, **row} for row in rows()], COLUMNS)
        file = place.folder / f"{place.key}.context"
        if "context" in parts and place.sizes == SIZES[0] and not file.exists():
            rows = context_rows(data, place.seed, place.sizes, MOST_ROWS, ours=place.seed == 0)
            _write_rows(file, [{**facts, **row} for row in rows], CONTEXT)
    done.touch()
    kept.unlink(missing_ok=True)
    return place.key


def collect(folder: Path, results: Path, name: str, facts: dict[str, Any]) -> None:
    """Gather what is there: rows, context, and what it was run with."""
    results.mkdir(parents=True, exist_ok=True)
    text = _gathered(folder, ".csv", COLUMNS)
    # Without a time stamp the same rows are the same bytes.
    with (
        (results / f"{name}.csv.gz").open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed,
    ):
        packed.write(text.encode())
    (results / f"{name}_context.csv").write_text(_gathered(folder, ".context", CONTEXT))
    (results / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def _gathered(folder: Path, suffix: str, columns: tuple[str, ...]) -> str:
    lines = [",".join(columns)]
    for file in sorted(folder.glob(f"*{suffix}")):
        lines += file.read_text().splitlines()
    return "\n".join(lines) + "\n"


def _write_rows(file: Path, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [_text(row[name]) for name in columns] for row in rows
    )
    _write(file, lambda path: path.write_text(text.getvalue()))


def _write(file: Path, fill: Any) -> None:
    """Whole or not at all, wherever the process is stopped."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    fill(part)
    part.replace(file)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def names_in(folder: Path) -> Iterator[str]:
    """Data sets of a folder, large ones first: then the last processes end together."""
    files = [
        f for task in ("classification", "regression") for f in (folder / task).glob("*.csv.gz")
    ]
    for file in sorted(files, key=lambda f: (-f.stat().st_size, f.name)):
        yield file.name.removesuffix(".csv.gz")


def main() -> None:
    """Run what is missing, gather, say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of data sets; default: scikit-learn's")
    parser.add_argument("--sets", nargs="+", help="some of them")
    parser.add_argument("--quick", action="store_true", help="one seed, one size, main part")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--parts",
        nargs="+",
        default=list(PARTS),
        choices=PARTS,
        help="beside the main methods",
    )
    parser.add_argument("--out", type=Path, help="folder of the parts; default: results/NAME")
    parser.add_argument("--collect", action="store_true", help="gather only")
    args = parser.parse_args()
    name = "study_quick" if args.quick else "study"
    folder = args.out or RESULTS / name
    sets = args.sets or (list(names_in(args.data)) if args.data else list(INSIDE))
    seeds, sizes, parts = args.seeds, SIZES, args.parts
    if args.quick:
        seeds, sizes, parts = 1, SIZES[:1], ["context"]
    places = [
        Place(name, seed, hidden, args.data, folder)
        for seed, hidden in sorted(product(range(seeds), sizes), key=_order)
        for name in sets
    ]
    if not args.collect:
        with ProcessPoolExecutor(args.jobs) as pool:
            jobs = [pool.submit(run, place, parts) for place in places]
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="cell"):
                job.result()
    facts = {
        "command": f"python -m benchmarks.study{' --quick' if args.quick else ' --data FOLDER'}",
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
