"""What the table has to show: ratios and differences of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.deploy.rows import FOREST

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
    for column, estimate in (("flash_m0", "flash_estimate"), ("flash_m4", "flash_estimate"),
                             ("ram_m0", "ram_estimate"), ("ram_m4", "ram_estimate")):  # fmt: skip
        if compiled:
            worst = max(abs(row[estimate] / row[column] - 1) for row in compiled)
            yield Bound(f"{column}: estimate / compiled - 1, largest", worst, 0.1)
    alone = {row["data"]: row for row in rows if row["model"] == "ours, network alone"
             and row["form"] == "C"}  # fmt: skip
    in_c = [row for row in rows if row["model"].startswith("ours") and "flash_m0" in row
            and "points" in row]  # fmt: skip
    for row in rows:
        if "flash_m0" not in row:
            continue
        if row["model"] == "emlearn, same network":
            ratio = alone[row["data"]]["flash_m0"] / row["flash_m0"]
            yield Bound(f"{row['data']}: flash of C, network alone / {row['model']}", ratio, 1.0)
        if row["model"] == FOREST:
            equal = [r["flash_m0"] for r in in_c
                     if r["data"] == row["data"] and r["points"] >= row["points"]]  # fmt: skip
            ratio = min(equal, default=np.inf) / row["flash_m0"]
            what = f"{row['data']}: flash of the smallest C of {row['points']:.1f} points"
            yield Bound(f"{what} / {FOREST}", ratio, 1.0)


def _most(one: list[Row], other: list[Row]) -> float:
    return max(abs(a["points"] - b["points"]) for a, b in zip(one, other, strict=True))
