"""The fits of the golden file: each case by name, fitted through the public API, as plain data.

Nothing else knows how the estimators of the golden file are constructed: when a constructor
changes, this file changes and the golden file stays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from user_nets import (
    Plain,
    QuickStart,
    classes_table,
    labels_table,
    strings_table,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MABPrunedRegressorCV,
    MLPNetClassifier,
    MLPNetRegressor,
)

#: Samples whose predictions are compared.
N_PREDICTED = 20
#: Samples that frozen nets are given to validate on, from the end of the table.
N_VALIDATION = 30
#: Each round removes a tenth; the scores of such small nets are noise, and no warning.
QUICK = {"step": 0.1, "tolerance": 10.0, "random_state": 0}

Table = tuple[Any, Any]
Case = Callable[[], dict[str, Any]]


# ------------------------------------------------------------------------------ networks


def as_dtype(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert a module and draw its weights again: float32 draws differ between processors."""
    module.to(dtype)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()


class Deep(nn.Module):
    """Three hidden layers with normalisation, slopes that are trained, and Dropout."""

    def __init__(self, n_outputs: int = 3, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.PReLU(12))
        self.second = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Dropout(0.2))
        self.third = nn.Sequential(nn.Linear(10, 8), nn.PReLU(), nn.BatchNorm1d(8))
        self.output = nn.Linear(8, n_outputs)
        as_dtype(self, dtype)

    def forward(self, X):
        return self.output(self.third(self.second(self.first(X))))


class DoubleQuickStart(QuickStart):
    """The quick-start module in float64."""

    def __init__(self):
        super().__init__(num_units=11)
        as_dtype(self, torch.float64)


def mlp(kind: type, hidden: tuple[int, ...] = (12, 8), **params: Any) -> Any:
    """The package's own net, trained for few epochs.

    Its inputs are given: on larger tables trainings would choose them.
    """
    given = {"max_epochs": 12, "lr": 0.01, "inputs": None}
    return kind(module__hidden_layer_sizes=hidden, **{**given, **params})


def own_net(kind: type, module: type, **params: Any) -> Any:
    """A skorch net of a user's own module, trained for few epochs."""
    return kind(module, **{"max_epochs": 5, "lr": 0.05, "verbose": 0, **params})


