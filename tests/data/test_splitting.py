"""Sides that depend on what rows contain, not on where they stand."""

from __future__ import annotations

import inspect
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy import sparse

from sklearn_mabprune.data.splitting import content_split, hash_samples
from sklearn_mabprune.exceptions import PruningWarning

quick = settings(deadline=None, max_examples=60, derandomize=True)
# Few distinct values, zeros of both signs among them: copies and ties happen.
VALUES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 3e10]
tables = nps.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.sampled_from(VALUES + [float(k) for k in range(2, 30)]),
) | nps.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.sampled_from(VALUES),
)


def table(n_rows=300, n_features=5, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)) * rng.integers(0, 2, (n_rows, n_features))
    X[:, 0] = rng.normal(size=n_rows)  # no two rows alike
    return X, rng.integers(n_classes, size=n_rows)


def validates(split, n_rows):
    """Which rows stand on the validation side."""
    side = np.zeros(n_rows, dtype=bool)
    side[split.validation] = True
    return side


def counted(X, y, index):
    """How many rows of each features and target are among these."""
    labels = [None] * len(X) if y is None else y
    return Counter((tuple(X[k] + 0.0), labels[k]) for k in index)


def stay_together(X, y):
    """Whether all rows of the same features stand on one side: there are few, of one target."""
    features = Counter(map(tuple, X + 0.0))
    alike = counted(X, y, range(len(X)))
    differ = sum(n for (row, _), n in alike.items() if n < features[row])
    return max(features.values()) < (2 if differ > len(X) / 2 else 10)


def split_quietly(X, y, fraction=0.3, seed=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PruningWarning)
        return content_split(X, y, fraction, seed)


# --------------------------------------------------------------------------------- hashes


def test_hash_by_hand():
    """Any order of features matters, any value matters, and so does the seed."""
    rows = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.5], [0.0, 0.0], [-1.0, 2.0], [1.0, 2.0]])
    hashes = hash_samples(rows, 0)
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[5]
    assert len(set(hashes)) == 5
    assert (hash_samples(rows, 1) != hashes).all()


def test_hashes_spread_evenly():
    """Over all of 64 bits, for rows that differ in the last bit of one feature."""
    X = np.zeros((4000, 3))
    X[:, 1] = 1.0 + np.arange(4000) * np.finfo(float).eps
    hashes = hash_samples(X, 0)
    assert len(set(hashes)) == 4000
    for bit in range(64):
        assert 0.45 < ((hashes >> np.uint64(bit)) & np.uint64(1)).mean() < 0.55


@quick
@given(X=tables, seed=st.integers(0, 100), data=st.data())
def test_dense_and_sparse_hash_the_same(X, seed, data):
    """Explicit zeros of either sign included."""
    dense = hash_samples(X, seed)
    np.testing.assert_array_equal(hash_samples(sparse.csr_array(X), seed), dense)
    np.testing.assert_array_equal(hash_samples(sparse.csr_matrix(X), seed), dense)
    rows, columns = np.indices(X.shape)
    shown = (X != 0) | data.draw(nps.arrays(bool, X.shape))
    explicit = sparse.coo_array((X[shown], (rows[shown], columns[shown])), shape=X.shape).tocsr()
    assert explicit.nnz == shown.sum()
    np.testing.assert_array_equal(hash_samples(explicit, seed), dense)


@quick
@given(X=tables, seed=st.integers(0, 100))
def test_equal_rows_and_only_those_hash_the_same(X, seed):
    hashes = hash_samples(X, seed)
    keys = [tuple(row + 0.0) for row in X]
    for first in range(len(X)):
        for second in range(first):
            assert (hashes[first] == hashes[second]) == (keys[first] == keys[second])


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, bool])
def test_values_count_as_float64(dtype):
    X = np.random.default_rng(0).integers(0, 2, (20, 6)).astype(dtype)
    wanted = hash_samples(X.astype(np.float64), 0)
    np.testing.assert_array_equal(hash_samples(X, 0), wanted)
    np.testing.assert_array_equal(hash_samples(np.asfortranarray(X), 0), wanted)
    np.testing.assert_array_equal(hash_samples(np.repeat(X, 2, axis=1)[:, ::2], 0), wanted)
    np.testing.assert_array_equal(hash_samples(sparse.csr_array(X), 0), wanted)


def test_large_tables_are_hashed_in_parts():
    X = np.random.default_rng(0).normal(size=(9000, 500))
    hashes = hash_samples(X, 0)
    for part in (slice(0, 10), slice(8380, 8400), slice(8990, 9000)):
        np.testing.assert_array_equal(hashes[part], hash_samples(X[part], 0))


