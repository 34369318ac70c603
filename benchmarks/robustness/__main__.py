"""What must go on holding, counted.

    python -m benchmarks.robustness                        # about ten minutes of one core
    python -m benchmarks.robustness --parts drawn --n 1000

"drawn" fits settings and tables that Hypothesis draws: extreme magnitudes, constants, copies, few
rows, odd types, weights over 24 orders of magnitude.
"""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.robustness.drawn import Drawn, fits, outcome
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
    parser.add_argument("--n", type=int, default=1000, help="fits that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "robustness.csv")
    args = parser.parse_args()
    args.out.unlink(missing_ok=True)
    results = Results(args.out, ("part", "outcome"))
    found = drawn(args.n, args.seed)
    results.add({"part": "drawn", "outcome": k, "count": n} for k, n in sorted(found.items()))


if __name__ == "__main__":
    main()
