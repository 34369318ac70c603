"""The committed rows as tables of the page "Where it runs".

python -m benchmarks.deploy.page
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from benchmarks.deploy.__main__ import FILE

#: Columns of the tables, by the names in the file.
_SIZES = {
    "removed": "removed", "form": "form", "points": "points", "bytes": "bytes",
    "microseconds": "µs",
}  # fmt: skip
_DEVICES = {
    "flash_estimate": "flash, estimated", "flash_m0": "M0+ flash", "ram_m0": "M0+ stack",
    "instructions_m0": "M0+ instructions", "flash_m4": "M4 flash", "ram_m4": "M4 stack",
    "instructions_m4": "M4 instructions",
}  # fmt: skip


def tables() -> str:
    """Both tables, in Markdown."""
    with FILE.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    on_devices = [row for row in rows if row["flash_m0"]]
    return "\n".join(
        [
            *_table(rows, {"data": "data", "model": "model", **_SIZES}),
            "",
            *_table(
                on_devices,
                {
                    "data": "data",
                    "model": "model",
                    "removed": "removed",
                    "form": "form",
                    **_DEVICES,
                },
            ),
        ]
    )


def _table(rows: list[dict[str, str]], columns: dict[str, str]) -> Iterator[str]:
    yield f"| {' | '.join(columns.values())} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(_shown(name, row[name]) for name in columns)} |"


def _shown(name: str, text: str) -> str:
    """A fraction as a percentage, any other number with the digits that tell something."""
    try:
        value = float(text)
    except ValueError:
        return text
    if name == "removed":
        return f"{100 * value:.0f} %"
    digits = 0 if value >= 1000 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


if __name__ == "__main__":
    print(tables())
