"""The number of functions in the input stage: given, or chosen on validation samples."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.tree import DecisionTreeRegressor
from torch import nn
from user_nets import plain_regressor, regressor

import sklearn_mabprune.estimators.initial
from sklearn_mabprune import (
    MLP,
    MABPrunedRegressorCV,
    MLPNetClassifier,
    MLPNetRegressor,
    PiecewiseLinearEmbedding,
    PruningWarning,
    load,
)
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.training.initial import train
from sklearn_mabprune.training.input_choice import (
    MOST_SAMPLES,
    inputs_to_try,
    samples_to_compare,
)
from sklearn_mabprune.training.inputs import (
    LEAST_TRIED,
    LEAST_TRIED_FOR_EACH,
    MOST_FEATURES,
    N_FUNCTIONS,
    N_TRIED,
)
from sklearn_mabprune.training.paired_losses import PairedLosses, paired_losses


def table(n_samples=400, seed=0):
    """Steps of one feature, which a small network finds with functions of it alone."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(12, size=n_samples), rng.normal(size=(n_samples, 2))])
    return X, 4.0 * (X[:, 0] * 5 % 12 // 3)


def smooth(n_samples=400):
    """A linear target: features are all that it takes."""
    X = np.random.default_rng(0).normal(size=(n_samples, 3))
    return X, X @ np.array([1.0, -2.0, 0.5])


def net(**params):
    small = {"module__hidden_layer_sizes": (12, 6), "max_epochs": 40, "lr": 0.01}
    return MLPNetRegressor(**{**small, **params})


@pytest.fixture(scope="module")
def chosen():
    X, y = table()
    return regressor(net(), pruning_budget=0.5, teacher=None).fit(X, y)


def test_the_inputs_of_lower_validation_loss_are_those_of_the_network(chosen):
    X, y = table()
    new, wanted = table(500, seed=1)
    given = clone(chosen).set_params(
        estimator__inputs="piecewise_linear", estimator__n_functions=N_TRIED
    )
    given.fit(X, y)
    np.testing.assert_array_equal(chosen.predict(new), given.predict(new))
    raw = clone(chosen).set_params(estimator__inputs=None).fit(X, y)
    assert chosen.score(new, wanted) > raw.score(new, wanted) + 0.3
    report = chosen.pruning_report_.inputs
    assert (report.n_functions, report.n_default, report.n_tried) == (N_TRIED, 0, N_TRIED)
    assert report.loss_tried + report.error < report.loss_default
    assert report.n_samples == 360
    assert chosen.get_params()["estimator__n_functions"] == "auto"
    assert f"inputs: {N_TRIED} functions of each feature" in str(chosen.pruning_report_)
    for fixed in (given, raw):
        assert fixed.pruning_report_.inputs is None


@pytest.mark.parametrize("most", [MOST_SAMPLES, 200])
def test_seconds_of_the_choice_count_once_and_where_they_belong(most, chosen, monkeypatch):
    """The training of the network is one of the choice, unless that had some of the samples.

    What is loaded by the first fit was loaded for the network that is given.
    """
    monkeypatch.setattr("sklearn_mabprune.training.input_choice.MOST_SAMPLES", most)
    started = time.perf_counter()
    report = clone(chosen).set_params(estimator__patience=40).fit(*table()).pruning_report_
    spent = time.perf_counter() - started
    assert report.seconds_training + report.inputs.seconds + report.seconds_pruning < spent
    assert min(report.seconds_training, report.inputs.seconds) > 0


def test_seconds_of_a_fold_are_those_of_all_its_stages(chosen):
    tree = DecisionTreeRegressor(max_depth=3)
    model = clone(chosen).set_params(teacher=tree, fine_tune_epochs=0)
    started = time.perf_counter()
    found = MABPrunedRegressorCV(model, budgets=(0.5,), cv=2).fit(*table())
    spent = time.perf_counter() - started
    assert 0.8 * spent < found.refit_time_ + 2 * found.cv_results_["mean_fit_time"][0] < spent


def test_the_default_stays_where_nothing_is_gained():
    X, y = smooth()
    found = regressor(net()).fit(X, y)
    raw = clone(found).set_params(estimator__inputs=None).fit(X, y)
    np.testing.assert_array_equal(found.predict(X), raw.predict(X))
    report = found.pruning_report_.inputs
    assert report.n_functions == report.n_default == 0
    assert "inputs: features alone; validation loss" in str(found.pruning_report_)


def test_what_was_chosen_is_kept(chosen, tmp_path):
    X, y = table()
    chosen.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.pruning_report_.inputs == chosen.pruning_report_.inputs
    np.testing.assert_array_equal(again.predict(X), chosen.predict(X))
    for smaller in (chosen.at_budget(0.7, X, y), chosen.at_budget(0.0)):
        assert smaller.pruning_report_.inputs == chosen.pruning_report_.inputs


def test_some_samples_are_compared_with_the_inputs_of_all(monkeypatch):
    """Of 200 samples "auto" makes no functions, of all it does."""
    X, y = table(1300)
    monkeypatch.setattr("sklearn_mabprune.training.input_choice.MOST_SAMPLES", 200)
    model = regressor(net(max_epochs=2)).fit(X, y)
    report = model.pruning_report_.inputs
    assert (report.n_samples, report.n_default, report.n_tried) == (200, N_FUNCTIONS, N_TRIED)
    assert model.estimator_.module_[0].n_functions == report.n_functions


@pytest.mark.parametrize("kind", [MLPNetRegressor, MLPNetClassifier])
def test_copies_of_samples_are_no_samples(kind):
    """Five copies of a table have the inputs that it has, whatever the targets are."""
    rng = np.random.default_rng(0)
    X = np.hstack([table(LEAST_TRIED - 1)[0], rng.normal(size=(LEAST_TRIED - 1, 1))])
    values = X if kind is MLPNetRegressor else (X > 0).astype(int)
    order = rng.permutation(5 * len(X)) % len(X)
    for y in (values[:, 0], values):
        copies = Data(X[order], y[order], None, 1)
        assert inputs_to_try(kind(), copies) is None
        fitted = kind(max_epochs=0).fit(copies.x, copies.y)
        assert not isinstance(fitted.module_[0], PiecewiseLinearEmbedding)
    more = np.tile(rng.normal(size=(LEAST_TRIED, 1)), (5, 1))
    assert inputs_to_try(kind(), Data(more, more, None, 1)) is not None


def test_samples_of_the_same_features_and_other_targets_are_no_copies():
    level = np.repeat(np.arange(260.0), 4)[:, None]
    y = np.random.default_rng(0).normal(size=1040)
    fitted = MLPNetRegressor(max_epochs=0).fit(level, y)
    assert isinstance(fitted.module_[0], PiecewiseLinearEmbedding)


@pytest.mark.parametrize("most", [MOST_SAMPLES, 200])
def test_trainings_of_the_choice_are_not_done_again(most, tmp_path, monkeypatch):
    """The net of the choice is that of the fit, unless it was trained on some of the samples."""
    (X, y), trained = table(), []

    def counted(net, data, *args, **kwargs):
        trained.append(len(data))
        return train(net, data, *args, **kwargs)

    monkeypatch.setattr("sklearn_mabprune.training.input_choice.MOST_SAMPLES", most)
    monkeypatch.setattr(sklearn_mabprune.estimators.initial, "train", counted)
    model = regressor(net(max_epochs=3)).fit(X, y)
    assert trained == ([360, 360] if most == MOST_SAMPLES else [200, 200, 360])
    monkeypatch.undo()
    cached = clone(model).set_params(memory=str(tmp_path))
    for _ in range(2):
        assert cached.fit(X, y).pruning_report_.inputs.n_samples == 360


def test_a_teacher_teaches_the_network_with_the_chosen_inputs(chosen):
    X, y = table()
    tree = DecisionTreeRegressor(max_depth=3)
    taught = clone(chosen).set_params(teacher=tree, teacher_weight=0.5, n_synthetic=0).fit(X, y)
    assert taught.pruning_report_.inputs.n_functions == N_TRIED
    given = clone(taught).set_params(
        estimator__inputs="piecewise_linear", estimator__n_functions=N_TRIED
    )
    np.testing.assert_array_equal(taught.predict(X), given.fit(X, y).predict(X))


def tried(X, net):
    X = X.astype(float)
    return inputs_to_try(net, Data(X, np.zeros((X.shape[0], 1)), None, 1))


def test_where_there_is_nothing_to_choose():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(LEAST_TRIED, LEAST_TRIED // LEAST_TRIED_FOR_EACH))
    binary = rng.integers(0, 2, (LEAST_TRIED, MOST_FEATURES - X.shape[1]))
    wide = np.hstack([X, binary])
    other = {"inputs": "piecewise_linear", "n_functions": N_TRIED}
    for kind in (MLPNetClassifier, MLPNetRegressor):
        assert tried(X, kind()) == tried(wide, kind()) == other
        assert tried(X, kind(inputs="piecewise_linear")) == other
    mine = MLPNetRegressor(module=Bare)
    for unchanged in (
        tried(X, MLPNetRegressor(inputs=None)),
        tried(X, MLPNetRegressor(n_functions=N_FUNCTIONS)),
        tried(X, plain_regressor()),
        tried(X, mine),
        tried(X[1:], MLPNetRegressor()),
        tried(np.hstack([X, X[:, :1]]), MLPNetRegressor()),
        tried(np.hstack([wide, binary[:, :1]]), MLPNetRegressor()),
        tried(binary, MLPNetRegressor()),
        tried(sparse.csr_array(X), MLPNetRegressor()),
    ):
        assert unchanged is None


class Bare(nn.Sequential):
    """A module that takes no inputs."""

    def __init__(self, n_features=1, n_outputs=1):
        super().__init__(nn.Linear(n_features, 4), nn.ReLU(), nn.Linear(4, n_outputs))


def test_at_most_so_many_samples_are_compared():
    n = MOST_SAMPLES + 1
    data = Data(np.arange(n)[:, None], np.arange(n)[:, None], None, 1)
    some = samples_to_compare(data, 0)
    assert len(np.unique(some.y)) == MOST_SAMPLES
    np.testing.assert_array_equal(some.x, samples_to_compare(data, 0).x)
    assert samples_to_compare(some, 0) is some


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 0.5, 0.5])])
def test_losses_are_compared_in_pairs(weights):
    y = np.array([[1.0], [2.0], [4.0], [3.0]])
    nets = [constant(0.0), constant(1.0)]
    found = paired_losses(*nets, Data(np.zeros((4, 2), np.float32), y, weights, 1))
    share = np.full(4, 0.25) if weights is None else weights / weights.sum()
    default, other = (y[:, 0] ** 2, (y[:, 0] - 1) ** 2)
    assert found.default == pytest.approx(share @ default)
    assert found.tried == pytest.approx(share @ other)
    apart = default - other
    if weights is None:
        assert found.error == pytest.approx(apart.std(ddof=1) / 2)
    assert found.error > 0
    assert found.pays
    assert not PairedLosses(found.tried, found.default, found.error).pays
    assert not PairedLosses(1.0, 0.9, 0.2).pays
    assert not PairedLosses(1.0, 0.9, float("nan")).pays


