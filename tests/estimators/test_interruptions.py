"""Ctrl-C after the initial training: what is done already is kept, and said."""

from __future__ import annotations

import logging
import pickle
import signal
import warnings
from importlib import import_module

import numpy as np
import pytest
import torch
from interrupting import ctrl_c, press_ctrl_c
from pairwise import pairwise
from sklearn.exceptions import NotFittedError
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

import sklearn_mabprune.estimators.fitting
import sklearn_mabprune.pruning.path
import sklearn_mabprune.training.fine_tuning
from sklearn_mabprune import PruningWarning
from sklearn_mabprune.criteria import Magnitude
from sklearn_mabprune.policies import Uniform

pytestmark = pytest.mark.usefixtures("sigint")


CASES = {
    "ours": (lambda **p: classifier(**p), classes_table),
    "ours, values": (lambda **p: regressor(**p), values_table),
    "quick start": (lambda **p: classifier(quick_start(), **p), classes_table),
    "plain": (lambda **p: classifier(plain_classifier(), **p), classes_table),
}


@pytest.mark.slow
@pairwise(
    case=CASES,
    budget=[0.7, "auto"],
    where=["pruning.path.remove_together", "ablation.activations.cut"],
)
def test_pruning_keeps_the_last_finished_round(case, budget, where, monkeypatch):
    make, table = CASES[case]
    X, y = table()
    whole = make(pruning_budget=budget).fit(X, y).pruning_path_
    *module, name = where.split(".")
    place = import_module(".".join(["sklearn_mabprune", *module]))
    press_ctrl_c(monkeypatch, place, name, call=4)
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
    press_ctrl_c(monkeypatch, sklearn_mabprune.pruning.path, "remove_together", call=1)
    model = classifier()
    with pytest.warns(PruningWarning, match="0 of 20 neurons are gone"):
        model.fit(X, y)
    assert same_state(state(model.estimator_), state(trained.estimator_))


def test_fine_tuning_keeps_the_pruned_network(monkeypatch):
    X, y = classes_table()
    untuned = classifier(fine_tune_epochs=0).fit(X, y)
    # epoch() is called once for every epoch: the training's first, then the fine-tuning's.
    press_ctrl_c(monkeypatch, sklearn_mabprune.training.fine_tuning, "epoch", call=2)
    model = classifier(fine_tune_epochs=5)
    with pytest.warns(PruningWarning, match="Fine-tuning was interrupted after 1 epoch:"):
        model.fit(X, y)
    assert same_state(state(model.estimator_), state(untuned.estimator_))
    assert model.pruning_report_.n_fine_tune_epochs == 1
    assert "Fine-tuning was interrupted" in str(model.pruning_report_)
    assert np.isnan(model.pruning_path_.score_fine_tuned).all()
    assert not model.estimator_.module_.training


def test_fine_tuning_of_candidates(monkeypatch):
    X, y = classes_table(200)
    table = {"X_val": X[120:], "y_val": y[120:]}
    press_ctrl_c(monkeypatch, sklearn_mabprune.training.fine_tuning, "epoch", call=2)
    net = small_classifier(max_epochs=40, lr=0.02)
    model = classifier(net, pruning_budget="auto", tolerance=0.0, fine_tune_epochs=3)
    with pytest.warns(PruningWarning, match="smallest network that was good enough by then"):
        model.fit(X[:120], y[:120], **table)
    assert model.score(X[120:], y[120:]) >= model.pruning_path_.score[0]


class Presses:
    """Ctrl-C at the n-th call, and at later ones, so far apart, if there is to be more than one."""

    def __init__(self, call, presses=1, apart=1):
        self.call, self.presses, self.apart, self.calls = call, presses, apart, 0

    def __call__(self, *args):
        self.calls += 1
        number, between = divmod(self.calls - self.call, self.apart)
        if between == 0 and 0 <= number < self.presses:
            ctrl_c()


class Scoring(Presses):
    """Accuracy, for `scoring=`, that is interrupted."""

    __name__ = "accuracy"

    def __call__(self, estimator, X, y):
        super().__call__()
        return float(np.mean(estimator.predict(X) == y))


