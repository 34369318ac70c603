"""Validation of targets, weights of classes, and class labels from predicted probabilities."""

from __future__ import annotations

from datetime import date, time, timedelta
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

# Objects that NumPy makes floats of, in units of its own, or does not.
_DATES = (date, time, timedelta)
# Deviations of targets from their mean whose squares, and sums of these, are float64 numbers.
_SQUARES_HOLD = (1e-145, 1e150)


def complete(y: Any, name: str = "y") -> Any:
    """Targets without missing values; numbers in an array of objects as an array of numbers.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    name : str
        What the message calls them.

    Returns
    -------
    array-like
        `y` itself unless it is an array or a column of objects that are all numbers.

    Raises
    ------
    ValueError
        If values are None, NaN, NaT or pandas' NA.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.targets import complete
    >>> complete(np.array([1, 0, 1], dtype=object)).dtype.kind
    'i'
    """
    if sparse.issparse(y) or (isinstance(y, np.ndarray) and y.dtype.kind not in "OmMf"):
        return y
    plain = isinstance(y, (list, tuple))
    try:
        # NumPy makes the string "nan" of NaN among strings.
        values = np.asarray(y, dtype=object if plain else None)
    except (TypeError, ValueError):
        return y  # said better by scikit-learn
    if values.dtype.kind not in "OmMf" or not values.ndim:
        return y
    if values.dtype.kind == "f":
        flat, missing = [], np.isnan(values)
    else:
        flat = list(values.ravel())
        missing = np.array([_is_missing(each) for each in flat], dtype=bool).reshape(values.shape)
    if missing.any():
        samples = np.flatnonzero(missing.reshape(len(values), -1).any(axis=1))
        more = f" and {len(samples) - 1:,} more" * (len(samples) > 1)
        raise ValueError(
            f"{name} has missing values, in sample {samples[0]}{more}: Input {name} contains NaN. "
            f"Remove these samples from the features and from {name}, or fill them."
        )
    numbers = flat and not plain and all(isinstance(each, (Real, np.bool_)) for each in flat)
    return np.array(flat).reshape(values.shape) if numbers else y


def without_dates(y: Any, name: str = "y") -> Any:
    """Targets that a regression can predict: dates and durations would be numbers of any unit.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    name : str
        What the message calls them.

    Returns
    -------
    array-like
        `y` itself.

    Raises
    ------
    ValueError
        If values are dates, times or durations.
    """
    try:
        values = np.asarray(y)
    except (TypeError, ValueError):
        return y  # said better by scikit-learn
    some = values.ravel()[:1].tolist() if values.dtype.kind == "O" else []
    objects = any(isinstance(each, _DATES) or type(each).__name__ == "Period" for each in some)
    if values.dtype.kind in "mM" or objects:
        raise ValueError(
            f"{name} contains dates, times or durations, and a regression predicts numbers. Pass "
            "numbers in a unit of your choice, such as days since a first date, or seconds."
        )
    return y


def _is_missing(value: Any) -> bool:
    """Whether a target is None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # "boolean value of NA is ambiguous"
        return True
    except ValueError:  # an array
        return False


def _check_one_type(y: NDArray[Any]) -> None:
    """Refuse labels that are strings and numbers: they have no order."""
    numbers = [each for each in y.ravel() if isinstance(each, (Real, np.bool_))]
    strings = [each for each in y.ravel() if isinstance(each, str)]
    if numbers and strings:
        raise ValueError(
            f"y has both strings and numbers, such as {strings[0]!r} and {numbers[0]!r}. Pass "
            "labels of one type: y = [str(label) for label in y]."
        )


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
        If `y` contains neither class labels nor a multilabel indicator matrix, or both strings
        and numbers.

    Examples
    --------
    >>> from sklearn_mabprune.data.targets import read_labels
    >>> read_labels(["no", "yes"]).shape, read_labels([[0, 1], [1, 1]]).shape
    ((2,), (2, 2))
    """
    if getattr(getattr(y, "dtype", None), "kind", "") == "O":
        _check_one_type(y)
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


