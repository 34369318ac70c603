"""What users give the methods of our nets: arrays, frames, lists; read as arrays of floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from skorch.utils import is_dataset

from ..utils.words import counted
from .mlp import MLP


def read_features(net: Any, X: Any, *, fitting: bool = False) -> Any:
    """Samples of a net around an :class:`MLP`, frames and integers as an array of floats.

    Samples in a dict and data sets are left as they are, and so are those of other modules, which
    may read integers.

    Parameters
    ----------
    net : skorch net
    X : array-like or sparse matrix of shape (n_samples, n_features)
    fitting : bool, default=False
        Whether missing and infinite values are refused.

    Returns
    -------
    array or sparse matrix

    Raises
    ------
    ValueError
        If X is not a table of numbers, or has other features than in fit.
    """
    if net.module is not MLP or isinstance(X, dict) or is_dataset(X):
        return X
    name = type(net).__name__
    if not (issparse(X) or isinstance(X, torch.Tensor)):
        X = np.asarray(X)
        if X.dtype.kind not in "fiub":
            raise ValueError(
                f"X of {name} must contain numbers, and has dtype {X.dtype}. Encode strings and "
                "categories, or use make_tabular_pipeline around MABPrunedClassifier or "
                "MABPrunedRegressor, which accept columns of mixed types."
            )
    if X.ndim != 2:
        raise ValueError(
            f"X of {name} must have shape (n_samples, n_features), got {tuple(X.shape)}. Reshape "
            "it: X.reshape(len(X), -1)."
        )
    whole = not X.is_floating_point() if isinstance(X, torch.Tensor) else X.dtype.kind != "f"
    if whole:
        X = X.float() if isinstance(X, torch.Tensor) else X.astype(np.float32)
    n_features = None if fitting else getattr(net, "n_features_in_", None)
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(
            f"X has {counted(X.shape[1], 'feature')}, but {name} was fitted on {n_features}. "
            "Pass the features of fit, in the same order."
        )
    if fitting and isinstance(X, np.ndarray) and not np.isfinite(X).all():
        column = int(np.argmin(np.isfinite(X).all(axis=0)))
        raise ValueError(
            f"X of {name} contains NaN or infinity, first in column {column}. Fill such values, "
            "as with sklearn.impute.SimpleImputer, or leave the samples out."
        )
    return X
