"""The input stage of a network as a transformer of scikit-learn, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data

from ..graph.kinds.embeddings import GAIN, LARGEST

Array = NDArray[Any]


class EmbeddedFeatures(TransformerMixin, BaseEstimator):
    """Scaled features, and beside them piecewise-linear functions of features.

    What :class:`~sklearn_mabprune.PiecewiseLinearEmbedding` computes; made by ``to_sklearn``.
    Nothing is fitted.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Buffers and weights of the layer, by name.
    """

    def __init__(self, arrays: dict[str, Array]):
        self.arrays = arrays

    @classmethod
    def of(cls, layer: Any, estimator: Any) -> EmbeddedFeatures:
        """The transformer of a layer, which takes the features of a fitted estimator."""
        new = cls({name: value.numpy().copy() for name, value in layer.state_dict().items()})
        new.n_features_in_ = estimator.n_features_in_
        if hasattr(estimator, "feature_names_in_"):
            new.feature_names_in_ = estimator.feature_names_in_.copy()
        return new

    def fit(self, X: Any, y: Any = None) -> EmbeddedFeatures:
        """Check the number of features; the layer was trained with the network."""
        self._checked(X)
        return self

    def transform(self, X: Any) -> Array:
        """Features and values of functions, (n_samples, n_outputs)."""
        X, a = self._checked(X), self.arrays
        z = np.clip((X - a["center"]) * a["scale"], -LARGEST, LARGEST)
        z = z / np.hypot(z * a["bend"], 1)
        n_functions = a["weight"].shape[1]
        found = np.empty((len(X), a["weight"].shape[0] * n_functions), dtype=z.dtype)
        # One feature after the other: all bins of all features at once may not fit the memory.
        for row, feature in enumerate(a["embedded"]):
            fractions = np.clip((X[:, [feature]] - a["start"][row]) * a["slope"][row], 0, 1)
            values = fractions @ (GAIN * a["weight"][row].T)
            found[:, row * n_functions : (row + 1) * n_functions] = values
        return np.hstack([z[:, a["passed"]], found[:, a["chosen"]]])

    def _checked(self, X: Any) -> Array:
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return X.astype(self.arrays["scale"].dtype, copy=False)

    def __sklearn_is_fitted__(self) -> bool:
        return True
