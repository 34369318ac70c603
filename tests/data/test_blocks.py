"""One-hot blocks are found in the values, whichever encoder wrote them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from sklearn_mabprune import MABPrunedClassifier, make_tabular_pipeline
from sklearn_mabprune.data.blocks import ColumnBlocks

COLOURS = np.array(["red", "green", "blue", "red", "blue", "green", "red", "green"])
SIZES = np.array(["s", "l", "l", "s", "s", "l", "l", "s"])


def test_neighbouring_blocks_are_told_apart():
    categories = np.column_stack([COLOURS, SIZES])
    X = OneHotEncoder(sparse_output=False).fit_transform(categories)
    blocks = ColumnBlocks.of(X)
    np.testing.assert_array_equal(blocks.widths, [3, 2])
    names = np.array(["blue", "green", "red"])
    np.testing.assert_array_equal(names[blocks.codes(X)[:, 0].astype(int)], COLOURS)


def test_numbers_and_binary_columns_stay_as_they_are():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=8), rng.integers(2, size=(8, 3)), rng.normal(size=8)])
    X[0, 1:4], X[1, 1:4] = 1, 0
    blocks = ColumnBlocks.of(X)
    assert not blocks.are_categories.any()
    assert blocks.codes(X) is X


def test_an_unknown_category_is_missing():
    X = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
    blocks = ColumnBlocks.of(X)
    np.testing.assert_array_equal(blocks.codes(np.zeros((1, 3), np.float32)), [[np.nan]])


def test_a_column_that_starts_no_block_does_not_hide_the_next_one():
    block = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    X = np.column_stack([[1, 1, 0, 0, 1, 0], block, np.arange(6)])
    np.testing.assert_array_equal(ColumnBlocks.of(X).widths, [1, 3, 1])


@pytest.mark.parametrize("missing", [False, True])
def test_categories_of_a_tabular_pipeline(missing):
    jobs = pd.Series(np.tile(["cook", "nurse", "smith"], 10), dtype=object)
    jobs[3] = None if missing else "cook"
    X = pd.DataFrame({"age": np.arange(30.0), "job": jobs, "town": np.tile(["a", "b"], 15)})
    encoded = make_tabular_pipeline(MABPrunedClassifier())[:-1].fit_transform(X)
    blocks = ColumnBlocks.of(encoded)
    np.testing.assert_array_equal(blocks.widths, [1, 3 + missing, 2])
    codes = blocks.codes(encoded)[:, 1]
    assert len(set(zip(codes, jobs.fillna("none"), strict=True))) == 3 + missing
