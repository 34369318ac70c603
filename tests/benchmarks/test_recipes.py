"""The recipes that lead to other packages, run as the page "Where it runs" says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_recipes_end_with_the_same_network():
    # In a process of its own: emlearn sets how NumPy handles errors everywhere.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.deploy.recipes"],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^(\w+): (.+)$", done.stdout, re.MULTILINE))
    assert found["emlearn"].endswith("100.0% the same labels")
    assert found["skops"].endswith("the same probabilities")
    assert "OTHER" not in found["skops"]
    assert found["hls4ml"] == ("layers Input, Dense, Activation, Dense, Activation, Dense, Softmax")
    trees, n_bytes, network = (
        float(number.replace(",", ""))
        for number in re.search(
            r"bytes, ([\d.]+)%; network ([\d,]+) bytes of C, ([\d.]+)%", found["lightgbm"]
        ).groups()
    )
    assert n_bytes <= 5000
    assert network >= trees - 1
