"""Printed tables of the results, with 95 % intervals."""

from __future__ import annotations

import numpy as np

from benchmarks.identification.ranking import KINDS, PULLS
from benchmarks.shared.intervals import interval
from benchmarks.shared.results import Results
from benchmarks.shared.walks import SHARES


def print_ranking(results: Results) -> None:
    """Overlap and excess by policy, estimates and budget."""
    found = dict(results.groups("policy", "estimates", "budget"))
    for quantity in ("overlap", "excess"):
        for kind in map(str, (k or "none" for k in KINDS)):
            print(f"\n{quantity}, estimates: {kind}; pulls per unit:")
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
        f"{len(networks)} networks, at 50, 75 and 90 % of the units removed: accuracy loss "
        "(percentage points) or R2 loss x 100 |\n"
        "the same minus the loss of exhaustive | (unit, sample) evaluations and backward passes of "
        "a sample, both in millions,\n"
        "seconds; evaluations and seconds as fractions of those of exhaustive"
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
