"""Folds of a splitter of the user's, checked: a teacher labels only what it was not fitted on."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import PredefinedSplit

from ..data.folds import Fold, groups_of
from ..data.samples import Data
from ..exceptions import PruningWarning
from ..utils.words import counted


def undivided(data: Data, seed: int) -> NDArray[np.intp]:
    """Groups of samples that folds do not divide: the user's, or else copies of a sample."""
    return groups_of(data.x, data.y, seed) if data.groups is None else data.groups


def folds_of_splitter(cv: Any, data: Data, seed: int) -> list[Fold]:
    """Training and test samples of each fold.

    A splitter that asks for groups is given the user's, or else groups of copies of a sample.

    Parameters
    ----------
    cv : splitter
        With scikit-learn's ``split``.
    data : Data
        Training samples.
    seed : int
        Of the hash function that finds copies.

    Returns
    -------
    list of (ndarray of int, ndarray of int)

    Raises
    ------
    ValueError
        If it cannot divide the samples, divides others, gives no folds, or tests on samples that
        it trains on.
    """
    name = " ".join(repr(cv).split())
    name = f"teacher_cv={name}" if len(name) <= 100 else f"teacher_cv={name[:97]}..."
    y = data.y if data.y.ndim == 1 or data.y.shape[1] > 1 else data.y[:, 0]
    groups = undivided(data, seed)
    with warnings.catch_warnings():
        # Splitters that know no groups say so.
        warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
        try:
            given = list(cv.split(data.x, y, groups))
        except ValueError as error:
            raise ValueError(
                f"{name} cannot divide the {counted(len(data), 'training sample')}, "
                f"{_counted(groups, data.groups is None)}: {error} Pass fewer folds, another "
                "splitter, more samples, or teacher=None."
            ) from error
    if not given:
        raise ValueError(f"{name} gives no folds. Pass a number of folds, such as 5.")
    folds = [(_indices(train), _indices(test)) for train, test in given]
    _check_number(cv, name, folds, len(data))
    for number, fold in enumerate(folds):
        if np.intersect1d(*fold).size:
            raise ValueError(
                f"{name}: fold {number + 1} has samples for training and for testing. "
                "A teacher must not label samples that it was fitted on: pass a splitter whose "
                "parts are disjoint."
            )
    if data.groups is not None:
        _warn_of_divided(name, folds, data.groups)
    return folds


def _counted(groups: NDArray[np.intp], are_copies: bool) -> str:
    """The number of groups, for messages."""
    n_groups = len(np.unique(groups))
    return f"{n_groups} of them distinct" if are_copies else f"of {counted(n_groups, 'group')}"


def _warn_of_divided(name: str, folds: list[Fold], groups: NDArray[np.intp]) -> None:
    """Warn of groups that the folds divide all the same, as those of a splitter without groups."""
    divided = [np.intersect1d(groups[train], groups[test]) for train, test in folds]
    n_divided = len(np.unique(np.concatenate(divided)))
    if n_divided:
        warnings.warn(
            f"{name} divides {n_divided} of {len(np.unique(groups))} groups between samples that "
            "the teacher is fitted on and samples that it labels. Pass a number of folds, or a "
            "splitter that asks for groups, such as GroupKFold.",
            PruningWarning,
            stacklevel=2,
        )


def _indices(part: Any) -> NDArray[np.intp]:
    """Indices of samples, from indices or a mask."""
    found = np.asarray(part)
    return np.flatnonzero(found) if found.dtype == bool else found


def _check_number(cv: Any, name: str, folds: list[Fold], n: int) -> None:
    """Refuse folds of other samples than these, as of all of X with the validation samples."""
    divided = max(int(part.max(initial=-1)) + 1 for fold in folds for part in fold)
    if isinstance(cv, PredefinedSplit):
        divided = len(cv.test_fold)
        if divided == n:
            return
    elif divided <= n:
        return
    raise ValueError(
        f"{name} divides {counted(divided, 'sample')}, and the teacher has {n}: the samples of X "
        "of a weight "
        "above 0 that are not held out for validation. Pass X_val and y_val, so that none are held "
        "out, leave out samples of weight 0, and pass the fold of each sample of X. In the fits of "
        "a cross-validation, each of which has other samples, pass a splitter that needs no list "
        "of them."
    )