def frozen(net: Any, X: Any, y: Any) -> Any:
    """The net trained on a table.  Only its weights and Dropout draw from torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FrozenEstimator(net.fit(X, y))


# ------------------------------------------------------------------------------ estimators


def classifier(net: Any = None, **params: Any) -> Any:
    return MABPrunedClassifier(net or mlp(MLPNetClassifier), **{**QUICK, **params})


def regressor(net: Any = None, **params: Any) -> Any:
    return MABPrunedRegressor(net or mlp(MLPNetRegressor), **{**QUICK, **params})


def cross_validated(kind: str, net: Any, search: dict[str, Any], **params: Any) -> Any:
    """The estimator that chooses its budget: a net, how to search, how to prune."""
    if kind == "classifier":
        return MABPrunedClassifierCV(classifier(net, **params), **search)
    return MABPrunedRegressorCV(regressor(net, **params), **search)


# ------------------------------------------------------------------------------ plain data


def _record(model: Any, X: Any, **more: Any) -> dict[str, Any]:
    """What a case stores of a fitted estimator."""
    path = model.pruning_path_
    outputs = np.asarray(getattr(model, "predict_proba", model.predict)(X[:N_PREDICTED]))
    # of the network: a regressor's values are float64 whatever that is
    double = {each.dtype for each in model.estimator_.module_.parameters()} == {torch.float64}
    record = {
        "float64": double,
        "removed": [units.tolist() for units in path.removed],
        "sizes": [list(sizes) for sizes in path.layer_sizes],
        "kept": list(model.hidden_layer_sizes_),
        "pulls": path.n_pulls.tolist(),
        "predictions": _rounded(outputs, 12 if double else 8),
        **more,
    }
    if not double:
        record["loss_increase"] = [_rounded(each, 8) for each in path.loss_increase]
    return record


def _rounded(values: Any, digits: int) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def _single(X: Any, y: Any) -> Table:
    """The table in float32; class numbers and names stay."""
    return X.astype(np.float32), y.astype(np.float32) if y.dtype.kind == "f" else y


def fit(
    model: Any,
    table: Table,
    at_budget: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    **fit_: Any,
) -> dict[str, Any]:
    """Fit, perhaps go on to another budget with the same data, and take what is compared."""
    X, y = table
    if X_val is not None:
        fit_ = {**fit_, "X_val": X_val, "y_val": y_val}
    model.fit(X, y, **fit_)
    if at_budget is not None:
        model = model.at_budget(at_budget, X, y, **fit_)
    return _record(model, X)


def fit_frozen(
    model: Callable[..., Any], net: Any, table: Table, at_budget: Any = None, **params: Any
) -> dict[str, Any]:
    """Train a net, freeze it, prune it.  The last samples of the table only validate."""
    X, y = table
    train, held = slice(None, -N_VALIDATION), slice(-N_VALIDATION, None)
    made = model(frozen(net, X[train], y[train]), **params)
    return fit(made, (X[train], y[train]), at_budget, X[held], y[held])


def fit_cv(kind: str, net: Any, table: Table, search: dict[str, Any], **params: Any) -> Any:
    X, y = table
    model = cross_validated(kind, net, search, **params).fit(X, y)
    return _record(
        model,
        X,
        budget=model.best_budget_,
        scores=_rounded(model.cv_results_["mean_test_score"], 12),
    )


def _binary(n_rows: int = 120) -> Table:
    return classes_table(n_rows, n_classes=2)


def _weights(n_rows: int) -> Any:
    return np.random.default_rng(1).uniform(0.2, 3.0, n_rows)


def _sparse(X: Any, y: Any) -> Table:
    return csr_array(np.where(np.abs(X) > 0.5, X, 0.0)), y


def _large(n_classes: int = 3) -> Table:
    """More samples than a pull draws."""
    return _single(*classes_table(2500, n_classes))


def _validated(X: Any, y: Any, model: Any) -> dict[str, Any]:
    return fit(model, (X[:90], y[:90]), X_val=X[90:], y_val=y[90:])


# --------------------------------------------------------------------------------- cases

_three = partial(mlp, MLPNetClassifier, (10, 8, 6))
_four = partial(mlp, MLPNetRegressor, (9, 8, 7, 6))
_fast = {"max_epochs": 4}
_staged = {"inputs": "piecewise_linear", "n_functions": 3}

#: Every case by name.  Samples are float64 unless the name says float32.
CASES: dict[str, Case] = {
    "binary_zero": lambda: fit(classifier(ablation="zero"), _binary()),
    "classes_auto_step": lambda: fit(
        classifier(_three(), step="auto", pruning_budget=0.6), strings_table()
    ),
    "classes_ucb1_mean_blocks": lambda: fit(
        classifier(policy="ucb1", ablation="mean", pull_batch_size=16), classes_table()
    ),
    "classes_boundary_blocks": lambda: fit(
        classifier(_three(), pull_batch_size=24, pruning_budget=0.6), classes_table(160)
    ),
    "classes_thompson_linear_blocks": lambda: fit(
        classifier(policy="thompson", control_variate="linear", pull_batch_size=16),
        classes_table(),
    ),
    "classes_exp3_layer": lambda: fit(classifier(policy="exp3", scope="layer"), classes_table()),
    "classes_halving_macs": lambda: fit(
        classifier(
            _three(), policy="sequential_halving", budget_unit="macs", rank_by="loss_per_mac"
        ),
        classes_table(),
    ),
    "labels_lucb_sparse": lambda: fit(
        classifier(policy="lucb", pull_batch_size=32), _sparse(*labels_table())
    ),
    "target_uniform_parameters": lambda: fit(
        regressor(policy="uniform", budget_unit="parameters", ablation="mean"), values_table()
    ),
    "targets_fisher": lambda: fit(
        regressor(_four(), control_variate="fisher", policy="boundary"), unit_values_table(160, 2)
    ),
    "classes_greedy_sample_weight": lambda: fit(
        classifier(policy="epsilon_greedy", pull_batch_size=20),
        classes_table(),
        sample_weight=_weights(120),
    ),
    "binary_class_weight": lambda: fit(
        classifier(class_weight={0: 1.0, 1: 4.0}, fine_tune_epochs=0, min_neurons=3), _binary()
    ),
    "classes_magnitude": lambda: fit(classifier(policy="magnitude"), classes_table()),
    "target_taylor": lambda: fit(regressor(policy="taylor", step=3), unit_values_table()),
    "labels_reconstruction": lambda: fit(classifier(policy="reconstruction"), labels_table()),
    "classes_auto_budget": lambda: fit(
        classifier(mlp(MLPNetClassifier, max_epochs=60), pruning_budget="auto", tolerance=0.02),
        classes_table(400),
    ),
    "classes_norm_dropout": lambda: _validated(
        *classes_table(),
        classifier(
            mlp(
                MLPNetClassifier,
                module__batch_norm=True,
                module__dropout=0.2,
                module__activation="tanh",
            )
        ),
    ),
    "classes_quick_start": lambda: fit(
        classifier(own_net(NeuralNetClassifier, DoubleQuickStart), pull_batch_size=24),
        classes_table(),
    ),
    "targets_frozen_deep": lambda: fit_frozen(
        regressor,
        own_net(
            NeuralNetRegressor, Deep, module__n_outputs=2, module__dtype=torch.float64, lr=0.01
        ),
        unit_values_table(150, 2),
    ),
    "at_budget_smaller": lambda: fit(
        classifier(pull_batch_size=24), classes_table(), at_budget=0.75
    ),
    "at_budget_larger": lambda: fit(
        regressor(_four(), pruning_budget=0.7), unit_values_table(), at_budget=0.3
    ),
    "classes_cv": lambda: fit_cv(
        "classifier",
        mlp(MLPNetClassifier, **_fast),
        classes_table(),
        {"budgets": (0, 0.3, 0.6), "cv": 3},
    ),
    "target_cv": lambda: fit_cv(
        "regressor",
        mlp(MLPNetRegressor, **_fast),
        unit_values_table(),
        {"budgets": (0.25, 0.5, 0.75), "cv": 2, "rule": "one_std_error"},
    ),
    "classes_float32": lambda: fit(
        classifier(_three(), step="auto", pruning_budget=0.7), _single(*classes_table())
    ),
    "large_boundary_float32": lambda: fit(
        classifier(mlp(MLPNetClassifier, **_fast, **_staged)), _large()
    ),
    "large_thompson_float32": lambda: fit(
        classifier(
            mlp(MLPNetClassifier, **_fast, **_staged), policy="thompson", fine_tune_epochs=2
        ),
        _large(2),
    ),
    "labels_float32": lambda: fit(classifier(policy="ucb1"), _single(*labels_table())),
    "target_zero_float32": lambda: fit(
        regressor(ablation="zero", fine_tune_epochs=0), _single(*unit_values_table())
    ),
    "sparse_float32": lambda: fit(
        classifier(budget_unit="macs"), _sparse(*_single(*classes_table()))
    ),
    "frozen_quick_start_float32": lambda: fit_frozen(
        classifier, own_net(NeuralNetClassifier, QuickStart), _single(*classes_table(150))
    ),
    "frozen_deep_float32": lambda: fit_frozen(
        classifier,
        own_net(NeuralNetClassifier, Deep, criterion=nn.CrossEntropyLoss),
        _single(*classes_table(150)),
        at_budget=0.7,
        pull_batch_size=40,
    ),
    "plain_float32": lambda: fit(
        classifier(own_net(NeuralNetClassifier, Plain, criterion=nn.CrossEntropyLoss)),
        _single(*classes_table()),
    ),
}


def run(case: str) -> dict[str, Any]:
    """The case fitted now, as the golden file has it."""
    return CASES[case]()
