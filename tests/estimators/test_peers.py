"""Networks that are trained without the teacher: what they predict becomes a part of its labels."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from interrupting import ctrl_c
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from user_nets import (
    classes_table,
    classifier,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

import sklearn_mabprune.estimators.initial as initial
import sklearn_mabprune.estimators.peers as peers_of
import sklearn_mabprune.estimators.teaching as teaching
from sklearn_mabprune import MLPNetRegressor, PruningWarning, load
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.estimators.peers import Peers, folds_of_peers
from sklearn_mabprune.training.lessons import Lessons, blended, mixed, out_of_fold, with_synthetic
from sklearn_mabprune.training.teacher import resolve_teacher
from sklearn_mabprune.training.teacher_targets import ValueTargets
from sklearn_mabprune.training.teacher_weight import Comparison
from sklearn_mabprune.utils.progress import Progress

TREE = DecisionTreeClassifier(max_depth=4)


def lines(n=60, seed=0):
    """A table of two features, and its sum."""
    X = np.random.default_rng(seed).normal(size=(n, 2))
    return Data(X, X.sum(axis=1, keepdims=True), None, 1)


def a_net(factor):
    """A linear network of known weights."""
    net = MLPNetRegressor(module__hidden_layer_sizes=(2,), module__activation="identity")
    return net, SimpleNamespace(forward=lambda x: x.sum(dim=1, keepdim=True) * factor)


@pytest.fixture
def lessons():
    data = lines()
    teacher = resolve_teacher(LinearRegression(), data.x, ValueTargets(1))
    return with_synthetic(out_of_fold(teacher, 3, data, 0), 120, data, 0), data


def known_peers(found, data):
    """Peers that return 1, 2, 3 times the sum of the features."""
    net = MLPNetRegressor(max_epochs=1, inputs=None).fit(data.x, data.y)
    net.target_mean_, net.target_scale_ = np.zeros(1), np.ones(1)
    networks = tuple(a_net(factor)[1] for factor in (1.0, 2.0, 3.0))
    return Peers(net, networks, folds_of_peers(found))


def test_labels_are_averaged_with_networks_that_have_not_seen_the_sample(lessons):
    found, data = lessons
    peers = known_peers(found, data)
    own = peers.out_of_fold(data, 1)
    for factor, (_, test) in zip((1, 2, 3), found.folds, strict=True):
        np.testing.assert_allclose(own[test], factor * data.y[test], rtol=1e-5)
    both = peers.averaged(found, own, 0.6)
    np.testing.assert_allclose(both.out_of_fold, 0.6 * found.out_of_fold + 0.4 * own)
    total = found.synthetic.x.sum(axis=1, keepdims=True)
    # The teacher is exact here, and the networks predict twice as much on average.
    np.testing.assert_allclose(both.synthetic.y, (0.6 + 0.4 * 2) * total, rtol=1e-5)


def test_samples_that_no_network_predicts_keep_the_labels_of_the_teacher(lessons):
    found, _ = lessons
    own = np.where(np.arange(60)[:, None] < 20, 5.0, np.nan)
    both = blended(found, own, None, 0.5)
    np.testing.assert_allclose(both.out_of_fold[:20], (found.out_of_fold[:20] + 5) / 2)
    np.testing.assert_array_equal(both.out_of_fold[20:], found.out_of_fold[20:])
    assert both.synthetic is found.synthetic


def test_the_networks_do_not_label_what_the_teacher_leaves_alone():
    data = lines(30)
    teacher = resolve_teacher(LinearRegression(), data.x, ValueTargets(1))
    found = out_of_fold(teacher, TimeSeriesSplit(4), data, 0)
    both = blended(found, np.ones((30, 1)), None, 0.5)
    np.testing.assert_array_equal(both.labelled, found.labelled)
    soft = mixed(data, both, 0.5, ValueTargets(1))
    np.testing.assert_array_equal(soft.y[~found.labelled], data.y[~found.labelled])


def test_folds_with_few_samples_have_no_network():
    index = np.arange(120)
    folds = tuple(TimeSeriesSplit(6).split(index))
    kept = folds_of_peers(Lessons(index, None, folds, 6, None, None))
    # Training parts of 18, 35, 52, 69, 86, 103 samples.
    assert [len(train) for train, _ in kept] == [len(train) for train, _ in folds[2:]]
    many = tuple((index, index) for _ in range(8))
    assert len(folds_of_peers(Lessons(index, None, many, 8, None, None))) == 5
    assert folds_of_peers(Lessons(index, None, (), 0, None, None)) == ()


@pytest.mark.parametrize(("share", "part"), [(0.25, 0.5), (0.5, 0.5), (0.85, 0.85), (1.0, 1.0)])
def test_the_teacher_makes_at_least_half_of_the_labels(share, part):
    assert Comparison(1.0, 1.0, 0.0, 0.0, share, 10).part == part


def test_all_samples_of_the_folds_are_compared_and_the_report_says_so():
    X, y = classes_table(200)
    model = classifier(teacher=TREE, teacher_cv=4).fit(X, y)
    report = model.pruning_report_.teacher
    assert report.n_compared == 180
    assert report.n_networks in (0, 4)
    given = clone(model).set_params(teacher_weight=0.5).fit(X, y).pruning_report_.teacher
    assert (given.n_networks, given.share) == (0, 1.0)
    assert given.n_compared == 180
    assert np.isnan(given.network_loss)
    assert "networks" not in str(given)


def test_the_networks_of_a_patient_net_stop_after_ten_epochs_without_a_lower_loss():
    X, y = classes_table(200)

    def loss(patience):
        net = small_classifier(max_epochs=100, patience=patience, lr=0.01, inputs=None)
        model = classifier(net, teacher=TREE, teacher_cv=3).fit(X, y)
        return model.pruning_report_.teacher.network_loss

    assert loss(10) == loss(100)
    assert loss(2) != loss(10)


@pytest.fixture(scope="module")
def taught():
    rng = np.random.default_rng(0)
    X = rng.uniform(-3, 3, size=(500, 3))
    y = np.floor(2 * X[:, 0]) % 3 + 2.0 * (X[:, 1] > 1) + 0.3 * rng.normal(size=500)
    net = small_regressor(max_epochs=40, inputs=None)
    tree = DecisionTreeRegressor(max_depth=6)
    return regressor(net, teacher=tree, pruning_budget=0.6, step=2).fit(X, y), X, y


def test_the_networks_of_a_fit_are_there_for_other_sizes(taught, monkeypatch):
    model, X, y = taught
    report = model.pruning_report_.teacher
    assert report.n_networks == 5
    assert f"labels of 5 networks {report.share:.2f}" in str(report)
    fitted = clone(model).set_params(pruning_budget=0.8).fit(X, y)
    # They are not trained again.
    monkeypatch.delattr(teaching, "trained_peers")
    smaller = model.at_budget(0.8, X, y)
    np.testing.assert_array_equal(smaller.predict(X), fitted.predict(X))
    again = smaller.at_budget(0.6, X, y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.pruning_report_.teacher.n_networks == 5


def test_a_file_has_no_networks_and_another_size_says_so(taught, tmp_path):
    model, X, y = taught
    kept = clone(model).set_params(keep_path="always").fit(X, y)
    with pytest.warns(UserWarning, match="without parameters"):
        kept.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors", teacher=model.teacher)
    with pytest.warns(PruningWarning, match="networks with which .* were not saved"):
        loaded.at_budget(0.8, X, y)


def test_time_ordered_folds_in_a_fit():
    X, y = values_table(300)
    model = regressor(teacher=DecisionTreeRegressor(max_depth=6), teacher_cv=TimeSeriesSplit(4))
    report = model.fit(X, y).pruning_report_.teacher
    # Three of the four folds have at least half of the samples of the last one.
    assert 0 < report.n_compared < 0.7 * 300
    assert report.n_networks in (0, 3)


@pytest.mark.usefixtures("two_threads")
def test_networks_that_do_not_depend_on_each_other_are_trained_at_the_same_time(monkeypatch):
    """Those of both inputs and of all folds; the fit is that of one thread but for rounding."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    model = classifier(small_classifier(module__dropout=0.2), teacher=TREE, teacher_cv=4)
    places = []

    def noting(train):
        def noted(*args, **kwargs):
            places.append((train.__module__, threading.get_ident(), torch.get_num_threads()))
            return train(*args, **kwargs)

        return noted

    for module in (initial, peers_of):
        monkeypatch.setattr(module, "train", noting(module.train))
    report = clone(model).fit(X, y).pruning_report_
    beside = [place for place in places if place[1] != threading.get_ident()]
    assert len(beside) == 2 + 4
    assert {n_threads for *_, n_threads in beside} == {1}
    torch.set_num_threads(1)
    alone = model.fit(X, y).pruning_report_
    assert alone.teacher.network_loss == pytest.approx(report.teacher.network_loss, rel=1e-6)
    assert alone.inputs.loss_tried == pytest.approx(report.inputs.loss_tried, rel=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_fits_in_threads_are_those_one_after_the_other():
    X, y = classes_table(400)
    net = small_classifier(module__dropout=0.2, max_epochs=4, inputs="piecewise_linear")

    def predictions(seed):
        model = classifier(net, teacher=TREE, teacher_cv=3, random_state=seed).fit(X, y)
        return model.predict_proba(X)

    expected = [predictions(seed) for seed in range(3)]
    fits = (joblib.delayed(predictions)(seed) for seed in range(3))
    found = joblib.Parallel(n_jobs=3, backend="threading")(fits)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("two_threads", "sigint")
@pytest.mark.parametrize("stage", ["inputs", "comparison"])
def test_ctrl_c_in_trainings_at_the_same_time_leaves_nothing_fitted(stage, monkeypatch):
    X, y = classes_table(400)
    advance, pressed = Progress.advance, []

    def pressing(progress, *args):
        advance(progress, *args)
        if progress._name == stage and not pressed:
            pressed.append(threading.current_thread() is threading.main_thread())
            ctrl_c()

    monkeypatch.setattr(Progress, "advance", pressing)
    model = classifier(small_classifier(max_epochs=10_000, patience=10_000), teacher=TREE)
    if stage == "comparison":
        model.set_params(estimator__n_functions=3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert pressed == [False]
    assert not [each for each in vars(model) if each.endswith("_")]
    assert torch.get_num_threads() == 2
