"""Bad input, and what is said about it: what is wrong, which value, and a way out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn
from user_nets import (
    Plain,
    classes_table,
    classifier,
    fitted,
    plain_classifier,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MLPNetClassifier,
    PruningWarning,
    UnsupportedModuleError,
)
from sklearn_mabprune.criteria import CRITERIA, Magnitude
from sklearn_mabprune.policies import POLICIES, UCB1, Boundary


def refused(model, message, *data, error=ValueError, **kwargs):
    """Fit is refused with this message, and leaves nothing behind."""
    with pytest.raises(error, match=message):
        model.fit(*(data or classes_table()), **kwargs)
    assert not [name for name in vars(model) if name.endswith("_")]


# ------------------------------------------------------------------------------- parameters


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
    "validation_fraction", "tolerance", "max_pruning_rows",
]  # fmt: skip


@pytest.mark.parametrize("value", [True, False, np.True_, np.nan, np.inf])
@pytest.mark.parametrize("name", NUMBERS)
def test_booleans_and_missing_or_infinite_values_are_not_numbers(name, value):
    message = f"The '{name}' parameter of MABPrunedClassifier must be .* Got {value!r} instead"
    message = message.replace("(", r"\(").replace(")", r"\)")
    refused(classifier(**{name: value}), message)


def test_every_number_is_looked_at():
    defaults = MABPrunedClassifier().get_params()
    flags = {"verbose", "random_state", "keep_path"}
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


class Untrained(NeuralNetClassifier):
    """A net that must not be trained."""

    def fit(self, *args, **kwargs):
        raise AssertionError("trained")

    fit_loop = partial_fit = fit


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
        ({"max_pruning_rows": 1}, r"\[2, inf\)"),
        ({"class_weight": "even"}, "a str among {'balanced'}"),
        ({"keep_path": "yes"}, "bool"),
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
    refused(model, "scoring=.* gives nan on the validation rows")


@pytest.mark.parametrize("budget", [0.5, "auto"])
def test_a_trained_network_without_a_score_is_said(budget):
    X, y = values_table()
    message = r"score of the unpruned network \(R2\) is nan on the validation rows: .*X_val"
    model = regressor(pruning_budget=budget)
    with (
        pytest.warns(PruningWarning, match=message),
        pytest.warns(UndefinedMetricWarning),  # R2 of one row
    ):
        model.fit(X, y, X_val=X[:1], y_val=y[:1])
    assert "is nan on the validation rows" in str(model.pruning_report_)


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


# ------------------------------------------------------------------------------------- nets


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (classifier(LogisticRegression()), "skorch NeuralNetClassifier, .* got LogisticRegression"),
        (classifier(small_regressor()), "skorch NeuralNetClassifier, .* got MLPNetRegressor"),
        (regressor(small_classifier()), "skorch NeuralNetRegressor, .* got MLPNetClassifier"),
        (classifier(FrozenEstimator(LogisticRegression())), "got LogisticRegression"),
        (classifier(NeuralNetBinaryClassifier(Plain)),
         "got NeuralNetBinaryClassifier. For two classes use two outputs and CrossEntropyLoss"),
        (classifier(3), "got int. Pass a MLPNetClassifier, or your module in a skorch"),
        (classifier(LogisticRegression()), "got LogisticRegression. Pass a MLPNetClassifier"),
        (classifier(NeuralNetClassifier),
         r"got the class NeuralNetClassifier. Pass an object: NeuralNetClassifier\(...\)"),
        (classifier(Plain()), r"got Plain. Wrap the module: NeuralNetClassifier\(Plain, ...\)"),
        (regressor(Plain), r"got the class Plain. Wrap the module: NeuralNetRegressor\(Plain"),
    ],
)  # fmt: skip
def test_estimator_of_the_wrong_kind(model, message):
    refused(model, message, error=TypeError)


def test_frozen_net_that_is_not_fitted():
    model = classifier(FrozenEstimator(small_classifier()))
    refused(model, "a net that is not fitted. Fit it first, or pass the net itself")


def test_frozen_net_of_other_features_or_classes():
    X, y = classes_table()
    net = small_classifier().fit(X[:, :5], y)
    refused(classifier(FrozenEstimator(net)), "module reads 5 features, X has 6", X, y)
    net = small_classifier().fit(X, (y > 0).astype(int))
    refused(classifier(FrozenEstimator(net)), "has 2 outputs, y needs 3", X, y)
    net = plain_classifier(classes=["a", "b", "c"]).initialize()
    message = r"trained on classes \['a', 'b', 'c'\], y has \[0, 1, 2\]"
    refused(classifier(FrozenEstimator(net)), message, X, y)


@pytest.mark.parametrize("other", [lambda y: 5 - y, lambda y: y + 1, lambda y: 2.0 * y])
def test_frozen_net_that_knows_other_numbers(other):
    X, y = classes_table()
    net = small_classifier(max_epochs=1).fit(X, y)
    message = r"trained on classes \[0, 1, 2\], y has \[.*\]. Pass y with the classes that the net"
    refused(classifier(FrozenEstimator(net)), message, X, other(y))


@pytest.mark.parametrize("given", ["sample_weight", "class_weight"])
@pytest.mark.parametrize("frozen", [False, True])
def test_net_that_cannot_use_weights(given, frozen):
    X, y = classes_table()
    net = quick_start()
    net = FrozenEstimator(net.fit(X.astype(np.float32), y)) if frozen else net
    model = classifier(net)
    weights = {"sample_weight": np.linspace(0.5, 1.5, len(X))}
    if given == "class_weight":
        model.set_params(class_weight={0: 1, 1: 2, 2: 3})
        weights = {}
    message = (
        r"sample_weight or class_weight was given, but NeuralNetClassifier cannot use weights. "
        r"Derive your net from WeightedLossMixin: class WeightedNet\(WeightedLossMixin, Neural"
    )
    refused(model, message, X, y, **weights)


class Forward(nn.Module):
    """Three layers, and a way through them that is not a chain."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU()

    def forward(self, X):
        h = self.act(self.first(X))
        if self.way == "functional":
            return self.last(torch.tanh(self.second(h)))
        if self.way == "skip":
            return self.last(self.act(self.second(h)) + h)
        if self.way == "reuse":
            return self.last(self.act(self.second(self.act(self.second(h)))))
        return self.last(h), h


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Forward("functional"), "Between 'second' and 'last', forward does something that is not"),
        (Forward("skip"), "Between 'act' and 'last', .* a skip connection"),
        (Forward("reuse"), r"Layer 'second' \(Linear\) is used more than once"),
        (Forward("two outputs"), "Forward.forward must return one tensor .*got tuple"),
        (nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)),
         r"Layer '1' \(LayerNorm\) of Sequential cannot be pruned around"),
        (nn.Sequential(nn.Linear(6, 8), nn.Bilinear(8, 8, 8), nn.Linear(8, 3)),
         r"Layer '1' \(Bilinear\) of Sequential cannot be pruned around"),
        (nn.Sequential(nn.Linear(6, 8), nn.Softmax(dim=1), nn.Linear(8, 3)),
         r"Layer '1' \(Softmax\) mixes neurons"),
    ],
    ids=["functional", "skip", "reuse", "two outputs", "LayerNorm", "Bilinear", "Softmax"],
)  # fmt: skip
@pytest.mark.parametrize("frozen", [False, True])
def test_modules_that_are_not_a_chain(module, message, frozen):
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, verbose=0, max_epochs=1)
    model = classifier(FrozenEstimator(net.initialize()) if frozen else net)
    refused(model, f"{message}.* Supported is a chain of Linear", error=UnsupportedModuleError)


