"""Paths of several estimators beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import COSTS, SIZES, fit

from sklearn_mabprune.displays import PolicyComparisonDisplay
from sklearn_mabprune.policies import UCB1


@pytest.mark.parametrize("response", ["score", "loss"])
@pytest.mark.parametrize("x", [*SIZES, *COSTS])
def test_paths_beside_each_other(x, response):
    models = {"bandit": fit(), "weights": fit(policy="magnitude", scope="layer")}
    display = PolicyComparisonDisplay.from_estimators(models, x=x, response=response)
    for line, (name, model) in zip(display.lines_, models.items(), strict=True):
        path = model.pruning_path_
        xs = getattr(path, SIZES[x]) if x in SIZES else np.cumsum(getattr(path, COSTS[x]))
        np.testing.assert_array_equal(line.get_xdata(), xs)
        np.testing.assert_array_equal(line.get_ydata(), getattr(path, response))
        assert line.get_label() == name
    ends = [line for line in display.ax_.lines if line not in display.lines_]
    scores = [model.pruning_report_.after.score for model in models.values()]
    assert [line.get_ydata()[0] for line in ends] == (scores if response == "score" else [])
    assert display.ax_.xaxis_inverted() == (x in SIZES)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == list(models)


@pytest.mark.slow
def test_many_policies_can_be_told_apart():
    models = [fit(policy=UCB1(exploration=k / 10), pruning_budget=0.2) for k in range(12)]
    display = PolicyComparisonDisplay.from_estimators(models)
    assert display.labels == [f"UCB1 ({k})" for k in range(1, 13)]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in display.lines_}
    assert len(looks) == 12
    in_grey = {(line.get_linestyle(), line.get_marker()) for line in display.lines_}
    assert len(in_grey) == 12


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="estimators is empty"):
        PolicyComparisonDisplay.from_estimators([])
    with pytest.raises(ValueError, match=r"different validation scores \(R2, accuracy\)"):
        PolicyComparisonDisplay.from_estimators([fit(), fit("regressor")])
    # Losses of a kind are the user's affair.
    PolicyComparisonDisplay.from_estimators([fit(), fit("regressor")], response="loss")
