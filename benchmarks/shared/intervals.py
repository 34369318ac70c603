"""Means with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import t as student


def mean_and_interval(values: Iterable[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % confidence interval (Student's t)."""
    x = np.asarray(list(values), dtype=float)
    if len(x) < 2:
        return float(x.mean()), np.nan
    half = student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(half)


def interval(values: Iterable[float], digits: int) -> str:
    """Mean and interval as text; of one value the value alone."""
    mean, half = mean_and_interval(values)
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")
