"""Files and pickles of nets whose criterion has a state: weights, what it learned or counted."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from loss_nets import Chain, Skip
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from user_nets import classes_table, classifier, regressor, unit_values_table

from sklearn_mabprune import ModelFileError, UnsupportedModuleError, load
from sklearn_mabprune.export.files.container import read_file, write_file


class Learned(nn.Module):
    """Squares over scales that are learned, and a count of the batches of the training.

    Parameters
    ----------
    reduction : {"mean", "none"}
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction, self.log_scale = reduction, nn.Parameter(torch.zeros(2))
        self.register_buffer("n_batches", torch.zeros((), dtype=torch.int64))

    def forward(self, outputs, targets):
        self.n_batches += self.training
        scale = self.log_scale.sum()
        losses = ((outputs - targets) / scale.exp()) ** 2 / 2 + scale
        return losses if self.reduction == "none" else losses.mean()


class Counted(nn.MSELoss):
    """With a buffer alone, of a dtype that is given."""

    def __init__(self, reduction="mean", dtype=torch.float32):
        super().__init__(reduction=reduction)
        self.register_buffer("n_batches", torch.zeros((), dtype=dtype))

    def forward(self, outputs, targets):
        self.n_batches += self.training
        return super().forward(outputs, targets)


class Stated(nn.MSELoss):
    """With a state that is no tensor."""

    def get_extra_state(self):
        return {"anything": 1}

    def set_extra_state(self, state):
        """Nothing to set."""


def values():
    X, y = unit_values_table(60)
    return X.astype(np.float32), y.astype(np.float32).reshape(-1, 1)


def net_with(criterion, module=Skip, **params):
    params = {"max_epochs": 3, "lr": 0.1, "verbose": 0, "criterion": criterion, **params}
    return NeuralNetRegressor(module, module__n_outputs=1, **params)


def state(model):
    return {key: value.numpy() for key, value in model.estimator_.criterion_.state_dict().items()}


def assert_same_criterion(model, other):
    np.testing.assert_equal(state(other), state(model))


@pytest.fixture(scope="module", params=[Chain, Skip])
def saved(request, tmp_path_factory):
    """A fitted estimator with a criterion that learned, the arguments of load, and its file."""
    path, module = tmp_path_factory.mktemp("saved") / "model", request.param
    model = regressor(net_with(Learned, module)).fit(*values())
    with pytest.warns(UserWarning, match=r"estimator\.criterion is the class Learned"):
        model.save(path)
    return model, {} if module is Chain else {"module": module}, path


def test_what_a_criterion_has_learned_is_in_the_file(saved):
    model, given, path = saved
    assert state(model)["n_batches"] > 0
    assert np.any(state(model)["log_scale"])
    loaded = load(path, estimator=model.estimator, **given)
    assert_same_criterion(model, loaded)
    X, y = values()
    expected = copy.deepcopy(model)
    for each in (expected, loaded):
        each.estimator_.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict(X), expected.predict(X))
    # The net that was passed is as it was.
    assert not hasattr(model.estimator, "criterion_")


class Noted(Skip):
    """A module with a state that is no tensor."""

    note = "none"

    def get_extra_state(self):
        return self.note

    def set_extra_state(self, state):
        self.note = state


@pytest.mark.parametrize(("module", "criterion"), [(Noted, nn.MSELoss), (Chain, Stated)])
def test_states_that_are_no_tensors_are_pickled(module, criterion):
    X, y = values()
    model = regressor(net_with(criterion, module)).fit(X, y)
    model.estimator_.module_.note = "changed"
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.estimator_.module_.note == "changed"


@pytest.mark.parametrize("criterion", [Learned, Counted])
@pytest.mark.parametrize("module", [Chain, Skip])
def test_pickles_have_what_a_criterion_learned_and_counted(criterion, module):
    model = regressor(net_with(criterion, module)).fit(*values())
    assert state(model)["n_batches"] > 0
    assert_same_criterion(model, pickle.loads(pickle.dumps(model)))


def test_predictions_alone_need_no_criterion(saved):
    model, given, path = saved
    loaded = load(path, estimator=None, **given)
    np.testing.assert_array_equal(loaded.predict(values()[0]), model.predict(values()[0]))


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (nn.MSELoss, "the criterion MSELoss has no 'log_scale', which was saved"),
        (Counted, "the criterion Counted has no 'log_scale', which was saved"),
    ],
)
def test_nets_with_other_criteria_are_refused(criterion, message, saved):
    model, given, path = saved
    with pytest.raises(ValueError, match=f"estimator= does not match: {message}. Pass a net with"):
        load(path, estimator=net_with(criterion, model.estimator.module), **given)


def test_class_weights_are_those_that_were_saved(tmp_path):
    X, y = classes_table(60)
    weights = {"criterion__weight": torch.tensor([1.0, 2.0, 5.0])}

    def net(**params):
        return NeuralNetClassifier(
            Skip, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0, **params
        )

    model = classifier(net(**weights)).fit(X.astype(np.float32), y)
    with pytest.warns(UserWarning, match="criterion__weight is a Tensor"):
        model.save(tmp_path / "model")
    for others in (weights, {"criterion__weight": torch.ones(3)}):
        assert_same_criterion(model, load(tmp_path / "model", module=Skip, estimator=net(**others)))
    with pytest.raises(ValueError, match="the criterion CrossEntropyLoss has no 'weight', which"):
        load(tmp_path / "model", module=Skip, estimator=net())
    message = r"has 'weight' of shape \(2,\) and dtype torch.float32, the saved one of shape \(3,\)"
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "model", module=Skip, estimator=net(criterion__weight=torch.ones(2)))
    plain = classifier(net()).fit(X.astype(np.float32), y)
    plain.set_params(estimator=net(**weights))
    with pytest.warns(UserWarning, match="criterion__weight is a Tensor"):
        plain.save(tmp_path / "plain")
    with pytest.raises(ValueError, match="CrossEntropyLoss has 'weight', and the saved one had no"):
        load(tmp_path / "plain", module=Skip, estimator=net(**weights))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            net_with(Counted, criterion__dtype=torch.int32),
            "n_batches of the criterion Counted is of int32. Use tensors of these",
        ),
        (net_with(Stated), "_extra_state of the criterion Stated is an object of the class dict"),
    ],
)
def test_states_that_no_file_has_are_refused_by_name(net, message, tmp_path):
    model = regressor(net).fit(*values())
    with pytest.raises(UnsupportedModuleError, match=message):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_forged_criteria_are_refused(tmp_path):
    model = regressor(net_with(nn.MSELoss)).fit(*values())
    model.save(tmp_path / "model")
    content, tensors = read_file(tmp_path / "model")
    tensors["criterion.weight"] = np.ones(3)
    write_file(tmp_path / "model", content, tensors)
    with pytest.raises(ModelFileError, match="the criterion MSELoss has no 'weight'"):
        load(tmp_path / "model", module=Skip)