def test_copies_in_validation_do_not_make_the_difference_surer():
    y, x = np.array([[1.0], [2.0], [4.0], [3.0]]), np.arange(8.0, dtype=np.float32).reshape(4, 2)
    nets = [constant(0.0), constant(1.0)]
    once = paired_losses(*nets, Data(x, y, None, 1))
    for weights in (None, np.full(20, 0.3)):
        found = paired_losses(*nets, Data(np.tile(x, (5, 1)), np.tile(y, (5, 1)), weights, 1))
        assert found.default == pytest.approx(once.default)
        assert found.error == pytest.approx(once.error)
    # As one sample of twice the weight.
    index, weights = [0, 1, 1, 2, 3], np.array([1.0, 2, 1, 1])
    twice = paired_losses(*nets, Data(x[index], y[index], None, 1))
    assert twice.error == pytest.approx(paired_losses(*nets, Data(x, y, weights, 1)).error)


def constant(value):
    """A fitted net that predicts one value."""
    made = MLPNetRegressor(inputs=None, max_epochs=0, train_split=None).fit(
        np.zeros((4, 2), np.float32), [-1, 1, -1, 1]
    )
    with torch.no_grad():
        made.module_[-1].weight.zero_()
        made.module_[-1].bias.fill_(value)
    return made


