"""Least squares against scikit-learn's Ridge and direct solves; means and zeros by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import ids, residual_together, sample_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from sklearn_mabprune.ablation.compensation import ABLATIONS, kept, make_ablation

every_ablation = pytest.mark.parametrize("name", ABLATIONS)


def correlated(n_samples=60, width=8, seed=0, shift=2.0):
    """Activations, (n_samples, width), that are redundant with each other, far from centred."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_samples, width // 2 + 1))
    mixed = hidden @ rng.normal(size=(hidden.shape[1], width))
    return np.maximum(mixed + 0.3 * rng.normal(size=mixed.shape), -0.5) + shift


def feature_major(activations):
    """A tensor of shape (width, n_samples)."""
    return torch.tensor(activations).T.contiguous()


def ridge_strength(activations, weights, ridge):
    """The regularisation in the units of Ridge, for weights that sum to 1."""
    share = weights / weights.sum()
    centred = activations - share @ activations
    return ridge * np.mean(share @ centred**2)


def regression(activations, weights, gone, strength):
    """Ridge of the removed units on all others, with intercept and sample weights."""
    rest = np.setdiff1d(np.arange(activations.shape[1]), gone)
    model = Ridge(alpha=strength, solver="svd")
    model.fit(activations[:, rest], activations[:, gone], sample_weight=weights / weights.sum())
    return model, rest


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("gone", [[3], [0], [1, 4], [7, 2, 5, 0], list(range(7))])
def test_residuals_and_folds_are_those_of_ridge_regression(gone, ridge):
    train, other = correlated(seed=1), correlated(n_samples=20, seed=2)
    weights = sample_weights(len(train)).numpy()
    ablation = make_ablation("least_squares", feature_major(train), torch.tensor(weights), ridge)
    model, rest = regression(train, weights, gone, ridge_strength(train, weights, ridge))

    # Residuals on samples that the statistics never saw.
    predicted = model.predict(other[:, rest]).reshape(len(other), -1)
    residual = residual_together(ablation, feature_major(other), ids(*gone))
    np.testing.assert_allclose(residual.T, other[:, gone] - predicted, atol=1e-9)

    # Columns of the fold are in the order of the list, its rows in that of the layer.
    slopes, constants = ablation.fold(ids(*gone))
    np.testing.assert_allclose(slopes.T, np.atleast_2d(model.coef_), atol=1e-9)
    np.testing.assert_allclose(constants, np.atleast_1d(model.intercept_), atol=1e-9)


def test_every_residual_alone_comes_from_one_inverse():
    train, weights = correlated(seed=3), sample_weights(60, seed=3).numpy()
    ablation = make_ablation("least_squares", feature_major(train), torch.tensor(weights), 1e-2)
    found = ablation.residual(feature_major(train), torch.arange(8)).numpy()
    strength = ridge_strength(train, weights, 1e-2)
    for unit in range(8):
        model, rest = regression(train, weights, [unit], strength)
        alone = train[:, unit] - model.predict(train[:, rest])
        np.testing.assert_allclose(found[unit], alone, atol=1e-9)


def test_single_residuals_do_not_add_up():
    """So that removing a set by its single residuals would be a mistake."""
    activations = feature_major(correlated(seed=4))
    ablation = make_ablation("least_squares", activations, torch.ones(60), 1e-3)
    units = ids(0, 1, 2, 3)
    together = residual_together(ablation, activations, units)
    alone = ablation.residual(activations, units)
    assert (together - alone).abs().max() > 0.1


def direct_inverse(activations, weights, strength):
    share = weights / weights.sum()
    centred = activations - share @ activations
    gram = (centred * share[:, None]).T @ centred
    return np.linalg.inv(gram + strength * np.eye(len(gram)))


