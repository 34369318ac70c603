"""Synthetic samples: features exchanged between near neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from .blocks import ColumnBlocks

#: Probability with which a feature is taken from the neighbour.
EXCHANGED = 0.5
# Neighbours from which one is drawn, and samples among which they are looked for.
_NEIGHBOURS, _POOL = 8, 4096
# Dimensions in which distances are measured; in more, samples are projected.
_DIMENSIONS = 24


def synthetic_samples(
    X: NDArray[Any], blocks: ColumnBlocks, n: int, seed: int, near: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Samples that are near given ones, with combinations of features that X does not have.

    Each is a sample of X in which every feature is replaced, with probability 0.5, by that of one
    of its nearest neighbours.  The columns of a category are replaced together.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    blocks : ColumnBlocks
        Columns of X that belong together.
    n : int
        Number of synthetic samples.
    seed : int
    near : ndarray of shape (n_samples, n), optional
        Features of the same samples in which distances are measured; default: X.

    Returns
    -------
    samples : ndarray of shape (n, n_features)
        Of the dtype of X.
    origin : ndarray of int, shape (n,)
        Index of the sample of X that each was made from.

    References
    ----------
    C. Bucila, R. Caruana, A. Niculescu-Mizil, "Model compression", KDD 2006 (MUNGE).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.blocks import ColumnBlocks
    >>> from sklearn_mabprune.data.synthetic import synthetic_samples
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> samples, origin = synthetic_samples(X, ColumnBlocks.of(X), 250, seed=0)
    >>> samples.shape, bool(np.isin(samples, X).all())
    ((250, 3), True)
    """
    rng = np.random.default_rng(seed)
    n_samples = len(X)
    neighbours = _neighbours(X if near is None else near, rng)
    # Every sample in turn, in another order each time.
    turns = np.empty((-(-n // n_samples), n_samples), dtype=np.intp)
    for turn in turns:
        turn[:] = rng.permutation(n_samples)
    origin = turns.ravel()[:n]
    other = neighbours[origin, rng.integers(neighbours.shape[1], size=n)]
    exchanged = rng.random((n, len(blocks.starts))) < EXCHANGED
    columns = np.repeat(exchanged, blocks.widths, axis=1)
    return np.where(columns, X[other], X[origin]), origin


def _neighbours(X: NDArray[Any], rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of samples near each sample, (n_samples, at most 8)."""
    n_samples, n_features = X.shape
    spread = X.std(axis=0)
    scaled = (X / np.where(spread > 0, spread, 1)).astype(np.float32)
    if n_features > _DIMENSIONS:
        scaled = scaled @ rng.normal(size=(n_features, _DIMENSIONS)).astype(np.float32)
    pool = np.sort(rng.permutation(n_samples)[:_POOL])
    n_near = min(_NEIGHBOURS + 1, len(pool))
    near = NearestNeighbors(n_neighbors=n_near, n_jobs=1).fit(scaled[pool])
    # The nearest one may be the sample itself.
    return pool[near.kneighbors(scaled, return_distance=False)[:, min(1, n_near - 1) :]]