@pytest.mark.parametrize("given", [0, 2.5, "many"])
def test_numbers_of_functions_that_are_none(given):
    X, y = table(60)
    with pytest.raises(ValueError, match=r"'n_functions' parameter of MLPNetRegressor must be"):
        MLPNetRegressor(n_functions=given).fit(X, y)
    with pytest.raises(ValueError, match=r"'n_functions' parameter of MLPNetRegressor must be"):
        regressor(MLPNetRegressor(n_functions=given)).fit(*table())


def test_functions_are_as_many_as_asked_for():
    X, y = table(60)
    for given, n in ((5, 5), ("auto", N_FUNCTIONS)):
        fitted = net(inputs="piecewise_linear", n_functions=given, max_epochs=0).fit(X, y)
        assert isinstance(fitted.module_, MLP)
        assert tuple(fitted.module_[0].weight.shape[:2]) == (3, n)
        assert fitted.module_[1].in_features == 3 + 3 * n


@pytest.mark.parametrize("inputs", ["auto", "piecewise_linear"])
def test_a_number_of_functions_asks_for_them_where_auto_makes_none(inputs):
    """Of few samples, of many features, of many features with more than two values."""
    rng = np.random.default_rng(0)
    for X in (table(60)[0], rng.normal(size=(40, MOST_FEATURES + 1))):
        fitted = net(inputs=inputs, n_functions=2, max_epochs=0).fit(X, np.arange(len(X)))
        assert fitted.module_[1].in_features == 3 * X.shape[1]
    X, y = table()
    model = regressor(net(inputs=inputs, n_functions=2, max_epochs=3)).fit(X, y)
    assert model.pruning_report_.inputs is None
    assert isinstance(model.estimator_.module_[0], PiecewiseLinearEmbedding)
    assert model.estimator_.module_[0].n_functions == 2


