"""One wrong cell does not decide which units are removed, and what the others take over."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import make_graph, make_samples
from user_nets import small_classifier, small_regressor

from sklearn_mabprune import MABPrunedClassifier, MABPrunedRegressor, PruningWarning
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.ablation.outliers import is_usual, without_outliers
from sklearn_mabprune.data.samples import Samples

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4))
HELD_OUT = RNG.normal(size=(100, 4))
LEFT_OUT = "1 sample of those that pruning measures on was left out.* counted from 0: 3"


def classes(**params):
    net = small_classifier(module__hidden_layer_sizes=(16, 8), max_epochs=25, inputs=None)
    return MABPrunedClassifier(
        net, **{"pruning_budget": 0.4, "fine_tune_epochs": 0, "random_state": 0, **params}
    )


@pytest.mark.parametrize("cell", [1e6, -1e12, 1e30])
@pytest.mark.parametrize("ablation", ["least_squares", "mean"])
@pytest.mark.filterwarnings("ignore:pruning_budget=0.4 costs:sklearn_mabprune.PruningWarning")
def test_one_wrong_cell(cell, ablation):
    """Least squares and means over all samples left accuracies of .5 to .74."""
    y = (X[:, 0] > 0).astype(int)
    table = X.astype(np.float32)
    table[7, 3] = cell
    held_out = {"X_val": HELD_OUT, "y_val": (HELD_OUT[:, 0] > 0).astype(int)}
    with pytest.warns(PruningWarning, match=LEFT_OUT):
        model = classes(ablation=ablation).fit(table, y, **held_out)
    unpruned = classes(pruning_budget=0).fit(table, y, **held_out)
    right = np.arange(len(X)) != 7
    scores = [m.score(table[right], y[right]) for m in (model, unpruned)]
    assert scores[0] > scores[1] - 0.1
    assert scores[1] > 0.85


@pytest.mark.filterwarnings("ignore:pruning_budget=0.4 costs:sklearn_mabprune.PruningWarning")
def test_one_wrong_cell_among_values():
    table = X.copy()
    table[7, 3] = 1e9
    sizes = {"module__hidden_layer_sizes": (16, 8)}
    net = small_regressor(**sizes, max_epochs=40, lr=0.02, inputs=None)
    options = {"fine_tune_epochs": 0, "random_state": 0}
    right = np.arange(len(X)) != 7
    y = X[:, 0] + X[:, 1]
    held_out = {"X_val": HELD_OUT, "y_val": HELD_OUT[:, 0] + HELD_OUT[:, 1]}
    with pytest.warns(PruningWarning, match=LEFT_OUT):
        model = MABPrunedRegressor(net, pruning_budget=0.25, **options).fit(table, y, **held_out)
    unpruned = MABPrunedRegressor(net, pruning_budget=0, **options).fit(table, y, **held_out)
    assert model.score(table[right], y[right]) > unpruned.score(table[right], y[right]) - 0.2


def test_heavy_tails_and_sparse_samples_stay(recwarn):
    y = (X[:, 0] > 0).astype(int)
    for table in (np.exp(2 * X), np.where(RNG.random(X.shape) < 0.95, 0.0, X)):
        classes(tolerance=10.0).fit(table, y)
    assert not [w for w in recwarn if "left out" in str(w.message)]


def test_pulls_and_the_rest_see_the_same_samples():
    graph, samples = make_graph(), make_samples(n_samples=50)
    x = samples.x.clone()
    x[3] *= 1e7
    samples = Samples(x, samples.targets, samples.weights, samples.loss)
    activations = Activations(graph, samples)
    assert (~is_usual(activations)).nonzero().ravel().tolist() == [3]
    left = without_outliers(activations)
    assert torch.equal(left.samples.x, torch.cat([x[:3], x[4:]]))
    assert torch.equal(left.hidden(0), activations.hidden(0)[:, is_usual(activations)])
    assert without_outliers(left) is left
