"""One output for two classes, and outputs of shape (n_samples,): fit and all that follows."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from image_nets import Joined, net_of
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from user_nets import Plain, classes_table, unit_values_table

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    load,
)

QUICK = {"step": 0.5, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}
NAMES = np.array(["no", "yes"])


class Chain(nn.Sequential):
    """A chain; one output."""

    def __init__(self, squash=False):
        super().__init__(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 1))
        if squash:
            self.append(nn.Sigmoid())


def binary(module, net=NeuralNetBinaryClassifier, **params):
    return net_of(module, net, **{"criterion": nn.BCEWithLogitsLoss, "max_epochs": 4, **params})


KINDS = {
    "flat": binary(Joined),
    "column": binary(Joined, NeuralNetClassifier, module__flat=False),
    "chain": binary(Chain),
    "probability": binary(Chain, criterion=nn.BCELoss, module__squash=True),
}


@pytest.fixture(scope="module")
def fitted():
    """Estimators of each kind, fitted on labels that are strings."""
    X, y = classes_table(80, n_classes=2)
    return {k: MABPrunedClassifier(net, **QUICK).fit(X, NAMES[y]) for k, net in KINDS.items()}


def second(model, X):
    """The probability of the second class, from the module alone."""
    with torch.no_grad():
        z = model.estimator_.module_.eval()(torch.tensor(X, dtype=torch.float32)).reshape(-1)
    return (z if isinstance(model.estimator_.criterion_, nn.BCELoss) else z.sigmoid()).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_one_output_is_the_probability_of_the_second_class(kind, fitted):
    model, (X, y) = fitted[kind], classes_table(80, n_classes=2)
    probabilities, wanted = model.predict_proba(X), second(model, X)
    assert sum(model.hidden_layer_sizes_) == 7
    np.testing.assert_allclose(probabilities[:, 1], wanted, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X[:1])[0, 1], wanted[0], atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), NAMES[(wanted > 0.5).astype(int)])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), probabilities)
    with torch.no_grad():
        found = model.to_torch()(torch.tensor(X, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, probabilities, atol=1e-6)
    targets = y.astype(np.float32)
    model.estimator_.partial_fit(
        X.astype(np.float32), targets[:, None] if kind == "column" else targets
    )


@pytest.mark.parametrize("kind", ["chain", "probability"])
def test_chains_of_one_output_in_other_forms(kind, fitted, tmp_path):
    model, (X, _) = fitted[kind], classes_table(80, n_classes=2)
    wanted, path = model.predict_proba(X), tmp_path / "model"
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), wanted, atol=1e-5)
    assert "model_label" in model.to_c()
    model.save(path)
    module = KINDS[kind].module
    for given in ({"module": module}, {"estimator": None}, {"estimator": KINDS[kind]}):
        np.testing.assert_array_equal(load(path, **given).predict_proba(X), wanted)


def test_a_trained_net_predicts_as_before_at_budget_0():
    X, y = classes_table(80, n_classes=2)
    net = binary(Joined).fit(X.astype(np.float32), y.astype(np.float32))
    frozen = MABPrunedClassifier(FrozenEstimator(net), pruning_budget=0, **QUICK)
    model = frozen.fit(X, y, X_val=X[:20], y_val=y[:20])
    alone = net.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(model.predict_proba(X), alone, atol=1e-6)


def test_sizes_and_folds(fitted):
    X, y = classes_table(80, n_classes=2)
    found = fitted["flat"].at_budget(0.7, X, NAMES[y])
    assert sum(found.hidden_layer_sizes_) == 14 - int(0.7 * 14)
    np.testing.assert_allclose(found.predict_proba(X)[:, 1], second(found, X), atol=1e-6)
    model = MABPrunedClassifier(KINDS["chain"], **QUICK)
    search = MABPrunedClassifierCV(model, budgets=[0, 0.5], cv=2).fit(X, y)
    assert np.isfinite(search.best_score_)


def test_a_teacher_gives_the_probability_of_the_second_class():
    X, y = classes_table(80, n_classes=2)
    teacher = LogisticRegression()
    options = {"teacher": teacher, "teacher_weight": 1.0, "n_synthetic": 0, "pruning_budget": 0}
    net = binary(Chain, max_epochs=40, lr=0.03)
    model = MABPrunedClassifier(net, **{**QUICK, **options}).fit(X, y)
    labels = teacher.fit(X, y).predict_proba(X)[:, 1]
    assert np.corrcoef(model.predict_proba(X)[:, 1], labels)[0, 1] > 0.7


@pytest.mark.parametrize("net", [NeuralNetRegressor, MLPNetRegressor])
def test_values_of_one_dimension(net):
    X, y = unit_values_table()
    net = net_of(Joined, net, max_epochs=25, criterion=nn.MSELoss)
    model = MABPrunedRegressor(net, **QUICK).fit(X, y)
    assert model.predict(X).shape == y.shape
    # Against a column of targets they would broadcast, and nothing but the mean be learned.
    assert model.score(X, y) > 0.5
    dtype = next(model.estimator_.module_.parameters()).dtype
    with torch.no_grad():
        found = model.to_torch()(torch.tensor(X, dtype=dtype)).numpy()
    np.testing.assert_allclose(found[:, 0], model.predict(X), rtol=1e-4, atol=1e-5)


REFUSED = {
    "three classes": (binary(Chain), 3, "one output per class"),
    "two outputs": (
        net_of(Plain, criterion=nn.BCEWithLogitsLoss, module__n_outputs=2),
        2,
        "2 outputs, but the criterion BCEWithLogitsLoss takes each output for a label of its own",
    ),
    "other loss": (
        net_of(Chain),
        2,
        r"1 output, y needs 2.*One output for two classes needs criterion=nn.BCEWithLogitsLoss",
    ),
    "threshold": (
        binary(Chain, threshold=0.3),
        2,
        r"threshold=0.3 of NeuralNetBinaryClassifier .*FixedThresholdClassifier\(estimator, thr",
    ),
    "ours": (
        MLPNetClassifier(Chain, criterion=nn.BCEWithLogitsLoss),
        2,
        "MLPNetClassifier.*Pass your module in a skorch NeuralNetBinaryClassifier",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_before_the_training(kind):
    net, n_classes, message = REFUSED[kind]
    X, y = classes_table(60, n_classes=n_classes)
    with pytest.raises(ValueError, match=message):
        MABPrunedClassifier(net.set_params(max_epochs=10**9), **QUICK).fit(X, y)
