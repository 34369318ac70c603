"""Validation of class labels, and class labels from predicted probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target


def read_labels(y: Any) -> NDArray[Any]:
    """Validate the targets of a classifier.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_classes)
        Class labels, or a multilabel indicator matrix.

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_classes)

    Raises
    ------
    ValueError
        If `y` contains neither class labels nor a multilabel indicator matrix.

    Examples
    --------
    >>> from sklearn_mabprune.data.targets import read_labels
    >>> read_labels(["no", "yes"]).shape, read_labels([[0, 1], [1, 1]]).shape
    ((2,), (2, 2))
    """
    kind = type_of_target(y, input_name="y")
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y is multiclass-multioutput: it has more than one column of class labels. A network "
            "supports one column of class labels, or a multilabel indicator matrix of 0 and 1. Fit "
            "one network per column: sklearn.multioutput.MultiOutputClassifier(estimator)."
        )
    check_classification_targets(y)
    if kind != "multilabel-indicator":
        return column_or_1d(y, warn=True)
    return as_indicator(y, "y")


def as_indicator(y: Any, name: str) -> NDArray[Any]:
    """Validate a multilabel indicator matrix and return it as a dense array.

    Raises
    ------
    ValueError
        If it contains values other than 0 and 1; the message starts with `name`.
    """
    y = y.toarray() if sparse.issparse(y) else np.asarray(y)
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"{name} with more than one column must be a multilabel indicator matrix of 0 and 1, "
            f"got the values {np.unique(y)[:5].tolist()}. Encode label sets with "
            "sklearn.preprocessing.MultiLabelBinarizer."
        )
    return y


def predicted(probabilities: NDArray[Any], classes: NDArray[Any], multilabel: bool) -> NDArray[Any]:
    """Predicted labels from class probabilities.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Probability of each class.
    classes : ndarray of shape (n_classes,)
        Class labels.
    multilabel : bool
        Whether the targets are multilabel.

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_classes)
        The most probable class of each sample; for multilabel targets an indicator matrix of
        probabilities above 0.5.
    """
    if multilabel:
        return (probabilities > 0.5).astype(np.int64)
    return classes[probabilities.argmax(axis=1)]
