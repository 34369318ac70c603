"""The pruned network as plain torch and as scikit-learn's MLP: the same predictions."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from builders import SURROUNDINGS, network
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from user_nets import (
    classes_table,
    classifier,
    fitted,
    labels_table,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import MLPNetRegressor, UnsupportedModuleError

# Networks that were never trained are exported here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The trained network is worse:sklearn_mabprune.PruningWarning"
)
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}


class Squashed(nn.Module):
    """A network whose last layer is no Linear."""

    def __init__(self, n_outputs=1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(6, affine=False),
            nn.Linear(6, 9, bias=False),
            nn.ReLU(),
            nn.Linear(9, n_outputs),
            nn.Softsign(),
        )

    def forward(self, X):
        return self.layers(X)


def pruned_as_it_is(module, table, regression=False, **net_params):
    """A module's neurons removed without any training."""
    X, y = table
    kind = NeuralNetRegressor if regression else NeuralNetClassifier
    net_params = {"criterion": nn.MSELoss if regression else nn.CrossEntropyLoss, **net_params}
    net = kind(module, **net_params).initialize()
    make = regressor if regression else classifier
    model = make(FrozenEstimator(net), pruning_budget=0.25, step=0.5, fine_tune_epochs=0)
    return model.fit(X, y, X_val=X[:40], y_val=y[:40])


def by_torch(model, X):
    module = model.to_torch()
    with torch.no_grad():
        return module(torch.as_tensor(X, dtype=next(module.parameters()).dtype)).numpy()


# ------------------------------------------------------------------------------------ torch


def test_torch_gives_probabilities_and_logits_before_the_last_layer():
    model, X, _ = fitted("classifier")
    # The softmax of many rows is taken another way round: the last digit may differ.
    np.testing.assert_allclose(by_torch(model, X), model.predict_proba(X), rtol=1e-6)
    assert np.array_equal(by_torch(model, X[:60]), model.predict_proba(X[:60]))
    module = model.to_torch()
    logits = module[:-1](torch.as_tensor(X))
    assert torch.equal(logits, model.estimator_.module_(torch.as_tensor(X)))


@pytest.mark.parametrize("n_targets", [1, 3])
def test_torch_gives_values_in_original_units(n_targets):
    X, y = values_table(n_targets=n_targets)
    model = regressor().fit(X, y)
    found = by_torch(model, X)
    assert found.shape == (len(X), n_targets)
    np.testing.assert_allclose(found, model.predict(X).reshape(found.shape), rtol=1e-12)


def test_torch_module_is_plain_and_its_own():
    model, X, y = fitted("classifier", net=small_classifier(module__dropout=0.3))
    before = model.predict_proba(X)
    module = model.to_torch()
    assert not module.training
    assert type(module) is nn.Sequential
    assert {type(layer) for layer in module} == {nn.Linear, nn.ReLU, nn.Softmax}
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    loss = nn.functional.cross_entropy(module[:-1](torch.as_tensor(X)), torch.as_tensor(y))
    loss.backward()
    optimizer.step()
    assert np.array_equal(model.predict_proba(X), before)
    assert not np.allclose(module(torch.as_tensor(X)).detach().numpy(), before)


def test_torch_module_pickles_and_saves_without_the_library():
    model, X, _ = fitted("regressor", net=small_regressor(module__batch_norm=True))
    module = model.to_torch()
    assert b"mabprune" not in pickle.dumps(module)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    again = model.to_torch()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again(torch.as_tensor(X)), module(torch.as_tensor(X)))


@pytest.mark.parametrize(
    ("make", "table"),
    [
        (lambda: classifier(quick_start()), classes_table),
        (lambda: classifier(plain_classifier()), classes_table),
        (lambda: regressor(plain_regressor()), unit_values_table),
        (lambda: regressor(MLPNetRegressor(Squashed, max_epochs=12)), values_table),
    ],
    ids=["quick start", "plain", "plain, values", "last layer no Linear"],
)
def test_torch_of_nets_of_ones_own(make, table):
    X, y = table()
    model = make().fit(X, y)
    expected = model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)
    found = by_torch(model, X).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# ----------------------------------------------------------------------------- scikit-learn


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "identity"]),
    around=st.sampled_from(SURROUNDINGS),
    hidden=st.sampled_from([(8,), (7, 5), (6, 4, 5)]),
    n_classes=st.sampled_from([2, 3, 4]),
    bias=st.booleans(),
    dtype=st.sampled_from(["float64", "float32"]),
    softmax=st.booleans(),
    seed=st.integers(0, 9),
)
def test_sklearn_classifier_is_the_same(
    activation, around, hidden, n_classes, bias, dtype, softmax, seed
):
    X, y = classes_table(n_classes=n_classes)
    tail = (nn.Softmax(dim=-1),) if softmax else ()
    sizes = (6, *hidden, n_classes)
    module = network(sizes, activation, around, tail, bias, getattr(torch, dtype), seed)
    model = pruned_as_it_is(
        module, (X, y), criterion=nn.NLLLoss if softmax else nn.CrossEntropyLoss
    )
    mlp = model.to_sklearn()
    assert mlp.hidden_layer_sizes == model.hidden_layer_sizes_
    assert {weights.dtype for weights in mlp.coefs_ + mlp.intercepts_} == {np.dtype(dtype)}
    expected = model.predict_proba(X)
    np.testing.assert_allclose(mlp.predict_proba(X), expected, atol=TOLERANCE[dtype])
    top_two = np.sort(expected, axis=1)[:, -2:]
    clear = top_two[:, 1] - top_two[:, 0] > 1e-5
    assert clear.mean() > 0.9
    assert np.array_equal(mlp.predict(X)[clear], model.predict(X)[clear])