class InterruptedPolicy(Uniform):
    """A policy in one of whose methods Ctrl-C comes."""

    def __init__(self, method="start", presses=None):
        self.method, self.presses = method, presses

    def start(self, arms, rng=None, groups=None):
        if self.method == "start":
            self.presses()
        return super().start(arms, rng, groups)

    def select(self, n):
        if self.method == "select":
            self.presses()
        return super().select(n)


class InterruptedCriterion(Magnitude):
    """The same for a criterion."""

    presses = None

    def importance(self, layer, rng):
        type(self).presses()
        return super().importance(layer, rng)


class InterruptedAdam(torch.optim.Adam):
    """An optimizer, for a net of one's own, in whose step Ctrl-C comes."""

    presses = None

    def step(self, closure=None):
        type(self).presses()
        return super().step(closure)


def assert_unpruned(model, X, y):
    """Trained as with a budget of nothing, and it says so."""
    trained = classifier(pruning_budget=0).fit(X, y)
    assert same_state(state(model.estimator_), state(trained.estimator_))
    np.testing.assert_array_equal(model.predict_proba(X), trained.predict_proba(X))
    report, path = model.pruning_report_, model.pruning_path_
    assert "Pruning was interrupted" in str(report)
    assert "0 of 20 neurons are gone" in report.warnings[0]
    assert report.before.n_parameters == report.after.n_parameters == path.n_parameters[0]
    assert report.before.score == report.after.score == path.score[0]
    assert (len(path), report.n_rounds, report.n_fine_tune_epochs) == (1, 0, 0)
    assert report.interrupted
    assert not trained.pruning_report_.interrupted
    assert all(kept.all() for kept in model.neuron_support_)
    assert model.hidden_layer_sizes_ == (12, 8)


@pytest.mark.parametrize("budget", [0.5, "auto"])
@pytest.mark.parametrize("when", ["start", "select", "score", "criterion"])
def test_before_the_first_round_is_finished_the_trained_network_is_kept(when, budget, monkeypatch):
    X, y = classes_table()
    model = classifier(pruning_budget=budget)
    if when == "score":
        model.set_params(scoring=Scoring(2))  # the first call is a check before the training
    elif when == "criterion":
        monkeypatch.setattr(InterruptedCriterion, "presses", Presses(1))
        model.set_params(policy=InterruptedCriterion())
    else:
        model.set_params(policy=InterruptedPolicy(when, Presses(1)))
    with pytest.warns(PruningWarning, match="Pruning was interrupted"):
        model.fit(X, y)
    assert_unpruned(model, X, y)


def test_the_trained_network_is_kept_before_pruning_begins(monkeypatch):
    X, y = classes_table()
    press_ctrl_c(monkeypatch, sklearn_mabprune.estimators.fitting, "samples_of", call=1)
    model = classifier()
    with pytest.warns(PruningWarning, match="Pruning was interrupted"):
        model.fit(X, y)
    assert_unpruned(model, X, y)


