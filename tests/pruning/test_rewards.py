"""Loss increases as rewards: affine, one scale, and from one scale to the next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_mabprune.pruning.rewards import RewardScale

increases = st.lists(st.floats(-10, 10), min_size=1, max_size=30)


def test_the_safer_half_spans_zero_to_one():
    values = np.array([0.5, 0.1, 0.3, 9.0, 0.2])
    scale = RewardScale.of(values)
    assert (scale.safest, scale.doubtful) == (0.1, 0.3)
    np.testing.assert_allclose(scale.reward(values), [-1.0, 1.0, 0.0, -43.5, 0.5])
    assert scale.width == pytest.approx(0.2)


@settings(deadline=None, derandomize=True)
@given(values=increases, others=increases)
def test_rewards_are_affine_and_high_for_the_safe(values, others):
    values, others = np.array(values), np.array(others)
    scale, new = RewardScale.of(values), RewardScale.of(others)
    rewards = scale.reward(values)
    assert rewards.max() == scale.reward(values.min()) == pytest.approx(1.0)
    order = np.argsort(values)
    assert (np.diff(rewards[order]) <= 0).all()
    np.testing.assert_allclose(scale.increase(rewards), values, atol=1e-9)
    # In the units of another round.
    slope, intercept = scale.change_to(new)
    assert slope > 0
    changed = slope * rewards + intercept
    np.testing.assert_allclose(changed, new.reward(values), rtol=1e-6, atol=1e-6 * slope)


@pytest.mark.parametrize(
    "values", [[0.0], [0.3, 0.3, 0.3], [1e-12, 0.0, 2e-12], [5.0, 5.0], [1e12] * 2]
)
def test_equal_neurons_have_equal_rewards(values):
    """Rounding errors between them are not blown up to fill the scale."""
    scale = RewardScale.of(values)
    assert scale.width > 0
    assert np.ptp(scale.reward(values)) < 1e-5
    assert np.isfinite(scale.reward([-1.0, 0.0, 1.0])).all()


def test_rewards_are_not_clipped():
    scale = RewardScale(safest=0.0, doubtful=1.0)
    np.testing.assert_array_equal(scale.reward([-2.0, 5.0]), [3.0, -4.0])
