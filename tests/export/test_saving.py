"""Estimators saved without pickle, and loaded: the same in all that can be asked of them."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from same_values import OUTLINE, assert_same, outputs
from sklearn.base import clone
from torch import nn
from torch.utils.data import DataLoader
from user_nets import (
    classes_table,
    classifier,
    fitted,
    labels_table,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    strings_table,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier, NotKeptError, load
from sklearn_mabprune.criteria import Magnitude
from sklearn_mabprune.policies import Thompson


def column_table():
    X, y = values_table()
    return X, y[:, None]


def narrow_table():
    X, y = classes_table(n_classes=2)
    return X.astype("float32"), y > 0


MODELS = {
    "ours": (lambda: classifier(), classes_table),
    "default net": (lambda: MABPrunedClassifier(tolerance=1.0, random_state=0), classes_table),
    "strings": (lambda: classifier(), strings_table),
    "float32, two classes": (lambda: classifier(), narrow_table),
    "norm and dropout": (
        lambda: classifier(small_classifier(module__batch_norm=True, module__dropout=0.2)),
        classes_table,
    ),
    "policy object": (lambda: classifier(policy=Thompson(prior_count=0.1)), classes_table),
    "criterion": (lambda: classifier(policy=Magnitude(order=1), class_weight={0: 2.0, 1: 1, 2: 1}),
                  classes_table),
    "auto": (lambda: classifier(pruning_budget="auto", tolerance=0.1, step=np.float64(0.2)),
             classes_table),
    "no path": (lambda: classifier(keep_path="never"), classes_table),
    "nothing removed": (lambda: classifier(pruning_budget=0), classes_table),
    "other optimizer": (
        lambda: classifier(
            small_classifier(
                optimizer=torch.optim.SGD,
                optimizer__momentum=0.9,
                iterator_train=DataLoader,
                iterator_valid=DataLoader,
                train_split=None,
                module__activation="gelu",
            )
        ),
        classes_table,
    ),
    "several labels": (lambda: classifier(), labels_table),
    "value": (lambda: regressor(), values_table),
    "values": (lambda: regressor(small_regressor(criterion=nn.L1Loss)),
               lambda: values_table(n_targets=3)),
    "column of values": (lambda: regressor(), column_table),
}  # fmt: skip
every_model = pytest.mark.parametrize("name", MODELS)


def there_and_back(model, folder):
    path = folder / "model.safetensors"
    model.save(path)
    return load(path)


# ------------------------------------------------------------------------- what is the same


@pytest.mark.slow
@every_model
def test_loaded_estimator_is_the_saved_one(name, tmp_path):
    make, table = MODELS[name]
    X, y = table()
    model = make().fit(X, y).set_params(keep_path="always")
    loaded = there_and_back(model, tmp_path)
    assert type(loaded) is type(model)
    assert_same(outputs(loaded, X), outputs(model, X))
    assert_same(loaded.predict(X), model.predict(X))
    assert loaded.score(X, y) == model.score(X, y)
    assert str(loaded.pruning_report_) == str(model.pruning_report_)
    # Whatever fit sets is there: a new attribute has to be saved, or named here with a reason.
    assert vars(loaded).keys() == vars(model).keys() - {"policy_"}
    for attribute in set(vars(model)) - {"estimator_", "policy_"}:
        assert_same(
            np_to_python(getattr(loaded, attribute)), np_to_python(getattr(model, attribute))
        )
    net, old = loaded.estimator_, model.estimator_
    assert type(net) is type(old)
    assert str(net.module_) == str(old.module_)
    assert same_state(state(net), state(old))
    assert not net.module_.training
    assert [epoch["train_loss"] for epoch in net.history] == [e["train_loss"] for e in old.history]


def np_to_python(value):
    """JSON gives a number back as Python's."""
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ours", "strings", "values", "several labels", "norm and dropout", "criterion"]
)
def test_loaded_estimator_goes_on_as_the_saved_one_would(name, tmp_path):
    make, table = MODELS[name]
    X, y = table()
    model = make().fit(X, y)
    loaded = there_and_back(model, tmp_path)
    with torch.no_grad():
        rows = torch.as_tensor(np.array(X))
        assert torch.equal(loaded.to_torch()(rows), model.to_torch()(rows))
    assert loaded.to_onnx() == model.to_onnx()
    for one, other in zip(loaded.to_sklearn().coefs_, model.to_sklearn().coefs_, strict=True):
        assert np.array_equal(one, other)
    assert_same(outputs(pickle.loads(pickle.dumps(loaded)), X), outputs(model, X))
    assert_same(outputs(there_and_back(loaded, tmp_path), X), outputs(model, X))
    # The same steps from the same weights.
    codes = np.unique(y, return_inverse=True)[1] if hasattr(model, "classes_") else y
    codes = y if y.ndim == 2 else codes
    rows = np.asarray(X)
    for each in (model, loaded):
        torch.manual_seed(0)  # of Dropout
        each.estimator_.set_params(max_epochs=1, random_state=3).partial_fit(rows, codes)
    assert_same(outputs(loaded, X), outputs(model, X))
    again, anew = clone(loaded).fit(X, y), clone(model).fit(X, y)
    assert_same(outputs(again, X), outputs(anew, X))
    assert_same(again.neuron_ranking_, anew.neuron_ranking_)
    loaded.fit(X, y)
    assert_same(outputs(loaded, X), outputs(anew, X))


