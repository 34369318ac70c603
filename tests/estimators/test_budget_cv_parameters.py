"""Parameters of the estimators that choose a budget: nested names, copies, errors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from budget_cv import KINDS, both, chooser, value_chooser
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from user_nets import (
    classes_table,
    classifier,
    plain_classifier,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MABPrunedRegressorCV,
    MLPNetClassifier,
)
from sklearn_mabprune.policies import UCB1

CLASSES = {"classifier": MABPrunedClassifierCV, "regressor": MABPrunedRegressorCV}
OWN = {
    "estimator": None,
    "budgets": (0, 0.25, 0.5, 0.75, 0.9),
    "cv": None,
    "rule": "best",
    "scoring": None,
    "refit": True,
    "error_score": np.nan,
    "return_train_score": False,
    "random_state": None,
    "n_jobs": None,
    "verbose": 0,
}


def fitted_names(model):
    return [name for name in vars(model) if name.endswith("_")]


# --------------------------------------------------------------------------- names and copies


@both
def test_parameters_are_those_of_a_search(kind):
    many = CLASSES[kind]
    assert many().get_params() == OWN
    parameters = list(inspect.signature(many).parameters.values())
    assert [each.name for each in parameters] == list(OWN)
    assert {each.kind for each in parameters[1:]} == {inspect.Parameter.KEYWORD_ONLY}
    assert set(OWN) == set(many._parameter_constraints)


@both
def test_parameters_of_the_estimator_are_nested(kind):
    make, plain, _, _, _ = KINDS[kind]
    model, inside = make(policy=UCB1(), discount=0.5), plain(policy=UCB1(), discount=0.5)
    own = model.get_params()
    nested = {name: value for name, value in own.items() if name.startswith("estimator")}
    del nested["estimator"]
    names = {f"estimator__{name}" for name in inside.get_params()}
    assert set(nested) == names
    assert nested["estimator__discount"] == 0.5
    assert nested["estimator__estimator__lr"] == 0.01
    assert nested["estimator__policy__exploration"] == inside.policy.exploration
    model.set_params(estimator__estimator__lr=0.02, estimator__policy__exploration=0.1)
    model.set_params(estimator__step=3)
    assert model.estimator.estimator.lr == 0.02
    assert model.estimator.policy.exploration == 0.1
    assert model.estimator.step == 3


@both
def test_clones_share_nothing(kind):
    model = KINDS[kind][0](policy=UCB1())
    new = clone(model)
    assert new.get_params().keys() == model.get_params().keys()
    for name in ("estimator", "estimator__estimator", "estimator__policy"):
        assert new.get_params()[name] is not model.get_params()[name]
    new.set_params(estimator__estimator__lr=0.5)
    assert model.estimator.estimator.lr == 0.01


@pytest.mark.slow
@both
def test_the_given_estimator_is_left_alone(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    model = make(budgets=(0, 0.5), pruning_budget=7, policy=UCB1(), refit=True)
    given = model.estimator
    parts = (given, given.estimator, given.policy)
    before = [dict(vars(part)) for part in parts]
    model.fit(X, y)
    assert model.estimator is given
    for part, values in zip(parts, before, strict=True):
        assert vars(part).keys() == values.keys()
        assert all(vars(part)[name] is value for name, value in values.items())
    assert model.best_estimator_ is not given
    assert model.best_estimator_.estimator is not given.estimator
    assert model.best_estimator_.policy is not given.policy


@pytest.mark.slow
def test_the_budget_of_the_given_estimator_is_ignored():
    X, y = classes_table()
    plain = chooser(budgets=(0, 0.5)).fit(X, y)
    for budget in (0.9, "auto", "no budget"):
        other = chooser(budgets=(0, 0.5), pruning_budget=budget).fit(X, y)
        assert other.best_budget_ == plain.best_budget_
        np.testing.assert_array_equal(
            other.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
        )
        assert same_state(state(other.estimator_), state(plain.estimator_))


def test_a_fitted_estimator_serves_like_one_that_is_not():
    X, y = classes_table()
    used = classifier().fit(X, y)
    before = state(used.estimator_)
    model = MABPrunedClassifierCV(used, budgets=(0, 0.5), cv=2).fit(X, y)
    fresh = MABPrunedClassifierCV(classifier(), budgets=(0, 0.5), cv=2).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), fresh.predict_proba(X))
    assert same_state(before, state(used.estimator_))


@pytest.mark.slow
def test_a_grid_over_policies_in_a_pipeline():
    X, y = classes_table()
    pipe = make_pipeline(StandardScaler(), chooser(budgets=(0, 0.5)))
    grid = {"mabprunedclassifiercv__estimator__policy": ["ucb1", "magnitude"]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    best = search.best_estimator_[-1]
    assert best.estimator.policy == search.best_params_[next(iter(grid))]
    assert type(best.policy_).__name__.lower() == best.estimator.policy
    assert best.best_budget_ in (0, 0.5)
    assert search.predict(X).shape == y.shape
    # The grid sets parameters of copies.
    assert pipe[-1].estimator.policy == "boundary"


def test_it_prints_what_was_set():
    assert repr(MABPrunedClassifierCV()) == "MABPrunedClassifierCV()"
    model = MABPrunedClassifierCV(MABPrunedClassifier(policy="ucb1"), rule="one_std_error")
    assert " ".join(repr(model).split()) == (
        "MABPrunedClassifierCV(estimator=MABPrunedClassifier(policy='ucb1'), rule='one_std_error')"
    )
    assert "MABPrunedClassifier(policy=&#x27;ucb1&#x27;)" in model._repr_html_()


def test_the_unit_of_sizes_is_that_of_the_estimator():
    """Of two networks with equal scores, the smaller one in MACs."""
    X, y = classes_table()
    net = small_classifier(module__hidden_layer_sizes=(20, 4))
    model = chooser(
        net, budgets=(0, 0.6), scoring=lambda model, X, y: 1.0, refit=False, budget_unit="macs"
    ).fit(X, y)
    assert model.best_budget_ == 0.6
    left = model.cv_results_["mean_n_macs"]
    assert left[1] <= 0.4 * left[0]


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (
            MABPrunedClassifierCV,
            small_classifier,
            r"must be a MABPrunedClassifier or None, got MLPNetClassifier. "
            r"Wrap it: MABPrunedClassifier\(net\)\.",
        ),
        (MABPrunedRegressorCV, small_regressor, r"Wrap it: MABPrunedRegressor\(net\)\."),
        (MABPrunedClassifierCV, plain_classifier, r"Wrap it: MABPrunedClassifier"),
        (
            MABPrunedClassifierCV,
            lambda: FrozenEstimator(small_classifier()),
            r"Wrap it: MABPrunedClassifier\(FrozenEstimator\(net\)\)\.",
        ),
        (
            MABPrunedClassifierCV,
            lambda: MABPrunedClassifier,
            r"got the class MABPrunedClassifier. Pass an object: "
            r"MABPrunedClassifierCV\(MABPrunedClassifier\(\.\.\.\)\)\.",
        ),
        (
            MABPrunedClassifierCV,
            MABPrunedRegressor,
            r"got MABPrunedRegressor. Use MABPrunedRegressorCV\.",
        ),
        (MABPrunedRegressorCV, MABPrunedClassifier, r"Use MABPrunedClassifierCV\."),
        (
            MABPrunedClassifierCV,
            lambda: make_pipeline(StandardScaler(), MABPrunedClassifier()),
            r"got Pipeline. Pass a MABPrunedClassifier; steps before it belong in a pipeline",
        ),
        (MABPrunedClassifierCV, MABPrunedClassifierCV, r"got MABPrunedClassifierCV. Pass a MABP"),
        (MABPrunedRegressorCV, lambda: torch.nn.Linear(6, 1), r"got Linear. Pass a MABPruned"),
        (MABPrunedRegressorCV, lambda: "ucb1", r"got str. Pass a MABPruned"),
    ],
)
def test_estimators_of_another_class(make, given, message):
    X, y = classes_table()
    model = make(given(), cv=2)
    with pytest.raises(TypeError, match=message):
        model.fit(X, y)
    assert not fitted_names(model)


def test_subclasses_will_do():
    class Mine(MABPrunedClassifier):
        pass

    X, y = classes_table()
    net = small_classifier(max_epochs=2)
    model = MABPrunedClassifierCV(Mine(net, tolerance=10, random_state=0), budgets=(0, 0.5), cv=2)
    assert type(model.fit(X, y).best_estimator_) is Mine


def test_nested_parameters_need_an_estimator():
    message = r"estimator__policy cannot be set while estimator=None.* " + (
        r"MABPrunedRegressorCV\(MABPrunedRegressor\(\)\)"
    )
    with pytest.raises(ValueError, match=message):
        MABPrunedRegressorCV().set_params(estimator__policy="ucb1")
    with pytest.raises(ValueError, match="cannot be set while estimator=None"):
        chooser().set_params(estimator=None, estimator__policy="ucb1")
    model = MABPrunedRegressorCV()
    model.set_params(estimator=regressor(), estimator__policy="ucb1")
    assert model.estimator.policy == "ucb1"
    with pytest.raises(ValueError, match="Invalid parameter 'policy' for estimator MABPruned"):
        value_chooser().set_params(policy="ucb1")


# The default net on few samples: the score drops, and timings are noise.
@pytest.mark.filterwarnings("ignore::sklearn_mabprune.PruningWarning")
def test_without_an_estimator_there_is_the_default():
    X, y = classes_table(60)
    model = MABPrunedClassifierCV(budgets=(0.5,), cv=2).fit(X, y)
    assert model.estimator is None
    assert type(model.best_estimator_) is MABPrunedClassifier
    assert model.best_estimator_.get_params() == MABPrunedClassifier().get_params()


def test_wrong_parameters_and_data():
    X, y = classes_table()
    for params, message in (
        ({"rule": "worst"}, "'rule' parameter"),
        ({"budgets": 0.5}, "'budgets' parameter"),
        ({"cv": "three"}, "'cv' parameter"),
        ({"scoring": 3}, "'scoring' parameter"),
        ({"refit": 2}, "'refit' parameter"),
        ({"error_score": "rise"}, "'error_score' parameter"),
        ({"n_jobs": 1.5}, "'n_jobs' parameter"),
        ({"estimator__step": -1}, "'step' parameter"),
        ({"budgets": (0.5, 19)}, "at most 18 neurons"),
        ({"cv": 80}, "n_splits=80"),
        ({"estimator": StandardScaler()}, "must be a MABPrunedClassifier or None"),
        ({"estimator__estimator": StandardScaler()}, "must be a skorch NeuralNetClassifier"),
        ({"estimator__policy": "best"}, "policy='best' is unknown"),
    ):
        model = chooser().set_params(**params)
        with pytest.raises((ValueError, TypeError), match=message):
            model.fit(X, y)
        assert not fitted_names(model), params
    with pytest.raises(ValueError, match="1 class"):
        chooser().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="sample_weight"):
        chooser().fit(X, y, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="policy__exploration cannot be set"):
        chooser().set_params(estimator__policy__exploration=1.0)
    tuned = chooser(policy=UCB1()).set_params(estimator__policy__exploration=0.1)
    assert tuned.estimator.policy.exploration == 0.1
    with pytest.raises(ValueError, match=r"MABPrunedClassifier\(MLPNetClassifier\(\)\)"):
        MABPrunedClassifierCV(MABPrunedClassifier()).set_params(estimator__estimator__lr=0.1)
    model = MABPrunedClassifierCV(MABPrunedClassifier(MLPNetClassifier()))
    assert model.set_params(estimator__estimator__lr=0.1).estimator.estimator.lr == 0.1
