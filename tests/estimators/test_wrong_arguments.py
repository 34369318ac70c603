"""Errors about arguments name what the user called, not a base class."""

from __future__ import annotations

import inspect
import re

import pytest
from sklearn.base import clone

import sklearn_mabprune
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MABPrunedRegressorCV,
    MLPNetClassifier,
    MLPNetRegressor,
)

ESTIMATORS = (
    MABPrunedClassifier(),
    MABPrunedRegressor(),
    MABPrunedClassifierCV(MABPrunedClassifier()),
    MABPrunedRegressorCV(MABPrunedRegressor()),
    MLPNetClassifier(),
    MLPNetRegressor(),
)
METHODS = ("fit", "at_budget", "seeing", "save", "to_torch", "to_sklearn", "to_onnx", "to_c")


def calls():
    for estimator in ESTIMATORS:
        for name in METHODS:
            if hasattr(type(estimator), name):
                yield pytest.param(estimator, name, id=f"{type(estimator).__name__}.{name}")


@pytest.mark.parametrize(("estimator", "name"), [*calls()])
def test_methods_are_called_by_their_names(estimator, name):
    method = getattr(clone(estimator), name)
    with pytest.raises(TypeError) as caught:
        method(1, 2, 3, 4, 5, 6, 7, 8)
    assert re.match(rf"({type(estimator).__name__}\.)?{name}\(\) takes", str(caught.value))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_classes_are_called_by_their_names(estimator):
    kind = type(estimator)
    if issubclass(kind, MLPNetClassifier | MLPNetRegressor):
        return  # skorch says which arguments it does not know
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\.__init__\(\) got an unexpected .*'fo"):
        kind(foo=1)


@pytest.mark.parametrize(
    "kind",
    [each for each in vars(sklearn_mabprune).values() if inspect.isclass(each)],
    ids=lambda kind: kind.__name__,
)
def test_no_public_constructor_is_called_by_another_name(kind):
    function = kind.__init__
    if inspect.isfunction(function) and function.__module__.startswith("sklearn_mabprune"):
        assert function.__qualname__ == f"{kind.__name__}.__init__"


def test_shared_constructors_are_still_those_of_the_class():
    model = MABPrunedRegressorCV(MABPrunedRegressor())
    assert clone(model).get_params(deep=False).keys() == model.get_params(deep=False).keys()
    one, other = map(inspect.signature, (MABPrunedRegressorCV, MABPrunedClassifierCV))
    assert str(one) == str(other)
