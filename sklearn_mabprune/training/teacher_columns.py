"""Columns with hardly any values, before the trees of the teacher "auto"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

#: HistGradientBoosting splits no node into parts of fewer samples, so that a column with fewer
#: values splits none, against missing values neither.
_LEAST_VALUES = 20


class FilledColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers in which columns with hardly any values are constant.

    HistGradientBoosting fails on a column without any value, which may be so in one fold only, or
    in the samples that early stopping leaves.
    """

    def fit(self, X: Any, y: Any = None) -> FilledColumns:
        """Note the columns with fewer than 20 values."""
        values = np.asarray(X, dtype=np.float64)
        self.empty_ = (~np.isnan(values)).sum(axis=0) < _LEAST_VALUES
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """The same numbers, with zeros in those columns."""
        values = np.array(X, dtype=np.float64)
        values[:, self.empty_] = 0.0
        return values
