"""What all displays share: where they draw, what they refuse."""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import SINGLE, draw, fit
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_nets import classes_table, classifier

from sklearn_mabprune.displays import (
    NeuronMapDisplay,
    PolicyComparisonDisplay,
    PruningPathDisplay,
    PullsDisplay,
)


@pytest.mark.parametrize("policy", ["ucb1", "magnitude"])
def test_nothing_removed(policy):
    model = fit(pruning_budget=0, policy=policy)
    assert PruningPathDisplay.from_estimator(model).chosen == 0
    display = NeuronMapDisplay.from_estimator(model)
    assert not np.concatenate(display.removed_in).any()
    with pytest.raises(ValueError, match=r"no pulls to draw \(policy .*, 0 rounds\)"):
        PullsDisplay.from_estimator(model)


# ------------------------------------------------------------------------- what all share


@pytest.mark.slow
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
        (
            NeuronMapDisplay,
            {"ax": [None] * 3},
            r"ax has 3 axes, but NeuronMapDisplay.* needs 2 x 2",
        ),
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
    with pytest.raises(ValueError, match="so it cannot be subdivided: pass an array of"):
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