def test_loading_leaves_global_random_states_alone(tmp_path):
    model, _, _ = fitted("classifier", net=small_classifier(module__dropout=0.3))
    model.save(tmp_path / "model")
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must stay as it is
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_file_is_read_by_safetensors_alone(tmp_path):
    model, _, _ = fitted("classifier")
    path = tmp_path / "model.safetensors"
    model.save(str(path))
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "sklearn_mabprune"
        content = json.loads(file.metadata()["content"])
        weight = file.get_tensor("network.0.weight")
    assert content["versions"]["torch"] == str(torch.__version__)
    assert content["parameters"]["pruning_budget"] == 0.5
    assert np.array_equal(weight, model.estimator_.module_[0].weight.detach().numpy())


def test_saving_and_exporting_leave_the_net_as_it_is(tmp_path):
    model, _, _ = fitted("classifier", net=small_classifier(module__dropout=0.3))
    model.estimator_.module_.train()
    before = state(model.estimator_)
    model.save(tmp_path / "model")
    model.to_torch(), model.to_sklearn(), model.to_onnx()
    assert all(layer.training for layer in model.estimator_.module_.modules())
    assert same_state(state(model.estimator_), before)


def test_by_default_the_file_has_the_outline_of_the_path(tmp_path):
    model, X, _ = fitted("classifier")
    model.save(tmp_path / "one")
    whole = there_and_back(copy.copy(model).set_params(keep_path="always"), tmp_path)
    bare = load(tmp_path / "one")
    assert whole.pruning_path_.networks.keys() == model.pruning_path_.networks.keys()
    assert len(whole.pruning_path_.networks) > 1
    assert not hasattr(bare.pruning_path_, "networks")
    assert vars(bare).keys() == vars(model).keys() - {"policy_"}
    for name in OUTLINE:
        assert_same(getattr(bare.pruning_path_, name), getattr(model.pruning_path_, name))
    for name in ("neuron_ranking_", "neuron_support_", "hidden_layer_sizes_", "n_pulls_"):
        assert_same(getattr(bare, name), getattr(model, name))
    assert_same(bare.predict_proba(X), model.predict_proba(X))
    assert bare.estimator_.history == []
    assert (tmp_path / "one").stat().st_size < (tmp_path / "model.safetensors").stat().st_size / 2
    with pytest.raises(NotKeptError, match=r"pruning_path_.loss was not kept.*keep_path='always'"):
        bare.pruning_path_.to_frame()
    # What was left out is left out of the next file, too.
    again = there_and_back(bare.set_params(keep_path="always"), tmp_path)
    assert not hasattr(again.pruning_path_, "score")
    assert_same(again.predict_proba(X), model.predict_proba(X))


def test_memory_stays_with_the_machine(tmp_path):
    X, y = classes_table()
    model = classifier(memory=str(tmp_path / "cache")).fit(X, y)
    loaded = there_and_back(model, tmp_path)
    assert loaded.memory is None
    assert str(tmp_path / "cache").encode() not in (tmp_path / "model.safetensors").read_bytes()
