"""The tables and bounds of the benchmark of exported forms."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.deploy import page
from benchmarks.deploy.bounds import STACK, Bound, bounds
from benchmarks.deploy.cross import _stack
from benchmarks.deploy.rows import COLUMNS

ROOT = Path(__file__).resolve().parents[2]


def row(form, points, n_bytes, microseconds, **more):
    return {"data": "digits", "model": "ours", "removed": 0.5, "form": form, "points": points,
            "bytes": n_bytes, "microseconds": microseconds, **more}  # fmt: skip


def rows(int8_points=94.9, estimate=10_500):
    sizes = {"flash_estimate": estimate, "flash_m0": 10_000, "flash_m4": 10_100,
             "ram_estimate": 200, "ram_m0": 210, "ram_m4": 205}  # fmt: skip
    small = {name: value // 4 for name, value in sizes.items()}
    return [
        row("pickle", 95.0, 20_000, 90.0),
        row("ONNX", 95.0, 11_000, 20.0),
        row("ONNX int8", 94.8, 9000, 20.0),
        row("C", 95.0, 10_000, 1.0, **sizes),
        row("C int8", int8_points, 2500, 1.0, **small),
        row("C", 95.0, 10_000, 1.0, **sizes) | {"model": "ours, network alone"},
        row("C int8", int8_points, 2500, 1.0, **small) | {"model": "ours, network alone"},
        row("C", 95.0, 11_000, 1.0, flash_m0=11_000) | {"model": "emlearn, same network"},
        row("C", 94.9, 12_000, 1.0, flash_m0=12_000) | {"model": "emlearn, forest"},
    ]


def test_bounds_are_met_and_missed_by_what_they_name():
    found = list(bounds(rows()))
    assert all(bound.holds for bound in found)
    assert found[-2].value == pytest.approx(10 / 11)
    assert found[-1].value == pytest.approx(2.5 / 12)
    # Only forms that are as accurate as the forest count.
    assert list(bounds(rows(int8_points=94.75)))[-1].value == pytest.approx(10 / 12)
    missed = [bound.what for bound in bounds(rows(int8_points=94.0)) if not bound.holds]
    assert missed == ["points that C int8 loses against C, mean"]
    missed = [bound.what for bound in bounds(rows(estimate=11_500)) if not bound.holds]
    assert missed == [f"flash_m{k}: estimate / compiled - 1, largest" for k in (0, 4)]
    assert Bound("what", 2.0, 1.0).line().endswith("MISSED")


def test_committed_sizes_are_announced_within_a_tenth():
    with (ROOT / "benchmarks/results/deploy.csv").open(newline="") as lines:
        found = [row for row in csv.DictReader(lines) if row["flash_estimate"]]
    assert len(found) > 30
    for row in found:
        for what, least in (("flash", 0), ("ram", STACK)):
            for processor in ("m0", "m4"):
                true = float(row[f"{what}_{processor}"])
                error = abs(float(row[f"{what}_estimate"]) - true)
                assert error <= 0.1 * max(true, least), row


def test_the_stack_is_that_of_the_deepest_calls():
    node = 'node: {{ title: "{0}" label: "{0}\\nx.c:1:1\\n{1} bytes (static)" }}\n'
    edge = 'edge: {{ sourcename: "{0}" targetname: "{1}" }}\n'
    frames = {"predict_once": 8, "predict": 100, "linear": 30, "sum": 10, "softmax": 35}
    calls = [("predict_once", "predict"), ("predict", "linear"), ("predict", "softmax"),
             ("linear", "sum"), ("softmax", "expf")]  # fmt: skip
    graph = "".join(node.format(*frame) for frame in frames.items())
    assert _stack(graph + "".join(edge.format(*call) for call in calls)) == 8 + 100 + 30 + 10


def test_tables_of_the_page(tmp_path, monkeypatch):
    file = tmp_path / "deploy.csv"
    values = dict.fromkeys(COLUMNS, "") | row("C", 95.04, 12345, 1.5) | {"flash_m0": 12000}
    file.write_text(",".join(COLUMNS) + "\n" + ",".join(str(values[c]) for c in COLUMNS) + "\n")
    shown = (ROOT / "docs/guide/deploy.md").read_text()
    assert all(table in shown for table in page.tables().split("\n\n"))
    monkeypatch.setattr(page, "FILE", file)
    sizes, devices = page.tables().split("\n\n")
    assert sizes.splitlines()[-1] == "| digits | ours | 50 % | C | 95.0 | 12,345 | 1.50 |"
    assert "12,000" in devices.splitlines()[-1]