@settings(max_examples=15, deadline=None)
@given(
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "identity"]),
    around=st.sampled_from(SURROUNDINGS),
    n_targets=st.sampled_from([1, 3]),
    dtype=st.sampled_from(["float64", "float32"]),
    seed=st.integers(0, 9),
)
def test_sklearn_regressor_is_the_same(activation, around, n_targets, dtype, seed):
    X, y = unit_values_table(n_targets=n_targets)
    module = network(
        (6, 7, 5, n_targets), activation, around, (), True, getattr(torch, dtype), seed
    )
    model = pruned_as_it_is(module, (X, y), regression=True)
    expected = model.predict(X)
    found = model.to_sklearn().predict(X)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[dtype] * 10)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("around", SURROUNDINGS)
def test_sklearn_classifier_of_every_place_of_a_batch_norm(around, n_classes):
    X, y = classes_table(n_classes=n_classes)
    model = pruned_as_it_is(
        network((6, 7, 5, n_classes), "tanh", around, dtype=torch.float64), (X, y)
    )
    expected = model.predict_proba(X)
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_sklearn_regressor_predicts_in_units_that_float32_cannot_hold(n_targets, dtype):
    X, y = unit_values_table(n_targets=n_targets)
    y = 1e5 + 0.1 * y
    model = regressor(small_regressor(dtype=dtype)).fit(X, y)
    found, expected = model.to_sklearn().predict(X), model.predict(X)
    assert found.shape == y.shape
    assert expected.std() > 0.01
    # Neighbours in float32 are 0.008 apart here.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"], [-3, 5], [False, True]])
def test_sklearn_classifier_has_the_labels_and_names(labels):
    X, codes = classes_table(n_classes=len(labels))
    frame = pd.DataFrame(X, columns=[*"uvwxyz"])
    y = np.array(labels)[codes]
    model = classifier().fit(frame, y)
    mlp = model.to_sklearn()
    assert np.array_equal(mlp.predict(frame), model.predict(frame))
    assert mlp.predict(frame).dtype == y.dtype
    assert mlp.score(frame, y) == model.score(frame, y)
    assert mlp.n_features_in_ == 6
    assert list(mlp.feature_names_in_) == [*"uvwxyz"]
    with pytest.raises(ValueError, match="feature names should match"):
        mlp.predict(frame[[*"zyxwvu"]])


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_sklearn_mlp_pickles_clones_and_is_its_own(kind):
    model, X, _ = fitted(kind)
    before = model.predict(X)
    mlp = model.to_sklearn()
    again = pickle.loads(pickle.dumps(mlp))
    assert b"torch" not in pickle.dumps(mlp)
    assert np.array_equal(again.predict(X), mlp.predict(X))
    for weights in mlp.coefs_:
        weights *= 0
    assert np.array_equal(model.predict(X), before)
    fresh = clone(mlp).set_params(max_iter=1, solver="lbfgs", max_fun=10)
    assert fresh.hidden_layer_sizes == model.hidden_layer_sizes_
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["classifier", "regressor", "two classes"])
def test_sklearn_mlp_goes_on_training(kind, dtype):
    X, y = values_table() if kind == "regressor" else classes_table(n_classes=3)
    if kind == "two classes":
        y = np.where(y > 0, "more", "none")
    make, net = (
        (regressor, small_regressor) if kind == "regressor" else (classifier, small_classifier)
    )
    # A net of two epochs has a lot left to learn.
    model = make(net(dtype=dtype, max_epochs=2)).fit(X, y)
    mlp = model.to_sklearn().set_params(learning_rate_init=0.01, random_state=0)
    before = mlp.score(X, y)
    for _ in range(60):
        mlp.partial_fit(X, y)
    assert mlp.score(X, y) > before + 0.02
    assert np.isfinite(mlp.loss_)
    assert len(mlp.loss_curve_) == 60
    assert isinstance(mlp, MLPRegressor if kind == "regressor" else MLPClassifier)


