"""X as a dictionary of arrays, one for each parameter of forward."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from image_nets import Mixed, Words, mixed_samples, net_of, texts
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetBinaryClassifier
from skorch.helper import SliceDict
from torch import nn
from user_nets import Plain, WeightedClassifier, classes_table

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MLPNetClassifier,
)

QUICK = {"step": 0.5, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}


def at(X, index):
    return {name: part[index] for name, part in X.items()}


def as_tensors(X):
    return {
        name: torch.tensor(part, dtype=torch.float32 if part.dtype.kind == "f" else None)
        for name, part in X.items()
    }


class OneOutput(Mixed):
    """The logit of the second class, (n_samples,)."""

    def forward(self, numbers, code, known):
        return super().forward(numbers, code, known)[:, 1]


@pytest.fixture(scope="module")
def fitted():
    X, y = mixed_samples()
    net = net_of(Mixed, max_epochs=20, lr=0.03)
    return MABPrunedClassifier(net, **QUICK).fit(X, y), X, y


def test_inputs_go_to_the_parameters_of_their_names(fitted):
    model, X, y = fitted
    module = model.estimator_.module_
    assert model.pruning_report_.groups == ("dense", "codes")
    assert model.hidden_layer_sizes_ == (module.dense.out_features, module.codes.embedding_dim)
    with torch.no_grad():
        wanted = module.eval()(**as_tensors(X)).softmax(-1).numpy()
        found = model.to_torch()(**as_tensors(X)).numpy()
    np.testing.assert_allclose(model.predict_proba(X), wanted, atol=1e-6)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert model.score(X, y) > 0.8
    # Neither the order of the keys nor the kind of float or integer matters.
    other = {name: X[name] for name in reversed(X)} | {"code": X["code"].astype(np.int8)}
    np.testing.assert_allclose(model.predict_proba(other), wanted, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(at(X, [3])), wanted[[3]], atol=1e-6)


def test_what_is_fitted_goes_on(fitted):
    model, X, y = fitted
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    again.estimator_.partial_fit(as_tensors(X), y)
    assert sum(model.at_budget(0.75, X, y).hidden_layer_sizes_) == 3
    assert model.at_budget(0).hidden_layer_sizes_ == (8, 4)
    with pytest.raises(ValueError, match=r"samples of shape \(3,\), the network was trained on {'"):
        model.at_budget(0.75, X["numbers"], y)


@pytest.mark.slow
def test_to_onnx_has_an_input_for_each():
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    X, y = mixed_samples(60)
    net = net_of(OneOutput, NeuralNetBinaryClassifier, criterion=nn.BCEWithLogitsLoss, max_epochs=1)
    model = MABPrunedClassifier(net, **QUICK).fit(X, y)
    content = model.to_onnx().SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given = {**at(X, slice(7)), "numbers": X["numbers"][:7].astype(np.float32)}
    labels, probabilities = session.run(None, given)
    np.testing.assert_allclose(probabilities, model.predict_proba(at(X, slice(7))), atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(at(X, slice(7))))


def test_samples_are_split_weighted_and_cross_validated():
    X, y = mixed_samples(60)
    twice = {name: np.concatenate([part, part]) for name, part in X.items()}
    net = net_of(Mixed, WeightedClassifier, max_epochs=3)
    # Copies are on one side, as two of a weight of 1 are one of a weight of 2.
    weights = np.r_[np.ones(60), np.zeros(60)]
    weighted, plain = MABPrunedClassifier(net, **QUICK), MABPrunedClassifier(net, **QUICK)
    weighted.fit(twice, np.r_[y, 1 - y], sample_weight=weights)
    np.testing.assert_allclose(
        weighted.predict_proba(X), plain.fit(X, y).predict_proba(X), atol=1e-6
    )
    search = MABPrunedClassifierCV(plain, budgets=[0.5], cv=2, refit=False).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_scikit_learn_splits_what_skorch_slices(fitted):
    model, X, y = fitted
    _, some, _, labels = train_test_split(SliceDict(**X), y, random_state=0)
    assert model.predict(some).shape == labels.shape
    assert model.score(some, labels) > 0.7


def test_a_trained_net_and_validation_samples():
    X, y = mixed_samples(60)
    floats = {**X, "numbers": X["numbers"].astype(np.float32)}
    net = net_of(Mixed, max_epochs=2).fit(floats, y)
    frozen = MABPrunedClassifier(FrozenEstimator(net), pruning_budget=0, **QUICK)
    model = frozen.fit(X, y, X_val=at(X, slice(20)), y_val=y[:20])
    np.testing.assert_allclose(model.predict_proba(X), net.predict_proba(floats), atol=1e-6)


def changed(X, **parts):
    return {**X, **parts}


PREDICTED = {
    "lacks": (lambda X: {k: X[k] for k in ("numbers", "known")}, "X lacks the input 'code'.*'numb"),
    "has more": (lambda X: changed(X, z=X["code"]), "X has the input 'z': pass the inputs of fit"),
    "an array": (
        lambda X: X["numbers"],
        "X is one array, .* was fitted on a dictionary.*'numbers'",
    ),
    "other shape": (
        lambda X: changed(X, numbers=X["numbers"][:, :2]),
        r"sample of X\['numbers'\] has shape \(2,\), .* fitted on samples of shape \(3,\)",
    ),
    "lengths": (
        lambda X: changed(X, code=X["code"][:5]),
        "different numbers of samples: 'numbers' has 90, 'code' has 5, 'known' has 90",
    ),
    "missing": (
        lambda X: changed(X, numbers=X["numbers"] * np.nan),
        r"X\['numbers'\] cannot be used: .*NaN",
    ),
    "no integer": (
        lambda X: changed(X, code=X["code"] + 0.5),
        r"X\['code'\] contains \d.5, but had integers in fit",
    ),
    "too large": (
        lambda X: changed(X, numbers=X["numbers"] * 1e300),
        r"Column \d of X\['numbers'\] contains .* too large for a network in float32",
    ),
}


@pytest.mark.parametrize("kind", PREDICTED)
def test_samples_that_are_not_those_of_fit(kind, fitted):
    model, X, _ = fitted
    change, message = PREDICTED[kind]
    with pytest.raises(ValueError, match=message):
        model.predict(change(X))


def test_refused_in_fit():
    X, y = mixed_samples(60)
    net = net_of(Mixed, max_epochs=10**9)
    cases = [
        (MABPrunedClassifier(net), {1: X["code"]}, TypeError, "key 1, but keys must be strings"),
        (MABPrunedClassifier(net), {}, ValueError, "X is an empty dictionary"),
        (MABPrunedClassifier(net), {**X, "sample_weight": X["code"]}, ValueError, "Rename the par"),
        (MABPrunedClassifier(net, teacher="auto"), X, ValueError, "teacher reads one array"),
        (MABPrunedClassifier(), X, TypeError, "X is a dictionary"),
        (MABPrunedClassifier(MLPNetClassifier(Mixed)), X, ValueError, "MLPNetClassifier reads one"),
        (MABPrunedClassifier(net), {**X, "code": 3}, ValueError, r"X\['code'\] is 3: pass"),
        (MABPrunedClassifier(net), {"numbers": X["numbers"]}, ValueError, "missing 2 required"),
    ]
    for model, given, error, message in cases:
        with pytest.raises(error, match=message):
            model.fit(given, y)
    chain = net_of(Plain, max_epochs=1)
    one = MABPrunedClassifier(chain, **QUICK).fit(*classes_table(40))
    with pytest.raises(ValueError, match=r"X is a dictionary, but .* fitted on one array"):
        one.predict(X)


#: Forms of the same arrays that have no dtype of NumPy's.
FORMS = {
    "lists": np.ndarray.tolist,
    "tensors": torch.as_tensor,
    "tensors with gradients": lambda part: torch.as_tensor(part).requires_grad_(
        part.dtype.kind == "f"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_lists_and_tensors_of_integers_stay_integers(form, fitted):
    model, X, y = fitted
    made = {name: FORMS[form](part) for name, part in X.items()}
    again = clone(model).fit(made, y)
    np.testing.assert_array_equal(again.predict_proba(made), model.predict_proba(X))
    words, labels = texts(80)
    model = MABPrunedClassifier(net_of(Words, max_epochs=2), **QUICK)
    expected = model.fit(words, labels).predict_proba(words)
    made = FORMS[form](words)
    again = clone(model).fit(made, labels, X_val=made[:20], y_val=labels[:20])
    assert again.input_shape_ == model.input_shape_
    again = clone(model).fit(made, torch.as_tensor(labels))
    np.testing.assert_array_equal(again.predict_proba(made), expected)
