"""Two sides of a comparison, timed in turns; a ratio of medians and its bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

#: What seconds are: "wall", or "cpu" where other programs keep the machine busy.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = "wall"


def seconds(run: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of one call, with the device's queue empty before and after."""
    now = CLOCKS[clock]
    if device != "cpu":
        torch.cuda.synchronize()
    started = now()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return now() - started


def in_turns(
    sides: dict[str, Callable[[], object]],
    repeats: int,
    device: str = "cpu",
    least: float = 0.02,
) -> dict[str, float]:
    """Median seconds of each side; a slow moment of the machine hits all of them.

    Parameters
    ----------
    sides : dict of callable
        Run twice each before the clock starts.
    repeats : int
        Turns.
    least : float
        Seconds of a turn: a side that takes less is called several times.
    """
    calls = {}
    for name, run in sides.items():
        run()
        calls[name] = max(1, round(least / seconds(run, device)))
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            n_calls = calls[name]

            def several(run: Callable[[], object] = run, n_calls: int = n_calls) -> None:
                for _ in range(n_calls):
                    run()

            taken[name].append(seconds(several, device) / n_calls)
    return {name: median(values) for name, values in taken.items()}


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Parameters
    ----------
    what : str
    ratio : float
        Ours against the other side.
    bound : float or None
        What the ratio must reach, or must not pass; None: only reported.
    faster : bool
        True: the ratio is how many times faster we are, and the bound is a least one.
    note : str
        Both sides in their own units.
    """

    what: str
    ratio: float
    bound: float | None
    faster: bool
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound is met."""
        if self.bound is None:
            return True
        return self.ratio >= self.bound if self.faster else self.ratio <= self.bound

    def line(self) -> str:
        """As a row of the printed table."""
        bound = ""
        if self.bound is not None:
            bound = f"{'>=' if self.faster else '<='} {self.bound:g}"
        verdict = "" if self.bound is None else ("met" if self.holds else "MISSED")
        return f"{self.what:55s} {self.ratio:8.2f}  {bound:>8s}  {verdict:6s}  {self.note}"


def milliseconds(value: float) -> str:
    """A time for a note."""
    return f"{1000 * value:,.3g} ms"