@pytest.mark.parametrize("steps", [[[2]], [[0, 5], [1], [3, 0]], [[6]] + [[0]] * 6])
def test_down_dated_inverse_is_a_direct_solve_with_the_same_ridge(steps):
    train, weights = correlated(seed=5), sample_weights(60, seed=5).numpy()
    ablation = make_ablation("least_squares", feature_major(train), torch.tensor(weights), 1e-3)
    strength = ridge_strength(train, weights, 1e-3)
    left = np.arange(8)
    for units in steps:
        ablation.remove(ids(*units))
        left = np.delete(left, units)
        wanted = direct_inverse(train[:, left], weights, strength)
        np.testing.assert_allclose(ablation.inverse, wanted, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(ablation.mean, np.average(train[:, left], 0, weights))
        assert ablation.width == len(left)


@every_ablation
def test_residuals_of_all_units_after_a_removal_are_those_of_the_rest(name):
    """What was kept for rounds that ask for all units is of the group as it stands."""
    train = feature_major(correlated(seed=14))
    ablation = make_ablation(name, train, torch.ones(60), 1e-3)
    ablation.residual(train, torch.arange(8))
    ablation.remove(ids(2, 5))
    left = train[[0, 1, 3, 4, 6, 7]]
    every = ablation.residual(left, torch.arange(6))
    for unit in range(6):
        alone = residual_together(ablation, left, ids(unit))
        torch.testing.assert_close(every[[unit]], alone, rtol=1e-9, atol=1e-9)


def test_inverse_stays_right_over_hundreds_of_removals():
    train, weights = correlated(n_samples=400, width=200, seed=6), np.ones(400)
    ablation = make_ablation("least_squares", feature_major(train), torch.tensor(weights), 1e-3)
    strength = ridge_strength(train, weights, 1e-3)
    left, rng = np.arange(200), np.random.default_rng(0)
    while len(left) > 5:
        unit = int(rng.integers(len(left)))
        ablation.remove(ids(unit))
        left = np.delete(left, unit)
    wanted = direct_inverse(train[:, left], weights, strength)
    np.testing.assert_allclose(ablation.inverse, wanted, rtol=1e-8, atol=1e-8)
    assert torch.equal(ablation.inverse, ablation.inverse.T)


def test_mean_ablation_by_numpy():
    train, other = correlated(seed=7), correlated(n_samples=10, seed=8)
    weights = sample_weights(60, seed=7).numpy()
    ablation = make_ablation("mean", feature_major(train), torch.tensor(weights), 1e-3)
    mean = np.average(train, axis=0, weights=weights)
    found = ablation.residual(feature_major(other), ids(6, 1))
    np.testing.assert_allclose(found.T, other[:, [6, 1]] - mean[[6, 1]], atol=1e-12)
    slopes, constants = ablation.fold(ids(6, 1))
    assert slopes is None
    np.testing.assert_allclose(constants, mean[[6, 1]])
    ablation.remove(ids(6, 1))
    np.testing.assert_allclose(ablation.mean, mean[[0, 2, 3, 4, 5, 7]])


def test_zero_ablation_takes_the_whole_activation():
    train = feature_major(correlated(seed=9))
    ablation = make_ablation("zero", train, torch.ones(60), 1e-3)
    assert torch.equal(ablation.residual(train, ids(5, 2)), train[[5, 2]])
    assert ablation.fold(ids(5)) is None


@every_ablation
def test_only_ratios_of_weights_matter(name):
    train, weights = feature_major(correlated(seed=10)), sample_weights(60, seed=10)
    units = torch.arange(8)
    found = make_ablation(name, train, weights, 1e-3).residual(train, units)
    scaled = make_ablation(name, train, 1000 * weights, 1e-3).residual(train, units)
    torch.testing.assert_close(found, scaled, rtol=1e-9, atol=1e-9)


@every_ablation
def test_a_weight_of_two_is_a_doubled_sample(name):
    train = feature_major(correlated(n_samples=20, seed=11))
    counts = torch.tensor([1, 2] * 10)
    units = torch.arange(8)
    weighted = make_ablation(name, train, counts, 1e-3).residual(train, units)
    doubled = train.repeat_interleave(counts, dim=1)
    repeated = make_ablation(name, doubled, torch.ones(30), 1e-3).residual(train, units)
    torch.testing.assert_close(weighted, repeated, rtol=1e-9, atol=1e-9)


@every_ablation
def test_statistics_are_float64_and_residuals_of_the_network(name):
    train = feature_major(correlated(seed=12)).float()
    ablation = make_ablation(name, train, torch.ones(60), 1e-3)
    assert ablation.residual(train, ids(0)).dtype == torch.float32
    exact = make_ablation(name, train.double(), torch.ones(60), 1e-3)
    for part in ("mean", "inverse"):
        if hasattr(ablation, part):
            assert torch.equal(getattr(ablation, part), getattr(exact, part))


@pytest.mark.slow
@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    width=st.integers(2, 9),
    n_samples=st.integers(2, 30),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_what_is_predicted_and_what_is_ablated_make_the_activation(width, n_samples, seed, data):
    """For any layer, more units than samples included, and any set that leaves a unit."""
    gone = data.draw(
        st.lists(st.integers(0, width - 1), min_size=1, max_size=width - 1, unique=True)
    )
    activations = torch.tensor(np.random.default_rng(seed).normal(1.0, 2.0, (width, n_samples)))
    ablation = make_ablation("least_squares", activations, torch.ones(n_samples), 1e-3)
    slopes, constants = ablation.fold(ids(*gone))
    rest = kept(ids(*gone), width)
    predicted = slopes.T @ activations[rest] + constants[:, None]
    residual = residual_together(ablation, activations, ids(*gone))
    torch.testing.assert_close(predicted + residual, activations[gone], rtol=1e-8, atol=1e-8)
    # Regression with an intercept: residuals average to zero on its own samples.
    assert residual.mean(1).abs().max() < 1e-8


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("n_samples", [5, 60])
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e6])
def test_dead_units_few_samples_and_any_scale_stay_finite(scale, n_samples, ridge):
    """All units dead, next to dead, or some dead and two the same beside huge ones."""
    activations = scale * feature_major(correlated(n_samples, seed=13))
    activations[[1, 6]] = 0.0
    activations[4] = activations[5]
    ablation = make_ablation("least_squares", activations, torch.ones(n_samples), ridge)
    assert torch.isfinite(ablation.inverse).all()
    assert torch.isfinite(ablation.residual(activations, torch.arange(8))).all()
    assert torch.equal(
        ablation.residual(activations, ids(1, 6)), torch.zeros(2, n_samples).double()
    )
    while ablation.width > 1:
        ablation.remove(ids(0))
        assert torch.isfinite(ablation.inverse).all()


@pytest.mark.parametrize(("n_samples", "width"), [(30, 12), (30, 30), (20, 45), (9, 1500)])
def test_the_inverse_of_a_wide_layer_is_that_of_its_gram_matrix(n_samples, width):
    """Also where the samples are fewer than the units, which takes another way."""
    source = torch.Generator().manual_seed(0)
    activations = torch.randn(width, n_samples, generator=source, dtype=torch.float64)
    weights = torch.rand(n_samples, generator=source, dtype=torch.float64) + 0.1
    made = make_ablation("least_squares", activations, weights, 1e-2)
    share = weights / weights.sum()
    centred = activations - (activations @ share)[:, None]
    gram = (centred * share) @ centred.T
    gram.diagonal().add_(1e-2 * gram.diagonal().mean())
    found = gram @ made.inverse
    torch.testing.assert_close(found, torch.eye(width, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(made.inverse, made.inverse.T, rtol=0, atol=1e-12)


def test_unknown_ablation():
    with pytest.raises(KeyError, match="median"):
        make_ablation("median", torch.zeros(2, 2), torch.ones(2), 0.0)
