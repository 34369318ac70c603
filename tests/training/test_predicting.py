"""Predictions in parts, and the short way past the input checks."""

from __future__ import annotations

import re
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from builders import make_graph
from pairwise import pairwise
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier
from user_nets import (
    classes_table,
    classifier,
    labels_table,
    regressor,
    small_classifier,
    small_regressor,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier
from sklearn_mabprune.data.losses import is_softmax, output_nonlinearity
from sklearn_mabprune.training.predicting import few_outputs, run_in_parts, softmax


@pytest.fixture(scope="module")
def model_and_rows():
    X, y = make_classification(5000, 8, random_state=0)
    X = X.astype(np.float32)
    # scikit-learn's MLP, which it is compared with, has no input stage either.
    net = MLPNetClassifier(inputs=None, module__hidden_layer_sizes=(12, 8), max_epochs=2)
    model = MABPrunedClassifier(net, fine_tune_epochs=1, tolerance=1.0, random_state=0)
    return model.fit(X, y), X


def test_parts_are_the_whole(model_and_rows):
    model, X = model_and_rows
    whole = model.predict_proba(X)
    assert whole.shape == (5000, 2)
    parts = np.concatenate([model.predict_proba(part) for part in np.array_split(X, 7)])
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)
    singles = np.concatenate([model.predict_proba(X[k : k + 1]) for k in range(50)])
    np.testing.assert_allclose(singles, whole[:50], rtol=0, atol=1e-6)


@pairwise(
    n_rows=[1, 63, 64, 500],
    n_classes=[2, 3, 10, 15, 16, 40],
    dtype=[torch.float64, torch.float32],
)
def test_softmax_either_way_round(n_rows, n_classes, dtype):
    outputs = 30 * torch.randn(n_rows, n_classes, generator=torch.Generator().manual_seed(0))
    found = softmax(outputs.to(dtype))
    torch.testing.assert_close(found, outputs.to(dtype).softmax(1))
    assert found.is_contiguous()
    assert found.dtype == dtype


def test_only_the_softmax_over_classes_is_taken_another_way(model_and_rows):
    model, _ = model_and_rows
    assert is_softmax(output_nonlinearity(model.estimator_))
    assert not is_softmax(partial(torch.softmax, dim=0))
    assert not is_softmax(torch.sigmoid)


def test_parts_of_tensors():
    graph = make_graph("classes")
    x = torch.randn(9000, graph.n_inputs, dtype=torch.float64)
    seen = []

    def forward(part):
        seen.append(len(part))
        return graph.forward(part)

    with torch.no_grad():
        torch.testing.assert_close(run_in_parts(forward, x), graph.forward(x))
    assert sum(seen) == 9000
    assert max(seen) < 9000


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda X: X.astype(np.float64),
        lambda X: X.astype(">f4"),
        lambda X: X.astype(np.float16).astype(np.float32),
        lambda X: X[::-1][::-1],
        lambda X: X.tolist(),
        lambda X: np.ma.masked_array(X),
    ],
    ids=["fortran", "float64", "swapped", "float32", "strides", "list", "subclass"],
)
def test_the_same_rows_in_other_forms(model_and_rows, change):
    model, X = model_and_rows
    found = model.predict_proba(change(X[:20]))
    np.testing.assert_allclose(found, model.predict_proba(X[:20]), rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :5], "5 features"),
        (lambda X: X[0], "Expected 2D array"),
        (lambda X: X[:0], "0 sample"),
        (lambda X: X[None], "dim 3"),
        (lambda X: np.where(X[0, 0] == X, np.nan, X), "NaN"),
        (lambda X: np.where(X[0, 0] == X, np.inf, X), "infinity"),
        (lambda X: X.astype(complex), "Complex"),
        (lambda X: X.astype(str), "strings or categories"),
    ],
)
def test_bad_rows_are_refused_as_everywhere(model_and_rows, change, message):
    model, X = model_and_rows
    bad = change(X[:6]) if message != "strings or categories" else [["a"] * 8]
    with pytest.raises(ValueError, match=message):
        model.predict_proba(bad)


def test_rows_whose_sum_overflows_are_no_nan(model_and_rows):
    model, X = model_and_rows
    huge = np.full_like(X[:2], 3e37)
    assert np.isfinite(model.predict_proba(huge)).all()
    model.predict(huge)


# ------------------------------------------------------- values beyond the net's precision

FORMS = {"dense": np.asarray, "sparse": sparse.csr_matrix, "list": lambda X: X.tolist()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["classifier", "regressor", "multilabel"])
def test_samples_too_large_for_the_precision_are_named(kind, form):
    X, y = {"multilabel": labels_table, "regressor": values_table}.get(kind, classes_table)()
    net = small_regressor if kind == "regressor" else small_classifier
    model = (regressor if kind == "regressor" else classifier)(net(dtype="float32")).fit(X, y)
    huge = X.copy()
    # Infinities of both signs: a unit that weighs both is NaN, and no ReLU or softmax hides it.
    huge[[3, 5], 2] = -1e39
    huge[[3, 5], 4] = 1e39
    methods = ["predict"] if kind == "regressor" else ["predict", "predict_proba"]
    for method in methods:
        call = getattr(model, method)
        with pytest.raises(ValueError, match=NAMED):
            call(FORMS[form](huge))
        with pytest.raises(ValueError, match=r"Sample 0 of X is too large .* column 2, is -1e"):
            call(FORMS[form](huge[5:6]))
        assert np.isfinite(call(FORMS[form](X))).all()
    if form == "dense":
        for method in methods:
            with pytest.raises(ValueError, match=NAMED):
                getattr(model.estimator_, method)(huge)


