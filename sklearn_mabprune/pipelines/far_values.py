"""Columns of numbers in which few values are so far from the others that scaling hides these."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import PruningWarning

# Standard deviation, as a multiple of the range of the middle 90 % of the values.
_FAR = 1000


def warn_of_far_values(numbers: Mapping[Any, NDArray[Any]]) -> None:
    """Warn once of all columns whose standard deviation is that of a few values.

    Parameters
    ----------
    numbers : dict of str or int to ndarray of shape (n_samples,)
        Columns by name, NaN for missing values.
    """
    found = []
    for name, column in numbers.items():
        values = np.asarray(column, dtype=np.float64)
        values = values[~np.isnan(values)]
        if not values.size:
            continue
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        with np.errstate(over="ignore"):
            # Where most values are one, such as 0, the others are what the column says.
            if high > low and values.std() > _FAR * (high - low):
                farthest = values[np.abs(values - middle).argmax()]
                found.append(
                    f"{name!r} (the farthest is {farthest:.4g}, nine in ten are from {low:.4g} to "
                    f"{high:.4g})"
                )
    if found:
        warnings.warn(
            f"Scaling makes most values alike in {'; '.join(found)}: a network learns nothing from "
            "them. Replace errors, and marks of missing values, by NaN; of values that are right "
            "take logarithms, numpy.sign(x) * numpy.log1p(abs(x)), or ranks.",
            PruningWarning,
            stacklevel=4,
        )