def test_in_the_initial_training_nothing_is_fitted(monkeypatch):
    X, y = classes_table()
    model = classifier(small_classifier(optimizer=InterruptedAdam)).set_params(
        estimator__optimizer=InterruptedAdam
    )
    monkeypatch.setattr(InterruptedAdam, "presses", Presses(10**9))
    model.fit(X, y)
    monkeypatch.setattr(InterruptedAdam, "presses", Presses(7))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_net_of_ones_own_interrupted_in_fine_tuning(monkeypatch):
    X, y = classes_table()
    net = small_classifier(optimizer=InterruptedAdam)
    counter = Presses(10**9)
    monkeypatch.setattr(InterruptedAdam, "presses", counter)
    untuned = classifier(net, fine_tune_epochs=0).fit(X, y)
    monkeypatch.setattr(InterruptedAdam, "presses", Presses(counter.calls + 4))
    model = classifier(net, fine_tune_epochs=9)
    with pytest.warns(PruningWarning, match="Fine-tuning was interrupted after 3 epochs: the pru"):
        model.fit(X, y)
    assert same_state(state(model.estimator_), state(untuned.estimator_))
    report = model.pruning_report_
    assert (report.n_fine_tune_epochs, report.n_rounds) == (3, untuned.pruning_report_.n_rounds)
    assert report.after.score == untuned.pruning_report_.after.score
    assert np.isnan(model.pruning_path_.score_fine_tuned).all()


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0.5, "auto"])
def test_whenever_a_score_is_taken(budget):
    X, y = classes_table()
    params = {"pruning_budget": budget, "fine_tune_epochs": 2}
    whole = classifier(scoring=Scoring(10**9), **params).fit(X, y)
    calls, path = whole.scoring.calls, whole.pruning_path_
    assert calls > 6
    with pytest.raises(KeyboardInterrupt):
        classifier(scoring=Scoring(1), **params).fit(X, y)  # before the training
    for call in range(2, calls + 1):
        model = classifier(scoring=Scoring(call), **params)
        with pytest.warns(PruningWarning, match="interrupted"):
            model.fit(X, y)
        report, found = model.pruning_report_, model.pruning_path_
        assert report.interrupted
        assert found.layer_sizes == path.layer_sizes[: len(found)]
        assert (len(found) < len(path)) == ("Pruning was interrupted" in report.warnings[0])
        assert report.after.hidden_layer_sizes == model.hidden_layer_sizes_
        assert sum(kept.sum() for kept in model.neuron_support_) == sum(model.hidden_layer_sizes_)
        score = Scoring(0, 0)(model, X, y)
        assert score == pytest.approx(model.score(X, y))
        # The scores that the report gives are those of the networks it names.
        assert report.before.score == path.score[0]
        pickle.loads(pickle.dumps(model)).predict(X)


def test_a_finished_network_is_not_called_unfinished():
    X, y = classes_table()
    whole = classifier(scoring=Scoring(10**9), fine_tune_epochs=2).fit(X, y)
    model = classifier(scoring=Scoring(whole.scoring.calls), fine_tune_epochs=2)
    with pytest.warns(PruningWarning, match="interrupted after 2 epochs: the network was finished"):
        model.fit(X, y)
    assert same_state(state(model.estimator_), state(whole.estimator_))
    assert model.pruning_report_.after.score == whole.pruning_report_.after.score


@pytest.mark.parametrize(("call", "apart"), [(2, 1), (5, 1), (2, 2), (2, 3)])
def test_a_second_ctrl_c_ends_the_fit(call, apart):
    """In what is done again after the first one, or later."""
    X, y = classes_table()
    model = classifier(scoring=Scoring(call, presses=2, apart=apart)).fit
    with pytest.raises(KeyboardInterrupt):
        model(X, y)
    assert not [name for name in vars(model.__self__) if name.endswith("_")]


@pytest.mark.parametrize("presses", [Presses(1), None])
def test_no_bar_and_no_handler_stay_behind(presses, capsys):
    X, y = classes_table()
    policy = InterruptedPolicy("select" if presses else "", presses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PruningWarning)
        classifier(policy=policy, verbose=2).fit(X, y)
    assert logging.getLogger("sklearn_mabprune").level == logging.NOTSET


@pytest.mark.parametrize("where", ["fitting.samples_of", "tuner.net_around"])
def test_errors_while_pruning_leave_nothing(where, monkeypatch):
    X, y = classes_table()
    model = classifier().fit(X, y)

    def broken(*args, **kwargs):
        raise RuntimeError("out of order")

    monkeypatch.setattr(f"sklearn_mabprune.estimators.{where}", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_ctrl_c_when_the_report_is_written_is_reported(monkeypatch):
    X, y = classes_table()
    whole = classifier().fit(X, y)
    press_ctrl_c(monkeypatch, type(whole), "_remember", call=1)
    model = classifier()
    with pytest.warns(PruningWarning, match="Ctrl-C came when the fit was done"):
        model.fit(X, y)
    assert model.pruning_report_.interrupted
    assert "Ctrl-C" in str(model.pruning_report_)
    assert same_state(state(model.estimator_), state(whole.estimator_))


def test_at_budget_reports_it_too(monkeypatch):
    X, y = classes_table()
    model = classifier().fit(X, y)
    press_ctrl_c(monkeypatch, type(model), "_remember", call=1)
    with pytest.warns(PruningWarning, match="Ctrl-C came when the fit was done"):
        smaller = model.at_budget(0.7, X, y)
    assert smaller.pruning_report_.interrupted
    assert not model.pruning_report_.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
