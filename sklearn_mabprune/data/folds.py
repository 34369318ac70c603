"""Folds by the content of the samples: copies of a sample are in the same fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.words import be
from .splitting import hash_samples, units_of

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


def groups_of(X: Any, y: NDArray[Any] | None, seed: int) -> NDArray[np.intp]:
    """Number of the unit of each sample, for splitters that take ``groups``.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        As :func:`~sklearn_mabprune.data.splitting.content_split` takes them.
    seed : int

    Returns
    -------
    ndarray of int, shape (n_samples,)
    """
    return units_of(hash_samples(X, seed), y).where


def content_folds(X: Any, y: NDArray[Any] | None, n_folds: int, seed: int) -> Iterator[Fold]:
    """Folds that do not depend on the order of the samples.

    As the validation split, folds are stratified by class and do not divide copies of a sample.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        As :func:`~sklearn_mabprune.data.splitting.content_split` takes them.
    n_folds : int
    seed : int
        Seed of the hash function.

    Yields
    ------
    train, test : ndarray of int
        Indices of the samples; each sample is in one test part.

    Raises
    ------
    ValueError
        If there are fewer distinct samples than folds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.folds import content_folds
    >>> X = np.array([[0.0], [0.0], [1.0], [2.0], [3.0]])
    >>> sorted(len(test) for _, test in content_folds(X, None, 2, seed=0))
    [2, 3]
    """
    units = units_of(hash_samples(X, seed), y)
    n_units = len(units.keys)
    if n_units < n_folds:
        raise ValueError(
            f"{n_folds} folds need as many distinct samples, and there {be(n_units)} {n_units}."
        )
    # Dealt out in turn, class by class and each in the order of its keys.
    turn = np.empty(n_units, dtype=np.intp)
    turn[np.lexsort((units.keys, units.labels))] = np.arange(n_units) % n_folds
    fold = turn[units.where]
    for number in range(n_folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)
