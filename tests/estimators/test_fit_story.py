"""One fit: the network's graph is recovered once and handed on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from user_nets import classes_table, classifier, quick_start, small_classifier

import sklearn_mabprune.training.initial
from sklearn_mabprune import PruningWarning


@pytest.fixture
def recovered(monkeypatch):
    """Modules whose graphs were recovered, in order."""
    calls = []
    recover = sklearn_mabprune.training.initial.network_of

    def counted(module, x):
        calls.append(type(module).__name__)
        return recover(module, x)

    monkeypatch.setattr(sklearn_mabprune.training.initial, "network_of", counted)
    return calls


@pytest.mark.parametrize("budget", [0, 0.5, "auto"])
@pytest.mark.parametrize("net", [small_classifier, quick_start])
def test_once_a_fit(net, budget, recovered):
    X, y = classes_table()
    model = classifier(net(), pruning_budget=budget).fit(X, y)
    assert len(recovered) == 1
    model.at_budget(0.75, X, y)
    assert len(recovered) == 1


def test_once_for_a_net_that_was_trained_before(recovered):
    X, y = classes_table()
    net = small_classifier().fit(X, y)
    with pytest.warns(PruningWarning, match="trained"):
        classifier(FrozenEstimator(net)).fit(X, y)
    assert recovered == ["MLP"]


def test_not_at_all_where_the_training_is_cached(tmp_path, recovered):
    X, y = classes_table()
    first = classifier(memory=str(tmp_path)).fit(X, y)
    again = classifier(memory=str(tmp_path)).fit(X, y)
    assert len(recovered) == 1
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
