"""Validation rows chosen by what they contain, not by where they stand.

A row's side depends on a seeded hash of its values alone.  So permuted rows, copies of a
row and integer weights in place of copies give the same split, and copies never stand on
both sides.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..exceptions import PruningWarning

_CHUNK = 2**22
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Split:
    """Row indices of both sides.

    Parameters
    ----------
    train, validation : ndarray of int
    share : float
        Realised share of validation rows.
    shared : bool
        True if there were too few rows: both sides are all rows.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    share: float
    shared: bool = False


def hash_rows(X: Any, seed: int) -> NDArray[np.uint64]:
    """A 64-bit hash of each row's values, (n_rows,).

    Values count as float64, -0 as 0; zeros contribute nothing, so that a sparse matrix
    hashes as its dense form does.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
    seed : int
        Other seeds give other hashes.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn_mabprune.data.splitting import hash_rows
    >>> X = np.array([[0.0, 1.5], [-0.0, 1.5]])
    >>> len(set(hash_rows(X, 0)) | set(hash_rows(sparse.csr_array(X), 0)))
    1
    """
    n_rows, n_features = X.shape
    factors = np.random.default_rng(seed).integers(
        1, 2**64 - 1, size=n_features, dtype=np.uint64, endpoint=True
    ) | np.uint64(1)
    hashes = np.zeros(n_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        if sparse.issparse(X):
            rows = np.repeat(np.arange(n_rows), np.diff(X.indptr))
            np.add.at(hashes, rows, _bits(X.data) * factors[X.indices])
        else:
            step = max(1, _CHUNK // max(1, n_features))
            for first in range(0, n_rows, step):
                part = slice(first, first + step)
                hashes[part] = (_bits(X[part]) * factors).sum(axis=1, dtype=np.uint64)
        return _mix(hashes ^ factors[0])


def _bits(values: Any) -> NDArray[np.uint64]:
    """Scrambled bits of float64 values; zero stays zero."""
    # + 0.0 turns -0 into 0.
    return _mix((np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64))


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of the SplitMix64 generator (Steele, Lea, Flood 2014); maps 0 to 0."""
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


def content_split(X: Any, y: NDArray[Any] | None, fraction: float, seed: int) -> Split:
    """Training and validation rows by the hash of their content.

    Within each class the distinct rows with the lowest hashes become validation rows, so
    that the share is met in every class.  Copies of a row with different labels follow
    the lowest label.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
    y : ndarray of int, shape (n_rows,), or None
        Class indices; None for regression.
    fraction : float in (0, 1)
        Share of the distinct rows of each class that validate.
    seed : int
        Of the hash.

    Returns
    -------
    Split

    Warns
    -----
    PruningWarning
        If a side would have fewer than two rows or training would lack a class: then all
        rows stand on both sides.  Also if copies make the share of validation rows more than
        twice what was asked for.
    """
    hashes = hash_rows(X, seed)
    unique, where = np.unique(hashes, return_inverse=True)
    label = np.zeros(len(unique), dtype=np.intp)
    if y is not None:
        label[:] = np.iinfo(np.intp).max
        np.minimum.at(label, where, y)
    chosen = np.zeros(len(unique), dtype=bool)
    for each in np.unique(label):
        members = np.flatnonzero(label == each)  # in increasing order of hash
        wanted = max(round(fraction * len(members)), 1 if y is not None else 2)
        # A class with a single distinct row stays in training.
        chosen[members[: min(wanted, len(members) - 1)]] = True
    valid = chosen[where]
    train, validation = np.flatnonzero(~valid), np.flatnonzero(valid)
    lacks = y is not None and len(np.unique(y[train])) < len(np.unique(y))
    if min(len(train), len(validation)) < 2 or lacks:
        warnings.warn(
            f"{len(unique)} distinct rows are too few to set validation rows apart "
            f"(validation_fraction={fraction}): all rows train and validate, and validation "
            "scores are optimistic. Pass X_val and y_val, or more rows.",
            PruningWarning,
            stacklevel=2,
        )
        everything = np.arange(len(hashes))
        return Split(everything, everything, 1.0, shared=True)
    share = len(validation) / len(hashes)
    # Copies alone make it so large; few distinct rows do so too, but there is no help for those.
    if share > 2 * fraction and len(validation) > 2 * chosen.sum():
        warnings.warn(
            f"{len(validation):,} of {len(hashes):,} rows validate ({share:.0%}, "
            f"validation_fraction={fraction}): they are copies of {chosen.sum()} of "
            f"{len(unique)} distinct rows, and copies stay on one side. The network is trained "
            "without these. Pass X_val and y_val to train on all distinct rows.",
            PruningWarning,
            stacklevel=2,
        )
    return Split(train, validation, share)
