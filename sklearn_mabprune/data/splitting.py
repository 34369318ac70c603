"""Train/validation split by the content of the samples, independent of their order.

A seeded hash of its features decides whether a sample is used for training or validation.
Therefore a permutation of the samples, or integer weights in place of duplicates, gives the
same split, and duplicates are never on both sides.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..exceptions import PruningWarning

# Number of values that are hashed at a time: 32 MB of uint64.
_CHUNK = 2**22
# Multipliers of SplitMix64.
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Split:
    """Indices of the training and validation samples.

    Parameters
    ----------
    train, validation : ndarray of int
        Indices of the samples.
    share : float
        Realized fraction of validation samples.
    shared : bool
        Whether all samples are used for both training and validation, because there are too
        few.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    share: float
    shared: bool = False


def hash_samples(X: Any, seed: int) -> NDArray[np.uint64]:
    """A 64-bit hash of the features of each sample.

    Values are hashed as float64, and -0 as 0.  Zeros contribute nothing, so that the hashes of
    a sparse matrix and of its dense form are equal.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features.
    seed : int
        Seed of the hash function.

    Returns
    -------
    ndarray of uint64, shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> from sklearn_mabprune.data.splitting import hash_samples
    >>> X = np.array([[0.0, 1.5], [-0.0, 1.5]])
    >>> len(set(hash_samples(X, 0)) | set(hash_samples(sparse.csr_array(X), 0)))
    1
    """
    n_samples, n_features = X.shape
    factors = np.random.default_rng(seed).integers(
        1, 2**64 - 1, size=n_features, dtype=np.uint64, endpoint=True
    ) | np.uint64(1)
    hashes = np.zeros(n_samples, dtype=np.uint64)
    with np.errstate(over="ignore"):
        if sparse.issparse(X):
            rows = np.repeat(np.arange(n_samples), np.diff(X.indptr))
            np.add.at(hashes, rows, _bits(X.data) * factors[X.indices])
        else:
            step = max(1, _CHUNK // max(1, n_features))
            for first in range(0, n_samples, step):
                part = slice(first, first + step)
                hashes[part] = (_bits(X[part]) * factors).sum(axis=1, dtype=np.uint64)
        return _mix(hashes ^ factors[0])


def _bits(values: Any) -> NDArray[np.uint64]:
    """Scrambled bits of float64 values; zero stays zero."""
    # Adding 0.0 turns -0 into 0.
    return _mix((np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64))


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of the SplitMix64 generator (Steele, Lea, Flood 2014); maps 0 to 0."""
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


def content_split(X: Any, y: NDArray[Any] | None, fraction: float, seed: int) -> Split:
    """Split samples into training and validation samples by the hash of their features.

    The split is stratified: in each class, the distinct samples with the lowest hashes become
    validation samples.  Duplicates with different labels belong to the class with the lowest
    index among these labels.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features.
    y : ndarray of int, shape (n_samples,), or None
        Class indices; None for regression.
    fraction : float in (0, 1)
        Fraction of the distinct samples of each class to use for validation.
    seed : int
        Seed of the hash function.

    Returns
    -------
    Split

    Warns
    -----
    PruningWarning
        If a side would have fewer than two samples, or the training samples would lack a
        class; all samples are then used for both.  Also if duplicates make the fraction of
        validation samples more than twice the requested one.
    """
    hashes = hash_samples(X, seed)
    unique, where = np.unique(hashes, return_inverse=True)
    label = np.zeros(len(unique), dtype=np.intp)
    if y is not None:
        label[:] = np.iinfo(np.intp).max
        np.minimum.at(label, where, y)
    chosen = np.zeros(len(unique), dtype=bool)
    for each in np.unique(label):
        members = np.flatnonzero(label == each)  # in increasing order of hash
        wanted = max(round(fraction * len(members)), 1 if y is not None else 2)
        # A class with a single distinct sample stays in training.
        chosen[members[: min(wanted, len(members) - 1)]] = True
    valid = chosen[where]
    train, validation = np.flatnonzero(~valid), np.flatnonzero(valid)
    lacks = y is not None and len(np.unique(y[train])) < len(np.unique(y))
    if min(len(train), len(validation)) < 2 or lacks:
        warnings.warn(
            f"X has only {len(unique)} distinct samples, too few to hold out validation samples "
            f"(validation_fraction={fraction}): all samples are used for training and validation, "
            "so validation scores are optimistic. Pass X_val and y_val, or more samples.",
            PruningWarning,
            stacklevel=2,
        )
        everything = np.arange(len(hashes))
        return Split(everything, everything, 1.0, shared=True)
    share = len(validation) / len(hashes)
    # The second condition excludes fractions that are large only because there are few distinct
    # samples, about which the user can do nothing.
    if share > 2 * fraction and len(validation) > 2 * chosen.sum():
        warnings.warn(
            f"{len(validation):,} of {len(hashes):,} samples ({share:.0%}) are held out for "
            f"validation, more than validation_fraction={fraction}: they are duplicates of "
            f"{chosen.sum()} of {len(unique)} distinct samples, and duplicates stay on one side. "
            "Pass X_val and y_val to train on all distinct samples.",
            PruningWarning,
            stacklevel=2,
        )
    return Split(train, validation, share)
