"""Which goals for image networks the measured rows meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..shared.intervals import interval, mean_and_interval
from ..shared.results import Results

#: Networks of the goals, and seeds that these are stated for.
SEEDS = {"mnist_cnn": 10, "mnist_residual": 10, "cifar10_cnn": 5}

#: Points that an accuracy may lie below that of the unpruned network.
MOST_LOST = 1.0

#: Ways of compensation that the default is to beat.
BEATEN = ("channel Gram", "mean", "zero")

_HALF, _QUARTERS = "0.5", "0.75"


@dataclass(frozen=True)
class Goal:
    """One goal, of units removed.

    Parameters
    ----------
    net, text : str
    differences : list of float
        In points, one for each seed.
    met : bool
    """

    net: str
    text: str
    differences: list[float]
    met: bool

    def line(self) -> str:
        """A row of the table."""
        n_seeds = f"{len(self.differences)} of {SEEDS[self.net]}"
        if not self.differences:
            return f"| {self.net} | {self.text} | {n_seeds} |  | not measured |"
        found = interval(self.differences, 1)
        outcome = "met" if self.met else "**not** met"
        return f"| {self.net} | {self.text} | {n_seeds} | {found} | {outcome} |"


def table(results: Results) -> list[str]:
    """All goals, a line for each."""
    lines = ["| network | goal | seeds | points | |", "|---|---|---|---|---|"]
    return lines + [goal.line() for net in SEEDS for goal in goals(results, net)]


def goals(results: Results, net: str) -> Iterator[Goal]:
    """The goals of one network."""
    whole = "the unpruned network"
    for budget, share in ((_HALF, "0"), (_QUARTERS, "0.25")):
        found = _points(results, net, budget, share)
        tuned = "with a quarter of the epochs" if share != "0" else "without fine-tuning"
        text = f"{float(budget):.0%} removed {tuned}: at most {MOST_LOST:.0f} point below {whole}"
        yield Goal(net, text, found, bool(found) and np.mean(found) >= -MOST_LOST)
    for method in BEATEN:
        found = _points(results, net, _QUARTERS, "0", method)
        text = f'{float(_QUARTERS):.0%} removed without fine-tuning: better than "{method}"'
        mean, half = mean_and_interval(found) if found else (np.nan, np.nan)
        yield Goal(net, text, found, mean - half > 0)


def _points(
    results: Results, net: str, budget: str, share: str, beside: str | None = None
) -> list[float]:
    """Accuracy of the default minus that of another method, or of the unpruned network."""
    wanted = {"net": net, "measure": "units", "budget": budget, "fine_tuning": share}
    rows = [row for row in results.rows if all(row[key] == value for key, value in wanted.items())]
    by_seed = {
        method: {row["seed"]: float(row["accuracy"]) for row in rows if row["method"] == method}
        for method in ("default", beside)
    }
    other = by_seed[beside] if beside else {row["seed"]: float(row["unpruned"]) for row in rows}
    found = by_seed["default"]
    return [100 * (found[seed] - other[seed]) for seed in found if seed in other]