class SigmoidEnd(nn.Module):
    """A network whose outputs are a probability for each label."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 4), nn.Sigmoid())

    def forward(self, X):
        return self.layers(X)


@pytest.mark.parametrize("n_labels", [2, 4])
@pytest.mark.parametrize("end", [False, True])
def test_sklearn_mlp_and_torch_of_several_labels_a_row(n_labels, end):
    X, y = labels_table(n_labels=4 if end else n_labels)
    net = small_classifier()
    if end:
        net = NeuralNetClassifier(SigmoidEnd, criterion=nn.BCELoss, max_epochs=3, verbose=0)
    model = classifier(net).fit(X, y)
    mlp = model.to_sklearn()
    expected = model.predict_proba(X)
    np.testing.assert_allclose(mlp.predict_proba(X), expected, atol=1e-6)
    assert np.array_equal(mlp.predict(X), model.predict(X))
    np.testing.assert_allclose(by_torch(model, X), expected, atol=1e-6)
    mlp.partial_fit(X, y)


def test_sklearn_mlp_of_a_net_with_dropout_and_softmax():
    X, y = classes_table()
    model = classifier(quick_start()).fit(X, y)
    np.testing.assert_allclose(
        model.to_sklearn().predict_proba(X), model.predict_proba(X), atol=2e-6
    )


def refused(model, message):
    with pytest.raises(UnsupportedModuleError, match=message) as caught:
        model.to_sklearn()
    assert "Export this network with to_torch() or to_onnx()" in str(caught.value)
    rows = np.zeros((3, 6))
    expected = model.predict_proba(rows) if hasattr(model, "classes_") else model.predict(rows)
    np.testing.assert_allclose(by_torch(model, rows).reshape(expected.shape), expected, atol=1e-6)


L = nn.Linear


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([L(6, 8), nn.GELU(), L(8, 3)], r"have GELU\(approximate='none'\) after Linear layer 1"),
        (
            [L(6, 8), nn.ReLU(), L(8, 5), nn.LeakyReLU(), L(5, 3)],
            "LeakyReLU.* after Linear layer 2",
        ),
        ([L(6, 8), nn.ReLU(), L(8, 5), nn.Tanh(), L(5, 3)], "different activations: relu, tanh"),
        ([L(6, 8), L(8, 5), nn.Tanh(), L(5, 3)], "different activations: identity, tanh"),
        ([L(6, 8), nn.ReLU(), nn.Tanh(), L(8, 3)], r"Tanh\(\) after Linear layer 1"),
        ([nn.Tanh(), L(6, 8), nn.Tanh(), L(8, 3)], r"Tanh\(\) before the first Linear"),
        ([L(6, 8), nn.ReLU(), L(8, 3), nn.Sigmoid()], "logistic after the last Linear layer"),
        ([L(6, 8), nn.ReLU(), L(8, 3), nn.Softmax(dim=1)], r"Softmax\(dim=1\), Softmax"),
    ],
)
def test_what_sklearn_cannot_be_is_refused_with_the_layer_and_a_way_out(layers, message):
    torch.manual_seed(0)
    refused(pruned_as_it_is(nn.Sequential(*layers), classes_table()), message)


@pytest.mark.parametrize("tail", [nn.Tanh(), nn.Softplus(), nn.Softmax(dim=-1)])
def test_values_that_are_not_those_of_a_linear_are_refused(tail):
    torch.manual_seed(0)
    module = nn.Sequential(L(6, 8), nn.Tanh(), L(8, 2), tail)
    model = pruned_as_it_is(module, unit_values_table(n_targets=2), regression=True)
    refused(model, "after (the last )?Linear layer")


def test_log_softmax_before_the_softmax_changes_nothing():
    torch.manual_seed(0)
    module = nn.Sequential(L(6, 8), nn.ReLU(), L(8, 3), nn.LogSoftmax(dim=-1))
    X, y = classes_table()
    model = pruned_as_it_is(module, (X, y))
    np.testing.assert_allclose(
        model.to_sklearn().predict_proba(X), model.predict_proba(X), atol=1e-6
    )


@pytest.mark.parametrize(
    "nonlinearity",
    [torch.sigmoid, nn.Sigmoid(), nn.Softmax(dim=-1), nn.Identity(), None],
    ids=lambda value: type(value).__name__,
)
def test_a_nonlinearity_that_is_a_layer_is_exported(nonlinearity):
    model, X, _ = fitted("classifier")
    # skorch takes modules there from the constructor alone.
    vars(model.estimator_)["predict_nonlinearity"] = nonlinearity
    np.testing.assert_allclose(by_torch(model, X), model.predict_proba(X), rtol=1e-12)
    if isinstance(nonlinearity, nn.Softmax):
        np.testing.assert_allclose(model.to_sklearn().predict_proba(X), model.predict_proba(X))
    else:
        refused(
            model, "between the last Linear layer and the probabilities, which must be one Softmax"
        )


def halved(outputs):
    return torch.softmax(outputs / 2, dim=-1)


def test_a_nonlinearity_of_ones_own_is_refused_by_every_export():
    X, y = classes_table()
    model = classifier(small_classifier(predict_nonlinearity=halved)).fit(X, y)
    for export in (model.to_torch, model.to_sklearn, model.to_onnx):
        with pytest.raises(UnsupportedModuleError, match=r"predict_nonlinearity=<function halved"):
            export()


@pytest.mark.parametrize("export", ["to_torch", "to_sklearn", "to_onnx"])
def test_an_estimator_that_is_not_fitted_exports_nothing(export):
    for model in (classifier(), regressor()):
        with pytest.raises(NotFittedError):
            getattr(model, export)()
