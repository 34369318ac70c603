"""Folds by content: copies together, classes spread, independent of the order of the samples."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_mabprune.data.folds import content_folds, groups_of


@pytest.fixture
def table():
    """60 samples in two classes, 3 to 1; each sample twice, the copies far apart."""
    rng = np.random.default_rng(0)
    X = np.tile(rng.normal(size=(60, 3)), (2, 1))
    return X, np.tile(np.arange(60) % 4 == 0, 2).astype(np.int64)


def test_each_sample_is_tested_once_and_copies_together(table):
    X, y = table
    folds = list(content_folds(X, y, 5, seed=0))
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == list(range(120))
    for train, test in folds:
        assert not set(train) & set(test)
        assert set(test % 60) == set(np.flatnonzero(np.isin(np.arange(60), test)))
        assert not set(train % 60) & set(test % 60)


def test_classes_are_spread_over_the_folds(table):
    X, y = table
    counts = [np.bincount(y[test]).tolist() for _, test in content_folds(X, y, 5, seed=0)]
    assert counts == [[18, 6]] * 5


def test_the_order_of_the_samples_does_not_matter(table):
    X, y = table
    order = np.random.default_rng(1).permutation(len(X))
    for (_, test), (_, shuffled) in zip(
        content_folds(X, y, 4, seed=3), content_folds(X[order], y[order], 4, seed=3), strict=True
    ):
        np.testing.assert_array_equal(np.sort(order[shuffled]), test)


def test_groups_are_the_copies(table):
    X, y = table
    groups = groups_of(X, y, seed=0)
    assert len(np.unique(groups)) == 60
    np.testing.assert_array_equal(groups[:60], groups[60:])


def test_categories_of_which_all_features_have_many_copies_are_no_copies():
    X = np.repeat([[0.0], [1.0]], 50, axis=0)
    y = np.tile([0, 1], 50)
    sizes = [len(test) for _, test in content_folds(X, y, 5, seed=0)]
    assert sizes == [20] * 5


def test_too_few_distinct_samples_are_refused():
    with pytest.raises(ValueError, match="3 folds need as many distinct samples, and there are 2"):
        list(content_folds(np.array([[0.0], [0.0], [1.0]]), None, 3, seed=0))
