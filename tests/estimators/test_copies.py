"""Copies of estimators, before and after fit, and how large their pickles are."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
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
from sklearn_mabprune.reports.path_outline import OUTLINE

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


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("way", WAYS)
def test_copies(case, way, tmp_path):
    make, table = MODELS[case]
    X, y = table()
    model = make()
    unfitted = WAYS[way](model, tmp_path)
    with pytest.raises(NotFittedError):
        unfitted.predict(X)
    model.fit(X, y)
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
    make, table = MODELS[case]
    X, y = table()
    model = make().fit(X, y)
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


@pytest.mark.slow
def test_pickle_opens_in_another_process(tmp_path):
    X, y = classes_table()
    model = classifier().fit(X, y)
    with open(tmp_path / "model.pickle", "wb") as file:
        pickle.dump(model, file)
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, sys, numpy as np, torch; torch.set_num_threads(1); "
        "model = pickle.load(open('model.pickle', 'rb')); "
        "np.save('found.npy', model.predict_proba(np.load('X.npy')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), model.predict_proba(X))


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
    make, table = MODELS[case]
    model = make().fit(*table())
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