# ---------------------------------------------------------------------------------- sides


@quick
@given(X=tables, data=st.data(), regression=st.booleans(), seed=st.integers(0, 100))
def test_order_copies_and_format_do_not_matter(X, data, regression, seed):
    n_rows = len(X)
    y = data.draw(nps.arrays(np.intp, n_rows, elements=st.integers(0, 2)))
    y = None if regression else np.unique(y, return_inverse=True)[1]
    split = split_quietly(X, y, seed=seed)
    side = validates(split, n_rows)

    order = data.draw(st.permutations(range(n_rows)))
    permuted = split_quietly(X[order], None if y is None else y[order], seed=seed)
    held_out, again = split.validation, np.array(order)[permuted.validation]
    assert counted(X, y, again) == counted(X, y, held_out)
    if stay_together(X, y):
        np.testing.assert_array_equal(validates(permuted, n_rows), side[order])

    as_sparse = split_quietly(sparse.csr_array(X), y, seed=seed)
    np.testing.assert_array_equal(validates(as_sparse, n_rows), side)

    few = stay_together(np.repeat(X, 3, axis=0), None if y is None else np.repeat(y, 3))
    if few and not split.shared:  # copies make up for too few rows
        counts = data.draw(nps.arrays(np.intp, n_rows, elements=st.integers(1, 3)))
        again = np.repeat(np.arange(n_rows), counts)
        repeated = split_quietly(X[again], None if y is None else y[again], seed=seed)
        np.testing.assert_array_equal(validates(repeated, len(again)), side[again])


@quick
@given(X=tables, data=st.data(), seed=st.integers(0, 100))
def test_sides_are_a_partition_and_keep_copies_together(X, data, seed):
    y = data.draw(nps.arrays(np.intp, len(X), elements=st.integers(0, 2)))
    y = np.unique(y, return_inverse=True)[1]
    split = split_quietly(X, y, seed=seed)
    assume(not split.shared)
    everything = np.concatenate([split.train, split.validation])
    np.testing.assert_array_equal(np.sort(everything), np.arange(len(X)))
    assert split.share == len(split.validation) / len(X)
    train = {tuple(row + 0.0) for row in X[split.train]}
    held_out = {tuple(row + 0.0) for row in X[split.validation]}
    if stay_together(X, y):
        assert not train & held_out
    alone = {row for row, n in Counter(map(tuple, X + 0.0)).items() if n == 1}
    assert not train & held_out & alone
    assert set(y[split.train]) == set(y), "every class must be trained on"
    assert min(len(split.train), len(split.validation)) >= 2


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25, 0.5, 0.9])
def test_share_is_met_within_each_class(fraction):
    X, y = table(400, n_classes=4)
    y[y == 3] = np.where(np.arange((y == 3).sum()) < 12, 3, 0)  # a rare class of a dozen
    split = content_split(X, y, fraction, 0)
    for label in range(4):
        total = (y == label).sum()
        assert (y[split.validation] == label).sum() == max(1, round(fraction * total))
    assert split.share == pytest.approx(fraction, abs=0.01)
    assert not split.shared


@pytest.mark.parametrize("fraction", [0.1, 0.33])
def test_share_of_a_regression(fraction):
    X, _ = table(200)
    split = content_split(X, None, fraction, 0)
    assert len(split.validation) == round(200 * fraction)


def test_seeds_give_other_sides_and_the_same_again():
    X, y = table()
    sides = [validates(content_split(X, y, 0.3, seed), 300) for seed in (0, 0, 1)]
    assert (sides[0] == sides[1]).all()
    assert 0.2 < (sides[0] != sides[2]).mean() < 0.6


def test_sides_do_not_follow_the_features():
    X, y = table(3000)
    side = validates(content_split(X, y, 0.3, 0), 3000)
    assert np.abs(X[side].mean(0) - X[~side].mean(0)).max() < 0.12


def test_weights_cannot_be_read():
    """They do not come in at all."""
    assert list(inspect.signature(content_split).parameters) == ["X", "y", "fraction", "seed"]


def test_negative_zero_is_zero():
    X, y = table()
    wanted = content_split(X, y, 0.3, 0)
    negative = np.where(X == 0, -0.0, X)
    assert np.signbit(negative[X == 0]).all()
    found = content_split(negative, y, 0.3, 0)
    np.testing.assert_array_equal(found.validation, wanted.validation)


