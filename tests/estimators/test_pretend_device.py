"""Fits on another device than the CPU, where there is none: see ``on_pretend_device.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_fits_on_a_device_that_is_not_there():
    # The device changes torch for the whole process.
    tests = Path(__file__).with_name("on_pretend_device.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider",
         "--no-cov", "-W", "ignore::sklearn_mabprune.PruningWarning", str(tests)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