def test_criterion_without_a_loss_for_each_row():
    class Own(nn.Module):
        def forward(self, outputs, targets):
            raise AssertionError("it was trained with")

    refused(classifier(plain_classifier(criterion=Own)), "criterion Own has no `reduction`")


def test_divergence_on_logits_where_probabilities_are_meant():
    refused(
        classifier(plain_classifier(criterion=nn.NLLLoss)),
        r"loss became nan \(NLLLoss reads probabilities .* use CrossEntropyLoss\)",
    )


def test_divergence_names_the_rate_and_the_way_out():
    net = small_classifier(lr=1e30, optimizer=torch.optim.SGD, dtype="float32")
    message = (
        r"training loss became (nan|inf) in epoch \d+: with lr=1e\+30 the training diverges. "
        r"Lower the net's lr, and scale the features \(StandardScaler\)"
    )
    refused(classifier(net), message)


@pytest.mark.parametrize("net", [small_classifier, plain_classifier])
def test_optimizers_that_need_a_closure_are_refused(net):
    X, y = classes_table()
    lbfgs = net(optimizer=torch.optim.LBFGS)
    message = r"optimizer[ =]LBFGS .*needs a closure in every step.* optimizer=torch.optim.Adam"
    refused(classifier(lbfgs), message, X, y)
    if net is small_classifier:
        with pytest.raises(ValueError, match=message):
            lbfgs.fit(X, y)


