"""Copies of estimators, before and after fit, and how large their pickles are."""

from __future__ import annotations

import copy
import pickle
import threading
from functools import cache

import joblib
import numpy as np
import pytest
import torch
from same_values import OUTLINE
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import NotFittedError
from skorch import NeuralNetClassifier
from torch import nn
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    plain_classifier,
    quick_start,
    regressor,
    small_classifier,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier, UnsupportedModuleError
from sklearn_mabprune.policies import UCB1, Thompson

MODELS = {
    "ours": (lambda: classifier(), classes_table),
    "ours, values": (lambda: regressor(), values_table),
    "quick start": (lambda: classifier(quick_start()), classes_table),
    "plain": (lambda: classifier(plain_classifier(WeightedClassifier)), classes_table),
    "policy object": (lambda: classifier(policy=Thompson(prior_count=0.1)), classes_table),
    "criterion": (lambda: classifier(policy="magnitude"), classes_table),
    "no path": (lambda: classifier(keep_path="never"), classes_table),
    "default": (lambda: MABPrunedClassifier(MLPNetClassifier(max_epochs=2), tolerance=1.0,
                                            random_state=0), classes_table),
}  # fmt: skip


def by_joblib(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


WAYS = {
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "deepcopy": lambda model, folder: copy.deepcopy(model),
}


def outputs(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@cache
def fitted_of(case):
    """A fitted model, which no test changes, and its table."""
    make, table = MODELS[case]
    X, y = table()
    return make().fit(X, y), X, y


#: joblib writes pickles whose arrays stand apart: a few cases show that they come back.
PAIRS = [(way, case) for way in ("pickle", "deepcopy") for case in MODELS]
PAIRS += [("joblib", case) for case in ("plain", "policy object", "ours, values")]


@pytest.mark.slow
@pytest.mark.parametrize(("way", "case"), PAIRS)
def test_copies(case, way, tmp_path):
    model, X, y = fitted_of(case)
    unfitted = WAYS[way](MODELS[case][0](), tmp_path)
    with pytest.raises(NotFittedError):
        unfitted.predict(X)
    fitted = WAYS[way](model, tmp_path)
    expected = outputs(model, X)
    np.testing.assert_array_equal(outputs(fitted, X), expected)
    np.testing.assert_array_equal(outputs(unfitted.fit(X, y), X), expected)
    assert str(fitted.pruning_report_) == str(model.pruning_report_)
    assert vars(fitted).keys() >= vars(model).keys() - {"policy_"}
    assert fitted.hidden_layer_sizes_ == model.hidden_layer_sizes_
    assert fitted.n_pulls_ == model.n_pulls_
    for name in ("neuron_ranking_", "neuron_support_"):
        np.testing.assert_equal(getattr(fitted, name), getattr(model, name))
    for name in OUTLINE:
        np.testing.assert_equal(getattr(fitted.pruning_path_, name),
                                getattr(model.pruning_path_, name))  # fmt: skip
    # The copy is on its own.
    with torch.no_grad():
        next(fitted.estimator_.module_.parameters()).zero_()
    np.testing.assert_array_equal(outputs(model, X), expected)
    np.testing.assert_array_equal(outputs(fitted.fit(X, y), X), expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS)
def test_clones_are_not_fitted_and_fit_the_same(case):
    model, X, y = fitted_of(case)
    new = clone(model)
    assert not [name for name in vars(new) if name.endswith("_")]
    if model.estimator is not None:
        assert new.estimator is not model.estimator
    np.testing.assert_array_equal(outputs(new.fit(X, y), X), outputs(model, X))


def test_a_policy_object_is_not_written_to():
    X, y = classes_table()
    policy = UCB1(exploration=0.2)
    model = classifier(policy=policy).fit(X, y)
    assert model.policy is policy
    assert vars(policy) == {"exploration": 0.2}
    assert model.policy_ is not policy
    assert model.policy_.exploration == 0.2
    assert model.policy_.live_.sum() >= sum(model.hidden_layer_sizes_) - 2


@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_copies_of_a_frozen_net():
    X, y = classes_table()
    net = small_classifier(random_state=0).fit(X, y)
    model = classifier(FrozenEstimator(net)).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert clone(model).estimator.estimator is net
    np.testing.assert_array_equal(clone(model).fit(X, y).predict_proba(X), model.predict_proba(X))


def module_of_a_function():
    """A class that pickle does not find, with weights and a function that it would not take."""

    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
            self.same = lambda x: x

        def forward(self, x):
            return self.same(self.layers(x))

    return Inner


class Locked(nn.Module):
    """What cannot be copied at all."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        self.lock = threading.Lock()

    def forward(self, x):
        return self.layers(x)


def skorch_net(module):
    return NeuralNetClassifier(
        module, criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, verbose=0, train_split=None
    )


@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_a_frozen_net_that_does_not_pickle_is_copied():
    X, y = classes_table()
    X = X.astype(np.float32)
    net = skorch_net(module_of_a_function()).fit(X, y)
    before = net.predict_proba(X)
    unpruned = classifier(FrozenEstimator(net), pruning_budget=0).fit(X, y)
    np.testing.assert_allclose(unpruned.predict_proba(X), before, atol=1e-6)
    model = classifier(FrozenEstimator(net)).fit(X, y)
    assert sum(model.hidden_layer_sizes_) == 4
    np.testing.assert_array_equal(net.predict_proba(X), before)
    assert net.optimizer_.param_groups[0]["params"][0] is next(net.module_.parameters())


def test_what_cannot_be_copied_is_said_in_our_words():
    X, y = classes_table()
    X = X.astype(np.float32)
    net = skorch_net(Locked).fit(X, y)
    message = "NeuralNetClassifier in FrozenEstimator cannot be copied .*Keep what cannot be copied"
    with pytest.raises(TypeError, match=message):
        classifier(FrozenEstimator(net)).fit(X, y)
    with pytest.raises(UnsupportedModuleError, match=r"Locked cannot be copied .* such as a lock"):
        classifier(skorch_net(Locked)).fit(X, y)


def numbers_only(value, seen=()):
    """Whether everything reachable is NumPy or plain Python: a CUDA pickle opens on a CPU."""
    if isinstance(value, torch.Tensor):
        return False
    if isinstance(value, dict):
        return all(numbers_only(each) for each in value.values())
    if isinstance(value, (list, tuple, set)):
        return all(numbers_only(each) for each in value)
    if hasattr(value, "__dict__") and type(value).__module__.startswith("sklearn_mabprune"):
        return numbers_only(vars(value))
    return True


@pytest.mark.parametrize("case", ["ours", "ours, values", "criterion"])
def test_only_the_net_holds_tensors(case):
    model, _, _ = fitted_of(case)
    fitted = {k: v for k, v in vars(model).items() if k.endswith("_") and k != "estimator_"}
    assert len(fitted) > 8
    for name, value in fitted.items():
        assert numbers_only(value), name
    assert not numbers_only([torch.zeros(1)])


def test_the_pruned_net_is_light():
    X, y = classes_table()
    model = classifier(small_classifier(max_epochs=40)).fit(X, y)
    net = model.estimator_
    assert not net.optimizer_.state_dict()["state"]
    assert all("batches" not in row for row in net.history)
    assert len(net.history) == 40
