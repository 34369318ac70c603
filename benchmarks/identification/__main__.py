"""Which policy identifies the units that can be removed, at what cost: tables, 95 % intervals.

    python -m benchmarks.identification ranking --data FOLDER
    python -m benchmarks.identification search --data FOLDER
    python -m benchmarks.identification closest --data FOLDER
    python -m benchmarks.identification deep --data FOLDER
    python -m benchmarks.identification wide --data FOLDER
    python -m benchmarks.identification pieces --data FOLDER

Every part appends the results that are missing to
benchmarks/results/identification_PART.csv and prints its table from that file; --table only prints
it.  One thread.  Settings of policies were
chosen on other data sets (phoneme, segment, digits, kin8nm, cpu_act, splice, electricity).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from benchmarks.identification.printing import print_ranking, print_search
from benchmarks.identification.ranking import measure
from benchmarks.identification.variants import PARTS, Part
from benchmarks.shared.data_sets import load
from benchmarks.shared.prepared import Prepared
from benchmarks.shared.results import RESULTS, Results
from benchmarks.shared.walks import rows_of_walk

N_ROWS = 2048


def networks(part: Part, folder: Path | None) -> Iterator[tuple[str, int, Callable[[], Prepared]]]:
    """Names, seeds, and how to train the network; at most 8,000 training samples."""
    for name in part.sets:
        data = load(name, folder)
        for seed in range(part.seeds):
            yield (
                name,
                seed,
                lambda data=data, seed=seed: Prepared.of(
                    data, seed, part.sizes, test=part.test, most=8000
                ),
            )


def run_ranking(part: Part, results: Results, folder: Path | None) -> None:
    """Measure the networks that are not in the file."""
    for name, seed, make in networks(part, folder):
        if (name, seed) not in results:
            rows = measure(make(), seed, N_ROWS, repeats=3)
            results.add({"set": name, "seed": seed, **row} for row in rows)


def run_search(part: Part, results: Results, folder: Path | None) -> None:
    """Measure the walks that are not in the file."""
    for name, seed, make in networks(part, folder):
        ready = None
        for variant, (policy, options) in part.variants().items():
            if (name, seed, variant) in results:
                continue
            ready = ready or make()
            # As all rows in the files: "auto" came later.
            rows = rows_of_walk(ready, policy, N_ROWS, seed, **({"step": 0.02} | options))
            results.add({"set": name, "seed": seed, "variant": variant, **row} for row in rows)


def main() -> None:
    """Run one part, print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.identification", description=__doc__.splitlines()[0]
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, help="folder of data sets")
    parser.add_argument("--table", action="store_true", help="print what is there")
    args = parser.parse_args()
    part, ranking = PARTS[args.part], args.part == "ranking"
    keys = ("set", "seed") if ranking else ("set", "seed", "variant")
    results = Results(RESULTS / f"identification_{args.part}.csv", keys)
    if not args.table:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            (run_ranking if ranking else run_search)(part, results, args.data)
    (print_ranking if ranking else print_search)(results)


if __name__ == "__main__":
    main()
