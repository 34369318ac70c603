"""Class labels as a network wants them, and probabilities as class labels again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target


def read_labels(y: Any) -> NDArray[Any]:
    """Labels, (n_samples,), or an indicator matrix of several labels, (n_samples, n_labels).

    Raises
    ------
    ValueError
        If `y` is neither.

    Examples
    --------
    >>> from sklearn_mabprune.data.targets import read_labels
    >>> read_labels(["no", "yes"]).shape, read_labels([[0, 1], [1, 1]]).shape
    ((2,), (2, 2))
    """
    kind = type_of_target(y, input_name="y")
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y has several columns of classes. One network gives one class, or labels that are "
            "there or not (an indicator matrix of 0 and 1); for several classes fit a network "
            "for each: sklearn.multioutput.MultiOutputClassifier(estimator)."
        )
    check_classification_targets(y)
    if kind != "multilabel-indicator":
        return column_or_1d(y, warn=True)
    return as_indicator(y, "y")


def as_indicator(y: Any, name: str) -> NDArray[Any]:
    """An indicator matrix as an array of 0 and 1, refusing other values."""
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"{name} with several columns must be an indicator matrix of 0 and 1, got "
            f"{np.unique(y)[:5].tolist()}; sklearn.preprocessing.MultiLabelBinarizer makes one."
        )
    return y


def predicted(probabilities: NDArray[Any], classes: NDArray[Any], several: bool) -> NDArray[Any]:
    """Most probable labels, (n_rows,), or which of several are more probable than not.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_classes)
    classes : ndarray of shape (n_classes,)
    several : bool
        A row has several labels: an indicator matrix, (n_rows, n_classes), comes out.
    """
    if several:
        return (probabilities > 0.5).astype(np.int64)
    return classes[probabilities.argmax(axis=1)]
