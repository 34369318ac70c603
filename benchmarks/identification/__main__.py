"""Which policy finds the neurons that can go, and for what: tables with 95 % intervals.

    python -m benchmarks.identification ranking --data FOLDER
    python -m benchmarks.identification search --data FOLDER
    python -m benchmarks.identification closest --data FOLDER
    python -m benchmarks.identification deep --data FOLDER
    python -m benchmarks.identification wide --data FOLDER
    python -m benchmarks.identification pieces --data FOLDER

Every part appends to benchmarks/results/identification_PART.csv what is not there yet, and
prints its table from it; --table prints only.  One thread.  Settings of policies were
chosen on other data sets (phoneme, segment, digits, kin8nm, cpu_act, splice, electricity).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.identification.ranking import KINDS, PULLS, measure
from benchmarks.shared.data_sets import load
from benchmarks.shared.prepared import Prepared
from benchmarks.shared.results import Results, interval
from benchmarks.shared.walks import SHARES, rows_of_walk
from sklearn_mabprune.policies import POLICIES, Boundary

RESULTS = Path(__file__).parents[1] / "results"
N_ROWS = 2048
PAPER = ("epsilon_greedy", "softmax", "ucb1", "thompson", "hedge", "exp3")

#: name: (policy, options of the path)
Variants = dict[str, tuple[Any, dict[str, Any]]]


class FixedSpread(Boundary):
    """The boundary without empirical Bayes: pulls do not teach how good estimates are."""

    def _groups_and_noise(self) -> Any:
        groups, noise = super()._groups_and_noise()
        return np.zeros_like(groups), np.zeros_like(noise)


def search_variants() -> Variants:
    """Every policy, plain; the paper's with estimates; references; other budgets."""
    found: Variants = {name: (name, {"control_variate": None}) for name in POLICIES}
    for name in (*PAPER, "lucb"):
        # hedge pulls whole blocks of all neurons: with fewer it would merge all rounds to one
        pulls = 10 if name == "hedge" else 1
        found[f"{name}, linear"] = (
            name,
            {"control_variate": "linear", "pulls_per_neuron": pulls},
        )
    for kind in ("linear", "fisher"):
        found[f"boundary, {kind}"] = ("boundary", {"control_variate": kind})
        nothing = {"control_variate": kind, "pulls_per_neuron": 1e-9}
        found[f"{kind} alone"] = ("uniform", nothing)
    for pulls in (2, 5, 20, 40):
        found[f"uniform, {pulls} pulls"] = (
            "uniform",
            {"control_variate": None, "pulls_per_neuron": pulls},
        )
    for name in ("random", "reconstruction"):
        found[name] = (name, {})
    return found


def few_variants() -> Variants:
    """For networks on which trying everything takes minutes."""
    every = search_variants()
    names = (
        "exhaustive", "uniform", "ucb1", "boundary, linear", "boundary, fisher", "linear alone",
        "random",
    )  # fmt: skip
    return {name: every[name] for name in names}


def closest() -> Variants:
    """Those that come close to `exhaustive`, on more networks than all could have."""
    every = search_variants()
    names = ("exhaustive", "uniform", "uniform, 40 pulls", "boundary, linear", "boundary, fisher")
    return {name: every[name] for name in names} | {
        "boundary, all estimated anew": (Boundary(refresh=1), {"control_variate": "linear"})
    }


def pieces() -> Variants:
    """Our own policy with one part changed at a time."""
    linear = {"control_variate": "linear"}
    return {
        "exhaustive": ("exhaustive", {"control_variate": None}),
        "boundary": ("boundary", linear),
        "estimates by fisher": ("boundary", {"control_variate": "fisher"}),
        "no estimates": ("boundary", {"control_variate": None}),
        "no pulls": ("uniform", {**linear, "pulls_per_neuron": 1e-9}),
        "pulls anywhere (uniform)": ("uniform", {**linear, "pulls_per_neuron": 1}),
        "spread not learnt": (FixedSpread(), linear),
        "no carry-over": ("boundary", {**linear, "discount": 0.0}),
        "one arm at a time": ("boundary", {**linear, "arms_per_pull": 1}),
        "no early stop": (Boundary(delta=1e-9, tolerance=0.0), linear),
        "stops later": (Boundary(delta=0.02, tolerance=0.005), linear),
        "stops earlier": (Boundary(delta=0.3, tolerance=0.05), linear),
        "all estimated anew in every round": (Boundary(refresh=1), linear),
        "blocks of 128 rows": ("boundary", {**linear, "pull_batch_size": 128}),
    }


