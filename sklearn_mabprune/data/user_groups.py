"""Groups of samples that the user names, such as those of one patient: they are never divided."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from ..utils.columns import distinct
from .folds import Fold
from .splitting import Split, hash_samples

Groups = NDArray[np.intp]


def read_groups(groups: Any, n_samples: int) -> Groups:
    """Groups as numbers, (n_samples,), in the order of appearance.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        Numbers, strings or other names.
    n_samples : int

    Raises
    ------
    ValueError
        If they are not one-dimensional, of another length, or some are missing.
    """
    column = groups if hasattr(groups, "dtype") else np.asarray(groups, dtype=object)
    shape = np.shape(column)
    if shape != (n_samples,):
        raise ValueError(
            f"groups has shape {shape}, and X has {n_samples:,} samples. Pass the group of each "
            "sample in one dimension, such as X.pop('patient')."
        )
    _, codes = distinct(column)
    missing = int((codes < 0).sum())
    if missing:
        raise ValueError(
            f"groups has {missing:,} missing values of {n_samples:,}. Pass a group for each "
            "sample; one that is alone is a group of its own."
        )
    return codes


def by_content(groups: Groups, X: Any, seed: int) -> Groups:
    """The same groups, numbered by a hash of their samples: the order of samples means nothing.

    Parameters
    ----------
    groups : ndarray of int, shape (n_samples,)
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    seed : int

    Returns
    -------
    ndarray of int, shape (n_samples,)
        Numbers from 0 without gaps.
    """
    _, codes = np.unique(groups, return_inverse=True)
    keys = np.zeros(codes.max() + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        np.add.at(keys, codes, hash_samples(X, seed))
    number = np.empty(len(keys), dtype=np.intp)
    number[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return number[codes]


def group_split(groups: Groups, y: NDArray[Any] | None, fraction: float) -> Split:
    """Split whole groups into training and validation samples.

    Groups of the same most frequent class are split apart from others, in the order of their
    numbers: a group validates if it brings the number of validation samples nearer to the fraction.

    Parameters
    ----------
    groups : ndarray of int, shape (n_samples,)
        As :func:`by_content` numbers them.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        Class indices; others are not stratified.
    fraction : float in (0, 1)

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If no groups can be held out, or the other ones lack a class.
    """
    classes = np.zeros(len(groups), dtype=np.intp) if y is None or y.ndim == 2 else y
    counts = np.zeros((groups.max() + 1, int(classes.max()) + 1), dtype=np.intp)
    np.add.at(counts, (groups, classes), 1)
    most, sizes = counts.argmax(axis=1), counts.sum(axis=1)
    chosen = np.zeros(len(sizes), dtype=bool)
    for each in np.unique(most):
        members = np.flatnonzero(most == each)
        chosen[members[_nearest(sizes[members], fraction)]] = True
    left = counts[~chosen].sum(axis=0)
    if not chosen.any() or (left == 0).any():
        why = (
            f"none of {len(sizes)} groups can be held out for validation: the training samples "
            "would lack a class"
        )
        if len(sizes) == 1:
            why = "all samples are of one group, which cannot be divided for validation"
        raise ValueError(f"groups: {why}. Pass X_val and y_val of other groups, or more groups.")
    valid = chosen[groups]
    return Split(np.flatnonzero(~valid), np.flatnonzero(valid), float(valid.mean()))


def _nearest(sizes: NDArray[np.intp], fraction: float) -> list[int]:
    """Groups of about a fraction of all samples; one at least, and never all."""
    wanted, total = fraction * sizes.sum(), 0
    chosen: list[int] = []
    for number, size in enumerate(sizes.tolist()):
        if size < 2 * (wanted - total):
            chosen.append(number)
            total += size
    chosen = chosen or [int(sizes.argmin())]
    return chosen[: len(sizes) - 1]


def group_folds(groups: Groups, y: NDArray[Any], n_folds: int) -> list[Fold]:
    """Folds of whole groups, of about the same size; for classes, of about the same classes.

    Parameters
    ----------
    groups : ndarray of int, shape (n_samples,)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Class indices; others are not stratified.
    n_folds : int

    Returns
    -------
    list of (ndarray of int, ndarray of int)

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    n_groups = len(np.unique(groups))
    if n_groups < n_folds:
        raise ValueError(f"{n_groups} groups are too few for {n_folds} folds.")
    # Of the rarest class there may be fewer samples than folds, which is no fault here.
    stratified = y.ndim == 1 and np.bincount(y).max() >= n_folds and len(np.unique(y)) > 1
    cv = StratifiedGroupKFold(n_folds) if stratified else GroupKFold(n_folds)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(cv.split(np.zeros(len(groups)), y, groups))
