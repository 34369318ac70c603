"""Columns of numbers in which a few values hide the others, and commas that are not read."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_mabprune import PruningWarning, make_tabular_pipeline

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(100, 20, 80)


def prepare(X):
    return make_tabular_pipeline(LogisticRegression())[:-1].fit(X)


@pytest.mark.parametrize(
    "form", [pd.DataFrame, pl.DataFrame, lambda X: np.column_stack([*X.values()])]
)
@pytest.mark.parametrize("far", [1e9, -1e15, 1e100])
def test_columns_with_far_values_are_named(form, far):
    values = NUMBERS.copy()
    values[7] = far
    X = form({"a": NUMBERS, "b": values, "c": np.where(NUMBERS > 90, values, np.nan)})
    name = 1 if isinstance(X, np.ndarray) else "'b'"
    with pytest.warns(PruningWarning, match=rf"alike in {name} \(the farthest is .*NaN") as caught:
        prepare(X)
    assert len(caught) == 1


@pytest.mark.parametrize(
    "values",
    [
        np.exp(2 * RNG.normal(size=80)),
        np.where(np.arange(80) % 20 == 0, 1e9, 0.0),
        np.where(np.arange(80) % 5 == 0, -9999.0, NUMBERS),
        NUMBERS * 1e12,
        NUMBERS + 1e9,
        RNG.standard_t(2, size=80),
        np.full(80, np.nan),
        np.arange(80),
    ],
)
def test_other_columns_are_not(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(pd.DataFrame({"a": NUMBERS, "b": values}))


@pytest.mark.parametrize(
    ("write", "way_out"),
    [
        (lambda v: f"{v:,}", r"two readings: X\['p'\].*\(',', ''\) if .* else .*\(',', '\.'\)"),
        (lambda v: f"{v % 10},5", r"are numbers: X\['p'\].str.replace\(',', '\.'\)"),
    ],
)
def test_the_way_out_reads_commas(write, way_out):
    values = [write(v) for v in RNG.integers(1200, 9000, 60)]
    with pytest.warns(PruningWarning, match=way_out):
        prepare(pd.DataFrame({"p": values, "a": NUMBERS[:60]}))
