"""Ctrl-C after the initial training: what is done already is kept, and said."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from user_nets import (
    classes_table,
    classifier,
    plain_classifier,
    quick_start,
    regressor,
    same_state,
    small_classifier,
    state,
    values_table,
)

import sklearn_mabprune.path
import sklearn_mabprune.training
from sklearn_mabprune import PruningWarning


def press_ctrl_c(monkeypatch, module, name, call):
    """Have the `call`-th call of a function interrupted."""
    original, calls = getattr(module, name), []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, interrupted)


CASES = {
    "ours": (lambda **p: classifier(**p), classes_table),
    "ours, values": (lambda **p: regressor(**p), values_table),
    "quick start": (lambda **p: classifier(quick_start(), **p), classes_table),
    "plain": (lambda **p: classifier(plain_classifier(), **p), classes_table),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("budget", [0.7, "auto"])
@pytest.mark.parametrize("where", ["remove_together", "cut"])
def test_pruning_keeps_the_last_finished_round(case, budget, where, monkeypatch):
    make, table = CASES[case]
    X, y = table()
    whole = make(pruning_budget=budget).fit(X, y).pruning_path_
    press_ctrl_c(monkeypatch, sklearn_mabprune.path, where, call=4)
    model = make(pruning_budget=budget)
    with pytest.warns(PruningWarning, match="Pruning was interrupted.* last finished round"):
        model.fit(X, y)
    path, report = model.pruning_path_, model.pruning_report_
    assert len(path) == 1 + 3
    assert path.layer_sizes == whole.layer_sizes[:4]
    assert model.hidden_layer_sizes_ == path.layer_sizes[-1]
    assert sum(s.sum() for s in model.neuron_support_) == sum(model.hidden_layer_sizes_)
    gone, neurons = path.n_neurons[0] - path.n_neurons[-1], path.n_neurons[0]
    assert f"{gone} of {neurons} neurons are gone, and it was not fine-tuned" in report.warnings[0]
    assert "Pruning was interrupted" in str(report)
    assert report.n_fine_tune_epochs == 0
    assert np.isnan(path.score_fine_tuned).all()
    assert report.after.score == pytest.approx(path.score[-1])
    # It is a fitted estimator like any other.
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert model.estimator_.partial_fit(
        X.astype(np.float32), y if y.dtype.kind == "i" else y[:, None].astype(np.float32)
    )


def test_in_the_first_round_nothing_is_pruned(monkeypatch):
    X, y = classes_table()
    trained = classifier(pruning_budget=0).fit(X, y)
    press_ctrl_c(monkeypatch, sklearn_mabprune.path, "remove_together", call=1)
    model = classifier()
    with pytest.warns(PruningWarning, match="0 of 20 neurons are gone"):
        model.fit(X, y)
    assert same_state(state(model.estimator_), state(trained.estimator_))


def test_fine_tuning_keeps_the_pruned_network(monkeypatch):
    X, y = classes_table()
    untuned = classifier(fine_tune_epochs=0).fit(X, y)
    # epoch() is called once for every epoch: the training's first, then the fine-tuning's.
    press_ctrl_c(monkeypatch, sklearn_mabprune.training, "epoch", call=2)
    model = classifier(fine_tune_epochs=5)
    with pytest.warns(PruningWarning, match="Fine-tuning was interrupted after 1 epochs"):
        model.fit(X, y)
    assert same_state(state(model.estimator_), state(untuned.estimator_))
    assert model.pruning_report_.n_fine_tune_epochs == 1
    assert "Fine-tuning was interrupted" in str(model.pruning_report_)
    assert np.isnan(model.pruning_path_.score_fine_tuned).all()
    assert not model.estimator_.module_.training


def test_fine_tuning_of_candidates(monkeypatch):
    X, y = classes_table(200)
    table = {"X_val": X[120:], "y_val": y[120:]}
    press_ctrl_c(monkeypatch, sklearn_mabprune.training, "epoch", call=2)
    net = small_classifier(max_epochs=40, lr=0.02)
    model = classifier(net, pruning_budget="auto", tolerance=0.0, fine_tune_epochs=3)
    with pytest.warns(PruningWarning, match="smallest network that was good enough by then"):
        model.fit(X[:120], y[:120], **table)
    assert model.score(X[120:], y[120:]) >= model.pruning_path_.score[0]


@pytest.mark.parametrize("where", ["recover_chain", "net_around"])
def test_errors_while_pruning_leave_nothing(where, monkeypatch):
    X, y = classes_table()
    model = classifier().fit(X, y)

    def broken(*args, **kwargs):
        raise RuntimeError("out of order")

    monkeypatch.setattr(f"sklearn_mabprune.fitting.{where}", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]
