"""Modules that are no chains: fit, what it leaves, and what can be done with that."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from image_nets import SmallConv, SmallResidual, Words, images, net_of, texts
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch.nn import functional as F
from user_nets import classes_table, unit_values_table

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    UnsupportedModuleError,
)
from sklearn_mabprune.ablation import reader_statistics
from sklearn_mabprune.data.features import read_table
from sklearn_mabprune.displays import NeuronMapDisplay

QUICK = {"step": 0.2, "tolerance": 10.0, "random_state": 0}


def classifier(module=SmallConv, **params):
    return MABPrunedClassifier(net_of(module), **{**QUICK, **params})


@pytest.fixture(scope="module")
def fitted():
    X, y = images()
    return classifier().fit(X, y), X, y


def test_images_are_classified_by_a_smaller_module_of_the_same_class(fitted):
    model, X, y = fitted
    module = model.estimator_.module_
    assert type(module) is SmallConv
    assert model.hidden_layer_sizes_ == (
        module.conv1.out_channels,
        module.conv2.out_channels,
        module.fc1.out_features,
    )
    assert sum(model.hidden_layer_sizes_) == 12
    assert module.norm.num_features == module.conv1.out_channels
    assert module.fc1.in_features == 9 * module.conv2.out_channels
    with torch.no_grad():
        expected = module.eval()(torch.tensor(X)).softmax(-1).numpy()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5, atol=1e-6)
    assert model.score(X, y) > 0.5


def test_the_report_names_groups_and_why_others_are_whole(fitted):
    model, _, _ = fitted
    report = model.pruning_report_
    assert report.groups == ("conv1", "conv2", "fc1")
    assert "network's output" in report.kept_whole["fc2"]
    sizes = zip(report.before.hidden_layer_sizes, report.after.hidden_layer_sizes, strict=True)
    first = next(sizes)
    assert f"conv1: {first[0]} -> {first[1]} channels" in str(report)
    module = model.estimator_.module_
    parameters = sum(p.numel() for p in module.parameters())
    assert report.after.n_parameters == parameters
    c1, c2, f1 = model.hidden_layer_sizes_
    assert report.after.n_macs == 64 * 9 * c1 + 36 * 9 * c1 * c2 + 9 * c2 * f1 + 3 * f1


def test_the_report_names_readers_above_the_cap(fitted, monkeypatch):
    model, X, y = fitted
    assert model.pruning_report_.compensation == {}
    monkeypatch.setattr(reader_statistics, "MOST_COLUMNS", 20)
    model = classifier(policy="magnitude", pruning_budget=2, fine_tune_epochs=0)
    report = model.fit(X, y).pruning_report_
    assert set(report.compensation) == {"conv2", "fc1"}
    assert "compensation in fc1: more than 4,096 inputs, so channels" in str(report)


def test_the_unit_map_has_a_row_for_each_group(fitted):
    plt = pytest.importorskip("matplotlib.pyplot")
    model, _, _ = fitted
    display = NeuronMapDisplay.from_estimator(model)
    assert [axes.get_ylabel() for axes in display.axes_[:, 0]] == ["conv1", "conv2", "fc1"]
    assert [len(part) for part in display.removed_in] == [6, 8, 10]
    plt.close("all")


def test_what_is_fitted_trains_on_pickles_and_clones(fitted):
    model, X, y = fitted
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    net = again.estimator_
    before = net.module_.conv1.weight.detach().clone()
    net.partial_fit(X, y)
    assert not torch.equal(net.module_.conv1.weight, before)
    fresh = clone(net).initialize()
    assert fresh.module_.conv1.weight.shape == before.shape
    fresh.module_.load_state_dict(model.estimator_.module_.state_dict())
    np.testing.assert_allclose(fresh.predict_proba(X), model.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_network(fitted):
    model, X, y = fitted
    again = classifier().fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_at_budget_equals_a_fit(fitted):
    model, X, y = fitted
    for budget in (0.25, 0.7):
        found, wanted = model.at_budget(budget, X, y), classifier(pruning_budget=budget).fit(X, y)
        assert found.hidden_layer_sizes_ == wanted.hidden_layer_sizes_
        np.testing.assert_allclose(
            found.predict_proba(X), wanted.predict_proba(X), rtol=1e-5, atol=1e-6
        )


def test_at_budget_without_data_is_a_network_of_the_path(fitted):
    model, X, _ = fitted
    whole = model.at_budget(0)
    assert whole.hidden_layer_sizes_ == (6, 8, 10)
    assert whole.predict(X).shape == (len(X),)


def pruned_anew(fitted, budget=0.5, **params):
    """The trained network of a fit, pruned with other parameters."""
    model, X, y = fitted
    options = {"fine_tune_epochs": 0, **params}
    return copy.deepcopy(model).set_params(**options).at_budget(budget, X, y)


@pytest.mark.parametrize(
    "policy",
    ["ucb1", "sequential_halving", "magnitude", "taylor", "apoz", "reconstruction", "random"],
)
def test_policies_and_criteria(policy, fitted):
    assert sum(pruned_anew(fitted, policy=policy, step=0.5).hidden_layer_sizes_) == 12


@pytest.mark.parametrize(("unit", "scope"), [("parameters", "global"), ("macs", "layer")])
def test_budgets_in_other_units(unit, scope, fitted):
    report = pruned_anew(fitted, budget_unit=unit, scope=scope).pruning_report_
    name = f"n_{unit}"
    assert getattr(report.after, name) <= 0.5 * getattr(report.before, name)


def test_values_and_a_trained_net():
    X, y = unit_values_table()
    y = y.reshape(-1, 1)
    net = net_of(SmallResidual, NeuralNetRegressor, module__n_outputs=1, max_epochs=15)
    net.fit(X.astype(np.float32), y.astype(np.float32))
    before = net.predict(X.astype(np.float32))
    frozen = MABPrunedRegressor(FrozenEstimator(net), pruning_budget=0, **QUICK)
    model = frozen.fit(X, y, X_val=X[:40], y_val=y[:40])
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-4, atol=1e-5)
    assert MABPrunedRegressor(net, **QUICK).fit(X, y).hidden_layer_sizes_ != (12, 7)


def test_embeddings_read_integers():
    X, y = texts()
    model = MABPrunedClassifier(net_of(Words, lr=0.5), **QUICK).fit(X, y)
    assert model.pruning_report_.groups == ("words", "hidden")
    assert model.predict(X).shape == y.shape
    assert model.estimator_.module_.words.embedding_dim == model.hidden_layer_sizes_[0]
    # So do codes without a sign.
    for dtype in (np.uint16, np.uint32, np.uint64):
        codes = X.astype(dtype)
        np.testing.assert_array_equal(model.predict_proba(codes), model.predict_proba(X))
        named = read_table(clone(model), {"X": codes}, any_shape=True).parts
        assert read_table(clone(model), codes, any_shape=True).dtype == named["X"].dtype == dtype
    again = clone(model).fit(codes, y)
    np.testing.assert_array_equal(again.predict_proba(codes), model.predict_proba(X))


@pytest.mark.slow
def test_scikit_learn_around_images():
    X, y = images(90)
    flat = X.reshape(len(X), -1)
    reshaped = FunctionTransformer(lambda X: X.reshape(-1, 1, 8, 8))
    model = make_pipeline(reshaped, classifier(fine_tune_epochs=1)).fit(flat, y)
    assert model.predict(flat).shape == y.shape
    quick = classifier(fine_tune_epochs=1, step=0.5)
    assert np.isfinite(cross_validate(quick, X, y, cv=2)["test_score"]).all()
    found = GridSearchCV(quick, {"pruning_budget": [0.3, 0.6]}, cv=2).fit(X, y)
    assert found.best_estimator_.predict(X).shape == y.shape
    search = MABPrunedClassifierCV(quick, budgets=[0, 0.5], cv=2).fit(X, y)
    assert search.predict(X).shape == y.shape


def test_memory_and_samples_that_are_weighted(tmp_path):
    X, y = classes_table(80)
    params = {"memory": str(tmp_path), "fine_tune_epochs": 1}
    models = [classifier(SmallResidual, **params).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(*(model.predict_proba(X) for model in models))


# ----------------------------------------------------------------------------- bad input


def test_shapes_that_do_not_fit(fitted):
    model, X, y = fitted
    with pytest.raises(ValueError, match=r"channels come last.*moveaxis\(X, 3, 1\)"):
        model.predict(X.transpose(0, 2, 3, 1))
    with pytest.raises(
        ValueError, match=r"shape \(1, 8, 7\).*fitted on samples of shape \(1, 8, 8\)"
    ):
        model.predict(X[..., :7])
    with pytest.raises(
        UnsupportedModuleError,
        match=r"layer 'conv1' \(Conv2d\) in forward \(image_nets.py:\d+\).*moveaxis\(X, 3, 1\)",
    ):
        classifier().fit(X.transpose(0, 2, 3, 1), y)
    with pytest.raises(UnsupportedModuleError, match=r"'conv1' .*image_nets.py:\d+\).*\[9, 64\]"):
        classifier().fit(X.reshape(len(X), -1), y)
    with pytest.raises(ValueError, match="dim"):
        MABPrunedClassifier(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full_like(X, np.nan))


def test_nothing_to_prune_is_said_before_the_training():
    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.only = torch.nn.Linear(6, 3)

        def forward(self, X):
            return torch.log_softmax(self.only(X).sin(), -1)

    X, y = classes_table(60)
    net = net_of(Whole, max_epochs=10**9)
    with pytest.raises(UnsupportedModuleError, match=r"no units that can be removed.*only"):
        MABPrunedClassifier(net, **QUICK).fit(X, y)


def test_indices_outside_an_embedding_and_floats_are_named():
    X, y = texts()
    quick = net_of(Words, max_epochs=1)
    late = X.copy()
    late[80:] += 19
    for other, message in (
        (X + 9, r"layer 'words' \(Embedding\) .*its indices are 0 to 19, and it was given values"),
        (late, r"layer 'words' .*its indices are 0 to 19, and it was given values from 20 to"),
        (X.astype(float), r"its indices are floats. Pass integers, such as X.astype\(numpy.int64"),
    ):
        with pytest.raises(ValueError, match=message):
            MABPrunedClassifier(quick, **QUICK).fit(other, y)
    model = MABPrunedClassifier(quick, **QUICK).fit(X, y)
    for other, message in (
        (X[:1] * 0 + 23, r"layer 'words' .*its indices are 0 to 19, and it was given 23"),
        (X - 30, "it was given values from -30 to -11"),
        (X + 0.5, r"X contains \d+.5, but had integers in fit"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(other)
    np.testing.assert_array_equal(model.predict(X.astype(float)), model.predict(X))


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        (F.embedding, r"its indices are 0 to 19, and it was given 23\."),
        (lambda X, table: table[X], "IndexError: index 23 is out of bounds"),
    ],
)
def test_indices_outside_an_own_table_are_named(lookup, message):
    class Rows(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(20, 4))
            self.hidden, self.last = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)

        def forward(self, X):
            return self.last(self.hidden(lookup(X, self.table).mean(1)).relu())

    X, y = texts()
    net = NeuralNetClassifier(Rows, criterion=torch.nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    model = MABPrunedClassifier(net, **QUICK).fit(X, y)
    with pytest.raises(ValueError, match=r"Rows.forward fails .*\.py:\d+\): " + message):
        model.predict(X[:2] * 0 + 23)
