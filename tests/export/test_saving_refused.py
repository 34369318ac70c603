"""What a file without code cannot hold: it is asked for, or not saved."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from same_values import assert_same, outputs
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, make_scorer
from skorch.callbacks import EarlyStopping
from user_nets import (
    WeightedClassifier,
    classes_table,
    classifier,
    fitted,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    unit_values_table,
)

from sklearn_mabprune import MABPrunedClassifier, ModelFileError, load
from sklearn_mabprune.policies import UCB1


def my_score(y_true, y_pred):
    return accuracy_score(y_true, y_pred)


ASKED_FOR = {
    "estimator": (lambda: plain_classifier(WeightedClassifier), "estimator is a WeightedClass"),
    "estimator, callbacks": (
        lambda: small_classifier(callbacks=[EarlyStopping(patience=3)]),
        r"estimator\.callbacks\[0\] is a EarlyStopping",
    ),
    "scoring": (lambda: make_scorer(my_score), r"scoring is a _Scorer"),
    "random_state": (lambda: np.random.RandomState(0), r"random_state is a RandomState"),
    "policy": (lambda: type("Mine", (UCB1,), {})(), r"policy is a Mine"),
}


@pytest.mark.parametrize("name", ASKED_FOR)
def test_what_data_cannot_describe_is_asked_for(name, tmp_path):
    make, message = ASKED_FOR[name]
    parameter = name.partition(",")[0]
    X, y = classes_table()
    model = classifier(**({} if parameter == "estimator" else {parameter: make()}))
    if parameter == "estimator":
        model.set_params(estimator=make())
    model.fit(X, y)
    path = tmp_path / "model"
    with pytest.warns(UserWarning, match=rf"{message}.*load\(path, {parameter}=\.\.\.\)"):
        model.save(path)
    with pytest.raises(TypeError, match=rf"{message}.*load\(path, {parameter}=\.\.\.\)"):
        load(path)
    given = make()
    loaded = load(path, **{parameter: given})
    assert getattr(loaded, parameter) is given
    assert_same(loaded.predict_proba(X), model.predict_proba(X))
    assert str(loaded.estimator_.module_) == str(model.estimator_.module_)
    assert type(loaded.estimator_) is type(model.estimator_)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "table"),
    [
        (lambda: classifier(plain_classifier()), classes_table),
        (lambda: classifier(quick_start()), classes_table),
        (lambda: regressor(plain_regressor()), unit_values_table),
        (
            lambda: classifier(FrozenEstimator(small_classifier().fit(*classes_table()))),
            classes_table,
        ),
    ],
    ids=["classes", "quick start", "values", "frozen"],
)
def test_without_ones_own_net_predictions_are_still_the_same(make, table, tmp_path):
    X, y = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().fit(X, y)
        model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", estimator=None)
    assert loaded.estimator is None
    assert np.array_equal(outputs(loaded, X), outputs(model, X))
    assert clone(loaded).set_params(tolerance=10.0).fit(X, y).predict(X).shape == y.shape


def test_a_net_that_predicts_in_another_way_is_refused(tmp_path):
    X, y = classes_table()
    model = classifier(plain_classifier()).fit(X, y)
    model.save(tmp_path / "model")
    # The module's outputs are logits, and this net would take them for probabilities.
    with pytest.raises(
        ValueError, match=r"estimator= .*by no layer.*saved one by Softmax"
    ) as caught:
        load(tmp_path / "model", estimator=quick_start())
    assert not isinstance(caught.value, ModelFileError)
    with pytest.raises(TypeError, match="estimator must be a skorch NeuralNetClassifier"):
        load(tmp_path / "model", estimator=plain_regressor())


def test_what_the_file_holds_is_not_to_be_given(tmp_path):
    model, _, _ = fitted("classifier")
    model.save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"was given policy, which .*model holds. Load without it"):
        load(tmp_path / "model", policy="ucb1")
    with pytest.raises(
        TypeError, match="was given colour, which is not a parameter of the saved estimator"
    ):
        load(tmp_path / "model", colour="red")


class Mine(MABPrunedClassifier):
    """An estimator of one's own."""


def test_a_class_of_ones_own_is_not_saved(tmp_path):
    X, y = classes_table()
    model = Mine(small_classifier(), tolerance=10.0, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match="got Mine: a file without code cannot"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_estimator_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model, _, _ = fitted("classifier")
    with torch.no_grad():
        model.estimator_.module_[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"network\.0\.weight contains infinity or NaN"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("labels", [["a", 3], [("a",), ("b",)]])
def test_labels_of_other_kinds_are_not_saved(labels, tmp_path):
    model, _, _ = fitted("classifier")
    model.classes_ = np.empty(len(labels), dtype=object)
    model.classes_[:] = labels
    with pytest.raises(TypeError, match="classes_ must contain only numbers or only strings"):
        model.save(tmp_path / "model")
