"""Fits, other sizes and predictions inside global settings of torch and NumPy: as without."""

from __future__ import annotations

import pickle
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from budget_cv import inside_classifier
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from user_nets import (
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifierCV, load
from sklearn_mabprune.displays import NeuronMapDisplay, PruningPathDisplay, PullsDisplay


@contextmanager
def default_device(name):
    before = torch.get_default_device()
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None if before.type == "cpu" else before)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "autocast bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "default device": lambda: default_device("meta"),
    "device context": lambda: torch.device("meta"),
    "default dtype": lambda: default_dtype(torch.float64),
    "half default dtype": lambda: default_dtype(torch.bfloat16),
    "NumPy's errors": lambda: np.errstate(all="raise"),
}
settings = pytest.mark.parametrize("name", SETTINGS)


def cases(dtype):
    return {
        "classifier": (classifier(small_classifier(dtype=dtype)), classes_table()),
        "dropout": (
            classifier(small_classifier(dtype=dtype, module__dropout=0.2)),
            classes_table(),
        ),
        "regressor": (regressor(small_regressor(dtype=dtype)), values_table()),
        "multilabel": (classifier(small_classifier(dtype=dtype)), labels_table()),
        "ucb1": (
            classifier(small_classifier(dtype=dtype), policy="ucb1", ablation="mean"),
            classes_table(),
        ),
        "sparse": (
            classifier(small_classifier(dtype=dtype)),
            (sparse.csr_matrix(classes_table()[0]), classes_table()[1]),
        ),
    }


@cache
def without_settings(kind):
    """Predictions at the budget, at another one, and without pruning."""
    model, (X, y) = cases("float32")[kind]
    model.fit(X, y)
    return model.predict(X), model.at_budget(0.7, X, y).predict(X), model.at_budget(0).predict(X)


def now():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
        torch.get_default_dtype(),
        np.geterr(),
    )


KINDS = list(cases("float32"))
#: Two kinds of fits in each setting, and each kind in at least three settings.
PAIRS = [(name, KINDS[(k + j) % 6]) for k, name in enumerate(SETTINGS) for j in (0, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_fit_predict_and_other_sizes(name, kind):
    *outputs, kept = without_settings(kind)
    model, (X, y) = cases("float32")[kind]
    with SETTINGS[name]():
        before = now()
        found = model.fit(X, y)
        inside = found.predict(X), found.at_budget(0.7, X, y).predict(X)
        taken = found.at_budget(0)
        if hasattr(found, "predict_proba"):
            assert found.predict_proba(X).dtype == np.float32
        with pytest.raises(ValueError, match="2 features"):
            found.predict(X[:, :2])
        assert now() == before
    outside = found.predict(X), found.at_budget(0.7, X, y).predict(X)
    for each in (inside, outside):
        for one, other in zip(each, outputs, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(taken.predict(X), kept)
    # What was fitted inside can be trained on outside.
    found.estimator_.partial_fit(X, y)


@settings
@pytest.mark.parametrize("make", [small_classifier, small_regressor])
def test_our_nets_alone(name, make):
    X, y = classes_table() if make is small_classifier else values_table()
    X = X.astype(np.float32)
    expected = make(random_state=0).fit(X, y).predict(X)
    with SETTINGS[name]():
        net = make(random_state=0).fit(X, y)
        np.testing.assert_array_equal(net.predict(X), expected)
        net.partial_fit(X, y)
    net.partial_fit(X, y)


def with_validation():
    X, y = classes_table()
    X = X.astype(np.float32)
    return X, y, (X[40:], y[40:]), {"X_val": X[:40], "y_val": y[:40]}


@cache
def of_nets_without_settings():
    """A frozen net, and the probabilities of a fit with it and with a net of the user's."""
    X, y, train, data = with_validation()
    frozen = FrozenEstimator(small_classifier(random_state=0).fit(X, y))
    nets = frozen, plain_classifier()
    return frozen, [classifier(net).fit(*train, **data).predict_proba(X) for net in nets]


@pytest.mark.slow
@settings
def test_a_frozen_net_and_a_net_of_the_users(name):
    X, _, train, data = with_validation()
    frozen, wanted = of_nets_without_settings()
    with SETTINGS[name]():
        found = classifier(frozen).fit(*train, **data)
        np.testing.assert_array_equal(found.predict_proba(X), wanted[0])
        if "dtype" not in name:
            # The default dtype is that of the user's modules.
            found = classifier(plain_classifier()).fit(*train, **data)
            np.testing.assert_array_equal(found.predict_proba(X), wanted[1])


@cache
def of_folds():
    X, y = classes_table()
    return MABPrunedClassifierCV(inside_classifier(), budgets=(0.3,), cv=2).fit(X, y).predict(X)


@pytest.mark.slow
@settings
def test_cross_validation(name):
    X, y = classes_table()
    expected = of_folds()
    search = MABPrunedClassifierCV(inside_classifier(), budgets=(0.3,), cv=2)
    with SETTINGS[name]():
        np.testing.assert_array_equal(search.fit(X, y).predict(X), expected)


@cache
def of_files():
    """A fitted estimator with its file, pickle and ONNX form, made without settings."""
    X, y = classes_table()
    model = classifier(small_classifier(dtype="float32"), keep_path="always").fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        written = (Path(folder) / "model").read_bytes()
    return model, X, y, written, pickle.dumps(model), model.to_onnx().SerializeToString()


@settings
def test_files_exports_and_displays(name, tmp_path):
    model, X, y, written, pickled, onnx = of_files()
    expected = model.predict_proba(X)
    (tmp_path / "model").write_bytes(written)
    with SETTINGS[name]():
        loaded = load(tmp_path / "model")
        opened = pickle.loads(pickled)
        model.save(tmp_path / "again")
        assert model.to_onnx().SerializeToString() == onnx
        module = model.to_torch()
        mlp = model.to_sklearn()
        for display in (PruningPathDisplay, NeuronMapDisplay, PullsDisplay):
            plt.close(display.from_estimator(model).figure_)
        text = str(model.pruning_report_)
        for each in (loaded, opened):
            np.testing.assert_array_equal(each.predict_proba(X), expected)
    assert (tmp_path / "again").read_bytes() == written
    assert text == str(model.pruning_report_)
    np.testing.assert_allclose(mlp.predict_proba(X), expected, atol=1e-6)
    # What was made inside can be trained outside.
    loaded.estimator_.partial_fit(X.astype(np.float32), y)
    module.train()
    module(torch.as_tensor(X).float()).sum().backward()
    assert all(each.grad is not None for each in module.parameters())
    np.testing.assert_array_equal(
        opened.at_budget(0.7, X, y).predict(X), model.at_budget(0.7, X, y).predict(X)
    )


@pytest.mark.parametrize(
    "policy", ["kl_ucb", "thompson_beta", "moss", "hedge", "exp3_ix", "bayes_ucb", "sar", "softmax"]
)
def test_policies_where_numpy_raises(policy):
    """Probabilities underflow in their formulas."""
    X, y = classes_table()
    expected = classifier(policy=policy).fit(X, y).predict_proba(X)
    with np.errstate(all="raise"):
        model = classifier(policy=policy).fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X), expected)
