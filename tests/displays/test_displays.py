"""Displays draw what fitted attributes hold, where they are told to."""

from __future__ import annotations

import sys
from functools import cache

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_nets import classes_table, classifier, regressor, small_classifier, values_table

from sklearn_mabprune.displays import (
    NeuronMapDisplay,
    PolicyComparisonDisplay,
    PruningPathDisplay,
    PullsDisplay,
)
from sklearn_mabprune.policies import UCB1, Boundary

SINGLE = (PruningPathDisplay, NeuronMapDisplay, PullsDisplay)
SIZES = {"neurons": "n_neurons", "parameters": "n_parameters", "macs": "n_macs"}
COSTS = {"pulls": "n_pulls", "evaluations": "n_evaluations", "seconds": "seconds"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@cache
def fit(kind="classifier", hidden=(12, 8), **params):
    """A fitted estimator whose pulls are of blocks, so that most neurons are not exact."""
    make, table = (classifier, classes_table) if kind == "classifier" else (regressor, values_table)
    model = make(pull_batch_size=20, **{"policy": "ucb1", "pruning_budget": 0.6, **params})
    if kind == "classifier":
        model.set_params(
            estimator=small_classifier(module__hidden_layer_sizes=hidden, max_epochs=40)
        )
    return model.fit(*table())


def draw(display, model, **options):
    if display is PolicyComparisonDisplay:
        return display.from_estimators([model], **options)
    return display.from_estimator(model, **options)


def labelled(ax):
    """Lines of an Axes by their labels."""
    return {line.get_label(): line for line in ax.lines}


# ------------------------------------------------------------------------------- the path


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
    assert display.axes_[1].get_ylabel() == "loss on pruning rows"


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


# ---------------------------------------------------------------------------- the neurons


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
    assert "hollow: estimate only" in display.axes_[0, 0].get_title(loc="left")
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


@pytest.mark.parametrize("policy", ["ucb1", "magnitude"])
def test_nothing_removed(policy):
    model = fit(pruning_budget=0, policy=policy)
    assert PruningPathDisplay.from_estimator(model).chosen == 0
    display = NeuronMapDisplay.from_estimator(model)
    assert not np.concatenate(display.removed_in).any()
    with pytest.raises(ValueError, match=r"Nothing was pulled: policy .*, 0 rounds"):
        PullsDisplay.from_estimator(model)


# ------------------------------------------------------------------------------ the pulls


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize("policy", ["ucb1", "uniform", "hedge"])
def test_pulls_by_neuron_and_round(policy, cumulative):
    model = fit(policy=policy)
    path = model.pruning_path_
    display = PullsDisplay.from_estimator(model, cumulative=cumulative)
    np.testing.assert_array_equal(display.pulls.sum(axis=1), path.n_pulls[1:])
    shown = display.image_.get_array()
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
    with pytest.raises(ValueError, match=r"Nothing was pulled: policy Magnitude, \d+ rounds"):
        PullsDisplay.from_estimator(fit(policy="magnitude", scope="layer"))


# ------------------------------------------------------------------------------ comparison


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
    with pytest.raises(ValueError, match="different kinds: R2, accuracy"):
        PolicyComparisonDisplay.from_estimators([fit(), fit("regressor")])
    # Losses of a kind are the user's affair.
    PolicyComparisonDisplay.from_estimators([fit(), fit("regressor")], response="loss")


# ------------------------------------------------------------------------- what all share


@pytest.mark.parametrize("display", [*SINGLE, PolicyComparisonDisplay])
def test_the_estimator_may_be_inside_others(display):
    X, y = classes_table()
    pipe = make_pipeline(StandardScaler(), classifier(pull_batch_size=20))
    grid = {"mabprunedclassifier__pruning_budget": [0.2, 0.4]}
    search = GridSearchCV(pipe, grid, cv=2).fit(X, y)
    for model in (search, search.best_estimator_, search.best_estimator_[-1]):
        draw(display, model)


@pytest.mark.parametrize("display", [*SINGLE, PolicyComparisonDisplay])
@pytest.mark.parametrize("model", [classifier(), LogisticRegression(), make_pipeline(classifier())])
def test_what_is_not_fitted_is_refused(display, model):
    with pytest.raises(NotFittedError, match="has no pruning path: pass a fitted pruned estimator"):
        draw(display, model)


@pytest.mark.parametrize(
    ("display", "options", "message"),
    [
        (PruningPathDisplay, {"x": "bytes"}, "x='bytes' must be one of 'neurons'"),
        (PruningPathDisplay, {"response": "all"}, "response='all' must be one of 'both'"),
        (NeuronMapDisplay, {"order": "pulls"}, "order='pulls' must be one of 'removal', 'index'"),
        (PolicyComparisonDisplay, {"x": "rows"}, "x='rows' must be one of"),
        (PolicyComparisonDisplay, {"response": "both"}, "response='both' must be one of 'score'"),
        (NeuronMapDisplay, {"ax": [None] * 3}, r"ax has 3 axes, NeuronMapDisplay.* needs 2 x 2"),
    ],
)
def test_other_words_are_refused(display, options, message):
    with pytest.raises(ValueError, match=message):
        draw(display, fit(), **options)


@pytest.mark.parametrize(
    ("display", "options"),
    [
        (PruningPathDisplay, {"response": "score"}),
        (PruningPathDisplay, {"response": "loss"}),
        (PullsDisplay, {}),
        (PolicyComparisonDisplay, {}),
    ],
)
def test_a_given_ax_is_used(display, options):
    figure, (left, right) = plt.subplots(1, 2)
    drawn = draw(display, fit(), ax=right, **options)
    used = drawn.ax_ if hasattr(drawn, "ax_") else drawn.axes_[0]
    assert used is right
    assert drawn.figure_ is figure
    assert not left.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(
    ("display", "shape"), [(PruningPathDisplay, (2, 1)), (NeuronMapDisplay, (2, 2))]
)
def test_a_given_ax_is_divided_where_more_are_needed(display, shape):
    figure, (left, right) = plt.subplots(1, 2)
    drawn = draw(display, fit(), ax=right)
    assert drawn.axes_.size == np.prod(shape)
    assert drawn.figure_ is figure
    space = right.get_position()
    for ax in drawn.axes_.flat:
        assert ax.figure is figure
        assert space.x0 - 1e-9 <= ax.get_position().x0
    assert not left.has_data()
    several = plt.subplots(*shape)[1]
    again = draw(display, fit(), ax=several)
    assert list(again.axes_.flat) == list(np.ravel(several))
    with pytest.raises(ValueError, match="has no place in a grid"):
        draw(display, fit(), ax=plt.figure().add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize("display", [*SINGLE, PolicyComparisonDisplay])
def test_a_display_draws_again(display):
    first = draw(display, fit())
    figure = first.figure_
    again = first.plot()
    assert again is first
    assert again.figure_ is not figure
    # On the axes that are there already, a falling axis stays a falling one.
    if display is PolicyComparisonDisplay:
        assert first.plot(first.ax_).ax_.xaxis_inverted()


@pytest.mark.parametrize("display", [*SINGLE, PolicyComparisonDisplay])
def test_without_matplotlib_the_error_says_what_to_install(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "sklearn-mabprune\[plot\]"'):
        draw(display, fit())


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
