"""The pruned network beside boosted trees and other models for tables.

    python -m benchmarks.tables --quick                       # data inside scikit-learn: minutes
    python -m benchmarks.tables --data FOLDER --jobs 16       # hours of one core in all
    python -m benchmarks.tables --data FOLDER --report        # goals and tables from the rows

A *cell* is a model on a data set with a seed.  Cells are run in processes of one thread, the most
informative ones first, and a fit is stopped after 20 minutes.  Rows are in the file as soon as a
cell is done, and what is there is not run again: the run may be stopped anywhere, also by
``--seconds``.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import product
from pathlib import Path

from benchmarks.shared.results import RESULTS, Results
from benchmarks.tables import page
from benchmarks.tables.goals import goals_of
from benchmarks.tables.jobs import LIMIT, Cell, run
from benchmarks.tables.measuring import KEYS, row_of
from benchmarks.tables.models import MODELS
from benchmarks.tables.samples import MOST, names_of, seeds

QUICK = ("ours", "ours alone", "hist gradient boosting", "linear")
QUICK_SAMPLES = 1500


def cells_of(args: argparse.Namespace) -> list[Cell]:
    """Cells that are asked for, in the order in which they are run."""
    sizes = dict(names_of(args.data))
    names = args.sets or list(sizes)
    unknown = [name for name in names if name not in sizes]
    if unknown:
        raise SystemExit(f"no data set {unknown[0]!r}; there are {', '.join(sizes)}")
    found = []
    for name, model in product(names, args.models):
        spec = MODELS[model]
        for seed in seeds(sizes[name])[: min(args.seeds, spec.seeds)]:
            # One seed of the models that goals are about, of all sets; small sets first.
            found.append(((seed, spec.tier, sizes[name]), name, seed, model))
    found.sort(key=lambda each: (each[0][0] > 2, each[0][0] + each[0][1], each[0][1], each[0][2]))
    return [(name, seed, model, args.data, args.most) for _, name, seed, model in found]


def main() -> None:
    """Run what is missing, print goals, write the page."""
    args = _arguments()
    rows = Results(args.out, KEYS)
    for name in [name for name in args.models if MODELS[name].missing]:
        print(f"{name}: left out, the package {MODELS[name].package} is not installed")
        args.models.remove(name)
    if not args.report:
        cells = [cell for cell in cells_of(args) if cell[:3] not in rows]
        started = time.monotonic()
        for number, (cell, found, note) in enumerate(
            run(cells, args.jobs, args.seconds, args.limit), 1
        ):
            name, seed, model, *_ = cell
            rows.add(found or [row_of(name, seed, model, note=note.replace("\n", " ")[:200])])
            shown = note or f"{float(found[0]['score']):.4f} in {found[0]['seconds']:.0f} s"
            print(
                f"{time.monotonic() - started:6.0f} s  {number}/{len(cells)}  {name}, seed {seed}, "
                f"{model}: {shown}",
                flush=True,
            )
    goals = list(goals_of(rows.rows))
    for goal in goals:
        mark = {True: "met", False: "MISSED", None: "-"}[goal.met]
        print(f"{mark:7s} {goal.text}: {goal.figure}")
    if args.write_page:
        page.write(rows.rows, goals)
    if args.check and any(goal.met is False for goal in goals):
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, help="folder of data sets; default: scikit-learn's")
    parser.add_argument("--sets", nargs="+", help="some of them")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), help="some of them")
    parser.add_argument("--seeds", type=int, default=10, help="at most so many of each set")
    parser.add_argument("--most", type=int, default=MOST, help="samples of a set, at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for the whole run")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of one cell")
    parser.add_argument("--quick", action="store_true", help="one seed, small, four models")
    parser.add_argument("--out", type=Path, help="file of rows; default: in benchmarks/results")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--write-page", action="store_true", help="fill the documentation's page")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal is missed")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.most = 1, min(args.most, QUICK_SAMPLES)
    args.models = args.models or list(QUICK if args.quick else MODELS)
    args.out = args.out or RESULTS / ("tables_quick.csv" if args.quick else "tables.csv")
    return args


if __name__ == "__main__":
    main()
