"""Synthetic samples: combinations of neighbours' features."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_mabprune.data.blocks import ColumnBlocks
from sklearn_mabprune.data.synthetic import synthetic_samples


@pytest.fixture
def two_clouds():
    """Two clouds far apart, and a category that says which one, as a block."""
    rng = np.random.default_rng(0)
    which = np.arange(80) % 2
    return np.column_stack([rng.normal(size=(80, 4)) + 100 * which[:, None], np.eye(2)[which]])


def test_features_come_from_near_samples(two_clouds):
    blocks = ColumnBlocks.of(two_clouds)
    made, origin = synthetic_samples(two_clouds, blocks, 1000, seed=0)
    assert np.isin(made, two_clouds).all()
    # All features of a sample are of one cloud.
    np.testing.assert_array_equal(made[:, :4] > 50, np.tile(made[:, [5]] > 0.5, (1, 4)))
    np.testing.assert_array_equal(made[:, 4:], two_clouds[origin, 4:])


def test_half_of_the_features_are_exchanged(two_clouds):
    made, origin = synthetic_samples(two_clouds, ColumnBlocks.of(two_clouds), 4000, seed=0)
    changed = (made != two_clouds[origin])[:, :4].mean()
    assert 0.45 < changed < 0.55


def test_a_category_stays_one_category():
    rng = np.random.default_rng(0)
    # Three samples of each category: most of the eight neighbours have another one.
    X = np.column_stack([rng.normal(size=30), np.eye(10)[np.arange(30) % 10]])
    made, _ = synthetic_samples(X, ColumnBlocks.of(X), 500, seed=1)
    np.testing.assert_array_equal(made[:, 1:].sum(axis=1), 1)


def test_every_sample_in_turn_and_the_same_with_the_same_seed(two_clouds):
    blocks = ColumnBlocks.of(two_clouds)
    made, origin = synthetic_samples(two_clouds.astype(np.float32), blocks, 200, seed=2)
    assert made.dtype == np.float32
    assert set(np.bincount(origin, minlength=80)) == {2, 3}
    again, _ = synthetic_samples(two_clouds.astype(np.float32), blocks, 200, seed=2)
    np.testing.assert_array_equal(made, again)
    other, _ = synthetic_samples(two_clouds.astype(np.float32), blocks, 200, seed=3)
    assert (made != other).any()


def test_many_features_and_few_samples():
    X = np.random.default_rng(0).normal(size=(2, 50))
    made, _ = synthetic_samples(X, ColumnBlocks.of(X), 5, seed=0)
    assert made.shape == (5, 50)
    assert np.isin(made, X).all()