def test_a_plain_net_with_such_an_optimizer_is_pruned_without_fine_tuning():
    X, y = classes_table()
    net = plain_classifier(optimizer=torch.optim.LBFGS, max_epochs=2)
    model = classifier(net, fine_tune_epochs=0).fit(X, y)
    assert sum(model.hidden_layer_sizes_) == 9
    frozen = FrozenEstimator(clone(net).fit(X.astype(np.float32), y))
    message = "optimizer LBFGS .* or pass fine_tune_epochs=0"
    refused(classifier(frozen), message, X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="or pass fine_tune_epochs=0"):
        clone(model).fit(X, y).set_params(fine_tune_epochs=3).at_budget(0.2, X, y)


# ------------------------------------------------------------------------------------- data


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "inf")]
)
def test_values_that_are_no_numbers(value, word):
    X, y = classes_table()
    wrong = X.copy()
    wrong[3, 2] = value
    refused(classifier(), f"Input X contains {word}", wrong, y)
    message = f"X_val cannot be used: Input X contains {word}"
    refused(classifier(), message, X, y, X_val=wrong, y_val=y)
    model, _, _ = fitted("classifier")
    with pytest.raises(ValueError, match=f"Input X contains {word}"):
        model.predict(wrong)
    w = np.ones(len(y))
    w[5] = value
    refused(classifier(), f"Input sample_weight contains {word}", X, y, sample_weight=w)
    X, y = values_table()
    wrong = y.copy()
    wrong[7] = value
    refused(regressor(), f"Input y contains {word}", X, wrong)
    refused(regressor(), f"Input y_val contains {word}", X, y, X_val=X, y_val=wrong)


X, Y = classes_table()


@pytest.mark.parametrize(
    ("data", "message", "error"),
    [
        ((X, np.zeros(120, int)), "needs at least 2 classes, the data has 1 class: 0", ValueError),
        ((X, np.full(120, "yes")), "the data has 1 class: 'yes'", ValueError),
        ((X, X[:, 0]), "Unknown label type: continuous", ValueError),
        ((X, Y[:7]), r"inconsistent numbers of samples: \[120, 7\]", ValueError),
        ((X[:, 0], Y), "Expected 2D array, got 1D array instead", ValueError),
        ((X[:1], Y[:1]), "minimum of 2 is required", ValueError),
        ((X[:, :0], Y), r"0 feature\(s\)", ValueError),
        ((np.full((120, 2), "red"), Y), r"X holds text .*make_tabular_pipeline\(", ValueError),
        (
            (pd.DataFrame({"a": X[:, 0], "b": "red"}), Y),
            "text or categories in column 'b';",
            ValueError,
        ),
        (
            (
                pl.DataFrame(
                    {"a": X[:, 0], "b": ["red"] * 120, "c": ["7"] * 120, "d": ["x"] * 120}
                ),
                Y,
            ),
            "text or categories in columns 'b', 'd';",
            ValueError,
        ),
        ((sparse.csr_array(X * [[np.nan] + 5 * [1]]), Y), "Input X contains NaN", ValueError),
        ((X + 1j, Y), "Complex data not supported", ValueError),
    ],
)
def test_tables_that_cannot_be_used(data, message, error):
    refused(classifier(), message, *data, error=error)


def test_a_lazy_frame_has_no_rows():
    lazy = pl.DataFrame(X).lazy()
    refused(classifier(), r"X is a LazyFrame, .* pass X.collect\(\)", lazy, Y, error=TypeError)


@pytest.mark.parametrize("dtype", [str, object])
def test_values_that_are_text(dtype):
    rows, y = values_table()
    refused(regressor(), "y holds text, and the values", rows, np.full(len(y), "a", dtype))
    table = np.full(rows.shape, "a", dtype)
    refused(regressor(), "X holds text or categories", table, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(120), "Negative values in data passed to `sample_weight`"),
        (np.zeros(120), "at least one non-zero"),
        (np.ones(7), r"sample_weight.shape == \(7,\), expected \(120,\)"),
        ((Y == 0) * 1.0, "the data has 1 class: 0"),
    ],
)
def test_weights_that_cannot_be_used(weights, message):
    refused(classifier(), message, X, Y, sample_weight=weights)


