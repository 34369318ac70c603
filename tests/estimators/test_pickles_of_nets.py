"""Pickles of nets of all sorts: those that are built again, and those that are kept as they are."""

from __future__ import annotations

import copy
import io
import pickle
from types import MethodType

import numpy as np
import pytest
import torch
from same_values import outputs
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint
from torch import nn
from user_nets import (
    classes_table,
    classifier,
    fitted,
    further,
    plain_classifier,
    same_state,
    small_classifier,
    state,
)

from sklearn_mabprune import ModelFileError


@pytest.fixture(scope="module")
def small():
    return fitted("classifier")


def hooked(model):
    model.estimator_.module_[1].register_forward_hook(double)


def double(layer, args, output):
    return 2 * output


def narrower(model):
    net = model.estimator_
    n_last = net.module_[-1].in_features
    net.module_ = nn.Sequential(net.module_[0], nn.Tanh(), *list(net.module_)[2:-1],
                                nn.Linear(n_last, 3).double())  # fmt: skip


def scaled(model):
    model.estimator_.module_.register_buffer("scale", torch.ones(3))


def frozen_layer(model):
    model.estimator_.module_[0].requires_grad_(False)


@pytest.mark.parametrize("change", [hooked, narrower, scaled, frozen_layer])
def test_a_module_that_was_changed_is_pickled_as_it_is(change, small):
    model, X, y = copy.deepcopy(small)
    change(model)
    further(model, X, y)
    expected = outputs(model, X)
    assert not np.allclose(expected, outputs(small[0], X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(outputs(again, X), expected)
    before = state(again.estimator_)
    further(again, X, y)
    assert not same_state(state(again.estimator_), before)
    if change is frozen_layer:
        assert np.array_equal(state(again.estimator_)["0.weight"], before["0.weight"])


def test_opening_a_pickle_makes_no_folders(tmp_path, monkeypatch):
    X, y = classes_table()
    X = X.astype(np.float32)
    monkeypatch.chdir(tmp_path)
    net = plain_classifier(callbacks=[Checkpoint(dirname="points", monitor=None)], train_split=None)
    model = classifier(net).fit(X, y)
    data = pickle.dumps(model)
    for file in (tmp_path / "points").iterdir():
        file.unlink()
    (tmp_path / "points").rmdir()
    again = pickle.loads(data)
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(outputs(again, X), outputs(model, X))
    (tmp_path / "points").mkdir()
    further(again, X, y)
    assert list((tmp_path / "points").iterdir())


class Configured(NeuralNetClassifier):
    """A net whose defaults are not those of its constructor's signature."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("lr", 0.3)
        super().__init__(*args, **kwargs)


class WithArguments(NeuralNetClassifier):
    """A net with an argument that it needs."""

    def __init__(self, *args, level, **kwargs):
        self.level = level
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: plain_classifier(Configured, lr=0.01),
        lambda: plain_classifier(WithArguments, level=3),
        lambda: plain_classifier(callbacks="disable"),
        lambda: plain_classifier(criterion__weight=torch.tensor([1.0, 2.0, 1.0])),
        lambda: small_classifier(dtype="float64", early_stopping=False),
    ],
    ids=["defaults", "arguments", "no callbacks", "weights", "ours"],
)
def test_parameters_of_nets(make):
    X, y = classes_table()
    X = X.astype(np.float32)
    model = classifier(make()).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    ours, theirs = (m.estimator_.get_params(deep=False) for m in (again, model))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if type(value) in (int, float, str, bool, tuple):
            assert ours[name] == value, name
    np.testing.assert_array_equal(outputs(again, X), outputs(model, X))
    assert [name for name, _ in again.estimator_.callbacks_] == [
        name for name, _ in model.estimator_.callbacks_
    ]
    for each in (again, model):
        further(each, X, y)
    np.testing.assert_array_equal(outputs(again, X), outputs(model, X))


def test_opening_a_pickle_leaves_global_random_states_alone(small):
    data = pickle.dumps(small[0])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    pickle.loads(data)
    pickle.dumps(small[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_pickles_of_other_versions_are_refused(small):
    model = copy.copy(small[0])
    state = model.__getstate__()
    for found in (None, 1, 3, "x"):
        other = dict(state, _pickle_format=found)
        if found is None:  # as before there were formats
            del other["_pickle_format"]
        with pytest.raises(ModelFileError, match=r"has the format .* reads format 2.*fit again"):
            object.__new__(type(model)).__setstate__(other)


def test_a_pickle_holds_no_class_of_torch_beside_those_of_parameters(small):
    """Weights are arrays: it opens where there is no GPU."""
    found = set()

    class Names(pickle.Unpickler):
        def find_class(self, module, name):
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    Names(io.BytesIO(pickle.dumps(small[0]))).load()
    assert {name for name in found if name.startswith("torch")} == {
        "torch.nn.modules.loss.CrossEntropyLoss", "torch.optim.adam.Adam"
    }  # fmt: skip


def test_methods_are_those_of_the_class(small):
    """Nothing that opening a pickle needs stays behind."""
    again = pickle.loads(pickle.dumps(small[0]))
    assert isinstance(again.estimator_.initialize_callbacks, MethodType)
    assert "initialize_callbacks" not in vars(again.estimator_)
    assert not again.estimator_.module_.training
