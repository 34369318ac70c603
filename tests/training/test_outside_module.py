"""What nets do outside their module is refused by name, or used everywhere."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from refusals import Untrained, refused
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from torch.utils.data import DataLoader, default_collate
from user_nets import (
    Plain,
    WeightedClassifier,
    classes_table,
    classifier,
    plain_classifier,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    state,
)

from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor, WeightedLossMixin
from sklearn_mabprune.training.outside_module import check_outside_module


class Halved(Dataset):
    def transform(self, X, y):
        return super().transform(X / 2, y)


class Loader(DataLoader):
    pass


def collate(batch):
    x, y = default_collate(batch)
    return x / 2, y


FEATURES = (
    "Put what it does to X into the module's forward as a layer, or into a step of a Pipeline"
)


def overriding(name, base=Untrained):
    """A net with a method of its own, which does what skorch's does."""

    def method(self, *args, **kwargs):
        return getattr(super(Own, self), name)(*args, **kwargs)

    Own = type("Own", (base,), {name: method})
    return Own


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("infer", FEATURES),
        ("get_dataset", FEATURES),
        ("get_iterator", FEATURES),
        ("forward_iter", FEATURES),
        ("get_loss", "Put it into the criterion"),
        ("train_step", "and what it does in training into a callback"),
        ("train_step_single", "a TransformedTargetRegressor around it"),
        ("validation_step", "a step of a Pipeline"),
        ("fit", "a step of a Pipeline"),
        ("run_single_epoch", "a step of a Pipeline"),
        ("predict_proba", "Pass predict_nonlinearity=..."),
        ("_get_predict_nonlinearity", "Pass predict_nonlinearity=..."),
    ],
)
def test_methods_of_ones_own_are_refused_before_the_training(name, way_out):
    message = rf"Own.{name} is a method of your own, and pruning would drop .*{way_out}"
    refused(classifier(plain_classifier(overriding(name))), message)
    if name == "fit":
        return
    X, y = classes_table()
    net = plain_classifier(overriding(name, NeuralNetClassifier)).fit(X.astype(np.float32), y)
    refused(classifier(FrozenEstimator(net)), message, X, y)


def test_a_method_behind_a_mixin_of_ours_and_one_of_an_object_are_found():
    class Mixed(WeightedLossMixin, overriding("get_loss")):
        pass

    refused(classifier(plain_classifier(Mixed)), r"Own.get_loss is a method of your own")
    refused(regressor(overriding("infer", MLPNetRegressor)()), "Own.infer is a method of your own")
    net = plain_classifier()
    net.infer = lambda x: net.module_(x / 2)
    refused(classifier(net), r"NeuralNetClassifier.infer is a method of your own")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dataset": Halved}, r"dataset=<class .*Halved'> of Untrained would be dropped.*Pipeline"),
        ({"dataset__scale": 2}, r"dataset__scale=2 of Untrained would be dropped"),
        ({"iterator_train": Loader}, r"iterator_train=<class .*Loader'> of Untrained would be dr"),
        ({"iterator_valid": partial(DataLoader, collate_fn=collate)}, "iterator_valid=functools."),
        ({"iterator_train__collate_fn": collate}, "iterator_train__collate_fn=.* would be dropped"),
        ({"iterator_valid__collate_fn": collate}, "iterator_valid__collate_fn=.* would be dropped"),
        ({"iterator_train__sampler": [0, 1]}, r"iterator_train__sampler=\[0, 1\] .* be dropped"),
        ({"iterator_valid__shuffle": True}, "iterator_valid__shuffle=True .* shuffle predictions"),
        (
            {"iterator_train__shufle": True},
            "__shufle=True of Untrained is not a parameter of DataLoader. Did you mean iterator_tra"
            "in__shuffle",
        ),
    ],
)
def test_data_sets_and_iterators_are_refused_before_the_training(params, message):
    refused(classifier(plain_classifier(Untrained, **params)), message)


def test_misspelt_parameters_of_our_own_batches_are_refused():
    message = "not a parameter of TensorBatches. Did you mean iterator_train__batch_size"
    X, y = classes_table()
    for net in (small_classifier, small_regressor):
        wrong = net(iterator_train__batchsize=5)
        with pytest.raises(ValueError, match=message):
            wrong.fit(X, y)
    refused(classifier(small_classifier(iterator_train__batchsize=5)), message)
    refused(classifier(small_classifier(iterator_valid__shuffle=True)), "iterator_valid__shuffle")
    refused(classifier(small_classifier(iterator_train__drop_last=True)), "TensorBatches")


def test_batches_are_made_as_the_user_says():
    X, y = classes_table()
    params = {"random_state": 0, "train_split": None, "max_epochs": 2, "batch_size": 20}
    plain = small_classifier(**params).fit(X, y)
    ordered = small_classifier(**params, iterator_train__shuffle=False).fit(X, y)
    loader = small_classifier(**params, iterator_train=DataLoader).fit(X, y)
    for name, value in state(loader).items():  # which keeps the order of the samples
        np.testing.assert_allclose(state(ordered)[name], value, rtol=1e-9, atol=1e-12)
    assert not np.allclose(state(plain)["0.weight"], state(ordered)["0.weight"])
    params["batch_size"] = 7
    sized = small_classifier(**params, iterator_train__batch_size=20).fit(X, y)
    np.testing.assert_array_equal(state(sized)["0.weight"], state(plain)["0.weight"])


@pytest.mark.parametrize("make", [small_classifier, plain_classifier])
def test_fine_tuning_makes_the_same_batches(make, monkeypatch):
    from sklearn_mabprune.training import fine_tuning

    seen = []
    original = fine_tuning.epoch

    def watched(n_samples, batch_size, generator, per_epoch):
        seen.append((batch_size, generator is None))
        return original(n_samples, batch_size, generator, per_epoch)

    monkeypatch.setattr(fine_tuning, "epoch", watched)
    X, y = classes_table()
    params = {"iterator_train__shuffle": False, "iterator_train__batch_size": 30}
    classifier(make(max_epochs=2, **params), fine_tune_epochs=1).fit(X, y)
    classifier(make(max_epochs=2, batch_size=40), fine_tune_epochs=1).fit(X, y)
    assert set(seen[: len(seen) // 2]) == {(30, True)}
    assert set(seen[len(seen) // 2 :]) == {(40, False)}


def cooler(outputs):
    return torch.softmax(3 * outputs, dim=-1)


def test_predict_nonlinearity_is_used():
    X, y = classes_table()
    net = plain_classifier(predict_nonlinearity=cooler)
    model = classifier(net, pruning_budget=0, fine_tune_epochs=0).fit(X, y)
    expected = model.estimator_.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    with torch.no_grad():
        outputs = model.estimator_.module_.eval()(torch.tensor(X, dtype=torch.float32))
    np.testing.assert_allclose(expected, cooler(outputs).numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    "net",
    [
        small_classifier(),
        small_regressor(),
        quick_start(iterator_train__shuffle=True, iterator_train__drop_last=True),
        plain_classifier(WeightedClassifier, iterator_valid__batch_size=512),
        Untrained(Plain, iterator_train__num_workers=0, iterator_train__collate_fn=None),
        MLPNetClassifier(iterator_train=DataLoader, iterator_train__shuffle=True),
    ],
)
def test_what_changes_no_sample_passes(net):
    check_outside_module(net)