def test_class_weights_that_cannot_be_used():
    refused(classifier(class_weight={0: 0, 1: 0, 2: 0}), "leaves no row with a weight")
    refused(classifier(class_weight={0: 1, "b": 1}), "are not in class_weight")
    for value in (-1, None, np.nan, np.inf, "2", True):
        message = f"class_weight has {value!r} for the class 1: pass a finite number, at least 0"
        refused(classifier(class_weight={0: 1, 1: value, 2: 1}), message)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"X_val": X}, "X_val and y_val go together: pass both or neither"),
        ({"y_val": Y}, "X_val and y_val go together: pass both or neither"),
        ({"X_val": X, "y_val": Y + 1}, r"y_val has classes that y has not: \[3\]"),
        ({"X_val": X, "y_val": Y[:5]}, r"X_val has 120 rows, y_val has 5"),
        (
            {"X_val": X[:, :4], "y_val": Y},
            "X_val cannot be used: X has 4 features, but MABPrunedClassifier is expecting 6",
        ),
    ],
)
def test_validation_rows_that_cannot_be_used(table, message):
    refused(classifier(), message, X, Y, **table)


def test_validation_targets_of_another_number():
    rows, y = values_table(n_targets=2)
    refused(regressor(), "y_val has 1 targets, y has 2", rows, y, X_val=rows, y_val=y[:, 0])


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_prediction_on_other_features(kind):
    model, rows, y = fitted(kind)
    name = type(model).__name__
    with pytest.raises(ValueError, match=f"X has 3 features, but {name} is expecting 6 features"):
        model.predict(rows[:, :3])
    model.fit(pd.DataFrame(rows, columns=list("abcdef")), y)
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- z"):
        model.predict(pd.DataFrame(rows, columns=list("abcdez")))


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_too_few_rows_for_a_split(kind):
    rows, y = (X[:6], np.array([0, 0, 0, 1, 2, 1])) if kind == "classifier" else values_table(3)
    make = classifier if kind == "classifier" else regressor
    if kind == "classifier":
        rows, y = rows[:3], y[2:5]
    model = make()
    message = r"rows are too few to set validation rows apart \(validation_fraction=0.1\).*X_val"
    with pytest.warns(PruningWarning, match=message):
        model.fit(rows, y)
    assert model.validation_share_ == 1.0
    assert model.pruning_report_.n_validation == 3
    assert len(model.predict(rows)) == 3


def test_a_budget_that_cannot_be_met_is_refused_before_the_training():
    epochs = []

    class Counting(MLPNetClassifier):
        def run_single_epoch(self, *args, **kwargs):
            epochs.append(1)
            super().run_single_epoch(*args, **kwargs)

    net = Counting(module__hidden_layer_sizes=(12, 8))
    refused(MABPrunedClassifier(net, pruning_budget=0.95), "pruning_budget=0.95")
    assert not epochs


# --------------------------------------------------------------------- numbers too large


def swollen(factor):
    """A trained net whose weights were multiplied, and its rows."""
    X, y = classes_table()
    net = small_classifier(dtype="float32").fit(X.astype(np.float32), y)
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.mul_(factor)
    return FrozenEstimator(net), X.astype(np.float32), y


@pytest.mark.parametrize("policy", ["boundary", "ucb1", "magnitude"])
@pytest.mark.filterwarnings("ignore:The net came trained:sklearn_mabprune.PruningWarning")
def test_weights_that_overflow(policy):
    net, X, y = swollen(1e30)
    message = (
        r"Layer '\d' \(Linear\) returns infinity or NaN for rows of X: its weights or the features "
        r"are too large. Scale the features \(StandardScaler\), and lower the net's lr"
    )
    refused(classifier(net, policy=policy), message, X, y, error=UnsupportedModuleError)
    # Large is not too large.
    assert sum(classifier(swollen(1e6)[0], policy=policy).fit(X, y).hidden_layer_sizes_) == 10


@pytest.mark.filterwarnings("ignore:The net came trained:sklearn_mabprune.PruningWarning")
def test_rows_that_overflow():
    net, X, y = swollen(1e10)
    X[-2:] = 1e30 * X[-2:]
    refused(
        classifier(net), r"network returns infinity or NaN for \d of .* rows: its weights", X, y
    )


def test_features_too_large_for_least_squares():
    X, y = classes_table()
    message = "up to .*e\\+.*, are too large for ablation='least_squares'. Scale the features"
    refused(classifier(), message, 1e300 * X, y)


def test_an_unfitted_estimator_says_how_to_fit_it():
    with pytest.raises(NotFittedError, match=r"it is not fitted yet. Call fit.$"):
        classifier().to_torch()
    with pytest.raises(NotFittedError, match=r"or was fitted with refit=False. Call fit, with"):
        MABPrunedClassifierCV(classifier()).to_torch()


def test_the_cache_may_be_a_path(tmp_path):
    model = classifier(memory=tmp_path / "cache").fit(*classes_table())
    assert any((tmp_path / "cache").iterdir())
    assert clone(model).memory == tmp_path / "cache"
