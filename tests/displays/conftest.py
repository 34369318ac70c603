"""Figures are drawn in memory, and closed after each test."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    """Whatever a test drew."""
    yield
    plt.close("all")
