"""Ctrl-C in fits of networks that are no chains, and what such fits tell."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from image_nets import SmallResidual, net_of
from interrupting import press_ctrl_c
from sklearn.exceptions import NotFittedError
from user_nets import classes_table

import sklearn_mabprune.graph.recovery
import sklearn_mabprune.pruning.path
import sklearn_mabprune.training.fine_tuning
from sklearn_mabprune import MABPrunedClassifier, PruningWarning

pytestmark = pytest.mark.usefixtures("sigint")


def model(**params):
    net = net_of(SmallResidual, max_epochs=3)
    options = {"step": 0.2, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 0}
    return MABPrunedClassifier(net, **{**options, **params})


@pytest.fixture(scope="module")
def table():
    return classes_table(60)


@pytest.fixture(scope="module")
def whole(table):
    return model().fit(*table)


def test_while_a_module_is_read_nothing_is_fitted(table, monkeypatch):
    press_ctrl_c(monkeypatch, sklearn_mabprune.graph.recovery, "exported_program", call=1)
    interrupted = model()
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(*table)
    with pytest.raises(NotFittedError):
        interrupted.predict(table[0])


def test_pruning_keeps_the_last_finished_round(table, whole, monkeypatch):
    press_ctrl_c(monkeypatch, sklearn_mabprune.pruning.path, "remove_together", call=2)
    with pytest.warns(PruningWarning, match="Pruning was interrupted.* last finished round"):
        kept = model().fit(*table)
    assert kept.hidden_layer_sizes_ == whole.pruning_path_.layer_sizes[1]
    module = kept.estimator_.module_
    assert (module.wide.out_features, module.gate.out_features) == kept.hidden_layer_sizes_


def test_fine_tuning_keeps_the_pruned_network_and_tells(table, whole, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="sklearn_mabprune")
    press_ctrl_c(monkeypatch, sklearn_mabprune.training.fine_tuning, "epoch", call=2)
    with pytest.warns(PruningWarning, match="Fine-tuning was interrupted after 1 epoch:"):
        kept = model(fine_tune_epochs=5, verbose=2).fit(*table)
    np.testing.assert_array_equal(kept.predict_proba(table[0]), whole.predict_proba(table[0]))
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert all(stage in text for stage in ("training", "pruning", "neurons left"))