NAMED = (
    r"Sample 3 of X \(and 1 more of 120\) is too large for the network, which computes in float32 "
    r"and returns infinity or NaN for it: its largest feature, column 2, is -1e\+39. Replace"
)


def test_nodata_of_a_raster_is_an_error_or_has_a_limit_and_is_never_nan():
    X, y = classes_table()
    frame = pd.DataFrame(X.astype(np.float32), columns=list("uvwxyz"))
    nodata = frame.copy()
    nodata.loc[[7], :] = np.float32(-3.4028235e38)
    messages = []
    for seed in range(5):
        model = classifier(random_state=seed).fit(frame, y)
        try:
            assert np.isfinite(model.predict_proba(nodata)).all()
        except ValueError as error:
            messages.append(str(error))
    assert messages
    named = r"Sample 7 of X is too large .* column 0 \('u'\), is "
    assert all(re.match(named, message) for message in messages)


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("validation", [False, True])
def test_training_samples_too_large_for_the_precision_name_their_column(form, frozen, validation):
    X, y = classes_table()
    net = small_classifier(dtype="float32")
    net = FrozenEstimator(net.fit(X, y)) if frozen else net
    sides = [X.copy(), X[:30].copy()]
    sides[validation][4, 1] = 1e39
    X_train, X_val = (FORMS[form](side) for side in sides)
    with pytest.raises(ValueError, match=r"[Cc]olumn 1( of X contains|, is) 1e\+39"):
        classifier(net).fit(X_train, y, X_val=X_val, y_val=y[:30])


def test_names_of_features_are_checked():
    X, y = make_classification(60, 4, n_redundant=0, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = MLPNetClassifier(module__hidden_layer_sizes=(4,), max_epochs=2)
    model = MABPrunedClassifier(net, fine_tune_epochs=0, tolerance=1.0).fit(frame, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("dcba")])


def test_rows_beyond_the_most_cost_no_pull():
    """Counted, not timed: twice the rows, the same pulls, of a policy that makes all it may."""
    X, y = make_classification(2400, 6, flip_y=0, class_sep=2.0, random_state=0)
    costs = []
    for n_rows in (600, 1200, 2400):
        net = MLPNetClassifier(module__hidden_layer_sizes=(10, 8), max_epochs=2)
        model = MABPrunedClassifier(
            net,
            policy="uniform",
            max_pruning_samples=300,
            pull_batch_size=50,
            tolerance=1.0,
            random_state=0,
        ).fit(X[:n_rows], y[:n_rows])
        costs.append((model.n_pulls_, model.pruning_report_.n_evaluations))
    assert costs[0] == costs[1] == costs[2]
    assert costs[0][1] == 50 * costs[0][0]


# ------------------------------------------------------------------- few samples, without torch


def seconds_of_best(*runs):
    """Processor seconds of the best of many turns of each."""
    best = [np.inf] * len(runs)
    for _ in range(30):
        for k, run in enumerate(runs):
            started = time.thread_time()
            for _ in range(20):
                run()
            best[k] = min(best[k], time.thread_time() - started)
    return best


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("form", "most"), [(np.asarray, 1 / 3), (np.ndarray.tolist, 0.75), (sparse.csr_matrix, 0.75)]
)
def test_one_sample_against_scikit_learn(model_and_rows, form, most):
    model, X = model_and_rows
    theirs = MLPClassifier((12, 8), max_iter=1).fit(X[:200], np.arange(200) % 2)
    one = form(X[:1])
    ours, other = seconds_of_best(
        lambda: model.predict_proba(one), lambda: theirs.predict_proba(one)
    )
    assert ours <= most * other


def cubed(outputs):
    return outputs**3


@pytest.mark.parametrize("kind", ["classifier", "regressor", "multilabel", "function"])
@pytest.mark.parametrize("n_samples", [1, 7, 32, 33])
def test_few_samples_are_predicted_as_many_are(kind, n_samples):
    make, table = {
        "classifier": (classifier, classes_table),
        "regressor": (regressor, lambda: values_table(n_targets=2)),
        "multilabel": (classifier, labels_table),
        "function": (
            lambda: regressor(small_regressor(predict_nonlinearity=cubed)), values_table),
    }[kind]  # fmt: skip
    X, y = table()
    model = make().fit(X, y)
    predict = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    net = model.estimator_
    for _ in range(2):
        many = predict(X)
        np.testing.assert_allclose(predict(X[:n_samples]), many[:n_samples], rtol=1e-6, atol=1e-9)
        found = few_outputs(net, X[:n_samples])
        assert (found is None) is (kind == "function" or n_samples > 32)
        # What training changes is there at once.
        net.set_params(max_epochs=1).partial_fit(X, y)
    net.set_params(predict_nonlinearity=cubed)
    changed = predict(X[:n_samples])
    assert not np.allclose(changed, many[:n_samples])
    np.testing.assert_allclose(changed, predict(X)[:n_samples], rtol=1e-6, atol=1e-9)
