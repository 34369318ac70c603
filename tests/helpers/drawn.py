"""Fits that tests of displays share, and how they are drawn."""

from __future__ import annotations

from functools import cache

from user_nets import classes_table, classifier, regressor, small_classifier, values_table

from sklearn_mabprune.displays import (
    NeuronMapDisplay,
    PolicyComparisonDisplay,
    PruningPathDisplay,
    PullsDisplay,
)

SINGLE = (PruningPathDisplay, NeuronMapDisplay, PullsDisplay)
SIZES = {"neurons": "n_neurons", "parameters": "n_parameters", "macs": "n_macs"}
COSTS = {"pulls": "n_pulls", "evaluations": "n_evaluations", "seconds": "seconds"}


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
    """A display of one estimator."""
    if display is PolicyComparisonDisplay:
        return display.from_estimators([model], **options)
    return display.from_estimator(model, **options)


def labelled(ax):
    """Lines of an Axes by their labels."""
    return {line.get_label(): line for line in ax.lines}