NO_STAGE = {
    "sparse": ({"n_functions": 4}, sparse.csr_array(table(60)[0]), "X is sparse, or none of its"),
    "two values": (
        {"inputs": "piecewise_linear"},
        np.eye(60)[:, :4],
        r"^inputs='piecewise_linear' of MLPNetRegressor made no input stage: X is sparse, or none",
    ),
    "none": ({"inputs": None, "n_functions": 4}, table(60)[0], "inputs=None leaves features as"),
    "own module": (
        {"module": Bare, "inputs": "piecewise_linear", "n_functions": 4},
        table(60)[0],
        "^inputs='piecewise_linear' and n_functions=4 of MLPNetRegressor .*module=Bare takes no",
    ),
}


@pytest.mark.parametrize("case", NO_STAGE)
def test_a_stage_that_was_asked_for_and_cannot_be_is_told_once(case):
    params, X, message = NO_STAGE[case]
    y = np.arange(60) % 7 / 3
    made = MLPNetRegressor(**{"max_epochs": 2, "lr": 0.01, "early_stopping": False, **params})
    for fit in (clone(made).fit, clone(made).partial_fit):
        with pytest.warns(PruningWarning, match=message) as caught:
            fit(X, y)
        assert [(len(caught), each.filename) for each in caught] == [(1, __file__)]
    tree = DecisionTreeRegressor(max_depth=2)
    model = regressor(made, teacher=tree, teacher_weight=0.5, n_synthetic=0, tolerance=9)
    with pytest.warns(PruningWarning) as caught:
        model.fit(X, y)
    told = [str(each.message) for each in caught if "input stage" in str(each.message)]
    assert len(told) == 1
    assert told[0] in model.pruning_report_.remarks