@dataclass(frozen=True)
class Part:
    """Networks, and what is tried on each."""

    sets: tuple[str, ...]
    seeds: int
    sizes: tuple[int, ...]
    variants: Callable[[], Variants]
    test: bool = True


# Of at least 2,731 rows, three quarters of which leave 2,048 to prune with, but for those
# that the settings were chosen on.
_SETS = (
    "letter", "spambase", "waveform", "page_blocks", "california_housing", "pol", "wine_quality",
)  # fmt: skip
_DEVELOPMENT = ("phoneme", "segment", "digits", "kin8nm", "cpu_act", "splice", "electricity")
PARTS = {
    "ranking": Part(_SETS, 3, (128, 64), dict),
    "search": Part(_SETS, 3, (128, 64), search_variants),
    "closest": Part(_SETS, 10, (128, 64), closest),
    "deep": Part(_SETS, 2, (256, 256, 128, 128, 64), few_variants),
    "wide": Part(("letter", "spambase", "california_housing"), 1, (4096,), few_variants),
    "pieces": Part(_DEVELOPMENT, 3, (128, 64), pieces, test=False),
}


def networks(part: Part, folder: Path | None) -> Iterator[tuple[str, int, Callable[[], Prepared]]]:
    """Names, seeds, and how to train the network; at most 8,000 training rows."""
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


def print_ranking(results: Results) -> None:
    """Overlap and excess by policy, estimates and budget."""
    found = dict(results.groups("policy", "estimates", "budget"))
    for quantity in ("overlap", "excess"):
        for kind in map(str, (k or "none" for k in KINDS)):
            print(f"\n{quantity}, estimates: {kind}; pulls a neuron:")
            print(f"{'':20s}" + "".join(f"{pulls:>16d}" for pulls in PULLS))
            for name in dict.fromkeys(policy for policy, _, _ in found):
                cells = (
                    interval((float(r[quantity]) for r in found[name, kind, str(pulls)]), 3)
                    for pulls in PULLS
                )
                print(f"{name:20s}" + "".join(f"{cell:>16s}" for cell in cells))


def print_search(results: Results) -> None:
    """Points lost, and gained on `exhaustive`; cost up to 90 %, relative to its."""
    by = {key: rows[0] for key, rows in results.groups("set", "seed", "variant", "removed")}
    networks = [key for key, _ in results.groups("set", "seed")]
    shares = [str(share) for share in SHARES]

    def values(variant: str, share: str, column: str) -> np.ndarray:
        return np.array([float(by[(*net, variant, share)][column]) for net in networks])

    print(
        f"{len(networks)} networks; points lost | more than exhaustive loses, at 50, 75, 90 % "
        "removed | (neuron, row) evaluations and backward passes of a row (M), seconds; "
        "evaluations and seconds as shares of exhaustive's"
    )
    for (variant,), _ in results.groups("variant"):
        lost = [
            np.mean(values(variant, s, "unpruned") - values(variant, s, "points")) for s in shares
        ]
        more = [
            interval(values("exhaustive", s, "points") - values(variant, s, "points"), 2)
            for s in shares
        ]
        last = shares[-1]
        cost = {
            column: values(variant, last, column)
            for column in ("evaluations", "backward", "seconds")
        }
        all_evaluations = values("exhaustive", last, "evaluations").sum()
        ratio = np.median(cost["seconds"] / values("exhaustive", last, "seconds"))
        print(
            f"{variant:26s}"
            + "".join(f"{x:7.2f}" for x in lost)
            + " |"
            + "".join(f"{x:>15s}" for x in more)
            + f" |{cost['evaluations'].mean() / 1e6:9.3f}{cost['backward'].mean() / 1e6:8.3f}"
            + f"{cost['seconds'].mean():8.2f};{cost['evaluations'].sum() / all_evaluations:7.2%}"
            + f"{ratio:6.2f}"
        )


def main() -> None:
    """Run one part, print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
