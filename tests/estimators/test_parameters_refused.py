"""Parameters of an estimator that cannot be: what is wrong, which value, and a way out."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from refusals import Untrained, refused
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score
from torch import nn
from user_nets import (
    Plain,
    classes_table,
    classifier,
    fitted,
    regressor,
    small_classifier,
    values_table,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MLPNetClassifier,
    PruningWarning,
)
from sklearn_mabprune.criteria import CRITERIA, Magnitude
from sklearn_mabprune.policies import POLICIES, UCB1, Boundary


def test_unknown_policy_lists_the_names():
    with pytest.raises(ValueError, match="policy='ucb9' is unknown") as caught:
        classifier(policy="ucb9").fit(*classes_table())
    for name in (*POLICIES, *CRITERIA):
        assert name in str(caught.value)
    assert "pass an object of sklearn_mabprune.policies" in str(caught.value)
    assert "Did you mean 'ucb1'?" in str(caught.value)
    refused(classifier(policy="zzz"), "policy='zzz' is unknown. Policies: ")


@pytest.mark.parametrize("policy", [UCB1, Magnitude])
def test_the_class_of_a_policy_is_no_policy(policy):
    name = policy.__name__
    refused(classifier(policy=policy), rf"policy={name} is a class. Pass an object: {name}\(\)")


@pytest.mark.parametrize(
    ("model", "params", "message"),
    [
        (classifier(), {"policy__exploration": 1},
         r"policy__exploration .*policy='boundary' is a name. Pass .*: policy=Boundary\(\)"),
        (classifier(policy="magnitude"), {"policy__p": 1}, r"Pass an object: policy=Magnitude\(\)"),
        (classifier(policy="typo"), {"policy__p": 1}, r"Pass an object: policy=UCB1\(\)"),
        (MABPrunedClassifier(), {"estimator__lr": 0.1},
         r"estimator=None. Pass a net: MABPrunedClassifier\(MLPNetClassifier\(\)\)"),
        (MABPrunedRegressor(), {"estimator__module__hidden_layer_sizes": (3,)},
         r"Pass a net: MABPrunedRegressor\(MLPNetRegressor\(\)\)"),
        (classifier(), {"no_such": 1}, "Invalid parameter 'no_such'"),
        (classifier(policy=UCB1()), {"policy__no_such": 1}, "Invalid parameter 'no_such'"),
    ],
)  # fmt: skip
def test_nested_parameters_need_an_object(model, params, message):
    with pytest.raises(ValueError, match=message):
        model.set_params(**params)


def test_nested_parameters_of_an_object_given_along():
    model = MABPrunedClassifier()
    model.set_params(estimator=MLPNetClassifier(), estimator__lr=0.5)
    model.set_params(policy=UCB1(), policy__exploration=0.5)
    assert (model.estimator.lr, model.policy.exploration) == (0.5, 0.5)


@pytest.mark.parametrize("budget", [-0.1, -3, 1.0, 1.5, "x", None, [0.5]])
def test_budget_out_of_range(budget):
    allowed = "int in the range [0, inf), a float in the range [0.0, 1.0) or a str among {'auto'}"
    message = rf"'pruning_budget' .*{re.escape(allowed)}. Got {re.escape(repr(budget))} instead"
    refused(classifier(pruning_budget=budget), message)


NUMBERS = [
    "pruning_budget", "pulls_per_neuron", "pull_batch_size", "arms_per_pull", "ridge", "step",
    "discount", "min_neurons", "fine_tune_epochs", "fine_tune_lr", "distillation", "temperature",
    "teacher_cv", "teacher_weight", "n_synthetic", "validation_fraction", "tolerance",
    "max_pruning_samples",
]  # fmt: skip


@pytest.mark.parametrize("value", [True, False, np.True_, np.nan, np.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_booleans_and_missing_or_infinite_values_are_not_numbers(name, value):
    message = f"The '{name}' parameter of MABPrunedClassifier must be .* Got {value!r} instead"
    message = message.replace("(", r"\(").replace(")", r"\)")
    refused(classifier(**{name: value}), message)


def test_every_number_is_looked_at():
    defaults = MABPrunedClassifier().get_params()
    flags = {"verbose", "random_state", "keep_teacher"}
    numbers = {k for k, v in defaults.items() if isinstance(v, (int, float)) and k not in flags}
    numbers |= {k for k, v in defaults.items() if v == "auto" and k != "control_variate"}
    assert numbers == set(NUMBERS)


def test_booleans_are_not_numbers_in_cross_validation():
    model = MABPrunedClassifierCV(classifier(), n_jobs=True)
    refused(model, "'n_jobs' parameter of MABPrunedClassifierCV must be .* Got True instead")
    model = MABPrunedClassifierCV(classifier(step=True))
    refused(model, "'step' parameter of MABPrunedClassifier must be .* Got True instead")


def test_a_boolean_is_not_a_budget():
    model, X, y = fitted("classifier")
    with pytest.raises(ValueError, match=r"'pruning_budget' parameter of .* Got True instead"):
        model.at_budget(True, X, y)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            Boundary(refresh=1.5),
            r"'refresh' parameter of Boundary must be an int in the range \[1, inf\). Got 1.5",
        ),
        (
            Boundary(delta=True),
            r"'delta' parameter of Boundary must be a float in the range \(0.0, 1.0\). Got True",
        ),
        (UCB1(exploration=np.nan), "'exploration' parameter of UCB1 must be a float .* Got nan"),
        (Magnitude(side="both"), "'side' parameter of Magnitude must be a str .* Got 'both'"),
        ("ucb9", "policy='ucb9' is unknown"),
    ],
)
def test_what_a_policy_cannot_use_is_refused_before_the_training(policy, message):
    net = Untrained(Plain, criterion=nn.CrossEntropyLoss)
    refused(MABPrunedClassifier(net, policy=policy), message)
    model, X, y = fitted("classifier")
    with pytest.raises(ValueError, match=message):
        clone(model).fit(X, y).set_params(policy=policy).at_budget(0.3, X, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"pruning_budget": 0.95},
            r"pruning_budget=0.95 of 20 neurons .* at most 18 neurons \(0.9\)",
        ),
        ({"pruning_budget": 19}, "pruning_budget=19 of 20 neurons .* fewer than min_neurons=1"),
        ({"pruning_budget": 0.9, "min_neurons": 5}, r"min_neurons=5: at most 10 neurons \(0.5\)"),
        ({"pruning_budget": 0.99, "budget_unit": "macs"}, "pruning_budget=0.99 of 192 macs"),
    ],
)
def test_budget_that_empties_a_layer(params, message):
    refused(
        classifier(**params), message + ".*Lower pruning_budget or min_neurons, or train a wider"
    )


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({"pulls_per_neuron": 0.5}, r"float in the range \[1.0, inf\)"),
        ({"pulls_per_neuron": 0}, r"float in the range \[1.0, inf\)"),
        ({"pull_batch_size": 0}, r"int in the range \[1, inf\) or a str among \{'auto'\}"),
        ({"arms_per_pull": 0}, r"int in the range \[1, inf\) or a str among \{'auto'\}"),
        ({"policy": 3}, "instance of 'str', an instance of 'sklearn_mabprune.policies"),
        ({"budget_unit": "bytes"}, "'neurons'"),
        ({"ablation": "best"}, "'least_squares'"),
        ({"ridge": -1.0}, r"\[0.0, inf\)"),
        ({"step": 0}, r"int in the range \[1, inf\), a float in the range \(0.0, 1.0\] or a str"),
        ({"step": 1.5}, r"a float in the range \(0.0, 1.0\] or a str among"),
        ({"discount": 1.1}, r"\[0.0, 1.0\]"),
        ({"rank_by": "size"}, "'loss_per_mac'"),
        ({"scope": "all"}, "'global'"),
        ({"min_neurons": 0}, r"\[1, inf\)"),
        ({"fine_tune_epochs": -1}, r"\[0, inf\) or a str among \{'auto'\}"),
        ({"fine_tune_lr": 0.0}, r"\(0.0, inf\) or a str among \{'auto'\}"),
        ({"distillation": 1.5}, r"\[0.0, 1.0\]"),
        ({"temperature": 0.0}, r"\(0.0, inf\)"),
        ({"validation_fraction": 1.0}, r"\(0.0, 1.0\)"),
        ({"tolerance": -0.1}, r"\[0.0, inf\)"),
        ({"max_pruning_samples": 1}, r"\[2, inf\)"),
        ({"class_weight": "even"}, "a str among {'balanced'}"),
        ({"keep_path": "yes"}, "a str among .*'always'"),
        ({"keep_path": True}, "a str among .*'memory'"),
        ({"memory": 3}, "an object implementing 'cache'"),
        ({"random_state": "seed"}, "an instance of 'numpy.random.mtrand.RandomState'"),
    ],
    ids=str,
)
def test_parameters_out_of_range(params, allowed):
    ((name, value),) = params.items()
    message = rf"'{name}' parameter of MABPrunedClassifier must be .*{allowed}.*"
    message += f"Got {re.escape(repr(value))} instead"
    refused(MABPrunedClassifier(**{"estimator": small_classifier(), **params}), message)


@pytest.mark.parametrize("budget", [0.5, "auto"])
def test_a_score_that_is_no_number_is_said_before_the_training(budget):
    net = Untrained(Plain, criterion=nn.CrossEntropyLoss)
    model = MABPrunedClassifier(net, pruning_budget=budget, scoring=lambda e, X, y: np.nan)
    refused(model, "scoring=.* gives nan on the validation samples")


@pytest.mark.parametrize("budget", [0.5, "auto"])
def test_a_trained_network_without_a_score_is_said(budget):
    X, y = values_table()
    message = r"score of the unpruned network \(R2\) is nan on the validation samples: .*X_val"
    model = regressor(pruning_budget=budget)
    with warnings.catch_warnings():
        # Said once, by us: R2 of one sample would be said in every round.
        warnings.simplefilter("error", UndefinedMetricWarning)
        with pytest.warns(PruningWarning, match=message):
            model.fit(X, y, X_val=X[:1], y_val=y[:1])
    assert "is nan on the validation samples" in str(model.pruning_report_)


def test_unknown_scoring_is_said_before_training():
    message = "scoring='acuracy': 'acuracy' is not a valid scoring value"
    refused(classifier(scoring="acuracy"), message)


@pytest.mark.parametrize("scoring", [accuracy_score, lambda e, X, y: np.ones(3)])
def test_what_is_no_scorer_is_said_before_training(scoring):
    net = Untrained(Plain, criterion=nn.CrossEntropyLoss)
    message = r"scoring=<function .* cannot be used: .*make_scorer\(metric\)"
    refused(MABPrunedClassifier(net, scoring=scoring), message)
    X, y = classes_table()
    frozen = FrozenEstimator(small_classifier(max_epochs=1).fit(X, y))
    refused(classifier(frozen, scoring=scoring), message, X, y)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            UCB1(exploration=-1.0),
            r"'exploration' parameter of UCB1 must be .* range \[0.0, inf\).* Got -1.0 instead",
        ),
        (
            UCB1(exploration="loud"),
            "'exploration' parameter of UCB1 must be .*{'noise'}. Got 'loud'",
        ),
    ],
)
def test_parameters_of_a_policy(policy, message):
    refused(classifier(policy=policy), message)


def test_a_budget_that_cannot_be_met_is_refused_before_the_training():
    epochs = []

    class Counting(MLPNetClassifier):
        def on_epoch_begin(self, *args, **kwargs):
            epochs.append(1)
            super().on_epoch_begin(*args, **kwargs)

    net = Counting(module__hidden_layer_sizes=(12, 8))
    refused(MABPrunedClassifier(net, pruning_budget=0.95), "pruning_budget=0.95")
    assert not epochs


def test_an_unfitted_estimator_says_how_to_fit_it():
    with pytest.raises(NotFittedError, match=r"it is not fitted yet. Call fit.$"):
        classifier().to_torch()
    with pytest.raises(NotFittedError, match=r"or was fitted with refit=False. Call fit with"):
        MABPrunedClassifierCV(classifier()).to_torch()


def test_the_cache_may_be_a_path(tmp_path):
    model = classifier(memory=tmp_path / "cache").fit(*classes_table())
    assert any((tmp_path / "cache").iterdir())
    assert clone(model).memory == tmp_path / "cache"