def test_explicit_zeros_are_zeros():
    X, y = table()
    wanted = content_split(X, y, 0.3, 0)
    full = sparse.csr_array(np.ones_like(X))
    full.data = np.where(X == 0, -0.0, X).ravel()
    assert full.nnz == X.size
    found = content_split(full, y, 0.3, 0)
    np.testing.assert_array_equal(found.validation, wanted.validation)


def test_copies_with_different_labels_stand_on_one_side():
    X, y = table(200, n_classes=2)
    doubled, labels = np.concatenate([X, X[:60]]), np.concatenate([y, 1 - y[:60]])
    split = content_split(doubled, labels, 0.3, 0)
    side = validates(split, 260)
    np.testing.assert_array_equal(side[200:], side[:60])
    # Whichever of the two comes first.
    turned = np.concatenate([1 - y[:60], y[60:], y[:60]])
    np.testing.assert_array_equal(validates(content_split(doubled, turned, 0.3, 0), 260), side)


@pytest.mark.parametrize("copies", [1, 5])
def test_a_class_with_a_single_row_is_trained_on(copies):
    X, y = table(60, n_classes=2)
    X = np.concatenate([X, np.full((copies, 5), 7.0)])
    y = np.concatenate([y, np.full(copies, 2)])
    for seed in range(10):
        split = content_split(X, y, 0.5, seed)
        assert (y[split.train] == 2).sum() == copies
        assert not split.shared


@pytest.mark.parametrize(
    ("X", "y", "n_distinct"),
    [
        (np.ones((1, 2)), np.array([0]), 1),
        (np.arange(4.0)[:, None], np.array([0, 0, 1, 2]), 4),  # one row to validate on
        (np.repeat(np.eye(2), 9, axis=0), np.repeat([0, 1], 9), 2),  # few copies stay together
        (np.arange(3.0)[:, None], None, 3),
        (np.ones((9, 2)), None, 1),
    ],
)
def test_too_few_rows_serve_on_both_sides_with_a_warning(X, y, n_distinct):
    n_classes = 1 if y is None else len(np.unique(y))
    distinct = f"{n_distinct} distinct samples" + (f" of {n_classes} classes" * (n_classes > 1))
    message = rf"only {distinct}, too few .*validation_fraction=0.1.* Pass X_val"
    with pytest.warns(PruningWarning, match=message) as caught:
        split = content_split(X, y, 0.1, 0)
    assert len(caught) == 1
    assert split.shared
    assert split.share == 1.0
    np.testing.assert_array_equal(split.train, np.arange(len(X)))
    np.testing.assert_array_equal(split.validation, np.arange(len(X)))


def test_a_class_that_training_would_lack_makes_all_rows_serve():
    """Its rows are copies of validation rows of another class, whose side they follow."""
    X = np.arange(20.0)[:, None]
    held_out = content_split(X, np.zeros(20, dtype=int), 0.2, 0).validation
    assert len(held_out) == 4
    X, y = np.concatenate([X, X[held_out]]), np.repeat([0, 1], [20, 4])
    with pytest.warns(PruningWarning, match="only 20 distinct samples of 2 classes, too few"):
        assert content_split(X, y, 0.2, 0).shared


def parity(copies):
    """Parity of three bits: what no row of training shows cannot be learnt."""
    X = np.tile(np.array([[k >> 2 & 1, k >> 1 & 1, k & 1] for k in range(8)], float), (copies, 1))
    return X, X.sum(axis=1).astype(int) % 2


def test_several_copies_of_few_rows_are_said():
    X, y = parity(9)
    message = (
        r"18 of 72 samples \(25%\) .* validation_fraction=0.1: they are duplicates of 2 of 8 "
        r"distinct samples, .* Pass X_val and y_val"
    )
    with pytest.warns(PruningWarning, match=message):
        split = content_split(X, y, 0.1, 0)
    assert split.share == 0.25
    # Where a quarter is what was asked for, and where no copies are in it, there is no news.
    content_split(X, y, 0.2, 0)
    content_split(np.arange(6.0)[:, None], np.arange(6) % 2, 0.1, 0)


def test_the_least_that_can_be_split():
    """Four distinct rows of two classes, or four of a regression."""
    X = np.arange(4.0)[:, None]
    for y in (np.array([0, 0, 1, 1]), None):
        split = content_split(X, y, 0.1, 0)
        assert (len(split.train), len(split.validation)) == (2, 2)
        assert not split.shared
