"""Files of the study: one for each method of a cell, and those in which all are gathered."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.shared.results import as_text

COLUMNS = (
    "part",
    "set",
    "task",
    "seed",
    "sizes",
    "view",
    "method",
    "removed",
    "tuned",
    "score",
    "neurons",
    "parameters",
    "macs",
    "epochs",
    "seconds",
)
CONTEXT = ("set", "task", "seed", "model", "score", "n_bytes", "ms_row", "ms_single")


@dataclass(frozen=True)
class Place:
    """Where a cell is found and kept."""

    name: str
    seed: int
    sizes: tuple[int, ...]
    data: Path | None
    folder: Path

    @property
    def key(self) -> str:
        """As a file name."""
        sizes = "-".join(map(str, self.sizes))
        return f"{self.name.replace(' ', '_')}_{self.seed}_{sizes}"

    def file(self, part: str, view: str, method: str) -> Path:
        """Where the rows of a method are."""
        name = f"{part}_{view}_{method}".replace(" ", "-").replace(",", "")
        return self.folder / f"{self.key}.{name}.csv"


def collect(folder: Path, results: Path, name: str, facts: dict[str, Any]) -> None:
    """Gather what is there: rows, context, and what it was run with."""
    results.mkdir(parents=True, exist_ok=True)
    text = _gathered(folder, ".csv", COLUMNS)
    # Without a time stamp the same rows are the same bytes.
    with (
        (results / f"{name}.csv.gz").open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed,
    ):
        packed.write(text.encode())
    (results / f"{name}_context.csv").write_text(_gathered(folder, ".context", CONTEXT))
    (results / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")


def _gathered(folder: Path, suffix: str, columns: tuple[str, ...]) -> str:
    lines = [",".join(columns)]
    for file in sorted(folder.glob(f"*{suffix}")):
        lines += file.read_text().splitlines()
    return "\n".join(lines) + "\n"


def write_rows(file: Path, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [as_text(row[name]) for name in columns] for row in rows
    )
    write_whole(file, lambda path: path.write_text(text.getvalue()))


def write_whole(file: Path, fill: Any) -> None:
    """Whole or not at all, wherever the process is stopped."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    fill(part)
    part.replace(file)
