"""Pulls by neuron and round."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import fit

from sklearn_mabprune.displays import PullsDisplay


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize("policy", ["ucb1", "uniform", "hedge"])
def test_pulls_by_neuron_and_round(policy, cumulative):
    model = fit(policy=policy)
    path = model.pruning_path_
    display = PullsDisplay.from_estimator(model, cumulative=cumulative)
    np.testing.assert_array_equal(display.pulls.sum(axis=1), path.n_pulls[1:])
    shown = display.image_.get_array()
    assert display.image_.get_interpolation() == "nearest"  # each cell has one colour
    assert shown.shape == (20, len(path) - 1)
    # A neuron is shown until it goes: neither before nor after is there a pull of it.
    for number in range(1, len(path)):
        assert shown.mask[:, number - 1].sum() == 20 - path.n_neurons[number - 1]
    total = shown.sum() if not cumulative else shown.max(axis=1).sum()
    assert total == model.n_pulls_
    # The neurons of a layer in the order in which they go.
    lives = (~shown.mask).sum(axis=1)
    assert np.all(np.diff(lives[:12]) >= 0)
    assert np.all(np.diff(lives[12:]) >= 0)


def test_pulls_of_criteria_are_refused():
    with pytest.raises(ValueError, match=r"no pulls to draw \(policy Magnitude, \d+ rounds\)"):
        PullsDisplay.from_estimator(fit(policy="magnitude", scope="layer"))


def test_the_round_of_the_delivered_network_is_marked_where_the_path_goes_on():
    model = fit(pruning_budget="auto", tolerance=0.0, fine_tune_epochs=2)
    display = PullsDisplay.from_estimator(model)
    assert display.chosen < len(display.pulls)
    (mark,) = display.ax_.texts
    assert mark.get_text() == "delivered"
    assert mark.xy[0] == display.chosen + 0.5
    assert not PullsDisplay.from_estimator(fit()).ax_.texts
