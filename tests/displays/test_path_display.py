"""The path as it was walked."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SIZES, fit, labelled

from sklearn_mabprune.displays import PruningPathDisplay


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("x", SIZES)
def test_the_path_is_drawn_as_it_was_walked(kind, x):
    model = fit(kind)
    path, report = model.pruning_path_, model.pruning_report_
    display = PruningPathDisplay.from_estimator(model, x=x)
    for ax, values in zip(display.axes_, (path.score, path.loss), strict=True):
        lines = labelled(ax)
        drawn = lines["pruned, not fine-tuned"]
        np.testing.assert_array_equal(drawn.get_xdata(), getattr(path, SIZES[x]))
        np.testing.assert_array_equal(drawn.get_ydata(), values)
        assert set(lines["unpruned"].get_ydata()) == {values[0]}
        assert set(lines["chosen"].get_xdata()) == {getattr(path, SIZES[x])[-1]}
        assert ax.xaxis_inverted()
    delivered = labelled(display.axes_[0])["delivered, fine-tuned"]
    assert delivered.get_xydata().tolist() == [[getattr(path, SIZES[x])[-1], report.after.score]]
    assert report.score_name in display.axes_[0].get_ylabel()
    assert display.axes_[1].get_ylabel() == "mean loss on pruning samples"
    labels = {"neurons": "hidden neurons", "parameters": "parameters", "macs": "MACs per sample"}
    assert display.axes_[1].get_xlabel() == labels[x]


def test_candidates_that_were_fine_tuned_are_marked():
    model = fit(pruning_budget="auto", tolerance=0.0, fine_tune_epochs=2)
    path = model.pruning_path_
    display = PruningPathDisplay.from_estimator(model, response="score")
    assert display.chosen < len(path) - 1
    assert path.layer_sizes[display.chosen] == model.hidden_layer_sizes_
    tuned = np.flatnonzero(np.isfinite(path.score_fine_tuned))
    others = tuned[tuned != display.chosen]
    assert len(others) > 1
    drawn = labelled(display.axes_[0])["fine-tuned"].get_xydata()
    expected = np.column_stack([path.n_neurons, path.score_fine_tuned])[others]
    np.testing.assert_array_equal(drawn, expected)


def test_a_network_that_was_not_fine_tuned_is_not_called_so():
    display = PruningPathDisplay.from_estimator(fit(fine_tune_epochs=0))
    lines = labelled(display.axes_[0])
    assert "delivered" in lines
    assert "delivered, fine-tuned" not in lines