def class_weights(
    given: dict[Any, float] | str, classes: NDArray[Any], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weight of each sample by its class.

    scikit-learn's ``compute_sample_weight`` compares labels such as "1" as numbers.

    Parameters
    ----------
    given : dict or "balanced"
        Weights by class label; classes that it lacks have weight 1.
    classes : ndarray of shape (n_classes,)
        Class labels.
    codes : ndarray of int, shape (n_samples,)
        Index of each sample's class.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If `given` lacks classes and has others that are not among `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.targets import class_weights
    >>> class_weights({"2": 3.0}, np.array(["1", "2"]), np.array([0, 1, 1]))
    array([1., 3., 3.])
    """
    labels = classes.tolist()
    if isinstance(given, str):
        counts = np.bincount(codes, minlength=len(labels))
        each = len(codes) / (len(labels) * counts)
    else:
        missing = [label for label in labels if label not in given]
        unknown = [label for label in given if label not in labels]
        if missing and unknown:
            raise ValueError(
                f"The classes {missing[:5]} are not in class_weight, which has {unknown[:5]} that "
                "y does not contain. Pass the labels as they are in y, of the same type."
            )
        each = np.array([float(given.get(label, 1.0)) for label in labels])
    return np.asarray(each[codes], dtype=np.float64)


def scaled_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of which the largest is about 1: only ratios matter, and sums cannot overflow.

    Divided by a power of 2, which rounds nothing.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,)
        Not negative.

    Returns
    -------
    ndarray of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.targets import scaled_weights
    >>> scaled_weights(np.array([5.0, 10.0]))
    array([0.3125, 0.625 ])
    """
    if not weights.size:
        return weights
    return np.asarray(np.ldexp(weights, -np.frexp(weights.max())[1]))


def check_squares(targets: NDArray[np.float64]) -> None:
    """Refuse regression targets whose squared deviations are no numbers: losses are these.

    Parameters
    ----------
    targets : ndarray of shape (n_samples, n_outputs)

    Raises
    ------
    ValueError
        If deviations from the mean are too large or too small; the message names the target.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = targets.mean(axis=0)
        largest = np.abs(targets - mean).max(axis=0)
    smallest, most = _SQUARES_HOLD
    too_small = (largest > _rounding(mean)) & (largest < smallest)
    for column in np.flatnonzero(~(largest < most) | too_small):
        raise ValueError(
            f"Targets of y of up to {np.abs(targets[:, column]).max():.6g} are too "
            f"{'small' if too_small[column] else 'large'} for regression: their squares are beyond "
            "float64. Multiply y by a constant, or use a StandardScaler in a "
            "TransformedTargetRegressor."
        )


def _rounding(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviations from a mean that are no more than its rounding."""
    return np.asarray(10 * np.finfo(float).eps * np.abs(mean))


def mean_and_scale(
    targets: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and standard deviation of each target, to standardise it with.

    Parameters
    ----------
    targets : ndarray of shape (n_samples, n_outputs)
    weights : ndarray of shape (n_samples,) or None

    Returns
    -------
    mean, scale : ndarray of shape (n_outputs,)
        The scale of a constant target (up to rounding) is that target, and 1 at most: the
        outputs of the network are not far from 0, whatever that means in its units.

    Raises
    ------
    ValueError
        If targets are too large or too small for :func:`check_squares`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.targets import mean_and_scale
    >>> mean_and_scale(np.array([[1.0], [3.0]]), None)
    (array([2.]), array([1.]))
    """
    check_squares(targets)
    weights = None if weights is None else scaled_weights(np.asarray(weights, dtype=np.float64))
    mean = np.average(targets, axis=0, weights=weights)
    scale = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=weights))
    constant = np.where(mean == 0, 1.0, np.minimum(np.abs(mean), 1.0))
    return mean, np.where(scale > _rounding(mean), scale, constant)
