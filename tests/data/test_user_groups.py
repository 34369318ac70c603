"""Groups that the user names: read, numbered by content, never divided."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_mabprune.data.user_groups import by_content, group_folds, group_split, read_groups

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "form",
    [
        list,
        np.asarray,
        pd.Series,
        pl.Series,
        lambda g: pd.Categorical(g),
        lambda g: pd.Series(g).map("p{}".format),
        lambda g: [str(each) for each in g],
        lambda g: np.array(g, dtype=object),
    ],
)
def test_groups_of_any_form(form):
    given = [7, 7, 3, 9, 3] * 60
    assert read_groups(form(given), 300).tolist() == [0, 0, 1, 2, 1] * 60


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2], r"groups has shape \(2,\), and X has 4 samples"),
        ([[1], [2], [3], [4]], r"groups has shape \(4, 1\)"),
        (["a", None, "b", np.nan], "groups has 2 missing values of 4"),
        ("abcd", r"groups has shape \(\)"),
    ],
)
def test_groups_that_cannot_be_read(groups, message):
    with pytest.raises(ValueError, match=message):
        read_groups(groups, 4)


def sample(n_groups=40, n=400):
    groups = RNG.integers(n_groups, size=n)
    X = RNG.normal(size=(n, 3))
    return X, (RNG.random(n) < 0.2 + 0.6 * (groups % 3 == 0)).astype(int), groups


def test_the_order_of_samples_and_the_names_of_groups_mean_nothing():
    X, y, groups = sample()
    order = RNG.permutation(len(X))
    split = group_split(by_content(groups, X, 5), y, 0.2)
    other = group_split(by_content((100 - groups)[order], X[order], 5), y[order], 0.2)
    assert set(order[other.validation]) == set(split.validation)
    another = group_split(by_content(groups, X, 6), y, 0.2)
    assert set(another.validation) != set(split.validation)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("classes", [True, False])
def test_whole_groups_of_about_the_fraction(fraction, classes):
    X, y, groups = sample()
    split = group_split(by_content(groups, X, 0), y if classes else None, fraction)
    assert not set(groups[split.train]) & set(groups[split.validation])
    assert sorted([*split.train, *split.validation]) == list(range(400))
    assert abs(split.share - fraction) < 0.05


def test_a_large_group_is_not_held_out():
    groups = np.array([0] * 90 + [1] * 5 + [2] * 5)
    for seed in range(5):
        split = group_split(by_content(groups, RNG.normal(size=(100, 2)), seed), None, 0.1)
        assert len(split.validation) <= 10


@pytest.mark.parametrize(
    ("groups", "y", "why"),
    [
        ([0, 0, 0, 0], [0, 1, 0, 1], "all samples are of one group, which"),
        ([0, 0, 1, 1], [0, 0, 1, 1], "none of 2 groups"),
        ([0, 0, 0, 1, 1, 1], [0, 0, 2, 0, 0, 1], "would lack a class"),
    ],
)
def test_groups_that_cannot_be_held_out(groups, y, why):
    with pytest.raises(ValueError, match=f"{why}.* Pass X_val and y_val"):
        group_split(np.array(groups), np.array(y), 0.4)


@pytest.mark.parametrize("classes", [True, False])
def test_folds_of_groups(classes):
    X, y, groups = sample()
    folds = group_folds(by_content(groups, X, 0), y if classes else y[:, None] + 0.5, 5)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(400))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert 50 < len(test) < 110
        if classes:
            assert abs(y[test].mean() - y.mean()) < 0.1
    with pytest.raises(ValueError, match="40 groups are too few for 41 folds"):
        group_folds(groups, y, 41)


def test_folds_of_groups_with_a_rare_class():
    groups, y = np.arange(20) // 2, np.array([1] + [0] * 19)
    folds = group_folds(groups, y, 5)
    assert [len(test) for _, test in folds] == [4] * 5
