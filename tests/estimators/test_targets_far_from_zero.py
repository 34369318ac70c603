"""Targets whose offset is large against their spread: dates, identifiers, one of several."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused
from sklearn.metrics import r2_score
from skorch import NeuralNetRegressor
from torch import nn
from user_nets import regressor, small_regressor, values_table

from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.initial import Data, train


def table(n_targets=1):
    """Float32 features; targets are multiples of 1/64, which add to an offset without rounding."""
    X, y = values_table(n_rows=240, n_targets=n_targets)
    return X.astype(np.float32), np.round(64 * y) / 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offset", "n_targets", "weighted"),
    [(1.7e9, 1, False), (1.7e9, 2, True), (-(2.0**44), 1, True), (-(2.0**44), 2, False)],
)
def test_an_offset_moves_the_predictions_alone(offset, n_targets, weighted):
    X, y = table(n_targets)
    weights = np.random.default_rng(0).uniform(0.2, 3.0, len(y)) if weighted else None
    shift = offset if n_targets == 1 else np.array([0.0, offset])
    near, far = (
        regressor(small_regressor(max_epochs=40)).fit(X, each, sample_weight=weights)
        for each in (y, y + shift)
    )
    scores = [
        r2_score(each, model.predict(X), multioutput="raw_values")
        for each, model in ((y, near), (y + shift, far))
    ]
    assert min(scores[0]) > 0.8
    np.testing.assert_allclose(scores[1], scores[0], atol=0.02)
    found, wanted = far.pruning_report_.before, near.pruning_report_.before
    np.testing.assert_allclose((found.score, found.loss), (wanted.score, wanted.loss), rtol=0.02)
    # The losses of the path, and of fine-tuning, are those of the same targets.
    np.testing.assert_allclose(far.pruning_path_.loss[0], near.pruning_path_.loss[0], rtol=0.02)


@pytest.mark.slow
def test_samples_of_the_path_are_standardised_before_they_are_rounded():
    X, y = table()
    y = y[:, None]
    expected = (y - y[:200].mean()) / y[:200].std()
    for offset in (0.0, 2.0**44):
        sides = (
            Data(X[part], y[part] + offset, None, 1) for part in np.split(np.arange(240), [200])
        )
        data, validation = sides
        net, _ = train(small_regressor(), data, validation, seed=0)
        for side, part in ((data, slice(200)), (validation, slice(200, None))):
            targets = samples_of(net, side).targets
            assert str(targets.dtype) == "torch.float32"
            np.testing.assert_allclose(targets.numpy(), expected[part], atol=1e-4)


def test_targets_too_large_for_a_net_that_does_not_standardise():
    X, y = table()
    y[7] = 1e39
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    net = NeuralNetRegressor(module, max_epochs=2, verbose=0)
    message = (
        r"The target \[1e\+39\] in y is too large for the net's module in float32. "
        r"Scale the targets \(TransformedTargetRegressor\)"
    )
    refused(regressor(net), message, X, y)


@pytest.mark.parametrize(
    ("factor", "size"), [(1e155, "large"), (1e300, "large"), (1e-155, "small"), (1e-300, "small")]
)
def test_targets_whose_squares_are_no_numbers(factor, size):
    X, y = values_table(n_rows=40)
    y = y - y.mean()
    refused(regressor(), f"Targets of y of up to .* are too {size} .* Multiply y", X, factor * y)
    with pytest.raises(ValueError, match=f"too {size} for regression"):
        small_regressor().fit(X, factor * y)


@pytest.mark.parametrize("factor", [1e140, 1e-140])
def test_other_magnitudes_of_targets_change_nothing(factor):
    X, y = values_table()
    near, far = (regressor().fit(X, each) for each in (y, factor * y))
    assert far.score(X, factor * y) == pytest.approx(near.score(X, y), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-140, -0.1, 5.0])
def test_a_constant_target_is_predicted_in_its_own_units(value):
    X, _ = values_table()
    net = small_regressor(random_state=0).fit(X, np.full(len(X), value))
    assert np.abs(net.predict(X) - value).max() < (min(abs(value), 1.0) or 1.0)
