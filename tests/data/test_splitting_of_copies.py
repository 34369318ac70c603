"""Splits of tables in which many rows have the same features."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_mabprune.data.splitting import content_split

quick = settings(deadline=None, max_examples=60, derandomize=True)


def test_many_copies_of_few_rows_are_split_one_by_one():
    """Parity of three bits: what no row of training shows cannot be learnt."""
    X = np.tile(np.array([[k >> 2 & 1, k >> 1 & 1, k & 1] for k in range(8)], float), (100, 1))
    y = X.sum(axis=1).astype(int) % 2
    split = content_split(X, y, 0.1, 0)
    assert (split.share, split.shared) == (0.1, False)
    assert (y[split.validation] == 0).sum() == 40
    each = Counter(map(tuple, X[split.validation]))
    assert len(each) == 8
    assert set(each.values()) <= {9, 10, 11}


def categories(data, kind, least, most):
    """One-hot categories, of `least` to `most` rows each, and targets of some kind."""
    counts = data.draw(st.lists(st.integers(least, most), min_size=2, max_size=15))
    level = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    y = {
        "a label per category": level % 2,
        "labels": np.r_[0, 1, rng.integers(2, size=len(level) - 2)],
        "values": rng.normal(size=(len(level), 1)),
        "label sets": rng.integers(2, size=(len(level), 3)).astype(float),
    }[kind]
    return np.eye(len(counts))[level], y, level


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a label per category", "labels", "values", "label sets"])
@quick
@given(data=st.data(), fraction=st.sampled_from([0.05, 0.1, 0.25, 0.5]), seed=st.integers(0, 50))
def test_categories_keep_the_fraction_and_are_all_trained_on(kind, data, fraction, seed):
    """Whatever the numbers of copies: no category is left to validation alone."""
    X, y, level = categories(data, kind, 10, 60)
    split = content_split(X, y, fraction, seed)
    assert not split.shared
    assert set(level[split.train]) == set(level)
    n_rows = len(level)
    if y.ndim == 1:
        for label in (0, 1):
            wanted = max(1, round(fraction * (y == label).sum()))
            assert (y[split.validation] == label).sum() == wanted
    else:
        assert len(split.validation) == max(2, round(fraction * n_rows))

    order = np.array(data.draw(st.permutations(range(n_rows))))
    again = order[content_split(X[order], y[order], fraction, seed).validation]
    rows = [tuple(row) for row in np.c_[level, y]]
    assert Counter(rows[k] for k in again) == Counter(rows[k] for k in split.validation)


@pytest.mark.parametrize("kind", ["labels", "values"])
def test_few_rows_of_many_categories_are_split_one_by_one_where_their_targets_differ(kind):
    """600 categories of five rows: they are no copies, and samples to come have them as well."""
    rng = np.random.default_rng(0)
    level = np.repeat(np.arange(600), 5)
    y = rng.integers(2, size=3000) if kind == "labels" else rng.normal(size=(3000, 1))
    split = content_split(level[:, None].astype(float), y, 0.1, 0)
    assert split.share == pytest.approx(0.1, abs=0.001)
    assert set(level[split.train]) == set(range(600))
    assert len(set(level[split.validation])) > 200
    # A tenth of such rows beside others is not most of them: copies stay together.
    other = np.r_[level[:300], 1000 + np.arange(2700)]
    split = content_split(other[:, None].astype(float), y, 0.1, 0)
    assert not set(other[split.train]) & set(other[split.validation])


def test_an_oversampled_minority_keeps_its_fraction():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 5)), np.repeat([0, 1], 600)
    X = np.concatenate([X, X[rng.integers(5, size=600)] + 3])
    split = content_split(X, y, 0.1, 0)
    assert [(y[split.validation] == label).sum() for label in (0, 1)] == [60, 60]
    assert len(np.unique(X[split.train][y[split.train] == 1], axis=0)) == 5


def test_features_that_chance_would_hold_out_are_trained_on():
    """Nine tenths for validation, and 10 rows with targets of their own."""
    level = np.repeat(np.arange(40), 10)
    for seed in range(5):
        y = np.random.default_rng(seed).normal(size=(400, 1))
        split = content_split(np.eye(40)[level], y, 0.9, seed)
        assert set(level[split.train]) == set(range(40))
        assert split.share > 0.85
