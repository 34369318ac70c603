"""Pickles and files are as small as the network; what they leave out is said when asked for."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from same_fit import assert_same_fit
from same_values import outputs
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_validate
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn
from user_nets import (
    classes_table,
    classifier,
    fitted,
    further,
    small_classifier,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    NotKeptError,
    load,
)
from sklearn_mabprune.displays import (
    NeuronMapDisplay,
    PolicyComparisonDisplay,
    PruningPathDisplay,
    PullsDisplay,
)

# What a fit costs beside its weights, in bytes.
MOST = 8192
QUICK = {"pruning_budget": 0.75, "fine_tune_epochs": 1, "tolerance": 10.0, "random_state": 0}
ours = MLPNetClassifier(max_epochs=2)


def module():
    return nn.Sequential(
        nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 64),
        nn.PReLU(64), nn.Linear(64, 10),
    )  # fmt: skip


def users(**params):
    return NeuralNetClassifier(
        module, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0,
        optimizer=torch.optim.Adam, **params,
    )  # fmt: skip


def pixels():
    X, y = load_digits(return_X_y=True)
    return (X[:500] / 16).astype(np.float32), y[:500]


def in_a_frame(X):
    frames = pytest.importorskip("pandas")
    return frames.DataFrame(X, columns=[f"pixel_{k}" for k in range(X.shape[1])])


FITS = {
    "classifier": lambda X, y: MABPrunedClassifier(ours, **QUICK).fit(X, y),
    "float64": lambda X, y: MABPrunedClassifier(ours, **QUICK).fit(X.astype(float), y),
    "names": lambda X, y: MABPrunedClassifier(ours, **QUICK).fit(in_a_frame(X), y.astype(str)),
    "one unit a round": lambda X, y: MABPrunedClassifier(
        ours, step=1, policy="magnitude", **QUICK).fit(X, y),
    "auto": lambda X, y: MABPrunedClassifier(
        ours, policy="magnitude", **QUICK | {"pruning_budget": "auto"}).fit(X, y),
    "multilabel": lambda X, y: MABPrunedClassifier(ours, **QUICK).fit(X, np.eye(10, dtype=int)[y]),
    "regressor": lambda X, y: MABPrunedRegressor(
        MLPNetRegressor(max_epochs=2), **QUICK).fit(X, y.astype(float)),
    "user's net": lambda X, y: MABPrunedClassifier(
        users(callbacks=[EarlyStopping(load_best=True)]), **QUICK).fit(X, y),
    "user's net, trained": lambda X, y: MABPrunedClassifier(users().fit(X, y), **QUICK).fit(X, y),
    "user's net, frozen": lambda X, y: MABPrunedClassifier(
        FrozenEstimator(users().fit(X, y)), **QUICK).fit(X, y),
    "cross-validated": lambda X, y: MABPrunedClassifierCV(
        MABPrunedClassifier(ours, **QUICK), budgets=[0.75], cv=2).fit(X, y),
    "at_budget": lambda X, y: MABPrunedClassifier(ours, **QUICK | {"pruning_budget": 0.5}).fit(
        X, y).at_budget(0.75, X, y),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn_mabprune.PruningWarning")  # after 2 epochs
@pytest.mark.parametrize("case", FITS)
def test_a_pickle_is_little_more_than_the_weights(case, tmp_path):
    X, y = pixels()
    y = np.eye(10, dtype=int)[y] if case == "multilabel" else y
    y = y.astype(str if case == "names" else float if case == "regressor" else int)
    X = in_a_frame(X) if case == "names" else X
    model = FITS[case](*pixels())
    data = pickle.dumps(model)
    n_bytes = model.pruning_report_.after.n_bytes
    assert len(data) <= n_bytes + MOST
    again = pickle.loads(data)
    np.testing.assert_array_equal(outputs(again, X), outputs(model, X))
    assert str(again.pruning_report_) == str(model.pruning_report_)
    # Nothing grows when a pickle is opened and written again.
    assert len(pickle.dumps(again)) <= n_bytes + MOST
    joblib.dump(model, tmp_path / "model.joblib")
    assert (tmp_path / "model.joblib").stat().st_size <= n_bytes + MOST
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(outputs(mapped, X), outputs(model, X))
    further(model, X, y)
    further(again, X, y)
    np.testing.assert_array_equal(outputs(again, X), outputs(model, X))
    # The optimizer of that epoch is not in it either.
    assert len(pickle.dumps(model)) <= n_bytes + MOST


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn_mabprune.PruningWarning")
@pytest.mark.parametrize("case", ["classifier", "multilabel", "regressor"])
def test_a_file_is_little_more_than_the_weights(case, tmp_path):
    X, _ = pixels()
    model = FITS[case](*pixels())
    model.save(tmp_path / "model")
    n_bytes = model.pruning_report_.after.n_bytes
    assert (tmp_path / "model").stat().st_size <= n_bytes + MOST
    np.testing.assert_array_equal(outputs(load(tmp_path / "model"), X), outputs(model, X))


# ------------------------------------------------------------------------ what was left out


@pytest.fixture(scope="module")
def small():
    return fitted("classifier", pull_batch_size=25)


def test_what_was_left_out_says_how_it_is_kept(small):
    model, X, y = small
    again = pickle.loads(pickle.dumps(model))
    way = "keep_path='always'"
    for name in ("networks", "resume", "estimates", "pulls_by_arm", "loss", "score", "seconds"):
        assert hasattr(model.pruning_path_, name)
        assert not hasattr(again.pruning_path_, name)
        with pytest.raises(NotKeptError, match=rf"pruning_path_\.{name} was not kept.*{way}"):
            getattr(again.pruning_path_, name)
    assert not hasattr(again, "policy_")
    with pytest.raises(NotKeptError, match=rf"policy_ was not kept.*{way}"):
        again.policy_.counts_  # noqa: B018 - the policy cannot be had
    for data in ((), (X, y)):
        with pytest.raises(NotKeptError, match=rf"comes from a pickle.*{way}.*pruning_budget=0.7"):
            again.at_budget(0.7, *data)
    for draw in (
        NeuronMapDisplay.from_estimator,
        PruningPathDisplay.from_estimator,
        PullsDisplay.from_estimator,
        lambda model: PolicyComparisonDisplay.from_estimators([model]),
    ):
        with pytest.raises(NotKeptError, match=way):
            draw(again)
    with pytest.raises(AttributeError, match="has no attribute 'networks_'"):
        again.networks_  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'polices'"):
        again.pruning_path_.polices  # noqa: B018
    assert repr(again.pruning_path_) == repr(model.pruning_path_)
    assert "20 to 10 neurons" in repr(again.pruning_path_)


def test_asked_for_later_a_pickle_has_all_of_it(small):
    model, X, y = small
    whole = copy.copy(model).set_params(keep_path="always")
    again = pickle.loads(pickle.dumps(whole))
    assert_same_fit(again, whole, X)
    assert again.estimator_.history == model.estimator_.history
    again.set_params(keep_path="memory")
    assert_same_fit(again.at_budget(0.7, X, y), model.at_budget(0.7, X, y), X)
    # What a small pickle does not have cannot come from it.
    bare = pickle.loads(pickle.dumps(model)).set_params(keep_path="always")
    assert not hasattr(pickle.loads(pickle.dumps(bare)).pruning_path_, "networks")


def test_copies_in_memory_are_whole(small):
    model, X, _ = small
    deep, shallow = copy.deepcopy([model])[0], copy.copy(model)
    assert_same_fit(deep, model, X)
    assert deep.estimator_.history == model.estimator_.history
    assert deep.pruning_path_.networks is not model.pruning_path_.networks
    assert vars(shallow).keys() == vars(model).keys()
    assert all(vars(shallow)[name] is value for name, value in vars(model).items())


def test_never_is_for_networks_alone(small):
    _, X, y = small
    model = classifier(keep_path="never").fit(X, y)
    assert model.pruning_path_.networks == {}
    assert model.pruning_path_.resume is None
    NeuronMapDisplay.from_estimator(model)
    assert not hasattr(pickle.loads(pickle.dumps(model)).pruning_path_, "estimates")


# ------------------------------------------------------------------------------- processes


@pytest.mark.slow
def test_what_processes_of_joblib_return():
    """The refit of a search is in this process; estimators of folds come from others."""
    X, y = classes_table()
    grid = {"pruning_budget": [0.3, 0.5]}
    search = GridSearchCV(classifier(), grid, cv=2, n_jobs=2).fit(X, y)
    best = search.best_estimator_
    wanted = classifier(pruning_budget=0.7).fit(X, y)
    np.testing.assert_array_equal(outputs(best.at_budget(0.7, X, y), X), outputs(wanted, X))
    NeuronMapDisplay.from_estimator(search)
    for keep_path in ("memory", "always"):
        model = classifier(keep_path=keep_path)
        done = cross_validate(model, X, y, cv=2, n_jobs=2, return_estimator=True)
        for each in done["estimator"]:
            kept = hasattr(each.pruning_path_, "networks")
            assert kept is (keep_path == "always")
            assert outputs(each, X).shape == (120, 3)
            if kept:
                assert sum(each.at_budget(4).hidden_layer_sizes_) == 16
                NeuronMapDisplay.from_estimator(each)
            further(each, X, y)


@pytest.mark.filterwarnings("ignore:estimator is a trained net:sklearn_mabprune.PruningWarning")
def test_trained_nets_in_parameters():
    X, y = classes_table()
    net = small_classifier(random_state=0).fit(X, y)
    unfitted = pickle.loads(pickle.dumps(classifier(FrozenEstimator(net))))
    model = classifier(FrozenEstimator(net)).fit(X, y)
    # On its way to another process it has what fit needs there.
    np.testing.assert_array_equal(outputs(unfitted.fit(X, y), X), outputs(model, X))
    again = pickle.loads(pickle.dumps(model))
    assert model.estimator.estimator is net
    assert net.initialized_
    with pytest.raises(ValueError, match=r"net that is not fitted.*unless keep_path='always'"):
        clone(again).fit(X, y)
    whole = pickle.loads(pickle.dumps(copy.copy(model).set_params(keep_path="always")))
    np.testing.assert_array_equal(outputs(clone(whole).fit(X, y), X), outputs(model, X))
    # A trained net that is not frozen is trained again anyway.
    model = classifier(net).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert not again.estimator.initialized_
    np.testing.assert_array_equal(outputs(clone(again).fit(X, y), X), outputs(model, X))
