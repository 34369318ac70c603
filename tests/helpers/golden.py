"""Write tests/golden.json anew, from the root: ``PYTHONPATH=. python tests/helpers/golden.py``.

Only where behaviour is meant to change.  A line is a case, so that a diff names the cases.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from golden_adapter import CASES, run

FILE = Path(__file__).resolve().parents[1] / "golden.json"


def read() -> dict[str, dict[str, Any]]:
    """The committed records, by case."""
    return json.loads(FILE.read_text("utf-8"))


def write(file: Path = FILE) -> None:
    """Fit every case and write its record on a line of its own."""
    lines = [f'"{case}":{json.dumps(run(case), separators=(",", ":"))}' for case in CASES]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    write()
