"""The folder of committed results, and CSV files that results are appended to."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

#: Committed results of all benchmarks.
RESULTS = Path(__file__).parents[1] / "results"


class Results:
    """Rows of one file: what is there already is not measured again.

    Parameters
    ----------
    file : Path
        CSV; made when the first row comes.
    keys : tuple of str
        Columns that say which measurement a row is of.
    """

    def __init__(self, file: Path, keys: tuple[str, ...]):
        self.file, self.keys = file, keys
        self.rows: list[dict[str, str]] = []
        if file.exists():
            with file.open(newline="") as lines:
                self.rows = list(csv.DictReader(lines))
        self._known = {self._key(row) for row in self.rows}

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return tuple(map(as_text, key)) in self._known

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows, in the file at once."""
        new = [{name: as_text(value) for name, value in row.items()} for row in rows]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.file.exists()
        with self.file.open("a", newline="") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(new[0]), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerows(new)
        self.rows += new
        self._known |= {self._key(row) for row in new}

    def groups(self, *names: str) -> Iterator[tuple[tuple[str, ...], list[dict[str, str]]]]:
        """Rows that agree in these columns, in the order of their first appearance."""
        found: dict[tuple[str, ...], list[dict[str, str]]] = {}
        for row in self.rows:
            found.setdefault(tuple(row[name] for name in names), []).append(row)
        yield from found.items()

    def _key(self, row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in self.keys)


def as_text(value: Any) -> str:
    """A value as it stands in a file: floats with six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
