"""Targets of the built-in regressor net: standardised inside, predictions in original units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch.utils.data import DataLoader
from user_nets import (
    small_regressor,
    values_table,
)


@pytest.mark.parametrize("weighted", [False, True])
def test_targets_are_standardised_inside(weighted):
    X, y = values_table(n_targets=2)
    w = np.random.default_rng(0).uniform(0.2, 3.0, len(y)) if weighted else None
    given = {"X": X, "sample_weight": w} if weighted else X
    net = small_regressor(random_state=0).fit(given, y)
    mean = np.average(y, axis=0, weights=w)
    np.testing.assert_allclose(net.target_mean_, mean)
    scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=w))
    np.testing.assert_allclose(net.target_scale_, scale)
    # One network, whatever the units: predictions follow them.
    other = small_regressor(random_state=0).fit(given, 50.0 * y - 7.0)
    np.testing.assert_allclose(other.predict(X), 50.0 * net.predict(X) - 7.0, rtol=1e-6)
    with torch.no_grad():
        raw = net.module_(torch.tensor(X)).numpy()
    np.testing.assert_allclose(net.predict(X), raw * scale + mean)


def test_regressor_learns_targets_far_from_zero():
    X, y = values_table()
    net = small_regressor(random_state=0, max_epochs=150, lr=0.02).fit(X, y)
    assert net.score(X, y) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("offset", [1.7e9, -(2.0**40), 2.0**44])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_targets_far_from_zero_are_standardised_before_they_are_rounded(offset, n_targets):
    X, y = values_table(n_targets=n_targets)
    # Multiples of 1/64: the sum is exact, so that only the net could round them.
    y = np.round(64 * y) / 64
    shift = offset * (np.arange(y[:1].size) == y[:1].size - 1)
    near = small_regressor(dtype="float32", random_state=0).fit(X, y).predict(X)
    far = small_regressor(dtype="float32", random_state=0).fit(X, y + shift).predict(X)
    np.testing.assert_allclose(far - shift, near, rtol=0, atol=2e-3 * y.std())
    weights = np.random.default_rng(0).uniform(0.2, 3.0, len(y))
    for given in (X.astype(np.float32), {"X": X.astype(np.float32), "sample_weight": weights}):
        iterators = {"iterator_train": DataLoader, "iterator_valid": DataLoader}
        for params in ({}, iterators):
            net = small_regressor(dtype="float32", random_state=0, **params)
            history = [
                clone(net).fit(given, some).history[-1, ("train_loss", "valid_loss")]
                for some in (y, y + shift)
            ]
            np.testing.assert_allclose(history[1], history[0], rtol=2e-3)


def test_integer_targets_count_as_real_numbers():
    X, y = values_table()
    whole = y.round().astype(np.int64)
    found = small_regressor(random_state=0).fit(X, whole)
    expected = small_regressor(random_state=0).fit(X, whole.astype(np.float64))
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


def test_constant_targets_are_centred_only():
    X, _ = values_table()
    net = small_regressor(random_state=0, max_epochs=100).fit(X, np.full(len(X), 1e6))
    assert net.target_scale_.tolist() == [1.0]
    np.testing.assert_allclose(net.predict(X), 1e6, rtol=1e-5)
