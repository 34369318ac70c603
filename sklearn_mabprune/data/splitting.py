"""Train/validation split by the content of the samples, independent of their order.

The validation samples stand for samples to come.  A seeded hash of its features decides whether a
sample is used for training or validation.  Therefore a permutation of the samples gives the same
split, and a few copies of a sample, which integer weights may replace, are never on both sides.

Where features have many copies (categories, rounded values, oversampled classes), samples to come
have features that are known as well.  Such samples are split one by one: of all features there are
training samples, and the fraction of samples is kept.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..exceptions import PruningWarning
from .named import NamedSamples

# Number of values that are hashed at a time: 32 MB of uint64.
_CHUNK = 2**22
# Samples of the same features that are split one by one; fewer stay on one side.
_MANY = 10
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
    X : ndarray or CSR matrix of shape (n_samples, n_features), or ndarray of more dimensions
        Features; or NamedSamples.
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
    if isinstance(X, NamedSamples):
        X = np.concatenate([hash_samples(X.parts[k], seed)[:, None] for k in sorted(X.parts)], 1)
    X = X if sparse.issparse(X) else X.reshape(len(X), -1)
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

    The split is stratified: in each class, the samples with the lowest hashes become validation
    samples.  Samples with the same features stay on one side, and count as one sample of the class
    with the lowest index among their labels.  They are split one by one, in the same fraction for
    all features and targets, if they are 10 or more, or if most samples of the table share their
    features with samples of other targets: then they are no copies.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        Class indices; or targets that are not stratified (regression, multilabel), of which only
        equality is used.
    fraction : float in (0, 1)
        Fraction of the samples of each class to use for validation.
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
    labels = np.zeros(len(hashes), dtype=np.intp) if y is None or y.ndim == 2 else y
    units = units_of(hashes, y)
    chosen = _lowest(units.keys, units.labels, fraction, 1 if labels is y else 2)
    valid = chosen[units.where]
    _give_back(valid, where, units.single)
    train, validation = np.flatnonzero(~valid), np.flatnonzero(valid)
    n_classes = len(np.unique(labels))
    lacks = len(np.unique(labels[train])) < n_classes
    if min(len(train), len(validation)) < 2 or lacks:
        of_classes = f" of {n_classes} classes" if n_classes > 1 else ""
        warnings.warn(
            f"X has only {len(unique)} distinct samples{of_classes}, too few to hold out "
            f"validation samples (validation_fraction={fraction}): all samples are used for "
            "training and validation, so validation scores are optimistic. Pass X_val and y_val, "
            "or more samples.",
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


@dataclass(frozen=True)
class Units:
    """What is never divided between two sides: a sample, or all samples of the same features.

    Parameters
    ----------
    keys : ndarray of shape (n_units,)
        In [0, 1] and drawn from the content of the samples: an order without meaning.
    labels : ndarray of int, shape (n_units,)
        Lowest class among the unit's samples; 0 for targets that are not stratified.
    where : ndarray of int, shape (n_samples,)
        Unit of each sample.
    single : ndarray of bool, shape (n_samples,)
        Whether the sample shares its features with others and is a unit nevertheless.
    """

    keys: NDArray[np.float64]
    labels: NDArray[np.intp]
    where: NDArray[np.intp]
    single: NDArray[np.bool_]


def units_of(hashes: NDArray[np.uint64], y: NDArray[Any] | None) -> Units:
    """Units of samples, from the hashes of their features.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n_samples,)
        As :func:`hash_samples` returns them.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        As :func:`content_split` takes them.

    Returns
    -------
    Units
    """
    unique, where, copies = np.unique(hashes, return_inverse=True, return_counts=True)
    labels = np.zeros(len(hashes), dtype=np.intp) if y is None or y.ndim == 2 else y
    keys, single = _order(hashes, where, copies, y)
    of_unit = np.where(single, len(unique) + np.arange(len(hashes)), where)
    units, first, where_unit = np.unique(of_unit, return_index=True, return_inverse=True)
    label = np.full(len(units), np.iinfo(np.intp).max)
    np.minimum.at(label, where_unit, labels)
    return Units(keys[first], label, where_unit, single)


def are_so_many(X: Any, y: Any, n_samples: int) -> bool:
    """Whether a table has so many samples, of which few copies count as one.

    Parameters
    ----------
    X, y : array-like
        As :func:`content_split` takes them; targets of any kind.
    n_samples : int
    """
    n_rows = X.shape[0]
    if n_rows < n_samples or n_rows >= (_MANY - 1) * n_samples:
        return n_rows >= n_samples
    return int(units_of_samples(X, y).max()) + 1 >= n_samples


def units_of_samples(X: Any, y: Any) -> NDArray[np.intp]:
    """The unit of each sample, (n_samples,), counted from 0; see :class:`Units`."""
    targets = None if y is None else np.reshape(np.asarray(y), (X.shape[0], -1))
    return units_of(hash_samples(X, 0), targets).where


def _order(
    hashes: NDArray[np.uint64],
    where: NDArray[np.intp],
    copies: NDArray[np.intp],
    y: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Keys in [0, 1] of samples, low for validation, and which samples are split one by one.

    The key of a sample that is not is the hash of its features.  The keys of those with the same
    features and targets are equidistant, so that any fraction of them is met up to one sample.
    """
    if len(copies) == len(hashes):
        return hashes / 2.0**64, np.zeros(len(hashes), dtype=bool)
    pairs = hashes
    if y is not None:
        with np.errstate(over="ignore"):
            pairs = _mix(_mix(hashes) + hash_samples(np.reshape(y, (len(y), -1)), 0))
    _, kind, alike = np.unique(pairs, return_inverse=True, return_counts=True)
    shared_features = copies[where] > alike[kind]
    limit = 2 if shared_features.mean() > 0.5 else _MANY
    single = copies[where] >= limit
    rank = np.empty(len(hashes), dtype=np.intp)
    order = np.argsort(kind, kind="stable")
    rank[order] = np.arange(len(hashes)) - (np.cumsum(alike) - alike)[kind[order]]
    own = (rank + pairs / 2.0**64) / alike[kind]
    return np.where(single, own, hashes / 2.0**64), single


def _lowest(
    keys: NDArray[np.float64], label: NDArray[np.intp], fraction: float, least: int
) -> NDArray[np.bool_]:
    """Units of the lowest keys in each class; the last unit of a class stays in training."""
    chosen = np.zeros(len(keys), dtype=bool)
    for each in np.unique(label):
        members = np.flatnonzero(label == each)
        members = members[np.argsort(keys[members], kind="stable")]
        wanted = max(round(fraction * len(members)), least)
        chosen[members[: min(wanted, len(members) - 1)]] = True
    return chosen


def _give_back(
    valid: NDArray[np.bool_], where: NDArray[np.intp], single: NDArray[np.bool_]
) -> None:
    """Give training one sample of those features, split one by one, of which it has none."""
    trained = np.zeros(where.max() + 1, dtype=bool)
    trained[where[~valid]] = True
    lost = np.flatnonzero(single & ~trained[where])
    valid[lost[np.unique(where[lost], return_index=True)[1]]] = False
