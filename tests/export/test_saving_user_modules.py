"""Files of users' modules that are no chains: data alone, built by the class that is passed."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from image_nets import Joined, Mixed, SmallConv, SmallResidual, images, mixed_samples, net_of
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetBinaryClassifier, NeuralNetRegressor
from skorch.callbacks import EarlyStopping
from torch import nn
from user_nets import QuickStart, classes_table, unit_values_table

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    ModelFileError,
    UnsupportedModuleError,
    load,
)
from sklearn_mabprune.export.files.container import read_file, write_file

QUICK = {"step": 0.5, "tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}


def small_table():
    return classes_table(60, n_classes=2)


def values():
    X, y = unit_values_table(60)
    return X, y.reshape(-1, 1)


def binary(module, **params):
    loss = {"criterion": nn.BCEWithLogitsLoss}
    return net_of(module, NeuralNetBinaryClassifier, max_epochs=2, **loss, **params)


def classifier(net, **params):
    return MABPrunedClassifier(net, **{**QUICK, **params})


#: How to make an estimator, samples, and the class to load with.
KINDS = {
    "images": (
        lambda: classifier(net_of(SmallConv, module__n_channels=5, max_epochs=2)),
        lambda: images(60),
        SmallConv,
    ),
    "dictionary": (
        lambda: classifier(net_of(Mixed, max_epochs=2)),
        lambda: mixed_samples(60),
        Mixed,
    ),
    "one output": (
        lambda: classifier(binary(Joined)),
        small_table,
        Joined,
    ),
    "values": (
        lambda: MABPrunedRegressor(
            net_of(SmallResidual, NeuralNetRegressor, module__n_outputs=1, max_epochs=2), **QUICK
        ),
        values,
        SmallResidual,
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """By kind: a fitted estimator, its samples, the class of its module, and its file."""
    folder, found = tmp_path_factory.mktemp("saved"), {}
    for kind, (make, data, module) in KINDS.items():
        X, y = data()
        model, path = make().fit(X, y), folder / kind
        model.save(path)
        found[kind] = model, X, y, module, path
    return found


def predictions(model, X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_is_what_was_saved(kind, saved):
    model, X, y, module, path = saved[kind]
    loaded = load(path, module=module)
    np.testing.assert_array_equal(predictions(loaded, X), predictions(model, X))
    assert type(loaded.estimator_.module_) is module
    assert loaded.hidden_layer_sizes_ == model.hidden_layer_sizes_
    assert str(loaded.pruning_report_) == str(model.pruning_report_)
    assert loaded.score(X, y) == model.score(X, y)
    # It is saved again, and fitted anew, as the saved one would be.
    loaded.save(path.with_suffix(".again"))
    assert path.with_suffix(".again").read_bytes() == path.read_bytes()
    if kind == "dictionary":
        again = clone(loaded).fit(X, y)
        np.testing.assert_array_equal(predictions(again, X), predictions(model, X))


def test_the_class_of_a_chain_is_passed_as_well(tmp_path):
    X, y = classes_table(60)
    net = net_of(QuickStart, module__num_units=8, criterion=nn.NLLLoss, max_epochs=2)
    model = classifier(net).fit(X, y)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", module=QuickStart)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.pruning_report_.groups == ("dense0", "dense1")
    assert str(loaded.pruning_report_) == str(model.pruning_report_)
    again = clone(loaded).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    # Predictions alone do without the class.
    with pytest.raises(TypeError, match=r"is a NeuralNetClassifier, of which module=\.\.\. may"):
        load(tmp_path / "model")
    alone = load(tmp_path / "model", estimator=None)
    np.testing.assert_array_equal(alone.predict_proba(X), model.predict_proba(X))


def test_a_pruned_network_is_pruned_again_and_saved(saved, tmp_path):
    model, X, y, module, _ = saved["images"]
    frozen = FrozenEstimator(copy.deepcopy(model.estimator_))
    smaller = classifier(frozen).fit(X, y, X_val=X[:20], y_val=y[:20])
    assert sum(smaller.hidden_layer_sizes_) == sum(model.hidden_layer_sizes_) // 2
    before = smaller.set_params(estimator=None).predict_proba(X)
    smaller.estimator_.module_.load_state_dict(smaller.estimator_.module_.state_dict())
    smaller.save(tmp_path / "model")
    loaded = load(tmp_path / "model", module=module)
    np.testing.assert_array_equal(loaded.predict_proba(X), before)


# ----------------------------------------------------------------- what is refused to save


class Configured(Joined):
    """With an argument that is no data."""

    def __init__(self, activation=None):
        super().__init__()


REFUSED = {
    "argument": (
        binary(Configured, module__activation=torch.tanh),
        r"module=Configured\) as data, and cannot write one: module\['activation'\] is a builtin",
    ),
    "object": (
        binary(Joined()),
        r"was given an object. Pass its class .*NeuralNetBinaryClassifier\(Joined, module__width",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_data_is_refused_before_anything_is_written(kind, tmp_path):
    net, message = REFUSED[kind]
    model = classifier(net, pruning_budget=0, fine_tune_epochs=0).fit(*small_table())
    with pytest.raises(UnsupportedModuleError, match=message):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_other_things_that_are_not_written(saved, tmp_path):
    model, X, _, module, _ = saved["images"]
    whole = copy.deepcopy(model).set_params(keep_path="always")
    with pytest.raises(UnsupportedModuleError, match=r"set_params\(keep_path='memory'\)"):
        whole.save(tmp_path / "model")
    changed = copy.deepcopy(model)
    changed.estimator_.module_.fc2 = nn.Linear(10, 7)
    with pytest.raises(UnsupportedModuleError, match="was changed: its class no longer builds"):
        changed.save(tmp_path / "model")
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.estimator_.module_.fc2.bias.fill_(np.nan)
    with pytest.raises(ValueError, match=r"fc2\.bias contains infinity or NaN"):
        changed.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    # A net that is no data is left out, with a warning, and passed to load.
    own = copy.deepcopy(model)
    own.estimator.set_params(callbacks=[EarlyStopping()])
    with pytest.warns(UserWarning, match=r"estimator\.callbacks"):
        own.save(tmp_path / "model")
    with pytest.raises(TypeError, match="was saved without parameters"):
        load(tmp_path / "model", module=module)
    for net in (None, own.estimator):
        loaded = load(tmp_path / "model", module=module, estimator=net)
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


# ----------------------------------------------------------------- what is refused to load


def test_no_class_is_imported_by_its_name(saved, tmp_path):
    _, _, _, module, path = saved["images"]
    before = set(sys.modules)
    with pytest.raises(
        TypeError, match=r"image_nets.SmallConv, and no .*load\(path, module=SmallC"
    ):
        load(path)
    assert set(sys.modules) == before
    content, tensors = read_file(path)
    content["net"]["network"]["name"] = "antigravity.Surprise"
    write_file(tmp_path / "model", content, tensors)
    load(tmp_path / "model", module=module)
    assert "antigravity" not in sys.modules
    with pytest.raises(
        TypeError,
        match=r"an object of the class SmallConv was given. Pass the class: load\(path, module=S",
    ):
        load(path, module=SmallConv())
    chain = classifier(net_of(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))))
    with pytest.warns(UserWarning, match="saved without"):
        chain.fit(*classes_table(60)).save(tmp_path / "chain")
    with pytest.raises(TypeError, match="a chain of layers, which is built without it"):
        load(tmp_path / "chain", module=SmallConv, estimator=None)


class Wider(SmallConv):
    """Another module than the one that was saved."""

    def __init__(self, n_channels=6):
        super().__init__(n_channels, n_outputs=9)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (SmallResidual, "module=SmallResidual fails with the arguments that were saved for image_"),
        (Wider, r"module=Wider has fc2.weight, which is not of shape \(9, "),
    ],
)
def test_other_classes_are_refused_by_name(module, message, saved):
    with pytest.raises(ModelFileError, match=message) as caught:
        load(saved["images"][-1], module=module)
    given = f"saved from image_nets.SmallConv, and {module.__module__}.{module.__name__} was given"
    assert given in str(caught.value)
    assert "another copy" not in str(caught.value)


#: Where something stands in a file, what stands there then, and what is said.
HOSTILE = {
    "a larger module": (["arguments"], {"dict": [["n_channels", 10**9]]}, "parameters, of which"),
    "another argument": (["arguments"], {"dict": [["width", 5]]}, "unexpected keyword"),
    "arguments in a list": (["arguments"], [5], "are not a dictionary"),
    "places twice": (["narrowing", "tensors", "conv1.weight"], [[0, [0, 0]]], "not in order"),
    "places beyond": (["narrowing", "tensors", "conv1.weight"], [[0, [0, 9]]], "not in it"),
    "another axis": (["narrowing", "tensors", "conv1.weight"], [[7, [0]]], "not a list of places"),
    "another weight": (["narrowing", "tensors", "conv7.weight"], [[0, [0]]], "no weight 'conv7"),
    "fewer places": (["narrowing", "tensors", "conv1.weight"], [[0, [0]]], "which is not of shape"),
    "a method": (["narrowing", "attributes", "conv1"], {"forward": 1}, "cannot have 'forward'"),
    "a larger count": (["narrowing", "attributes", "conv1"], {"groups": 9}, "cannot have 'groups'"),
    "a huge sample": (["form"], [[None, [2**40], "float32"]], "an input of its module"),
    "another dtype": (["form"], [[None, [1, 8, 8], "object"]], "an input of its module"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind, saved, tmp_path):
    *_, module, path = saved["images"]
    where, value, message = HOSTILE[kind]
    content, tensors = read_file(path)
    place = content["net"]["network"]
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    write_file(tmp_path / "model", content, tensors)
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "model", module=module)


@pytest.mark.parametrize("name", ["module.conv1.weight", "module.norm.num_batches_tracked"])
@pytest.mark.parametrize("change", ["gone", "more", "other dtype", "nan", "other name"])
def test_tensors_that_are_changed_are_refused(name, change, saved, tmp_path):
    *_, module, path = saved["images"]
    content, tensors = read_file(path)
    array = tensors.pop(name)
    if change == "other name":
        tensors[f"{name}x"] = array
    elif change != "gone":
        tensors[name] = {
            "more": np.concatenate([array.ravel(), array.ravel()]),
            "other dtype": array.astype(np.float64),
            "nan": np.full(array.shape, np.nan, np.float32),
        }[change]
    write_file(tmp_path / "model", content, tensors)
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        load(tmp_path / "model", module=module)
