"""What must go on holding, counted.

    python -m benchmarks.robustness                    # three minutes of two cores, if idle
    python -m benchmarks.robustness --scale 10         # ten times as many trials of each part

The drawn fits are of settings and tables that Hypothesis draws: extreme magnitudes, constants,
copies, few rows, odd types, weights over 24 orders of magnitude.  ``held.py`` has the other parts.
"""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.robustness.drawn import Drawn, fits, outcome
from benchmarks.robustness.held import PARTS, held
from benchmarks.shared.results import RESULTS, Results


def drawn(n: int, number: int) -> collections.Counter[str]:
    """Outcomes of so many drawn fits."""
    found = collections.Counter[str]()

    @seed(number)
    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(fits())
    def one(fit: Drawn) -> None:
        what, message = outcome(fit)
        found[what] += 1
        if what not in ("fitted", "refused by name"):
            print(f"{what}: {message}\n    {fit.words}", flush=True)

    one()
    return found


def main() -> None:
    """Run the parts, write their counts."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness", description=__doc__.splitlines()[0]
    )
    parts = ["drawn fits", *PARTS]
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual trials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "robustness.csv")
    args = parser.parse_args()
    results = Results(args.out, ("part", "seed", "scale", "outcome"))
    for part in args.parts:
        if part == "drawn fits":
            found = drawn(round(1000 * args.scale), args.seed)
        else:
            found = held(part, args.scale, args.seed)
        facts = {"part": part, "seed": args.seed, "scale": args.scale}
        results.add({**facts, "outcome": name, "count": n} for name, n in sorted(found.items()))
        print(part, dict(found), flush=True)


if __name__ == "__main__":
    main()
