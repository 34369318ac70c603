"""The table of faults: each one that was reported has a test, and so have others of its kind."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
with (ROOT / "tests" / "faults.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))

#: What was reported of version 0.1 and is a kind of fault, by number.
REPORTED = {
    *("F1a", "F1b", "F2a", "F3a", "F3d", "F4a", "F4c", "F4d", "F5", "F6a", "F7", "F8", "F9a"),
    *("F10a", "F10c", "F11a", "F12a", "F13a", "F14a", "F15a", "F16", "F17a", "F18", "F19a"),
    *("F20a", "F21", "F22a", "F23", "F24", "F25a", "F25c", "F26a", "F27", "F28", "F29a", "F29b"),
    *("F30a", "F31", "F32", "F33", "F34", "F35", "F36", "F37", "F38"),
    # Of kills, limits, threads and hostile input.
    *(f"K{number}" for number in range(1, 29)),
}


@cache
def functions_of(name):
    """Names of the tests of a file."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["fault"])
def test_every_fault_has_a_test_that_exists(row):
    name, _, test = row["test"].partition("::")
    assert test.startswith("test_")
    assert test in functions_of(name)
    assert row["what"]


def test_every_reported_fault_is_in_the_table():
    assert {row["fault"] for row in ROWS} >= REPORTED
    assert max(Counter(row["fault"] for row in ROWS).values()) == 1


def test_every_kind_has_three_neighbours():
    neighbours = Counter(row["kind"] for row in ROWS if row["fault"] not in REPORTED)
    assert {kind for kind, n in neighbours.items() if n >= 3} == {row["kind"] for row in ROWS}
