"""The map of neurons: when each of them went, and why."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import fit
from matplotlib.collections import PathCollection
from user_nets import classes_table, classifier

from sklearn_mabprune.displays import NeuronMapDisplay
from sklearn_mabprune.policies import Boundary


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0.6, "auto"])
@pytest.mark.parametrize("hidden", [(8,), (12, 8), (6, 5, 4, 3)])
def test_the_map_knows_every_neuron(hidden, budget):
    model = fit(hidden=hidden, pruning_budget=budget, tolerance=0.1)
    path = model.pruning_path_
    display = NeuronMapDisplay.from_estimator(model)
    chosen = path.n_neurons.tolist().index(sum(model.hidden_layer_sizes_))
    assert display.axes_.shape == (len(hidden), 2)
    layer_of = np.repeat(np.arange(len(hidden)), hidden)
    unit_of = np.concatenate([np.arange(n) for n in hidden])
    for support, rounds in zip(model.neuron_support_, display.removed_in, strict=True):
        np.testing.assert_array_equal(rounds == 0, support)
    for step in range(1, chosen + 1):
        for arm, increase, error in zip(
            path.removed[step], path.loss_increase[step], path.standard_error[step], strict=True
        ):
            layer, unit = layer_of[arm], unit_of[arm]
            assert display.removed_in[layer][unit] == step
            assert display.loss_increase[layer][unit] == increase
            assert display.standard_error[layer][unit] == error
    pulls = np.concatenate(display.pulls)
    np.testing.assert_array_equal(pulls, path.pulls_by_arm[: chosen + 1].sum(axis=0))
    assert pulls.sum() == path.n_pulls[: chosen + 1].sum()
    kept = np.flatnonzero(np.concatenate(model.neuron_support_))
    np.testing.assert_array_equal(
        np.concatenate(display.loss_increase)[kept],
        path.estimates[chosen][0, kept] if chosen else np.full(len(kept), np.nan),
    )


def test_the_map_draws_what_it_keeps():
    display = NeuronMapDisplay.from_estimator(fit())
    for number, (values, pulls) in enumerate(display.axes_):
        increase, error = display.loss_increase[number], display.standard_error[number]
        places = np.concatenate([c.get_offsets()[:, 0] for c in values.collections[1:]])
        assert sorted(places) == list(range(1, len(increase) + 1))
        gone, kept = (c.get_offsets() for c in values.collections[1:])
        # Removed ones first, in the order in which they went.
        order = np.argsort(-display.ranking[number], kind="stable")[: len(gone)]
        np.testing.assert_array_equal(gone[np.argsort(gone[:, 0]), 1], increase[order])
        assert gone[:, 0].max() < kept[:, 0].min()
        assert np.all(np.diff(kept[np.argsort(kept[:, 0]), 1]) >= 0)
        (bars,) = [c for c in values.collections if hasattr(c, "get_segments")]
        drawn = sorted((round(s[:, 1].mean(), 12), np.ptp(s[:, 1])) for s in bars.get_segments())
        told = [(round(v, 12), 4 * e) for v, e in zip(increase, error, strict=True) if e > 0]
        np.testing.assert_allclose(drawn, sorted(told), rtol=1e-9)
        heights = sorted(bar.get_height() for bar in pulls.patches)
        assert heights == sorted(display.pulls[number])


def test_the_map_by_index():
    display = NeuronMapDisplay.from_estimator(fit(), order="index")
    for number, (_, pulls) in enumerate(display.axes_):
        assert [bar.get_height() for bar in pulls.patches] == display.pulls[number].tolist()


def test_neurons_measured_on_all_rows_have_no_bar():
    exact = classifier(pruning_budget=0.3, policy="exhaustive").fit(*classes_table())
    display = NeuronMapDisplay.from_estimator(exact)
    assert not np.concatenate(display.standard_error).any()
    assert all(not ax.collections[0].get_segments() for ax in display.axes_[:, 0])


def hollow(scatter):
    """Which markers have a white face."""
    return (scatter.get_facecolors()[:, :3] == 1.0).all(axis=1)


def test_what_was_never_pulled_does_not_look_exact():
    model = fit(policy="boundary")
    display = NeuronMapDisplay.from_estimator(model)
    unknown = np.concatenate(display.standard_error)
    assert np.isnan(unknown).any()
    # Whatever was not pulled in the round of its estimate, above all what never was.
    assert np.isnan(unknown[np.concatenate(display.pulls) == 0]).all()
    for number, values in enumerate(display.axes_[:, 0]):
        gone, kept = values.collections[1:]
        error, rounds = display.standard_error[number], display.removed_in[number]
        np.testing.assert_array_equal(hollow(gone), np.isnan(error[rounds > 0]))
        np.testing.assert_array_equal(hollow(kept), np.isnan(error[rounds == 0]))
    assert "hollow: SE unknown" in display.axes_[0, 0].get_title(loc="left")
    exact = NeuronMapDisplay.from_estimator(fit(policy="exhaustive"))
    assert "hollow" not in exact.axes_[0, 0].get_title(loc="left")
    assert not any(hollow(c).any() for ax in exact.axes_[:, 0] for c in ax.collections[1:])


def test_estimates_are_drawn_where_nothing_had_to_be_pulled():
    model = fit(policy=Boundary(delta=0.9), hidden=(8,))
    assert model.n_pulls_ == 0
    display = NeuronMapDisplay.from_estimator(model)
    assert display.axes_.shape == (1, 1)
    drawn = np.concatenate([c.get_offsets()[:, 1] for c in display.axes_[0, 0].collections[1:]])
    assert sorted(drawn) == sorted(display.loss_increase[0])
    assert "loss increase" in display.axes_[0, 0].get_title(loc="left")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["ucb1", "boundary", "exhaustive", "magnitude"])
@pytest.mark.parametrize("order", ["removal", "index"])
def test_no_marker_is_cut_off(policy, order):
    model = fit(policy=policy, hidden=(30, 12), scope="layer", pruning_budget=0.8)
    display = NeuronMapDisplay.from_estimator(model, order=order)
    display.figure_.canvas.draw()
    points_to_pixels = display.figure_.dpi / 72
    for ax in display.axes_[:, 0]:
        frame = ax.get_window_extent()
        for markers in (c for c in ax.collections if isinstance(c, PathCollection)):
            # Half the diagonal of the square that a marker's area is that of.
            reach = np.sqrt(markers.get_sizes().max() / 2) * points_to_pixels
            places = ax.transData.transform(markers.get_offsets())
            assert np.all(places - reach >= frame.min)
            assert np.all(places + reach <= frame.max)


def test_a_criterion_has_a_map_of_rounds():
    model = fit(policy="magnitude", scope="layer")
    display = NeuronMapDisplay.from_estimator(model)
    assert display.axes_.shape == (2, 1)
    assert not np.concatenate(display.pulls).any()
    assert np.isnan(np.concatenate(display.loss_increase)).all()
    for number, ax in enumerate(display.axes_[:, 0]):
        (gone,) = ax.collections
        rounds = display.removed_in[number]
        assert sorted(gone.get_offsets()[:, 1]) == sorted(rounds[rounds > 0])


@pytest.mark.slow
def test_texts_of_a_wide_and_deep_network_do_not_overlap():
    display = NeuronMapDisplay.from_estimator(fit(hidden=(24, 18, 12, 8)))
    display.figure_.canvas.draw()
    for ax in display.axes_.flat:
        for axis in (ax.xaxis, ax.yaxis):
            boxes = [
                label.get_window_extent()
                for label in axis.get_ticklabels()
                if label.get_text() and label.get_visible()
            ]
            assert not any(
                one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[k + 1 :]
            )
