"""What the table has to show: ratios and differences of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.deploy.rows import ALONE, FOREST, SAME

#: Bytes of a stack below which the bound is a number of bytes: two processors differ by as many.
STACK = 160

#: Points by which a network may be below a forest that counts as equally accurate: three of 3,000.
EQUAL = 0.1

Row = dict[str, Any]


@dataclass(frozen=True)
class Bound:
    """A value and the most that it may be."""

    what: str
    value: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        return self.value <= self.most

    def line(self) -> str:
        """As it is printed."""
        return (
            f"{self.what:74s} {self.value:8.3f}  <= {self.most:g} {'' if self.holds else 'MISSED'}"
        )


def bounds(rows: list[Row]) -> Iterator[Bound]:
    """All bounds that the rows say something about."""
    ours = [row for row in rows if row["model"] == "ours"]

    def of(form: str) -> list[Row]:
        return [row for row in ours if row["form"] == form]

    def mean(one: str, other: str, value: Callable[[Row, Row], float]) -> float:
        return float(np.mean([value(a, b) for a, b in zip(of(one), of(other), strict=True)]))

    def lost(a: Row, b: Row) -> float:
        return float(b["points"] - a["points"])

    yield Bound("points that C loses against Python, most", _most(of("C"), of("pickle")), 0.02)
    yield Bound("points that C int8 loses against C, mean", mean("C int8", "C", lost), 0.3)
    yield Bound(
        "points that ONNX int8 loses against ONNX, mean", mean("ONNX int8", "ONNX", lost), 0.3
    )
    yield Bound(
        "bytes of C int8 / C, mean of all budgets",
        mean("C int8", "C", lambda a, b: a["bytes"] / b["bytes"]),
        0.5,
    )
    yield Bound(
        "bytes of C / pickle, mean", mean("C", "pickle", lambda a, b: a["bytes"] / b["bytes"]), 0.9
    )
    yield Bound(
        "microseconds of C / Python, mean",
        mean("C", "pickle", lambda a, b: a["microseconds"] / b["microseconds"]),
        0.1,
    )
    yield Bound(
        "microseconds of C / onnxruntime, mean",
        mean("C", "ONNX", lambda a, b: a["microseconds"] / b["microseconds"]),
        1.0,
    )
    compiled = [row for row in rows if "flash_m0" in row and "flash_estimate" in row]
    for column, estimate, least in (
        ("flash_m0", "flash_estimate", 0), ("flash_m4", "flash_estimate", 0),
        ("ram_m0", "ram_estimate", STACK), ("ram_m4", "ram_estimate", STACK),
    ):  # fmt: skip
        if compiled:
            errors = [abs(r[estimate] - r[column]) / max(r[column], least) for r in compiled]
            yield Bound(f"{column}: estimate / compiled - 1, largest", max(errors), 0.1)
    yield from _beside_emlearn([row for row in rows if "flash_m0" in row])


def _beside_emlearn(rows: list[Row]) -> Iterator[Bound]:
    """Bounds on flash beside the same network, and a forest, in emlearn's C."""
    own = ALONE.removeprefix("ours")
    alone = [row for row in rows if row["model"].endswith(own)]
    for row in rows:
        data, flash = row["data"], row["flash_m0"]
        if row["model"] == SAME:
            (same,) = (each["flash_m0"] for each in alone if each["form"] == "C"
                       and each["data"] == data and each["removed"] == row["removed"])  # fmt: skip
            ratio = same / flash
            what = f"{data}, {row['removed']:.0%} removed: flash of C, network alone"
            yield Bound(f"{what} / {SAME}", ratio, 1.0)
        if row["model"] == FOREST:
            # A forest reads what the steps before the network return.
            equal = [each["flash_m0"] for each in alone if each["data"] == data
                     and each["points"] >= row["points"] - EQUAL]  # fmt: skip
            what = f"{data}: flash of C, smallest network alone of {row['points']:.1f} points"
            yield Bound(f"{what} / {FOREST}", min(equal, default=np.inf) / flash, 1.0)


def _most(one: list[Row], other: list[Row]) -> float:
    return max(abs(a["points"] - b["points"]) for a, b in zip(one, other, strict=True))
