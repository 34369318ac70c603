"""Tables of few distinct rows: what is known of a category is learnt, whatever the split."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    make_tabular_pipeline,
)

SMALL = {"module__hidden_layer_sizes": (16,), "lr": 0.02, "max_epochs": 60}


def cities(n_rows=900, n_cities=45, seed=0):
    """A column of categories, each with a probability of its own of the class."""
    rng = np.random.default_rng(seed)
    city = rng.integers(n_cities, size=n_rows)
    probability = 1 / (1 + np.exp(-2 * rng.normal(size=n_cities)))
    return city, (rng.random(n_rows) < probability[city]).astype(int)


@pytest.mark.parametrize("seed", range(4))
def test_a_column_of_categories(seed):
    """With whole categories on the validation side, half the seeds gave the majority's answer."""
    city, y = cities()
    best = sum(max(np.bincount(y[city == each], minlength=2)) for each in range(45)) / len(y)
    majority = max(y.mean(), 1 - y.mean())
    assert best > majority + 0.15
    model = MABPrunedClassifier(MLPNetClassifier(**SMALL), pruning_budget=0, random_state=seed)
    pipeline = make_tabular_pipeline(model).fit(pd.DataFrame({"city": city.astype(str)}), y)
    assert pipeline.score(pd.DataFrame({"city": city.astype(str)}), y) > best - 0.02
    assert pipeline[-1].validation_fraction_ == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("seed", range(2))
def test_values_of_categories(seed):
    city, _ = cities()
    rng = np.random.default_rng(1)
    y = rng.normal(size=45)[city] + 0.3 * rng.normal(size=len(city))
    model = MABPrunedRegressor(MLPNetRegressor(**SMALL), pruning_budget=0, random_state=seed)
    frame = pd.DataFrame({"city": city.astype(str)})
    assert make_tabular_pipeline(model).fit(frame, y).score(frame, y) > 0.88


def test_most_rows_alike():
    """98 % of rows of the same features: a tenth of them validates, not all."""
    rng = np.random.default_rng(0)
    X = np.zeros((600, 12))
    X[np.arange(12), np.arange(12)] = 1
    model = MABPrunedRegressor(MLPNetRegressor(**SMALL), pruning_budget=0, random_state=0)
    model.fit(X, rng.normal(size=600))
    assert model.validation_fraction_ == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("seed", range(4))
def test_an_oversampled_minority(seed):
    """Five rows of it, 60 times each; training accuracy was .48 to .96."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(300, 6)), rng.normal(size=(5, 6)) + 0.7])
    rows = np.r_[np.arange(300), 300 + rng.integers(5, size=300)]
    y = (rows >= 300).astype(int)
    model = MABPrunedClassifier(MLPNetClassifier(**SMALL), pruning_budget=0, random_state=seed)
    model.fit(X[rows], y)
    assert model.score(X[rows], y) > 0.95
    assert model.score(X[300:], np.ones(5)) == 1
